//! Who waits for which proposal.

use super::Outcome;
use crate::ports::{ProposalResult, ReplicaEvent, Token};
use kompact::prelude::{Fulfillable, KPromise, Recipient};
use omnipaxos_core::storage::{ConfigId, ProposalId};
use std::collections::BTreeMap;

/// How the answer to a proposal gets back.
#[derive(Debug)]
pub(super) enum Waiter {
    /// Asked by actor message.
    Ask(KPromise<ProposalResult>),
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
            Waiter::Ask(promise) => {
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

/// The proposals without an outcome yet.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    by_id: BTreeMap<ProposalId, Waiter>,
}

impl Waiters {
    pub(super) fn insert(&mut self, id: ProposalId, waiter: Waiter) {
        self.by_id.insert(id, waiter);
    }

    pub(super) fn remove(&mut self, id: ProposalId) -> Option<Waiter> {
        self.by_id.remove(&id)
    }

    pub(super) fn take_all(&mut self) -> BTreeMap<ProposalId, Waiter> {
        std::mem::take(&mut self.by_id)
    }
}
