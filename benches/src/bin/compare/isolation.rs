//! Heartbeats, leaders and memory while bulk traffic takes all that there is.

use crate::cluster::WINDOW;
use omnipaxos_benches::compare::cluster::flood::{self, Flood};
use omnipaxos_benches::compare::cluster::floor;
use omnipaxos_benches::compare::cluster::ours::Cluster;
use omnipaxos_benches::compare::group::{GroupError, Place};
use omnipaxos_benches::compare::row::{Goal, Row};
use omnipaxos_core::storage::{MemorySequence, MemoryState, Storage};
use omnipaxos_kompact::components::RoundTripCounts;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Bytes of an entry.
const PAYLOAD: usize = 4096;

/// Bytes of a small entry.
const SMALL: usize = 16;

/// Clients that are faster than servers which share two cores with them.
const CLIENTS: usize = 4;

/// How long they go on.
const FILL: Duration = Duration::from_secs(4);

/// What an entry takes in a log beyond its payload, at most: its place, and what its bytes need to
/// be shared.
const LOG_OVERHEAD: u64 = 128;

/// Of what is in use `malloc` may hold one part in so many more.
const MALLOC: u64 = 4;

/// What Kompact's buffers, and the clients' threads with their arenas, may take.
const BUFFERS: u64 = 32 << 20;

/// Decided entries that each server keeps.
const KEEP: u64 = 16_384;

/// Messages of the measurement of Kompact alone, and as many of them on their way as its buffers
/// hold.
const MESSAGES: u64 = 60_000;
const MESSAGES_OPEN: u64 = 2048;

/// Between two looks at the lengths of logs.
const LOOK: Duration = Duration::from_millis(20);

type Servers = Cluster<MemorySequence, MemoryState>;

/// All rows: memory, each time of servers of their own; bulk traffic for `seconds`, and a client
/// that never stops for a quarter of them, with large and small entries.
pub(crate) fn rows(seconds: u64, mut done: impl FnMut()) -> Result<Vec<Row>, GroupError> {
    let mut rows = Vec::new();
    for payload in [PAYLOAD, SMALL] {
        let (cluster, _) = warm(payload)?;
        rows.extend(filled(&cluster, payload)?);
        cluster.stop()?;
        done();
    }
    let floor = floor::run(PAYLOAD, MESSAGES_OPEN, MESSAGES)?.rate();
    let (cluster, rate) = warm(PAYLOAD)?;
    let idle = idle(&cluster);

    let work = format!("bulk of {PAYLOAD} B, {seconds} s");
    let before = (cluster.round_trips(), cluster.leader_changes()?);
    let count = ((rate * seconds as f64) as u64).max(WINDOW);
    let bulk = cluster.run(Place::Leader, PAYLOAD, WINDOW, count)?;
    rows.extend(isolated(&work, &cluster, &before, &idle)?);
    let sent = |rate: f64, copies: f64| rate * copies * PAYLOAD as f64;
    let (ours, theirs) = (sent(bulk.rate(), 2.0), sent(floor, 1.0));
    rows.push(Row::new(work, "Kompact, one way", ours, theirs, "bytes/s sent"));
    done();

    let length = Duration::from_secs(seconds.div_ceil(4));
    for payload in [PAYLOAD, SMALL] {
        rows.extend(flooded(&cluster, payload, length, &idle)?);
        done();
    }
    cluster.stop()?;
    Ok(rows)
}

/// Servers that have all the memory that the steady state needs, and what they decide in a second.
fn warm(payload: usize) -> Result<(Servers, f64), GroupError> {
    let cluster = Cluster::start(|_| Ok(Storage::with(MemorySequence::new(), MemoryState::new())))?;
    cluster.keep(KEEP)?;
    let rate = cluster.run(Place::Leader, payload, WINDOW, 8 * WINDOW)?.rate();
    Ok((cluster, rate))
}

/// Heartbeats and leaders beside one client that never stops.
fn flooded(
    cluster: &Servers,
    payload: usize,
    length: Duration,
    idle: &RoundTripCounts,
) -> Result<Vec<Row>, GroupError> {
    let work = format!("a client that never stops, {payload} B, {} s", length.as_secs());
    let before = (cluster.round_trips(), cluster.leader_changes()?);
    let flood = flood::of(1, cluster.client()?, payload, length)?;
    let mut rows = isolated(&work, cluster, &before, idle)?;
    rows.push(refused(&work, &flood));
    Ok(rows)
}

/// Memory beside clients that never stop and are faster than the servers.
fn filled(cluster: &Servers, payload: usize) -> Result<Vec<Row>, GroupError> {
    let work = format!("{CLIENTS} clients that never stop, {payload} B, {} s", FILL.as_secs());
    let retained = cluster.retained()?;
    // Entries that a server lacks which lags behind are in the others' logs.
    let over = AtomicBool::new(false);
    let (flood, most) = std::thread::scope(|scope| {
        let looks = scope.spawn(|| most_retained(cluster, &over));
        let flood = cluster.client().and_then(|c| flood::of(CLIENTS, c, payload, FILL));
        over.store(true, Ordering::Relaxed);
        let most = looks.join().map_err(|_| GroupError("nobody looked".to_owned()))?;
        Ok::<_, GroupError>((flood?, most?))
    })?;
    // The leader's entries before shared the bytes of one.
    let there = retained.followers;
    let log = |entries: u64| entries * (payload as u64 + LOG_OVERHEAD);
    let allowed = cluster.config()?.max_pending + log(most);
    let allowed = (allowed + allowed / MALLOC + BUFFERS).saturating_sub(log(there));
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let (grown, allowed) = (mib(flood.grown), mib(allowed));
    let peer = "open proposals and logs";
    let memory = Row::new(format!("{work}: memory"), peer, grown, allowed, "MiB more");
    Ok(vec![memory.goal(Goal::AtMost(1.0)), refused(&work, &flood)])
}

fn refused(work: &str, flood: &Flood) -> Row {
    let work = format!("{work}: refused at once");
    let a_second = |count: u64| count as f64 / flood.seconds;
    Row::new(work, "proposals", a_second(flood.refused), a_second(flood.made), "a second")
}

/// The most decided entries that the logs of all servers had together, until it is `over`.
fn most_retained(cluster: &Servers, over: &AtomicBool) -> Result<u64, GroupError> {
    let mut most = 0;
    while !over.load(Ordering::Relaxed) {
        most = most.max(cluster.retained()?.all());
        std::thread::sleep(LOOK);
    }
    Ok(most)
}

/// Heartbeats of servers that have nothing else to do.
fn idle(cluster: &Servers) -> RoundTripCounts {
    let before = cluster.round_trips();
    std::thread::sleep(Duration::from_secs(2));
    cluster.round_trips().since(&before)
}

/// What is asked of heartbeats and leaders, whatever the load.
fn isolated(
    work: &str,
    cluster: &Servers,
    before: &(RoundTripCounts, u64),
    idle: &RoundTripCounts,
) -> Result<Vec<Row>, GroupError> {
    let trips = cluster.round_trips().since(&before.0);
    let p999 = |trips: &RoundTripCounts| trips.at(0.999).as_secs_f64() * 1e3;
    let half = cluster.config()?.election_timeout.as_secs_f64() * 1e3 / 2.0;
    let heartbeats = format!("{work}: heartbeat round trip, p99.9");
    let unanswered = trips.requests.saturating_sub(trips.replies()) as f64;
    let changes = (cluster.leader_changes()? - before.1) as f64;
    let asked = trips.requests as f64;
    Ok(vec![
        Row::new(heartbeats.clone(), "half an election timeout", p999(&trips), half, "ms")
            .goal(Goal::AtMost(1.0)),
        Row::new(heartbeats, "the same servers idle", p999(&trips), p999(idle), "ms"),
        Row::new(format!("{work}: unanswered"), "heartbeats", unanswered, asked, "requests"),
        Row::new(format!("{work}: other leaders"), "the goal", changes, 0.0, "changes").none(),
    ])
}
