//! Why the program gave up.

use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::StorageError;
use omnipaxos_kompact::config::ConfigError;
use omnipaxos_kompact::durable::{CreateError, GroupError, OpenError};
use omnipaxos_kompact::ports::{ProposalFailure, ReadFailure, Stopped};
use omnipaxos_kompact::spawn::{SpawnError, StopError};
use std::io;
use thiserror::Error;

/// Why the program gave up.
#[derive(Debug, Error)]
pub(crate) enum QuickstartError {
    /// The input could not be read.
    #[error("cannot read {file}: {source}")]
    Input { file: String, source: io::Error },
    /// The directory could not be read or written.
    #[error("{directory}: {source}")]
    Data { directory: String, source: io::Error },
    /// A server's storage was not created.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// A server's storage was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The storage of a configuration could not be used.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// What is stored could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Our own settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A Kompact system did not start.
    #[error("Kompact did not start: {0}")]
    Kompact(String),
    /// A component could not be spawned.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// A line was refused for good.
    #[error("line {line} was not replicated: {source}")]
    Line { line: usize, source: ProposalFailure },
    /// The reconfiguration was refused.
    #[error("the reconfiguration failed: {0}")]
    Reconfiguration(ProposalFailure),
    /// The donor did not give the old log.
    #[error("server {donor} did not give its log: {source}")]
    Fetch { donor: NodeId, source: ReadFailure },
    /// A replica did not stop.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// A replica is gone.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// Something took too long.
    #[error("gave up after {seconds} s: {what}")]
    Timeout { what: String, seconds: u64 },
    /// The logs are not what they must be.
    #[error("the check failed: {0}")]
    Check(String),
}
