//! Who waits for which proposal.

use super::Outcome;
use crate::components::gate::Permit;
use crate::ports::{ProposalResult, ReplicaEvent, Token};
use kompact::prelude::{Fulfillable, KPromise, Recipient};
use omnipaxos_core::storage::{ConfigId, ProposalId};
use std::collections::VecDeque;

/// How the answer to a proposal gets back.
#[derive(Debug)]
pub(super) enum Waiter {
    /// Asked by actor message; its place is free once it is answered.
    Ask(KPromise<ProposalResult>, Option<Permit>),
    /// Requested over the port.
    Port(Token),
    /// Requested with a token, which goes here with the outcome.
    Token(Token, ConfigId, Recipient<Outcome>),
}

impl Waiter {
    /// Answers; returns the indication for those that are answered over the port.
    #[must_use]
    pub(super) fn answer(self, result: ProposalResult) -> Option<ReplicaEvent> {
        match self {
            Waiter::Ask(promise, permit) => {
                // Whoever is told so may propose again.
                drop(permit);
                // Whoever asked may have stopped waiting.
                let _ = promise.fulfil(result);
                None
            }
            Waiter::Token(token, config_id, recipient) => {
                recipient.tell(Outcome { config_id, token, result });
                None
            }
            Waiter::Port(token) => Some(ReplicaEvent::Proposed { token, result }),
        }
    }
}

/// The proposals without an outcome yet, in the order in which they were made, which is that of
/// their identities.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// `None` for what was answered before an older one; never in front.
    open: VecDeque<(ProposalId, Option<Waiter>)>,
}

impl Waiters {
    pub(super) fn insert(&mut self, id: ProposalId, waiter: Waiter) {
        debug_assert!(self.open.back().is_none_or(|(last, _)| *last < id));
        self.open.push_back((id, Some(waiter)));
    }

    /// Nearly always the oldest one.
    pub(super) fn remove(&mut self, id: ProposalId) -> Option<Waiter> {
        let waiter = match self.open.front() {
            Some((oldest, _)) if *oldest == id => self.open.pop_front()?.1,
            _ => {
                let at = self.open.binary_search_by_key(&id, |(id, _)| *id).ok()?;
                return self.open.get_mut(at)?.1.take();
            }
        };
        while self.open.pop_front_if(|(_, waiter)| waiter.is_none()).is_some() {}
        waiter
    }

    pub(super) fn take_all(&mut self) -> impl Iterator<Item = (ProposalId, Waiter)> + use<> {
        let open = std::mem::take(&mut self.open);
        open.into_iter().filter_map(|(id, waiter)| Some((id, waiter?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> ProposalId {
        ProposalId { proposer: 1, session: 1, number }
    }

    fn waiters(numbers: std::ops::Range<u64>) -> Waiters {
        let mut waiters = Waiters::default();
        numbers.for_each(|number| waiters.insert(id(number), Waiter::Port(number)));
        waiters
    }

    fn token(waiter: Option<Waiter>) -> Option<Token> {
        match waiter {
            Some(Waiter::Port(token)) => Some(token),
            _ => None,
        }
    }

    #[test]
    fn each_is_found_once_in_any_order_and_leaves_nothing() {
        let mut waiters = waiters(1..6);
        for number in [1, 4, 3, 5, 2] {
            assert_eq!(token(waiters.remove(id(number))), Some(number));
            assert!(waiters.remove(id(number)).is_none());
        }
        assert!(waiters.open.is_empty());
        assert!(waiters.remove(id(9)).is_none());
    }

    #[test]
    fn all_that_are_left_come_in_order() {
        let mut waiters = waiters(1..6);
        assert_eq!(token(waiters.remove(id(3))), Some(3));
        let left: Vec<_> = waiters.take_all().map(|(id, _)| id.number).collect();
        assert_eq!(left, [1, 2, 4, 5]);
        assert!(waiters.open.is_empty());
    }
}
