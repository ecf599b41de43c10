//! Many seeds of one scenario and library, and the row that they make.

use crate::cluster::RunError;
use crate::dice::Dice;
use crate::experiment::Outcome;
use crate::library::Library;
use crate::scenario::{Scenario, Schedule};
use crate::units::timeouts;
use serde::Serialize;
use std::ops::Range;
use thiserror::Error;

/// A run that could not be measured.
#[derive(Debug, Error)]
#[error("{case:?}, seed {seed}: {error}")]
pub struct SeedError {
    case: Case,
    seed: u64,
    error: RunError,
}

/// What one row of the table is about.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The fault.
    pub scenario: Scenario,
    /// Servers.
    pub servers: u64,
    /// What they are made of.
    pub library: Library,
    /// Instants that the slowest hop takes.
    pub slowest_hop: u64,
}

impl Case {
    /// The schedule of one seed: the same for each library.
    #[must_use]
    pub fn schedule(&self, seed: u64) -> Schedule {
        Schedule {
            scenario: self.scenario,
            servers: self.servers,
            dice: Dice::new(seed),
            slowest_hop: self.slowest_hop,
        }
    }

    /// The outcomes of all `seeds`, in their order. `tick` is called after each.
    ///
    /// # Errors
    /// [`SeedError`] for the first seed whose run failed.
    pub fn outcomes(
        &self,
        seeds: Range<u64>,
        threads: usize,
        tick: impl Fn() + Sync,
    ) -> Result<Vec<Outcome>, SeedError> {
        let one = |seed| {
            let run = self.library.run(&self.schedule(seed), false);
            tick();
            let case = *self;
            run.map(|run| run.outcome).map_err(|error| SeedError { case, seed, error })
        };
        let seeds: Vec<u64> = seeds.collect();
        let share = seeds.len().div_ceil(threads.max(1)).max(1);
        std::thread::scope(|scope| {
            let part = |seeds: &[u64]| seeds.iter().map(|seed| one(*seed)).collect::<Vec<_>>();
            let workers: Vec<_> =
                seeds.chunks(share).map(|seeds| scope.spawn(move || part(seeds))).collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, _>| match worker.join() {
                Ok(results) => results,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            workers.into_iter().flat_map(join).collect()
        })
    }
}

/// A row of the table: everything in election timeouts, over all seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The fault.
    pub scenario: Scenario,
    /// Servers.
    pub servers: u64,
    /// What they were made of.
    pub library: Library,
    /// From the fault until an entry that was proposed after it was decided, in half of the seeds.
    /// `None`, here and below: nothing was decided, the cluster stalled.
    pub p50: Option<f64>,
    /// The same in 99 of 100 seeds.
    #[serde(skip)]
    pub p99: Option<f64>,
    /// The same in all seeds.
    pub max: Option<f64>,
    /// Leader changes in the 200 timeouts after that decision: the most of any seed.
    pub changes_after: u64,
    /// The share of seeds that stalled.
    pub stalled: f64,
    /// Leader changes up to that decision: the most of any seed.
    #[serde(skip)]
    pub changes_before: u64,
    /// The mean of the changes after.
    #[serde(skip)]
    pub changes_after_mean: f64,
    /// The longest time without a decision after the first one, of any seed.
    #[serde(skip)]
    pub longest_gap: f64,
    /// The share of seeds in which, after the first decision, nothing was decided for more than one
    /// timeout.
    #[serde(skip)]
    pub interrupted: f64,
    /// Seeds.
    #[serde(skip)]
    pub seeds: u64,
}

impl Row {
    /// The row of `case` with these outcomes.
    #[must_use]
    pub fn of(case: Case, outcomes: &[Outcome]) -> Self {
        let seeds = outcomes.len() as f64;
        let share = |is: fn(&Outcome) -> bool| {
            outcomes.iter().filter(|outcome| is(outcome)).count() as f64 / seeds
        };
        let most = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).max().unwrap_or(0);
        let mut took: Vec<Option<u64>> = outcomes.iter().map(|outcome| outcome.took).collect();
        took.sort_unstable_by_key(|took| took.unwrap_or(u64::MAX));
        let sum: u64 = outcomes.iter().map(|outcome| outcome.changes_after).sum();
        Self {
            scenario: case.scenario,
            servers: case.servers,
            library: case.library,
            p50: quantile(&took, 50),
            p99: quantile(&took, 99),
            max: quantile(&took, 100),
            changes_after: most(|outcome| outcome.changes_after),
            stalled: share(|outcome| outcome.took.is_none()),
            changes_before: most(|outcome| outcome.changes_before),
            changes_after_mean: sum as f64 / seeds,
            longest_gap: timeouts(most(|outcome| outcome.longest_gap)),
            interrupted: share(|outcome| outcome.interruptions > 0),
            seeds: outcomes.len() as u64,
        }
    }
}

/// The nearest rank among sorted values.
fn quantile(sorted: &[Option<u64>], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().flatten().map(timeouts)
}

/// The place of the worst outcome: it took longest, or had the longest gap after that.
#[must_use]
pub fn worst(outcomes: &[Outcome]) -> Option<usize> {
    let badness = |outcome: &Outcome| (outcome.took.unwrap_or(u64::MAX), outcome.longest_gap);
    let places = outcomes.iter().enumerate();
    // The first of equals.
    let worst = places.rev().max_by_key(|(_, outcome)| badness(outcome));
    worst.map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::{Case, Row, quantile, worst};
    use crate::experiment::Outcome;
    use crate::library::Library;
    use crate::scenario::Scenario;

    fn outcome(took: Option<u64>, changes_after: u64) -> Outcome {
        Outcome { took, changes_before: 1, changes_after, longest_gap: 0, interruptions: 0 }
    }

    #[test]
    fn nearest_ranks() {
        let sorted: Vec<Option<u64>> = (1..=200).map(|n| Some(n * 1000)).collect();
        assert_eq!(quantile(&sorted, 50), Some(100.0));
        assert_eq!(quantile(&sorted, 99), Some(198.0));
        assert_eq!(quantile(&sorted, 100), Some(200.0));
        assert_eq!(quantile(&[], 50), None);
    }

    #[test]
    fn stalled_seeds_are_the_longest() {
        let outcomes = [outcome(None, 0), outcome(Some(1500), 4), outcome(Some(500), 2)];
        let case = Case {
            scenario: Scenario::Chained,
            servers: 3,
            library: Library::Raft,
            slowest_hop: 300,
        };
        let row = Row::of(case, &outcomes);
        assert_eq!((row.p50, row.max, row.stalled), (Some(1.5), None, 1.0 / 3.0));
        assert_eq!((row.changes_after, row.changes_after_mean), (4, 2.0));
        assert_eq!(worst(&outcomes), Some(0));
    }
}
