//! Where a server keeps what it must not forget.

use crate::identity::{MemberStore, MemoryMembers, NoRandomness};
use bytes::Bytes;
use omnipaxos_core::storage::{
    ConfigId, MemorySequence, MemoryState, PaxosState, Sequence, StorageError,
};
use std::sync::{Mutex, PoisonError};

/// The storage of one server, for all its configurations. Called from one thread, which may be held
/// up.
pub trait ServerStorage: Send + 'static {
    /// The logs.
    type Sequence: Sequence + Send + 'static;
    /// The states beside them.
    type State: PaxosState<Commit: Send + 'static> + Send + 'static;
    /// Whom the server knows.
    type Members: MemberStore;

    /// This server's storage id, and whom it knows. Asked once.
    ///
    /// # Errors
    /// [`StorageError`] where it cannot be read.
    fn members(&self) -> Result<Self::Members, StorageError>;

    /// What was given to [`set_history`](Self::set_history) last.
    ///
    /// # Errors
    /// [`StorageError`] where it cannot be read.
    fn history(&self) -> Result<Option<Bytes>, StorageError>;

    /// Replaces the history, and returns once that is durable. A crash leaves the old one or the
    /// new one.
    ///
    /// # Errors
    /// [`StorageError`].
    fn set_history(&self, history: &[u8]) -> Result<(), StorageError>;

    /// The configurations that have something stored.
    fn configurations(&self) -> Vec<ConfigId>;

    /// What is stored of a configuration, or empty. It is asked for once as long as the server
    /// runs.
    ///
    /// # Errors
    /// [`StorageError`] where it cannot be read.
    fn parts(&self, config_id: ConfigId) -> Result<(Self::Sequence, Self::State), StorageError>;
}

/// The storage of a server that is never started again: for tests, and for data that may be lost.
#[derive(Debug)]
pub struct MemoryServer {
    members: MemoryMembers,
    history: Mutex<Option<Bytes>>,
}

impl MemoryServer {
    /// Empty storage under a new storage id.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn new() -> Result<Self, NoRandomness> {
        Ok(Self { members: MemoryMembers::random()?, history: Mutex::default() })
    }
}

impl ServerStorage for MemoryServer {
    type Sequence = MemorySequence;
    type State = MemoryState;
    type Members = MemoryMembers;

    fn members(&self) -> Result<MemoryMembers, StorageError> {
        Ok(self.members.clone())
    }

    fn history(&self) -> Result<Option<Bytes>, StorageError> {
        Ok(self.history.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn set_history(&self, history: &[u8]) -> Result<(), StorageError> {
        let history = Some(Bytes::copy_from_slice(history));
        *self.history.lock().unwrap_or_else(PoisonError::into_inner) = history;
        Ok(())
    }

    fn configurations(&self) -> Vec<ConfigId> {
        Vec::new()
    }

    fn parts(&self, _: ConfigId) -> Result<(MemorySequence, MemoryState), StorageError> {
        Ok((MemorySequence::new(), MemoryState::new()))
    }
}

#[cfg(feature = "durable")]
mod on_disk {
    use super::ServerStorage;
    use crate::durable::{DurableMembers, DurableSequence, DurableState, Engine};
    use bytes::Bytes;
    use omnipaxos_core::storage::{ConfigId, Operation, StorageError};

    /// What keeps an engine from being read, as a replica sees it.
    fn unread(error: &dyn std::error::Error) -> StorageError {
        StorageError::Io { operation: Operation::Load, detail: error.to_string() }
    }

    impl ServerStorage for Engine {
        type Sequence = DurableSequence;
        type State = DurableState;
        type Members = DurableMembers;

        fn members(&self) -> Result<DurableMembers, StorageError> {
            Engine::members(self).map_err(|e| unread(&e))
        }

        fn history(&self) -> Result<Option<Bytes>, StorageError> {
            Engine::history(self).map_err(|e| unread(&e))
        }

        fn set_history(&self, history: &[u8]) -> Result<(), StorageError> {
            Engine::set_history(self, history)
        }

        fn configurations(&self) -> Vec<ConfigId> {
            Engine::configurations(self)
        }

        fn parts(
            &self,
            config_id: ConfigId,
        ) -> Result<(DurableSequence, DurableState), StorageError> {
            Engine::parts(self, config_id).map_err(|e| unread(&e))
        }
    }
}
