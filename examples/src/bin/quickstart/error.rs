//! Why the program gave up.

use omnipaxos_core::leader_election::NodeId;
use omnipaxos_kompact::config::ConfigError;
use omnipaxos_kompact::durable::{CreateError, OpenError};
use omnipaxos_kompact::server::{ChangeError, ProposalError, ServerStartError};
use omnipaxos_kompact::spawn::SpawnError;
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
    /// Our own settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A Kompact system did not start.
    #[error("Kompact did not start: {0}")]
    Kompact(String),
    /// A server did not start.
    #[error(transparent)]
    Start(#[from] ServerStartError),
    /// A server did not stop.
    #[error(transparent)]
    Stop(#[from] SpawnError),
    /// A server has stopped for good.
    #[error("server {pid} has halted: {reason}")]
    Halted { pid: NodeId, reason: String },
    /// A line was refused for good.
    #[error("line {line} was not replicated: {source}")]
    Line { line: usize, source: ProposalError },
    /// The reconfiguration was refused.
    #[error("the reconfiguration failed: {0}")]
    Reconfiguration(ChangeError),
    /// Something took too long.
    #[error("gave up after {seconds} s: {what}")]
    Timeout { what: String, seconds: u64 },
    /// The logs are not what they must be.
    #[error("the check failed: {0}")]
    Check(String),
}
