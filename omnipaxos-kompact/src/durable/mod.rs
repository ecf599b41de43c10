//! Storage on disk: [`Sequence`] and [`PaxosState`] over a log of flushes.
//!
//! An [`Engine`] owns the directory of one server. Its configurations share one log, which is cut
//! into segments: each flush of a replica becomes one frame, written at the end and made durable by
//! one `fdatasync`, over entries and state together. Flushes of several replicas that come while
//! the disk is busy share the next frame.
//!
//! ```text
//! DIR/identity          format, cluster, pid, storage id        never changes
//! DIR/members           what this server knows of the others' storage
//! DIR/history                 what this server knows of the configurations
//! DIR/suspect           only after damage: see docs/OPERATIONS.md
//! DIR/lock              held while an engine is open
//! DIR/0000000007.log    a segment: frames, then zeros
//! DIR/*.tmp             unfinished; removed at the next opening
//! ```
//!
//! After a crash at any moment the log holds all frames up to some moment that is not before the
//! last flush that was reported as done. Damage is never mistaken for that: see `scan`. The first
//! error ends an engine: nothing is written any more, and what waits for a flush is told so.
//!
//! Architecture invariant: no other module names the file system.
//!
//! [`Sequence`]: omnipaxos_core::storage::Sequence
//! [`PaxosState`]: omnipaxos_core::storage::PaxosState

mod engine;
mod error;
mod files;
mod format;
mod group;
mod history;
mod index;
mod members;
mod meta;
mod model;
mod open;
mod options;
mod scan;
mod segment;
mod suspicion;
mod writer;

#[cfg(test)]
mod tests;

pub use engine::{Engine, EngineStatus};
pub use error::{CreateError, FileError, GroupError, OpenError, RemoveError, TrustError};
pub use files::{Access, FileSystem, Lock, OsFiles, RawFile};
pub use group::{DurableCommit, DurableSequence, DurableState};
pub use members::DurableMembers;
pub use options::{Options, Owner};
