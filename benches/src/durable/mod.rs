//! Durable commits on a real disk: the engine of `omnipaxos-kompact`, as a replica's group commit
//! uses it, beside raw appends of the same payloads with one `fdatasync` each.
//!
//! Unlike the rest of this crate, this reads the clock: nothing here is the same twice. What is
//! measured, and how, is in docs/PERFORMANCE.md.

pub mod commits;
pub mod latency;
pub mod load;
pub mod ours;
pub mod raw;
pub mod restart;
pub mod stats;
pub mod table;

use omnipaxos_core::paxos::StartError;
use omnipaxos_core::storage::StorageError;
use omnipaxos_kompact::durable::{CreateError, GroupError, OpenError};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Why nothing could be measured.
#[derive(Debug, Error)]
pub enum MeasureError {
    /// The files of the floors, or the directory of all of them.
    #[error("the benchmark's own files: {0}")]
    File(#[from] std::io::Error),
    /// The engine was not created.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The engine was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The engine's storage was not handed out.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The engine failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The replica did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// What was read is not what was written.
    #[error("{0}")]
    Wrong(String),
}

/// Something that makes one batch durable at a time.
pub trait Target {
    /// Writes one batch and waits until it is durable.
    ///
    /// # Errors
    /// [`MeasureError`].
    fn commit(&mut self) -> Result<(), MeasureError>;
}

/// How long each commit took, one after another.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    /// Seconds of all of them, and of what lay between.
    pub seconds: f64,
    /// Nanoseconds of each.
    pub took: Vec<u64>,
}

impl Slice {
    /// Commits in one second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.took.len() as f64 / self.seconds
    }
}

/// Commits that are made before the clock starts.
const WARM_UP: usize = 10;

/// Commits for `length`, and at least once.
///
/// # Errors
/// [`MeasureError`] of a commit.
pub fn slice(target: &mut dyn Target, length: Duration) -> Result<Slice, MeasureError> {
    for _ in 0..WARM_UP {
        target.commit()?;
    }
    let mut took = Vec::with_capacity(1 << 16);
    let start = Instant::now();
    let mut before = start;
    loop {
        target.commit()?;
        let now = Instant::now();
        took.push(now.duration_since(before).as_nanos() as u64);
        before = now;
        if now.duration_since(start) >= length {
            let seconds = now.duration_since(start).as_secs_f64();
            return Ok(Slice { seconds, took });
        }
    }
}
