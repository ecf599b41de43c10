//! A cluster of real cores under virtual time and one seed, with everything going wrong that may.

mod book;
mod cluster;
mod describe;
mod disk;
mod drive;
mod faults;
mod healing;
mod image;
mod import;
mod life;
mod line;
mod log;
mod network;
mod plan;
mod rng;
mod server;
mod shelf;
mod stats;
mod suspect;
mod workload;

pub use disk::{Disk, DiskCommit, DiskLog, DiskState, Lie};
pub use image::Image;
pub use log::EventLog;
pub use network::{Link, Network, Wire};
pub use plan::{Fault, Plan, SERVERS, TICK};
pub use rng::Rng;
pub use server::Replica;
pub use stats::Stats;

use crate::checker::{Check, Violation};
use crate::planted::Plant;
use cluster::Sim;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What became of one seed.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What really happened.
    pub stats: Stats,
    /// What was violated, if something was.
    pub violation: Option<Violation>,
    /// The event log.
    pub log: EventLog,
}

/// Runs one seed: safety under everything, then liveness of a healed core.
#[must_use]
pub fn run(seed: u64, log: EventLog) -> Report {
    run_planted(seed, None, log)
}

/// Runs one seed with a planted fault.
#[must_use]
pub fn run_planted(seed: u64, plant: Option<Plant>, log: EventLog) -> Report {
    let mut sim = Sim::new(seed, plant, log);
    // The state is still good for a report: it is only read after a panic.
    let ended = catch_unwind(AssertUnwindSafe(|| both_phases(&mut sim)));
    if let Err(panic) = ended {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        sim.checker.fail(Check::NoPanic, text.unwrap_or_default());
    }
    sim.stats.seeds = 1;
    sim.stats.decided = sim.checker.decided_total();
    let violation = sim.checker.violation().cloned();
    if let Some(violation) = &violation {
        sim.log.line(sim.now, format_args!("violation of {violation}"));
    }
    Report { seed, stats: sim.stats, violation, log: sim.log }
}

fn both_phases(sim: &mut Sim) {
    let duration = sim.plan.duration;
    sim.run_until(duration);
    if sim.checker.violation().is_some() {
        return;
    }
    sim.checker.survey();
    let bound = sim.heal();
    sim.run_until(duration + bound);
    if sim.checker.violation().is_none() {
        sim.judge_recovery();
    }
    sim.checker.survey();
    if !sim.history.is_linearizable() {
        let detail = format!("{:?}", sim.history);
        sim.checker.fail(Check::Linearizable, detail);
    }
}
