//! The content of a disk: a log with the identities of its proposals, and the state beside it.

use omnipaxos_core::paxos::Ballot;
use omnipaxos_core::storage::{
    Entry, Operation, ProposalId, Records, RecordsBuilder, State, StorageError,
};
use std::collections::VecDeque;

/// One write.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Append(Records),
    Truncate(u64),
    Trim(u64),
    Store(Box<State>),
}

/// A log and the state beside it.
#[derive(Clone, Debug, Default)]
pub struct Image {
    first: u64,
    records: VecDeque<(ProposalId, Entry)>,
    /// The state that was stored last.
    pub state: Option<State>,
}

impl Image {
    /// The first index that was not trimmed.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The index after the last record.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    /// The record at an index of the log.
    #[must_use]
    pub fn record(&self, index: u64) -> Option<&(ProposalId, Entry)> {
        let at = index.checked_sub(self.first)?;
        self.records.get(at as usize)
    }

    /// The highest promise.
    #[must_use]
    pub fn promised(&self) -> Ballot {
        self.state.as_ref().map_or(Ballot::default(), |s| s.promised)
    }

    /// The accepted round.
    #[must_use]
    pub fn accepted_round(&self) -> Ballot {
        let state = self.state.as_ref();
        state.map_or(Ballot::default(), |s| s.accepted_round)
    }

    /// The decided index.
    #[must_use]
    pub fn decided(&self) -> u64 {
        self.state.as_ref().map_or(0, |s| s.decided)
    }

    /// Whether all of it is decided, the last record being a StopSign.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.decided() == self.end()
            && self.records.back().is_some_and(|(_, entry)| entry.is_stop_sign())
    }

    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::Append(records) => {
                let owned = records.iter().map(|(id, entry)| (id, entry.clone()));
                self.records.extend(owned);
            }
            Op::Truncate(from) => {
                let keep = from.saturating_sub(self.first) as usize;
                self.records.truncate(keep);
            }
            Op::Trim(to) => {
                let gone = to.saturating_sub(self.first) as usize;
                self.records.drain(..gone.min(self.records.len()));
                self.first = self.first.max(*to);
            }
            Op::Store(state) => self.state = Some(State::clone(state)),
        }
    }

    /// After half of a commit was lost: keeps the two halves possible for an opening.
    pub(super) fn repair(&mut self) {
        let (first, end) = (self.first, self.end());
        if let Some(state) = &mut self.state {
            state.decided = state.decided.clamp(first, end);
        }
    }

    /// Refuses what is not within the log.
    pub(super) fn check(
        &self,
        operation: Operation,
        from: u64,
        to: u64,
    ) -> Result<(), StorageError> {
        let (first, end) = (self.first, self.end());
        if first <= from && from <= to && to <= end {
            Ok(())
        } else {
            Err(StorageError::Range { operation, from, to, first, end })
        }
    }

    pub(super) fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        self.check(Operation::Read, from, to)?;
        let first = self.first;
        let (low, high) = ((from - first) as usize, (to - first) as usize);
        let mut builder = RecordsBuilder::new();
        for (id, entry) in self.records.range(low..high) {
            if !builder.is_empty() && builder.cost() + entry.cost() > max_cost {
                break;
            }
            builder.push(*id, entry.clone());
        }
        Ok(builder.build())
    }
}
