//! Three servers over loopback TCP, beside Kompact itself.

use omnipaxos_benches::compare::cluster::ours::Cluster;
use omnipaxos_benches::compare::cluster::{Outcome, floor};
use omnipaxos_benches::compare::group::{GroupError, Place};
use omnipaxos_benches::compare::row::{Goal, Row};
use omnipaxos_benches::durable::stats::{Spread, ratios};
use omnipaxos_core::storage::{MemorySequence, MemoryState, Storage};

pub(crate) const WINDOW: u64 = 16_384;

/// Messages and entries of one measurement, by payload.
fn count(payload: usize) -> u64 {
    if payload >= 4096 { 60_000 } else { 400_000 }
}

/// Round trips of one measurement.
pub(crate) const TRIPS: u64 = 10_000;

/// All rows of the cluster.
pub(crate) fn rows(runs: usize, mut done: impl FnMut()) -> Result<Vec<Row>, GroupError> {
    let memory = |_| Ok(Storage::with(MemorySequence::new(), MemoryState::new()));
    let mut rows = Vec::new();
    for payload in [16, 4096] {
        let (mut ours, mut theirs, mut tails) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..runs {
            // Larger messages need a smaller window for Kompact's buffers to suffice.
            let window = if payload >= 4096 { 2048 } else { WINDOW };
            theirs.push(floor::run(payload, window, count(payload))?.rate());
            let cluster = Cluster::start(memory)?;
            cluster.run(Place::Leader, payload, WINDOW, count(payload) / 10)?;
            let outcome = cluster.run(Place::Leader, payload, WINDOW, count(payload))?;
            cluster.stop()?;
            ours.push(outcome.rate());
            tails.push(outcome.micros(0.99) / outcome.micros(0.5));
        }
        let work = format!("3 servers, window {WINDOW}, {payload} B");
        let peer = "Kompact, one way";
        if payload < 4096 {
            let ratio = Spread::of(&ratios(&ours, &theirs)).median;
            let row = Row::new(work.clone(), peer, median(&ours), median(&theirs), "entries/s");
            rows.push(row.ratio(ratio).goal(Goal::AtLeast(2.0)));
        } else {
            // Two copies of each payload leave the leader.
            let bytes = |rates: &[f64], copies: f64| -> Vec<f64> {
                rates.iter().map(|rate| rate * copies * payload as f64).collect()
            };
            let (ours, theirs) = (bytes(&ours, 2.0), bytes(&theirs, 1.0));
            let ratio = Spread::of(&ratios(&ours, &theirs)).median;
            let row = Row::new(work.clone(), peer, median(&ours), median(&theirs), "bytes/s sent");
            rows.push(row.ratio(ratio).goal(Goal::AtLeast(0.7)));
        }
        let row = Row::new(format!("{work}, p99"), "p50", median(&tails), 1.0, "multiple");
        rows.push(row.goal(Goal::AtMost(5.0)));
        done();
    }
    rows.extend(latency(runs, &memory)?);
    done();
    Ok(rows)
}

fn latency(
    runs: usize,
    memory: &dyn Fn(u64) -> Result<Storage<MemorySequence, MemoryState>, GroupError>,
) -> Result<Vec<Row>, GroupError> {
    let p50 = |outcome: &Outcome| outcome.micros(0.5);
    let (mut ours, mut follower, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        theirs.push(p50(&floor::run(256, 1, TRIPS)?));
        let cluster = Cluster::start(memory)?;
        cluster.run(Place::Leader, 256, 1, TRIPS / 10)?;
        ours.push(p50(&cluster.run(Place::Leader, 256, 1, TRIPS)?));
        follower.push(p50(&cluster.run(Place::Follower, 256, 1, TRIPS)?));
        cluster.stop()?;
    }
    let row = |work: &str, ours: &[f64]| {
        let ratio = Spread::of(&ratios(ours, &theirs)).median;
        let (ours, theirs) = (median(ours), median(&theirs));
        Row::new(work.to_owned(), "Kompact, round trip", ours, theirs, "us, p50").ratio(ratio)
    };
    let goal = Goal::AtMost(1.3);
    let leader = row("3 servers, window 1 at the leader, 256 B", &ours).goal(goal);
    Ok(vec![leader, row("3 servers, window 1 at a follower, 256 B", &follower)])
}

pub(crate) fn median(values: &[f64]) -> f64 {
    Spread::of(values).median
}
