//! Runs seeds with a planted fault until a check finds it.

use super::Plant;
use crate::checker::{Check, Violation};
use crate::sim::{EventLog, run_planted};

/// How a planted fault was found.
#[derive(Clone, Debug)]
pub struct Find {
    /// The fault.
    pub plant: Plant,
    /// How many seeds it took.
    pub seeds: u64,
    /// What the check saw; `None` when nothing was found.
    pub violation: Option<Violation>,
}

/// Looks for `plant` in at most `limit` seeds. A panic of the core (debug builds assert the order
/// of its cursors) does not count as found: the checker must see the fault from outside.
#[must_use]
pub fn hunt(plant: Plant, limit: u64) -> Find {
    for seed in 0..limit {
        let report = run_planted(seed, Some(plant), EventLog::Off);
        let found = report.violation.filter(|v| v.check != Check::NoPanic);
        if found.is_some() {
            return Find { plant, seeds: seed + 1, violation: found };
        }
    }
    Find { plant, seeds: limit, violation: None }
}
