//! The logs of all configurations: with a replica on them, being imported, or at rest.

use crate::components::ReadRecords;
use crate::ports::{ReadFailure, Stopped};
use crate::server::store::ServerStorage;
use crate::spawn::ReplicaHandle;
use kompact::prelude::BlockingFutureExt as _;
use omnipaxos_core::digest::Block;
use omnipaxos_core::leader_election::Ballot;
use omnipaxos_core::paxos::ReadError;
use omnipaxos_core::storage::{
    ImportError, Importer, Operation, Records, SealedLog, Storage, StorageError,
};
use std::time::Duration;

/// How long a replica may take to answer. Far longer than it takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Where a log is.
pub(super) enum Place<E: ServerStorage> {
    /// A replica runs on it.
    Replica(ReplicaHandle<E::Sequence, E::State>),
    /// Decided records are being taken in.
    Import(Importer<E::Sequence, E::State>),
    /// Nothing changes it.
    Rest(SealedLog<E::Sequence, E::State>),
}

impl<E: ServerStorage> Place<E> {
    /// The first record that was not trimmed, and the index after the last one that is decided and
    /// durable, where no replica runs on it.
    pub(super) fn bounds(&self) -> Option<(u64, u64)> {
        match self {
            Place::Replica(_) => None,
            Place::Import(importer) => Some((importer.first(), importer.durable())),
            Place::Rest(log) => Some((log.first(), log.end())),
        }
    }

    /// Reads decided records from `from` on, below `to`; none where none are there.
    pub(super) fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        let to = |end: u64| to.clamp(from, end.max(from));
        match self {
            Place::Import(importer) => importer.read(from, to(importer.durable()), max_cost),
            Place::Rest(log) => log.read(from, to(log.end()), max_cost),
            Place::Replica(replica) => {
                let read = ReadRecords { from, to: to(u64::MAX), max_cost };
                match replica.client().read_records(read).wait_timeout(PATIENCE) {
                    Ok(Ok(records)) => Ok(records),
                    Ok(Err(ReadFailure::Refused(ReadError::NotDecided { .. }))) => {
                        Ok(Records::default())
                    }
                    Ok(Err(e)) => Err(unread(&e)),
                    Err(_) => Err(unread(&Stopped)),
                }
            }
        }
    }

    /// The blocks that a replica has digested already, but the last one, which may still grow.
    pub(super) fn closed_blocks(&self) -> Vec<Block> {
        let Place::Replica(replica) = self else {
            return Vec::new();
        };
        match replica.client().blocks().wait_timeout(PATIENCE) {
            Ok(Ok(mut blocks)) => {
                blocks.pop();
                blocks
            }
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }

    /// Takes decided records in; nobody but this does while no replica runs.
    pub(super) fn import(
        self,
        start: u64,
        records: &Records,
        round: Ballot,
    ) -> Result<Self, StorageError> {
        let mut importer = match self {
            Place::Import(importer) => importer,
            Place::Rest(log) => Importer::open(log.into_storage())?,
            replica @ Place::Replica(_) => return Ok(replica),
        };
        importer.append(start, records, round).map_err(failed)?;
        Ok(Place::Import(importer))
    }

    /// Makes what was taken in durable; returns the index after it where there was anything.
    pub(super) fn flush(&mut self) -> Result<Option<u64>, StorageError> {
        let Place::Import(importer) = self else {
            return Ok(None);
        };
        let before = importer.durable();
        flush(importer)?;
        Ok((importer.durable() > before).then(|| importer.durable()))
    }

    /// All of an imported log is here.
    pub(super) fn seal(self, round: Ballot) -> Result<Self, StorageError> {
        let Place::Import(mut importer) = self else {
            return Ok(self);
        };
        importer.seal(round).map_err(failed)?;
        flush(&mut importer)?;
        Ok(Place::Rest(SealedLog::open(importer.into_storage())?))
    }

    /// The storage of a log on which no replica runs.
    pub(super) fn into_storage(self) -> Option<Storage<E::Sequence, E::State>> {
        match self {
            Place::Replica(_) => None,
            Place::Import(importer) => Some(importer.into_storage()),
            Place::Rest(log) => Some(log.into_storage()),
        }
    }
}

fn flush<S, P>(importer: &mut Importer<S, P>) -> Result<(), StorageError>
where
    S: omnipaxos_core::storage::Sequence,
    P: omnipaxos_core::storage::PaxosState,
{
    while let Some(flush) = importer.begin_flush()? {
        let id = flush.id();
        let result = flush.run();
        let failed = result.clone().err();
        // This flush is under way: it was begun here.
        let _ = importer.finish_flush(id, result);
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(())
}

fn failed(error: ImportError) -> StorageError {
    match error {
        ImportError::Storage(error) => error,
        other => StorageError::Corrupt { operation: Operation::Append, detail: other.to_string() },
    }
}

fn unread(error: &dyn std::error::Error) -> StorageError {
    StorageError::Io { operation: Operation::Read, detail: error.to_string() }
}
