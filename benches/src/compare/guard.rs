//! What an entry may cost: figures that are kept with the code, so that none of them grows unseen.

use super::count::{Counted, per_entry};
use super::group::{GroupError, Library, Place};
use super::workload::Workload;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How far a count may be from the figure that is kept, as a share of it.
pub const TOLERANCE: f64 = 0.03;

/// Instructions of one entry under one load, all servers together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Servers of the group.
    pub servers: u64,
    /// Proposals that are open at once.
    pub window: u64,
    /// Bytes of an entry.
    pub payload: usize,
    /// Where they are proposed.
    pub at: Place,
    /// Instructions an entry.
    pub instructions: f64,
}

/// A figure that is kept, and what was counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counting {
    /// The figure.
    pub kept: Figure,
    /// What was counted.
    pub counted: f64,
}

impl Counting {
    /// The count as a multiple of the figure.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.counted / self.kept.instructions
    }

    /// Whether the two are as close as they have to be. One that shrinks has to be kept, too: what
    /// it gained could be lost unseen otherwise.
    #[must_use]
    pub fn holds(&self) -> bool {
        (self.ratio() - 1.0).abs() <= TOLERANCE
    }
}

impl Figure {
    /// The load.
    #[must_use]
    pub fn load(&self) -> Workload {
        let Self { servers, window, payload, at, .. } = *self;
        Workload { servers, window, payload, at }
    }

    /// Counts again; `programs` is where the program `workload` is.
    ///
    /// # Errors
    /// [`GroupError`] where that cannot be run.
    pub fn count(self, programs: &Path) -> Result<Counting, GroupError> {
        let counted = per_entry(programs, Library::Ours, &self.load(), Counted::Instructions)?;
        Ok(Counting { kept: self, counted })
    }
}

#[cfg(test)]
mod tests {
    use super::{Counting, Figure};
    use crate::compare::group::Place;

    #[test]
    fn three_percent_in_both_directions() {
        let kept =
            Figure { servers: 3, window: 1, payload: 1, at: Place::Leader, instructions: 1000.0 };
        let holds = |counted| Counting { kept, counted }.holds();
        assert!(holds(1029.0) && holds(971.0));
        assert!(!holds(1031.0) && !holds(969.0));
    }
}
