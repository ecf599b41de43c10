//! Reading and trimming the log of a replica.

use super::error::{Halted, ReadError, TrimError};
use super::{Paxos, ProposalOutcome};
use crate::storage::{Entry, PaxosState, ProposalId, Records, Sequence, StopSign};

/// Decided entries from an index on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DecidedEntries {
    /// Index of the first entry in the log of the configuration.
    pub first_index: u64,
    /// The entries.
    pub entries: Vec<Entry>,
}

/// Decided records from an index on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DecidedRecords {
    /// Index of the first record in the log of the configuration.
    pub first_index: u64,
    /// The records, as the log holds them: nothing was copied.
    pub records: Records,
}

impl<S: Sequence, P: PaxosState> Paxos<S, P> {
    /// Returns what was decided since the last call, and is durable here. However much it is: see
    /// [`take_decided`](Self::take_decided).
    pub fn get_decided_entries(&mut self) -> Vec<Entry> {
        self.take_decided(u64::MAX).entries
    }

    /// Returns what was decided since the last call, and is durable here: at most `max_cost` bytes,
    /// but one entry at least where there is one.
    pub fn take_decided(&mut self, max_cost: u64) -> DecidedEntries {
        let DecidedRecords { first_index, records } = self.take_decided_records(max_cost);
        DecidedEntries { first_index, entries: records.into_entries() }
    }

    /// As [`take_decided`](Self::take_decided), with the identities of the proposals, and shared
    /// with the log instead of copied out of it.
    #[inline]
    pub fn take_decided_records(&mut self, max_cost: u64) -> DecidedRecords {
        let (first_index, to) = (self.replica.read_from, self.replica.readable());
        let mut records = Records::default();
        if first_index < to {
            records = self.read_records(first_index, to, max_cost).unwrap_or_default();
            self.replica.read_from += records.len();
        }
        DecidedRecords { first_index, records }
    }

    /// Returns decided entries of `[from, to)`: at most `max_cost` bytes, but one at least where
    /// there is one. A `to` beyond the decided entries means all of them.
    ///
    /// # Errors
    /// [`ReadError`] when `from` was trimmed or lies beyond the decided entries, or storage failed.
    pub fn read_decided(
        &mut self,
        from: u64,
        to: u64,
        max_cost: u64,
    ) -> Result<DecidedEntries, ReadError> {
        let records = self.read_records(from, to, max_cost)?;
        Ok(DecidedEntries { first_index: from, entries: records.into_entries() })
    }

    /// As [`read_decided`](Self::read_decided), with the identities of the proposals.
    ///
    /// # Errors
    /// As [`read_decided`](Self::read_decided).
    pub fn read_records(
        &mut self,
        from: u64,
        to: u64,
        max_cost: u64,
    ) -> Result<Records, ReadError> {
        if let Some(halted) = &self.halted {
            return Err(halted.clone().into());
        }
        let storage = &self.replica.storage;
        let (first, decided) = (storage.first_index(), self.replica.readable());
        if from < first {
            return Err(ReadError::Trimmed { first });
        }
        if from > decided {
            return Err(ReadError::NotDecided { decided });
        }
        match storage.read(from, to.clamp(from, decided), max_cost) {
            Ok(records) => Ok(records),
            Err(error) => {
                let halted = Halted::Storage(error);
                self.halt(halted.clone());
                Err(halted.into())
            }
        }
    }

    /// Returns what became of this replica's proposals since the last call, in the order of their
    /// indexes; `Dropped` ones come last.
    pub fn take_outcomes(&mut self) -> Vec<(ProposalId, ProposalOutcome)> {
        self.replica.proposals.drain_outcomes().collect()
    }

    /// As [`take_outcomes`](Self::take_outcomes), without a vector of their own. What is not looked
    /// at is dropped.
    pub fn drain_outcomes(&mut self) -> impl Iterator<Item = (ProposalId, ProposalOutcome)> + '_ {
        self.replica.proposals.drain_outcomes()
    }

    /// Removes the entries below `to` from this replica's log.
    ///
    /// # Errors
    /// [`TrimError`] when some member may still need them, or this replica's user has not taken
    /// them.
    pub fn trim(&mut self, to: u64) -> Result<(), TrimError> {
        if let Some(halted) = &self.halted {
            return Err(halted.clone().into());
        }
        let r = &mut self.replica;
        if to <= r.storage.first_index() {
            return Ok(());
        }
        // The StopSign stays: it says what comes after this configuration.
        let stop_sign = r.storage.stop_sign().map_or(u64::MAX, |_| r.storage.end_index() - 1);
        let durable = r.storage.flushes().durable().decided;
        let allowed = r.decided_by_all.min(durable).min(stop_sign);
        if to > allowed {
            return Err(TrimError::NotDecidedByAll { allowed });
        }
        if to > r.read_from {
            return Err(TrimError::NotTaken { taken: r.read_from });
        }
        r.digests.trim(to);
        if let Err(error) = r.storage.trim(to) {
            self.halt(Halted::Storage(error));
        }
        self.halted.clone().map_or(Ok(()), |halted| Err(halted.into()))
    }

    /// The index after the last entry that is known to be decided.
    #[must_use]
    pub fn decided_index(&self) -> u64 {
        self.replica.decided()
    }

    /// The first index that was not trimmed.
    #[must_use]
    pub fn first_index(&self) -> u64 {
        self.replica.storage.first_index()
    }

    /// The index after the last entry, decided or not.
    #[must_use]
    pub fn log_len(&self) -> u64 {
        self.replica.storage.end_index()
    }

    /// The decided StopSign that sealed the log.
    #[must_use]
    pub fn stop_sign(&self) -> Option<&StopSign> {
        self.replica.storage.sealed()
    }
}
