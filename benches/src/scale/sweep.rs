//! The measurements.

use super::{PROPOSERS, Point, SERVERS, SIZES, Sweep};
use crate::compare::cluster::ours::Cluster;
use crate::compare::cluster::{PATIENCE, no_answer};
use crate::compare::group::{GroupError, Library, Place};
use crate::compare::workload::Workload;
use crate::durable::stats::Spread;
use bytes::Bytes;
use kompact::prelude::BlockingFutureExt as _;
use omnipaxos_core::paxos::ProposalOutcome;
use omnipaxos_core::storage::{MemorySequence, MemoryState, Storage};
use omnipaxos_kompact::spawn::ReplicaClient;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

type Servers = Cluster<MemorySequence, MemoryState>;

/// Entries that are open at once at the most, and bytes of them.
const WINDOW: u64 = 16_384;
const WINDOW_BYTES: u64 = 32 << 20;

/// Bytes and entries of one measurement at the most.
const BYTES: u64 = 256 << 20;
const ENTRIES: u64 = 150_000;

/// The size of entries where the number of proposers varies.
pub const SMALL: u64 = 16;

/// The window of the cores.
const CORE_WINDOW: u64 = 1024;

/// All points, each the median of `runs`.
///
/// # Errors
/// [`GroupError`] where servers do not do what they are to do.
pub fn measure(
    runs: usize,
    length: Duration,
    mut done: impl FnMut(),
) -> Result<Vec<Point>, GroupError> {
    let mut rates: BTreeMap<(Sweep, u64, u64), Vec<f64>> = BTreeMap::new();
    for _ in 0..runs {
        for servers in SERVERS {
            let memory = |_| Ok(Storage::with(MemorySequence::new(), MemoryState::new()));
            let cluster = Cluster::start_of(servers, memory)?;
            for size in SIZES {
                let rate = of_size(&cluster, size)?;
                rates.entry((Sweep::Sizes, servers, size)).or_default().push(rate);
            }
            for proposers in PROPOSERS {
                let rate = of_proposers(cluster.client()?, proposers, length)?;
                rates.entry((Sweep::Proposers, servers, proposers)).or_default().push(rate);
            }
            cluster.stop()?;
            let rate = of_cores(servers)?;
            rates.entry((Sweep::Core, servers, SMALL)).or_default().push(rate);
            done();
        }
    }
    let point = |((sweep, servers, at), rates): (_, Vec<f64>)| Point {
        sweep,
        servers,
        at,
        rate: Spread::of(&rates).median,
    };
    Ok(rates.into_iter().map(point).collect())
}

/// One proposer at the leader with a full window.
fn of_size(cluster: &Servers, size: u64) -> Result<f64, GroupError> {
    let window = WINDOW.min(WINDOW_BYTES / size);
    let count = ENTRIES.min(BYTES / size);
    cluster.keep(window)?;
    cluster.run(Place::Leader, size as usize, window, count / 4)?;
    Ok(cluster.run(Place::Leader, size as usize, window, count)?.rate())
}

/// Proposers that wait for each entry before they propose the next.
fn of_proposers(
    client: &ReplicaClient,
    proposers: u64,
    length: Duration,
) -> Result<f64, GroupError> {
    let start = Instant::now();
    let counts: Result<Vec<u64>, GroupError> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..proposers).map(|_| scope.spawn(|| propose(client, start + length))).collect();
        let panicked = |_| GroupError("a proposer panicked".to_owned());
        threads.into_iter().map(|thread| thread.join().map_err(panicked)?).collect()
    });
    Ok(counts?.iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64())
}

fn propose(client: &ReplicaClient, until: Instant) -> Result<u64, GroupError> {
    let payload = Bytes::from(vec![7; SMALL as usize]);
    let mut count = 0;
    while Instant::now() < until {
        let answer = client.propose(payload.clone());
        match answer.wait_timeout(PATIENCE).map_err(|_| no_answer("a proposal"))? {
            Ok(ProposalOutcome::Decided(_)) => count += 1,
            other => return Err(GroupError(format!("{other:?}"))),
        }
    }
    Ok(count)
}

fn of_cores(servers: u64) -> Result<f64, GroupError> {
    let payload = SMALL as usize;
    let load = Workload { servers, window: CORE_WINDOW, payload, at: Place::Leader };
    Ok(Library::Ours.run(&load, 4 * ENTRIES)?.rate())
}
