//! Three servers over loopback TCP, beside what Kompact itself does.

pub mod disk;
pub mod flood;
pub mod floor;
pub mod load;
pub mod ours;
pub mod system;

use super::group::GroupError;
use crate::durable::stats::rank;
use std::time::Duration;

/// How long a measurement may take before it is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Entries or messages.
    pub count: u64,
    /// In so many seconds.
    pub seconds: f64,
    /// Nanoseconds from the proposal of each to its decision, or of each round trip; ascending.
    pub took: Vec<u64>,
}

impl Outcome {
    pub(super) fn new(seconds: f64, mut took: Vec<u64>) -> Self {
        took.sort_unstable();
        Self { count: took.len() as u64, seconds, took }
    }

    /// So many a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.count as f64 / self.seconds
    }

    /// Microseconds at `share` (0 to 1) of all.
    #[must_use]
    pub fn micros(&self, share: f64) -> f64 {
        rank(&self.took, share) as f64 / 1e3
    }
}

/// A component did not answer.
pub(crate) fn no_answer(what: &str) -> GroupError {
    GroupError(format!("{what}: no answer in {PATIENCE:?}"))
}
