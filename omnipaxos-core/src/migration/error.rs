//! One error enum per public operation, and what donors are blamed for.

use super::ranges::IndexRange;
use crate::ballot::NodeId;
use crate::storage::{ConfigId, StorageError};
use thiserror::Error;

/// Why a migration cannot start.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum MigrationStartError {
    /// The server has pid 0.
    #[error("pid 0 is no server")]
    PidZero,
    /// A limit or timeout that must be at least 1 is 0.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// The range ends before it begins.
    #[error("{0} ends before it begins")]
    Backwards(IndexRange),
    /// The range goes on where the anchor ends, so its end could not be verified.
    #[error("{range} is to be migrated, but the digest covers the records below {end} only")]
    BeyondAnchor {
        /// The range.
        range: IndexRange,
        /// The end of the anchor.
        end: u64,
    },
}

/// Why a server is no donor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum AddDonorError {
    /// Pid 0.
    #[error("pid 0 is no server")]
    PidZero,
    /// The migrating server itself.
    #[error("a server is not its own donor")]
    Oneself,
}

/// Why an answer was dropped. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum MigrationMessageError {
    /// The message is about the log of another configuration.
    #[error("message about configuration {theirs} at a migration of configuration {ours}")]
    OtherConfiguration {
        /// The message's configuration.
        theirs: ConfigId,
        /// The migration's configuration.
        ours: ConfigId,
    },
    /// The message is for another server.
    #[error("message for server {0}")]
    OtherReceiver(NodeId),
    /// The sender is no donor of this migration.
    #[error("message from server {0}, which is no donor")]
    UnknownDonor(NodeId),
    /// The message is a request, for [`answer`](super::answer).
    #[error("{0} is a request")]
    NotAnAnswer(&'static str),
}

/// Why a request was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The message is about the log of another configuration.
    #[error("message about configuration {theirs} at a donor of configuration {ours}")]
    OtherConfiguration {
        /// The message's configuration.
        theirs: ConfigId,
        /// The donor's configuration.
        ours: ConfigId,
    },
    /// The message is for another server.
    #[error("message for server {0}")]
    OtherReceiver(NodeId),
    /// The message is an answer, for
    /// [`Migration::handle_message`](super::Migration::handle_message).
    #[error("{0} is no request")]
    NotARequest(&'static str),
    /// The log could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What a donor, or somebody in its name, was found to have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Blame {
    /// Records that are not those of the log, in the block from this index on.
    #[error("records that are not those of the log, from index {0} on")]
    WrongRecords(u64),
    /// A list of blocks that is not the log's.
    #[error("a list of blocks that is not the log's")]
    WrongBlocks,
    /// A snapshot that is not the one it offered.
    #[error("a snapshot that is not the one it offered")]
    WrongSnapshot,
    /// An answer that no donor can give.
    #[error("an impossible answer: {0}")]
    Impossible(&'static str),
}
