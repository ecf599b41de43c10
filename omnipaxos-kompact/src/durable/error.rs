//! Why an engine was not created or opened, and how a failure reaches a replica.

use crate::wire::ClusterId;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::paxos::StartError;
use omnipaxos_core::storage::{Operation, StorageError};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What the operating system refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {doing}: {detail}; {}", path.display(), remedy(*kind))]
pub struct FileError {
    /// The file or directory.
    pub path: PathBuf,
    /// What was tried.
    pub doing: &'static str,
    /// The kind of failure.
    pub kind: io::ErrorKind,
    /// What the system said.
    pub detail: String,
}

impl FileError {
    /// For `map_err`.
    pub(super) fn of(path: &Path, doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self {
            path: path.to_path_buf(),
            doing,
            kind: error.kind(),
            detail: error.to_string(),
        }
    }

    /// How a replica sees it.
    pub(super) fn storage(&self, operation: Operation) -> StorageError {
        let detail = self.to_string();
        match self.kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StorageError::Full { operation, detail }
            }
            io::ErrorKind::UnexpectedEof => StorageError::Corrupt { operation, detail },
            _ => StorageError::Io { operation, detail },
        }
    }
}

/// What an operator can do.
fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free space on this disk, then start the server again"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "let the server's user write there, then start the server again"
        }
        io::ErrorKind::NotFound => "mount the disk that has it, then start the server again",
        io::ErrorKind::UnexpectedEof => {
            "the file is shorter than it was; restore it, or replace the server under a new pid"
        }
        _ => {
            "check the disk; start the server again on it once it is sound, or replace the server \
             by a reconfiguration under a new pid"
        }
    }
}

/// What is said wherever acknowledged data is gone.
pub(super) const REPLACE: &str = "what this server promised is lost: restore the very directory, \
     or replace the server by a reconfiguration under a new pid";

/// Why an engine was not created.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CreateError {
    /// There is one already.
    #[error("{}: there is storage already; open it", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// The directory holds a log, but not whose it is.
    #[error(
        "{}: there is a log without an identity file; restore that, or choose another directory",
        path.display()
    )]
    Leftover {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is in use.
    #[error("{}: it is in use; stop whoever uses it, or choose another directory", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A setting is impossible.
    #[error("{0}")]
    Options(&'static str),
    /// No random numbers for a storage id.
    #[error("the system has no random numbers: {0}")]
    Random(String),
    /// The file system failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The new log could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why an engine was not opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No storage was ever created there, or it is gone.
    #[error(
        "{}: no storage; create it for a new server, mount it where it was not, or, where it is \
         lost, replace the server by a reconfiguration under a new pid",
        path.display()
    )]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// Somebody uses it, here or in another process.
    #[error("{}: it is in use already; stop whoever uses it first", path.display())]
    InUse {
        /// The directory, or a file in it.
        path: PathBuf,
    },
    /// It belongs to another server.
    #[error(
        "{}: the storage of server {theirs}, not of server {ours}; give the right directory",
        path.display()
    )]
    OtherServer {
        /// The directory.
        path: PathBuf,
        /// The server that it belongs to.
        theirs: NodeId,
        /// This server.
        ours: NodeId,
    },
    /// It belongs to another cluster.
    #[error(
        "{}: storage of cluster {theirs}, not of cluster {ours}; give the right directory",
        path.display()
    )]
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// The cluster that it belongs to.
        theirs: ClusterId,
        /// This server's cluster.
        ours: ClusterId,
    },
    /// A later version wrote it.
    #[error(
        "{}: format {theirs}, this version knows {ours}; run the version that wrote it",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The version of the file.
        theirs: u32,
        /// The version that this program writes.
        ours: u32,
    },
    /// A file is damaged, or missing, so that what was acknowledged is gone.
    #[error("{}: {detail}; {REPLACE}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A setting is impossible.
    #[error("{0}")]
    Options(&'static str),
    /// The file system failed.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why the storage of a configuration was not handed out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GroupError {
    /// It is in use already.
    #[error("the storage of configuration {0} is in use")]
    InUse(u64),
    /// It could not be read again.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The engine failed before.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why suspect storage was not trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The storage of a configuration could not be had.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The storage of a configuration could not be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It could not be made durable.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why the storage of a configuration was not removed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// There is none.
    #[error("no configuration {0} is stored")]
    Unknown(u64),
    /// A replica still uses it.
    #[error("the storage of configuration {0} is in use")]
    InUse(u64),
    /// Its log is not sealed by a decided StopSign: it may be all that is left of an entry.
    #[error("configuration {0} is not sealed by a decided StopSign")]
    NotSealed(u64),
    /// It could not be read again.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// No later configuration is stored: this one is what the server goes on with.
    #[error("configuration {0} is the latest one that is stored")]
    Latest(u64),
    /// The engine failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
