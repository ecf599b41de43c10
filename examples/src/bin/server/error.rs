//! Why the program gave up.

use omnipaxos_kompact::config::ConfigError;
use omnipaxos_kompact::durable::{CreateError, OpenError};
use omnipaxos_kompact::server::ServerStartError;
use omnipaxos_kompact::spawn::SpawnError;
use thiserror::Error;

/// Why the program gave up.
#[derive(Debug, Error)]
pub(crate) enum ServerError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Kompact did not start or stop.
    #[error("Kompact: {0}")]
    Kompact(String),
    /// The storage was not created.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The storage was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The server did not start.
    #[error(transparent)]
    Start(#[from] ServerStartError),
    /// The server did not stop.
    #[error(transparent)]
    Stop(#[from] SpawnError),
    /// Standard input or output failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
