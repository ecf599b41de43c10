//! Three servers over loopback TCP with storage on disk, beside that storage alone.

use crate::cluster::{TRIPS, WINDOW, median};
use omnipaxos_benches::compare::cluster::ours::Cluster;
use omnipaxos_benches::compare::cluster::{disk, floor};
use omnipaxos_benches::compare::group::{GroupError, Place};
use omnipaxos_benches::compare::row::{Goal, Row};
use omnipaxos_benches::compare::speed::Effort;
use omnipaxos_benches::durable::load::Load;
use omnipaxos_benches::durable::stats::{rank, ratios};
use omnipaxos_core::storage::{MemorySequence, MemoryState, Storage};
use std::path::Path;
use tempfile::TempDir;

/// Bytes of an entry.
const PAYLOAD: usize = 256;

/// Entries of one commit of the engine alone.
const BATCH: u64 = 1024;

/// Entries of one measurement.
const COUNT: u64 = 400_000;

/// A flush counts so often in what a decision may take.
const FLUSHES: f64 = 1.2;

/// All rows of durable servers.
pub(crate) fn rows(
    effort: Effort,
    dir: &Path,
    mut done: impl FnMut(),
) -> Result<Vec<Row>, GroupError> {
    let mut rows = throughput(effort, dir)?;
    done();
    rows.extend(latency(effort, dir)?);
    done();
    Ok(rows)
}

/// A directory that goes with what is in it.
fn temp(dir: &Path) -> Result<TempDir, GroupError> {
    TempDir::new_in(dir).map_err(GroupError::new)
}

fn throughput(effort: Effort, dir: &Path) -> Result<Vec<Row>, GroupError> {
    let load = Load::new(PAYLOAD, BATCH);
    let (mut ours, mut alone, mut together, mut memory) = (vec![], vec![], vec![], vec![]);
    for _ in 0..effort.runs {
        let dir = temp(dir)?;
        alone.push(disk::alone(dir.path(), &load, effort.length)?.rate() * BATCH as f64);
        let cluster = disk::cluster(dir.path())?;
        cluster.run(Place::Leader, PAYLOAD, WINDOW, COUNT / 10)?;
        ours.push(cluster.run(Place::Leader, PAYLOAD, WINDOW, COUNT)?.rate());
        cluster.stop()?;
        let slices = disk::together(dir.path(), &load, effort.length)?;
        let rates: Vec<f64> = slices.iter().map(|slice| slice.rate() * BATCH as f64).collect();
        together.push(median(&rates));
        let cluster =
            Cluster::start(|_| Ok(Storage::with(MemorySequence::new(), MemoryState::new())))?;
        cluster.run(Place::Leader, PAYLOAD, WINDOW, COUNT / 10)?;
        memory.push(cluster.run(Place::Leader, PAYLOAD, WINDOW, COUNT)?.rate());
        cluster.stop()?;
    }
    let work = format!("3 durable servers on one disk, window {WINDOW}, {PAYLOAD} B");
    let row = |peer: &str, theirs: &[f64]| {
        let row = Row::new(work.clone(), peer, median(&ours), median(theirs), "entries/s");
        row.ratio(median(&ratios(&ours, theirs)))
    };
    Ok(vec![
        row("one engine, batches of 1024", &alone).goal(Goal::AtLeast(0.6)),
        row("each of three engines at once", &together),
        row("3 servers in memory", &memory),
    ])
}

fn latency(effort: Effort, dir: &Path) -> Result<Vec<Row>, GroupError> {
    let load = Load::new(PAYLOAD, 1);
    let p50 = |mut took: Vec<u64>| {
        took.sort_unstable();
        rank(&took, 0.5) as f64 / 1e3
    };
    let (mut ours, mut alone, mut together, mut trips) = (vec![], vec![], vec![], vec![]);
    for _ in 0..effort.runs {
        let dir = temp(dir)?;
        trips.push(floor::run(PAYLOAD, 1, TRIPS)?.micros(0.5));
        alone.push(p50(disk::alone(dir.path(), &load, effort.length)?.took));
        let cluster = disk::cluster(dir.path())?;
        cluster.run(Place::Leader, PAYLOAD, 1, TRIPS / 10)?;
        ours.push(cluster.run(Place::Leader, PAYLOAD, 1, TRIPS / 2)?.micros(0.5));
        cluster.stop()?;
        let slices = disk::together(dir.path(), &load, effort.length)?;
        together.push(p50(slices.into_iter().flat_map(|slice| slice.took).collect()));
    }
    let work = format!("3 durable servers on one disk, window 1 at the leader, {PAYLOAD} B");
    let row = |peer: &str, flushes: &[f64]| {
        let theirs: Vec<f64> =
            trips.iter().zip(flushes).map(|(trip, flush)| trip + FLUSHES * flush).collect();
        let row = Row::new(work.clone(), peer, median(&ours), median(&theirs), "us, p50");
        row.ratio(median(&ratios(&ours, &theirs)))
    };
    let flush = |work: &str, peer: &str, theirs: &[f64]| {
        Row::new(work.to_owned(), peer, median(&alone), median(theirs), "us, p50")
            .ratio(median(&ratios(&alone, theirs)))
    };
    Ok(vec![
        row("round trip + 1.2 flushes", &alone).goal(Goal::AtMost(1.0)),
        row("round trip + 1.2 flushes of three engines at once", &together),
        flush("a flush of one engine, 256 B", "of three engines at once", &together),
        flush("a flush of one engine, 256 B", "Kompact, round trip", &trips),
    ])
}
