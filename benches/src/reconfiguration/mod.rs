//! A change of members while clients propose: how long it takes, what it costs the leader and the
//! clients, and how close that is to what the uplinks allow. The same planner is given all donors,
//! or the leader alone, as if the log went through it.
//!
//! In virtual time the uplinks are queues, and the code of omnipaxos-core is the real one; [`tcp`]
//! has whole servers on uplinks that the kernel shapes. What is measured, and how, is in
//! docs/PERFORMANCE.md.

pub mod agenda;
pub mod case;
pub mod client;
pub mod disk;
pub mod ledger;
pub mod preload;
pub mod row;
pub mod server;
pub mod tcp;
pub mod uplink;
pub mod wire;
pub mod world;

use omnipaxos_core::storage::StorageError;
use omnipaxos_kompact::wire::EncodeError;
use thiserror::Error;

/// Why a run has no result.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct RunError(pub String);

impl RunError {
    /// A run that `error` has ended.
    pub fn new(error: impl ToString) -> Self {
        Self(error.to_string())
    }
}

impl From<StorageError> for RunError {
    fn from(error: StorageError) -> Self {
        Self::new(error)
    }
}

impl From<EncodeError> for RunError {
    fn from(error: EncodeError) -> Self {
        Self::new(error)
    }
}
