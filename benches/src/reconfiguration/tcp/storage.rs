//! The storage of a member that has the preload, in memory.

use super::super::preload::{FIRST, Preload};
use bytes::Bytes;
use omnipaxos_core::storage::{ConfigId, MemorySequence, MemoryState, StorageError};
use omnipaxos_kompact::identity::{MemoryMembers, NoRandomness};
use omnipaxos_kompact::server::{MemoryServer, ServerStorage};

/// Storage in memory whose first configuration has something in it. Like any storage in memory it
/// does not say so: the server begins as a new one, and finds it when it opens the log.
#[derive(Debug)]
pub struct Preloaded {
    rest: MemoryServer,
    preload: Option<Preload>,
}

impl Preloaded {
    /// Storage with this in it, or empty.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn new(preload: Option<Preload>) -> Result<Self, NoRandomness> {
        Ok(Self { rest: MemoryServer::new()?, preload })
    }
}

impl ServerStorage for Preloaded {
    type Sequence = MemorySequence;
    type State = MemoryState;
    type Members = MemoryMembers;

    fn members(&self) -> Result<MemoryMembers, StorageError> {
        self.rest.members()
    }

    fn history(&self) -> Result<Option<Bytes>, StorageError> {
        self.rest.history()
    }

    fn set_history(&self, history: &[u8]) -> Result<(), StorageError> {
        self.rest.set_history(history)
    }

    fn configurations(&self) -> Vec<ConfigId> {
        self.rest.configurations()
    }

    fn parts(&self, config_id: ConfigId) -> Result<(MemorySequence, MemoryState), StorageError> {
        let (mut sequence, mut state) = self.rest.parts(config_id)?;
        if let Some(preload) = self.preload.as_ref().filter(|_| config_id == FIRST) {
            preload.fill(&mut sequence, &mut state)?;
        }
        Ok((sequence, state))
    }
}
