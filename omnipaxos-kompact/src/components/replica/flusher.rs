//! Where flushes run.

use super::messages::ReplicaMessage;
use crate::components::health::ReplicaHealth;
use kompact::prelude::ActorRef;
use omnipaxos_core::storage::{Commit, Flush, FlushId, Operation, StorageError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use thiserror::Error;

/// Where the flushes of a replica run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FlushMode {
    /// In the replica where the backend never waits ([`Commit::WAITS`]), on a thread otherwise.
    #[default]
    Auto,
    /// In the replica's handler: right for a backend that never waits.
    Inline,
    /// On a thread of the replica's own, so that a disk never holds up one of Kompact's threads.
    Thread,
}

impl FlushMode {
    fn is_inline<C: Commit>(self) -> bool {
        match self {
            FlushMode::Inline => true,
            FlushMode::Thread => false,
            FlushMode::Auto => !C::WAITS,
        }
    }
}

/// Why there is no thread for flushes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no thread: {0}")]
pub(super) struct NoThread(String);

/// A flush that has ended, and how.
pub(super) type Flushed = (FlushId, Result<(), StorageError>);

/// Runs flushes, one at a time.
#[derive(Debug)]
pub(super) struct Flusher<C> {
    health: ReplicaHealth,
    place: Place<C>,
}

#[derive(Debug)]
enum Place<C> {
    Inline,
    Thread { flushes: Sender<Flush<C>>, thread: JoinHandle<Option<Flushed>> },
}

impl<C: Commit + Send + 'static> Flusher<C> {
    /// Starts what `mode` asks for; results of a thread go to `replica`, marks to `health`.
    pub(super) fn start(
        mode: FlushMode,
        name: String,
        replica: ActorRef<ReplicaMessage>,
        health: ReplicaHealth,
    ) -> Result<Self, NoThread> {
        if mode.is_inline::<C>() {
            return Ok(Self { health, place: Place::Inline });
        }
        let of_thread = health.clone();
        let (flushes, to_run) = channel::<Flush<C>>();
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || {
                let mut last = None;
                for flush in to_run {
                    let id = flush.id();
                    let result = run(flush);
                    of_thread.end_flush();
                    last = Some((id, result.clone()));
                    replica.tell(ReplicaMessage::Flushed(id, result));
                }
                last
            })
            .map_err(|e| NoThread(e.to_string()))?;
        Ok(Self { health, place: Place::Thread { flushes, thread } })
    }

    /// Runs a flush now and returns its result, or hands it to the thread.
    pub(super) fn flush(&self, flush: Flush<C>) -> Option<Result<(), StorageError>> {
        self.health.begin_flush();
        match &self.place {
            Place::Inline => {
                let result = run(flush);
                self.health.end_flush();
                Some(result)
            }
            Place::Thread { flushes, .. } => match flushes.send(flush) {
                Ok(()) => None,
                Err(_) => {
                    self.health.end_flush();
                    Some(Err(failed("the flusher is gone")))
                }
            },
        }
    }

    /// Waits until the flush that is under way has ended; returns the last one that a thread ran,
    /// which the replica may not have been told of yet.
    pub(super) fn stop(self) -> Option<Flushed> {
        match self.place {
            Place::Inline => None,
            Place::Thread { flushes, thread } => {
                drop(flushes);
                // The thread catches what a backend may do.
                thread.join().ok().flatten()
            }
        }
    }
}

/// A backend that panics leaves as little known about its medium as one that fails.
fn run<C: Commit>(flush: Flush<C>) -> Result<(), StorageError> {
    catch_unwind(AssertUnwindSafe(|| flush.run()))
        .unwrap_or_else(|_| Err(failed("the backend panicked in a flush")))
}

fn failed(detail: &str) -> StorageError {
    StorageError::Io { operation: Operation::Flush, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use omnipaxos_core::storage::MemoryCommit;

    struct Disk;

    impl Commit for Disk {
        fn run(self) -> Result<(), StorageError> {
            Ok(())
        }
    }

    #[test]
    fn memory_is_flushed_inline_and_everything_else_on_a_thread() {
        assert!(FlushMode::Auto.is_inline::<MemoryCommit>());
        assert!(!FlushMode::Auto.is_inline::<Disk>());
        assert!(FlushMode::Inline.is_inline::<Disk>());
        assert!(!FlushMode::Thread.is_inline::<MemoryCommit>());
    }
}
