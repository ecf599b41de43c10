//! One error enum per public operation of a replica.

use crate::ballot::NodeId;
use crate::quorum::QuorumError;
use crate::storage::{ConfigId, StorageError};
use thiserror::Error;

/// Why a replica cannot start.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum StartError {
    /// A pid is 0.
    #[error("pid 0 is no server")]
    PidZero,
    /// A peer is named twice, or the server itself is among its peers.
    #[error("server {0} is named twice")]
    DuplicatePid(NodeId),
    /// A learner is no server of the configuration.
    #[error("learner {0} is no server of this configuration")]
    UnknownLearner(NodeId),
    /// All servers are learners.
    #[error("a configuration needs at least one server that votes")]
    NoVoter,
    /// Impossible quorum sizes.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// A limit or timeout that must be at least 1 is 0.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// `read_from` asks for entries that were trimmed: they would be missing without a word.
    #[error("reading was to start at index {from}, but entries below {first} were trimmed")]
    Trimmed {
        /// Where reading was to start.
        from: u64,
        /// The first retained index.
        first: u64,
    },
    /// Storage could not be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a replica has stopped for good. Each later call reports it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Halted {
    /// It could not start.
    #[error("the replica could not start: {0}")]
    Start(StartError),
    /// Its storage failed: nothing is known about what is on the medium.
    #[error("the replica halted: {0}")]
    Storage(StorageError),
}

/// Why a proposal was refused. It was not recorded anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// Too many bytes are undecided, or wait to be proposed: try again once some are decided.
    #[error("overloaded: {pending} bytes of proposals wait, the limit is {limit}")]
    Overloaded {
        /// Bytes that wait.
        pending: u64,
        /// The limit.
        limit: u64,
    },
    /// The entry is larger than `max_entry_bytes`.
    #[error("an entry of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Bytes of the refused entry.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A reconfiguration was proposed: whatever comes now belongs to the next configuration.
    #[error("a reconfiguration to configuration {config_id} is under way")]
    Reconfiguring {
        /// The next configuration.
        config_id: ConfigId,
    },
    /// The configuration is over: its log ends in a decided StopSign.
    #[error("the log is sealed; configuration {config_id} goes on")]
    Sealed {
        /// The next configuration.
        config_id: ConfigId,
    },
    /// The replica has halted.
    #[error(transparent)]
    Halted(#[from] Halted),
}

/// Why a reconfiguration was refused. It was not recorded anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// The next configuration has no server that votes.
    #[error("a configuration needs at least one server that votes")]
    Empty,
    /// The next configuration names pid 0.
    #[error("pid 0 is no server")]
    PidZero,
    /// The next configuration names a server twice, or as one that votes and as a learner.
    #[error("server {0} is named twice")]
    DuplicatePid(NodeId),
    /// Configuration `u64::MAX` has no next one.
    #[error("no configuration can follow this one")]
    LastConfiguration,
    /// Refused like any proposal.
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

/// Why a message was dropped. The sender, the network or an attacker is at fault, never this
/// replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The message belongs to another configuration.
    #[error("message of configuration {theirs} at a replica of configuration {ours}")]
    OtherConfiguration {
        /// The message's configuration.
        theirs: ConfigId,
        /// This replica's configuration.
        ours: ConfigId,
    },
    /// The message is for another server.
    #[error("message for server {0}")]
    OtherReceiver(NodeId),
    /// The sender is no member of this configuration, or this server itself.
    #[error("message from unknown server {0}")]
    UnknownSender(NodeId),
    /// The message contradicts itself, or what this replica knows for certain.
    #[error("impossible {message} from server {from}: {reason}")]
    Impossible {
        /// The message's name.
        message: &'static str,
        /// The sender.
        from: NodeId,
        /// What is impossible about it.
        reason: &'static str,
    },
    /// The replica has halted.
    #[error(transparent)]
    Halted(#[from] Halted),
}

/// Why decided records that came from elsewhere were not taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum LearnError {
    /// Records before them are lacking.
    #[error("records from index {start} on, but only {decided} are decided here")]
    Gap {
        /// Where they start.
        start: u64,
        /// The decided index.
        decided: u64,
    },
    /// They contradict what this replica knows for certain: whoever sent them is wrong.
    #[error("impossible records: {0}")]
    Impossible(&'static str),
    /// The replica has halted.
    #[error(transparent)]
    Halted(#[from] Halted),
}

/// Why decided entries cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// They were trimmed.
    #[error("entries below index {first} were trimmed")]
    Trimmed {
        /// The first retained index.
        first: u64,
    },
    /// They are not decided (and durable) here yet.
    #[error("entries from index {decided} on are not decided yet")]
    NotDecided {
        /// The decided index.
        decided: u64,
    },
    /// The replica has halted.
    #[error(transparent)]
    Halted(#[from] Halted),
}

/// Why the log was not trimmed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum TrimError {
    /// Not all members are known to have decided that much.
    #[error("the log may be trimmed up to index {allowed} only: not every member decided more")]
    NotDecidedByAll {
        /// The highest index that may be trimmed to now.
        allowed: u64,
    },
    /// Decided entries that were not handed out yet would be lost.
    #[error("the log may be trimmed up to index {taken} only: later entries were not taken yet")]
    NotTaken {
        /// The index after the last entry that was handed out.
        taken: u64,
    },
    /// The replica has halted.
    #[error(transparent)]
    Halted(#[from] Halted),
}
