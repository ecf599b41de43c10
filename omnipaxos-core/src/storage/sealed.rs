//! Reading decided records where no replica runs.

use super::{Operation, PaxosState, Records, Sequence, StopSign, Storage, StorageError};
use crate::ballot::Ballot;

/// The decided records of a configuration whose storage nobody writes: what a donor serves once its
/// replica has stopped, or after it got the log from others.
///
/// Opening it writes nothing: it begins no session and casts no vote.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SealedLog<S, P> {
    sequence: S,
    paxos_state: P,
    decided: u64,
    round: Ballot,
    stop_sign: Option<StopSign>,
}

impl<S: Sequence, P: PaxosState> SealedLog<S, P> {
    /// The durable decided records in `storage`, which no replica and no importer uses.
    ///
    /// # Errors
    /// [`StorageError`] when it cannot be read, or is corrupt.
    pub fn open(storage: Storage<S, P>) -> Result<Self, StorageError> {
        let (sequence, paxos_state) = storage.into_parts();
        let state = paxos_state.load()?.unwrap_or_default();
        let (first, end) = (sequence.first_index(), sequence.end_index());
        let decided = state.decided;
        if decided < first || end < decided {
            let detail = format!("decided {decided} with a log of [{first}, {end})");
            return Err(StorageError::Corrupt { operation: Operation::Load, detail });
        }
        let mut stop_sign = None;
        if decided == end && first < end {
            stop_sign = sequence.read(end - 1, end, 0)?.stop_sign().cloned();
        }
        Ok(Self { sequence, paxos_state, decided, round: state.decided_round, stop_sign })
    }

    /// Whether the whole log is here: it ends in a decided StopSign.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.stop_sign.is_some()
    }

    /// The StopSign that ends the log.
    #[must_use]
    pub fn stop_sign(&self) -> Option<&StopSign> {
        self.stop_sign.as_ref()
    }

    /// The first index that was not trimmed.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.sequence.first_index()
    }

    /// The index after the last decided record.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.decided
    }

    /// A round in which all of them were already chosen.
    #[must_use]
    pub fn round(&self) -> Ballot {
        self.round
    }

    /// Reads decided records of `[from, to)`: at most `max_cost` bytes, but one at least where
    /// there is one.
    ///
    /// # Errors
    /// [`StorageError`] when the range is not here, or storage failed.
    pub fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        read(&self.sequence, self.decided, from, to, max_cost)
    }

    /// Gives the storage back.
    #[must_use]
    pub fn into_storage(self) -> Storage<S, P> {
        Storage::with(self.sequence, self.paxos_state)
    }
}

/// Reads from a log of which the records below `decided` are decided.
pub(super) fn read<S: Sequence>(
    sequence: &S,
    decided: u64,
    from: u64,
    to: u64,
    max_cost: u64,
) -> Result<Records, StorageError> {
    if to > decided {
        let (operation, first) = (Operation::Read, sequence.first_index());
        return Err(StorageError::Range { operation, from, to, first, end: decided });
    }
    sequence.read(from, to, max_cost)
}
