//! Proposals that have no outcome yet, across configurations.
//!
//! They are handed to the replica of the newest configuration in the order in which they came. What
//! a sealed log lacks, and what a replica refuses because its configuration ends, waits here, in
//! order, for the next one.

use crate::components::PROPOSAL_OVERHEAD;
use bytes::Bytes;
use omnipaxos_core::paxos::{ProposalOutcome, ProposeError};
use omnipaxos_core::storage::ConfigId;
use std::collections::BTreeMap;

/// Proposals with whoever waits for their outcomes.
#[derive(Debug)]
pub(super) struct Held<W> {
    /// In the order in which they came.
    proposals: BTreeMap<u64, Proposed<W>>,
    last: u64,
    /// The first one that may have to be handed out.
    next: u64,
    bytes: u64,
    limit: u64,
    active: Option<ConfigId>,
    /// How many are with a replica of another configuration than the active one, or of any while
    /// none is active.
    elsewhere: usize,
    /// A proposal was refused: nothing is handed out before the next attempt.
    stalled: bool,
    attempt: u64,
}

#[derive(Debug)]
struct Proposed<W> {
    data: Bytes,
    waiter: W,
    /// The configuration whose replica has it.
    with: Option<ConfigId>,
}

/// What a replica is to be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HandOut {
    pub(super) config_id: ConfigId,
    pub(super) number: u64,
    /// Once one of an attempt is refused, so is all that follows in it: the order is kept.
    pub(super) attempt: u64,
    pub(super) data: Bytes,
}

/// What became of a proposal in one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is decided, or its configuration's log was sealed without it.
    Outcome(ProposalOutcome),
    /// The replica refused it.
    Refused(ProposeError),
}

/// What is known for good of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Final {
    Decided(ConfigId, u64),
    Refused(ProposeError),
}

impl<W> Held<W> {
    /// None yet, and never more than `limit` bytes, but one at least.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            proposals: BTreeMap::new(),
            last: 0,
            next: 1,
            bytes: 0,
            limit,
            active: None,
            elsewhere: 0,
            stalled: false,
            attempt: 1,
        }
    }

    /// Takes a proposal, or gives its waiter back with the reason.
    pub(super) fn submit(&mut self, data: Bytes, waiter: W) -> Result<(), (W, ProposeError)> {
        let cost = cost(&data);
        if self.bytes > 0 && self.bytes + cost > self.limit {
            let overloaded = ProposeError::Overloaded { pending: self.bytes, limit: self.limit };
            return Err((waiter, overloaded));
        }
        self.bytes += cost;
        self.last += 1;
        self.proposals.insert(self.last, Proposed { data, waiter, with: None });
        Ok(())
    }

    /// The replica of this configuration takes proposals from now on; `None`: nobody does.
    pub(super) fn activate(&mut self, active: Option<ConfigId>) {
        self.active = active;
        self.elsewhere = self.proposals.values().filter(|p| p.with.is_some()).count();
        self.elsewhere -=
            self.proposals.values().filter(|p| p.with.is_some() && p.with == active).count();
        self.stalled = true;
        self.retry();
    }

    /// Time for another attempt with what was refused.
    pub(super) fn retry(&mut self) {
        if std::mem::take(&mut self.stalled) {
            self.attempt += 1;
            self.next = 1;
        }
    }

    /// The proposal that the active replica is to be given next.
    pub(super) fn hand_out(&mut self) -> Option<HandOut> {
        let config_id = self.active.filter(|_| !self.stalled && self.elsewhere == 0)?;
        let (number, proposed) =
            self.proposals.range_mut(self.next..).find(|(_, p)| p.with.is_none())?;
        proposed.with = Some(config_id);
        self.next = number + 1;
        let data = proposed.data.clone();
        Some(HandOut { config_id, number: *number, attempt: self.attempt, data })
    }

    /// What became of a proposal in `config_id`; returns its waiter where that is for good.
    pub(super) fn outcome(
        &mut self,
        config_id: ConfigId,
        number: u64,
        fate: Fate,
    ) -> Option<(W, Final)> {
        let proposed = self.proposals.get_mut(&number)?;
        if proposed.with != Some(config_id) {
            return None;
        }
        if Some(config_id) != self.active {
            self.elsewhere -= 1;
        }
        let refusal = match fate {
            Fate::Outcome(ProposalOutcome::Decided(index)) => {
                return self.finish(number, Final::Decided(config_id, index));
            }
            Fate::Outcome(ProposalOutcome::Dropped) => None,
            Fate::Refused(e @ ProposeError::TooLarge { .. }) => {
                return self.finish(number, Final::Refused(e));
            }
            Fate::Refused(e) => Some(e),
        };
        proposed.with = None;
        self.stalled |= refusal.is_some() && Some(config_id) == self.active;
        self.next = self.next.min(number);
        None
    }

    fn finish(&mut self, number: u64, end: Final) -> Option<(W, Final)> {
        let proposed = self.proposals.remove(&number)?;
        self.bytes -= cost(&proposed.data);
        Some((proposed.waiter, end))
    }

    /// Gives up all that is with no replica; their waiters, in order.
    pub(super) fn give_up_waiting(&mut self) -> Vec<W> {
        let waiting: Vec<u64> =
            self.proposals.iter().filter(|(_, p)| p.with.is_none()).map(|(n, _)| *n).collect();
        self.remove(waiting)
    }

    /// Gives up everything; the waiters, in order.
    pub(super) fn give_up(&mut self) -> Vec<W> {
        let all = self.proposals.keys().copied().collect();
        self.remove(all)
    }

    fn remove(&mut self, numbers: Vec<u64>) -> Vec<W> {
        let removed = numbers.into_iter().filter_map(|number| {
            let proposed = self.proposals.remove(&number)?;
            self.bytes -= cost(&proposed.data);
            Some(proposed.waiter)
        });
        removed.collect()
    }
}

fn cost(data: &Bytes) -> u64 {
    PROPOSAL_OVERHEAD + data.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DROPPED: Fate = Fate::Outcome(ProposalOutcome::Dropped);

    fn held(count: u8) -> Held<u8> {
        let mut held = Held::new(10_000);
        for n in 1..=count {
            held.submit(Bytes::from(vec![n]), n).unwrap();
        }
        held
    }

    /// What is handed out now.
    fn out(held: &mut Held<u8>) -> Vec<(ConfigId, u64)> {
        std::iter::from_fn(|| held.hand_out()).map(|h| (h.config_id, h.number)).collect()
    }

    fn decided(held: &mut Held<u8>, config_id: ConfigId, number: u64) -> Option<(u8, Final)> {
        held.outcome(config_id, number, Fate::Outcome(ProposalOutcome::Decided(number)))
    }

    fn refused() -> Fate {
        Fate::Refused(ProposeError::Reconfiguring { config_id: 2 })
    }

    #[test]
    fn nothing_goes_out_before_there_is_a_replica() {
        let mut held = held(2);
        assert_eq!(out(&mut held), vec![]);
        held.activate(Some(1));
        assert_eq!(out(&mut held), vec![(1, 1), (1, 2)]);
        assert_eq!(decided(&mut held, 1, 1), Some((1, Final::Decided(1, 1))));
        assert_eq!(decided(&mut held, 1, 1), None);
    }

    #[test]
    fn what_a_sealed_log_lacks_goes_into_the_next_one_in_order() {
        let mut held = held(4);
        held.activate(Some(1));
        assert_eq!(out(&mut held).len(), 4);
        assert!(decided(&mut held, 1, 1).is_some());
        held.activate(Some(2));
        // Until the fate of all is known nothing goes out: order is kept.
        held.submit(Bytes::new(), 5).unwrap();
        assert_eq!(out(&mut held), vec![]);
        assert!(decided(&mut held, 1, 2).is_some());
        assert_eq!(held.outcome(1, 3, DROPPED), None);
        assert_eq!(out(&mut held), vec![]);
        assert_eq!(held.outcome(1, 4, DROPPED), None);
        assert_eq!(out(&mut held), vec![(2, 3), (2, 4), (2, 5)]);
        // Late words of the old replica change nothing.
        assert_eq!(decided(&mut held, 1, 3), None);
        assert_eq!(decided(&mut held, 2, 3), Some((3, Final::Decided(2, 3))));
    }

    #[test]
    fn a_refusal_holds_up_all_that_follows_until_the_next_attempt() {
        let mut held = held(3);
        held.activate(Some(1));
        let first = held.hand_out().unwrap();
        assert_eq!(held.hand_out().unwrap().attempt, first.attempt);
        assert_eq!(held.outcome(1, 1, refused()), None);
        assert_eq!(out(&mut held), vec![]);
        assert_eq!(held.outcome(1, 2, refused()), None);
        held.retry();
        let again = held.hand_out().unwrap();
        assert_eq!(again.number, 1);
        assert!(again.attempt > first.attempt);
        assert_eq!(out(&mut held), vec![(1, 2), (1, 3)]);
    }

    #[test]
    fn one_that_is_too_large_is_refused_for_good_and_alone() {
        let mut held = held(2);
        held.activate(Some(1));
        assert_eq!(out(&mut held).len(), 2);
        let large = ProposeError::TooLarge { size: 9, limit: 1 };
        let answer = held.outcome(1, 1, Fate::Refused(large.clone()));
        assert_eq!(answer, Some((1, Final::Refused(large))));
        assert!(decided(&mut held, 1, 2).is_some());
    }

    #[test]
    fn bytes_are_bounded_and_come_free() {
        let mut held: Held<u8> = Held::new(2 * PROPOSAL_OVERHEAD);
        held.activate(Some(1));
        held.submit(Bytes::new(), 1).unwrap();
        held.submit(Bytes::new(), 2).unwrap();
        let (waiter, error) = held.submit(Bytes::new(), 3).unwrap_err();
        assert_eq!(waiter, 3);
        assert!(matches!(error, ProposeError::Overloaded { .. }));
        assert_eq!(out(&mut held).len(), 2);
        assert!(decided(&mut held, 1, 1).is_some());
        held.submit(Bytes::new(), 3).unwrap();
    }

    #[test]
    fn where_nobody_takes_them_those_of_unknown_fate_are_kept() {
        let mut held = held(3);
        held.activate(Some(1));
        assert!(held.hand_out().is_some());
        held.activate(None);
        assert_eq!(held.give_up_waiting(), vec![2, 3]);
        assert_eq!(held.outcome(1, 1, DROPPED), None);
        assert_eq!(held.give_up_waiting(), vec![1]);
        assert_eq!(held.bytes, 0);
    }
}
