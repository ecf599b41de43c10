//! The log of a configuration in which this server runs no replica: it gets decided records from
//! others, and serves them again.

use super::adopt::AdoptError;
use super::{
    FinishFlushError, Flush, FlushId, PaxosState, Records, Sequence, StopSign, Storage,
    StorageError,
};
use crate::ballot::Ballot;
use thiserror::Error;

/// Takes the decided records of one configuration in, in order, where no replica does.
///
/// What is flushed is what a replica would have that has learned as much (D1): another importer,
/// or a replica, may open the same storage afterwards. What a replica left behind its decided index
/// is kept as far as it is equal: it may have voted for it.
///
/// ```
/// use omnipaxos_core::leader_election::Ballot;
/// use omnipaxos_core::storage::*;
/// let storage = Storage::with(MemorySequence::new(), MemoryState::new());
/// let mut importer = Importer::open(storage)?;
/// let mut records = RecordsBuilder::new();
/// records.push(ProposalId { proposer: 1, session: 1, number: 1 }, Entry::from("hello"));
/// importer.append(0, &records.build(), Ballot::new(3, 0, 1))?;
/// if let Some(flush) = importer.begin_flush()? {
///     let id = flush.id();
///     importer.finish_flush(id, flush.run())?;
/// }
/// assert_eq!((importer.end(), importer.durable()), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Importer<S, P> {
    pub(super) storage: Storage<S, P>,
    pub(super) failed: Option<StorageError>,
}

/// Why records were not taken in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Records before them are lacking.
    #[error("records from index {start} on behind a log that ends at {end}")]
    Gap {
        /// Where they start.
        start: u64,
        /// Where the log ends.
        end: u64,
    },
    /// They contradict what the log is known to hold: whoever sent them is wrong.
    #[error("impossible records: {0}")]
    Impossible(&'static str),
    /// The log does not end in a StopSign: there is more to come.
    #[error("the log of {end} records does not end in a StopSign")]
    NotEnded {
        /// Where the log ends.
        end: u64,
    },
    /// Storage failed, now or before: nothing is known about what is on the medium.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl<S: Sequence, P: PaxosState> Importer<S, P> {
    /// Goes on where an earlier importer, or a replica, has stopped.
    ///
    /// # Errors
    /// [`StorageError`] when the storage cannot be opened.
    pub fn open(mut storage: Storage<S, P>) -> Result<Self, StorageError> {
        storage.open()?;
        Ok(Self { storage, failed: None })
    }

    /// The index after the last record that is here: where the next ones are to start, at most.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.storage.state().decided
    }

    /// The same of what is durable.
    #[must_use]
    pub fn durable(&self) -> u64 {
        let durable = self.storage.flushes().durable();
        durable.decided.min(durable.end)
    }

    /// The first index that was not trimmed.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.storage.first_index()
    }

    /// The StopSign that ends the log, once all of it is here.
    #[must_use]
    pub fn stop_sign(&self) -> Option<&StopSign> {
        self.storage.sealed()
    }

    /// Takes in the decided records `[start, start + len)`, which were chosen in `round` or before.
    /// What is here already changes nothing; a sealed log takes nothing more.
    ///
    /// # Errors
    /// [`ImportError`]; nothing was changed, unless storage failed.
    pub fn append(
        &mut self,
        start: u64,
        records: &Records,
        round: Ballot,
    ) -> Result<(), ImportError> {
        self.check()?;
        let end = self.end();
        if start > end {
            return Err(ImportError::Gap { start, end });
        }
        let Some(to) = start.checked_add(records.len()) else {
            return Err(ImportError::Impossible("an index beyond u64"));
        };
        if to <= end || self.stop_sign().is_some() {
            return Ok(());
        }
        let records = records.skip(end - start);
        let chunk = records.cost();
        match self.storage.adopt_decided(end, &records, round, chunk) {
            Ok(()) => {}
            Err(AdoptError::Impossible(reason)) => return Err(ImportError::Impossible(reason)),
            Err(AdoptError::Storage(error)) => return Err(self.fail(error)),
        }
        // As in D1, with the records in one flush: older rounds are left.
        self.storage.promise(round);
        self.storage.decide(to, round, |_, _| {});
        self.storage.write_state();
        Ok(())
    }

    /// Takes note that the log ends here, its StopSign being chosen in `round` or before.
    ///
    /// # Errors
    /// [`ImportError`]; nothing was changed, unless storage failed.
    pub fn seal(&mut self, round: Ballot) -> Result<(), ImportError> {
        self.check()?;
        if self.stop_sign().is_none() {
            return Err(ImportError::NotEnded { end: self.end() });
        }
        self.storage.promise(round);
        Ok(())
    }

    /// Reads records of `[from, to)` that are here: at most `max_cost` bytes, but one at least
    /// where there is one.
    ///
    /// # Errors
    /// [`StorageError`] when the range is not here, or storage failed.
    pub fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        super::sealed::read(&self.storage.sequence, self.end(), from, to, max_cost)
    }

    /// Seals what was taken in since the last flush. `None` when there is nothing to write, or a
    /// flush is under way already.
    ///
    /// # Errors
    /// [`StorageError`]; the importer takes nothing more then.
    pub fn begin_flush(&mut self) -> Result<Option<Flush<P::Commit>>, StorageError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let flush = self.storage.begin_flush();
        if let Err(error) = &flush {
            self.failed = Some(error.clone());
        }
        flush
    }

    /// Reports how a flush has ended. After one that failed the importer takes nothing more.
    ///
    /// # Errors
    /// [`FinishFlushError`] when that flush is not under way; nothing was changed then.
    pub fn finish_flush(
        &mut self,
        id: FlushId,
        result: Result<(), StorageError>,
    ) -> Result<(), FinishFlushError> {
        if self.failed.is_some() {
            return Ok(());
        }
        if let Err(error) = result {
            self.failed = Some(error);
            return Ok(());
        }
        self.storage.finish_flush(id)
    }

    /// Gives the storage back.
    #[must_use]
    pub fn into_storage(self) -> Storage<S, P> {
        self.storage
    }

    fn check(&self) -> Result<(), ImportError> {
        self.failed.clone().map_or(Ok(()), |error| Err(error.into()))
    }

    fn fail(&mut self, error: StorageError) -> ImportError {
        self.failed = Some(error.clone());
        error.into()
    }
}
