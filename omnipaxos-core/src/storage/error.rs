//! What storage can report.

use thiserror::Error;

/// What was asked of storage when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Reading what an earlier opening left.
    Load,
    /// Reading records.
    Read,
    /// Appending records.
    Append,
    /// Cutting records off the end.
    Truncate,
    /// Removing a decided prefix.
    Trim,
    /// Storing the state beside the log.
    Store,
    /// Making everything so far durable.
    Flush,
}

/// Why storage failed. The first one halts the replica for good.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The medium is full.
    #[error("{operation:?}: storage is full: {detail}")]
    Full {
        /// What was asked.
        operation: Operation,
        /// Where, and what can be done.
        detail: String,
    },
    /// The medium or the operating system reported a failure.
    #[error("{operation:?}: storage failed: {detail}")]
    Io {
        /// What was asked.
        operation: Operation,
        /// Where, and what the system said.
        detail: String,
    },
    /// What was read is not what was written, or is impossible.
    #[error("{operation:?}: storage is corrupt: {detail}")]
    Corrupt {
        /// What was asked.
        operation: Operation,
        /// What is wrong with it.
        detail: String,
    },
    /// The range `[from, to)` is not within what is stored, `[first, end)`.
    #[error("{operation:?}: [{from}, {to}) is outside the stored [{first}, {end})")]
    Range {
        /// What was asked.
        operation: Operation,
        /// First index asked for.
        from: u64,
        /// Index after the last one asked for.
        to: u64,
        /// First index stored.
        first: u64,
        /// Index after the last one stored.
        end: u64,
    },
}
