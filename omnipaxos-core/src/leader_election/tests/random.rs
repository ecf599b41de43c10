//! Dice: whatever the network does, LE3; once it rests, one leader, and rest.

use super::harness::{Cluster, Rng, TIMEOUT};
use crate::leader_election::{ElectionConfig, Leader};
use crate::quorum::Quorum;

/// A cluster of random size, priorities, quorums and delays.
fn random_cluster(seed: u64) -> Cluster {
    let mut rng = Rng::new(seed ^ 0xB1E);
    let n = 1 + rng.below(7);
    let accept = 1 + rng.below(n) as usize;
    let flexible = Quorum::flexible(n as usize + 1 - accept, accept, n as usize);
    let quorum = (rng.below(3) == 0).then(|| flexible.unwrap());
    let preferences = rng.below(3);
    let servers = (1..=n).map(|pid| {
        let config = ElectionConfig {
            quorum,
            priority: rng.below(1 + preferences) as u32,
            ..ElectionConfig::default()
        };
        (pid, config)
    });
    let servers = servers.collect();
    let mut cluster = Cluster::with(seed, servers);
    cluster.delay.1 = 1 + cluster.rng.below(cluster.delay.1);
    cluster
}

/// Cuts, heals, crashes, restarts and new preferences, and time between them.
fn trouble(cluster: &mut Cluster, steps: u64) {
    let pids = cluster.pids();
    for _ in 0..steps {
        let (a, b) = (cluster.rng.pick(&pids), cluster.rng.pick(&pids));
        let is_up = cluster.up().contains(&a);
        let number = cluster.rng.below(3) as u32;
        match cluster.rng.below(10) {
            0 => cluster.heal(),
            1 => cluster.star(a),
            2 => cluster.isolate(a),
            3 => cluster.cut_one_way(a, b),
            4 | 5 => cluster.cut(a, b),
            6 if is_up => cluster.crash(a),
            6 | 7 if !is_up => cluster.restart(a),
            8 if is_up => cluster.poke(a, |e| e.set_priority(number)),
            9 if is_up => cluster.poke(a, |e| e.set_healthy(number > 0)),
            _ => {}
        }
        let wait = cluster.rng.below(3 * TIMEOUT);
        cluster.run(wait);
    }
}

/// Restarts who is down, and makes all fit and the messages safe.
fn calm(cluster: &mut Cluster) {
    cluster.loss_percent = 0;
    for pid in cluster.pids() {
        if !cluster.up().contains(&pid) {
            cluster.restart(pid);
        }
        cluster.poke(pid, |e| e.set_healthy(true));
    }
}

/// Timeouts in which nothing may change: long for some, for the sake of a fast test.
fn rest(seed: u64) -> u64 {
    if seed.is_multiple_of(10) { 200 } else { 20 }
}

/// One leader for all, found within `bound` timeouts, and none after it. Returns the instants it
/// took.
fn assert_one_leader(cluster: &mut Cluster, bound: u64, seed: u64) -> u64 {
    let healed = cluster.time;
    cluster.run_timeouts(bound);
    let leader = cluster.leader().map(Leader::new);
    assert!(leader.is_some(), "seed {seed}: no leader");
    for pid in cluster.up() {
        assert_eq!(cluster.election(pid).leader(), leader, "seed {seed} at {pid}");
    }
    let quiet = cluster.time;
    cluster.run_timeouts(rest(seed));
    assert!(cluster.since(quiet).is_empty(), "seed {seed}: no rest");
    cluster.since(healed).last().map_or(0, |e| e.time - healed)
}

fn trouble_then_one_leader(seed: u64) -> u64 {
    let mut cluster = random_cluster(seed);
    cluster.loss_percent = cluster.rng.below(30);
    cluster.dup_percent = cluster.rng.below(30);
    trouble(&mut cluster, 15);
    calm(&mut cluster);
    cluster.heal();
    assert_one_leader(&mut cluster, 10, seed)
}

/// Trouble that stops, while the links that are cut remain so.
fn trouble_then_rest(seed: u64) -> u64 {
    let mut cluster = random_cluster(seed);
    trouble(&mut cluster, 15);
    calm(&mut cluster);
    let start = cluster.time;
    cluster.run_timeouts(20);
    assert!(cluster.all_served(), "seed {seed}: LE1\n{cluster:#?}");
    let quiet = cluster.time;
    cluster.run_timeouts(rest(seed));
    let late = cluster.since(quiet);
    assert!(late.is_empty(), "seed {seed}: LE2 {late:?}");
    assert!(cluster.all_served(), "seed {seed}: LE1");
    cluster.since(start).last().map_or(0, |e| e.time - start)
}

#[test]
fn random_trouble_then_exactly_one_leader() {
    for seed in 1..=100 {
        trouble_then_one_leader(seed);
    }
}

#[test]
fn le1_le2_random_partial_connectivity_comes_to_rest() {
    for seed in 1..=100 {
        trouble_then_rest(seed);
    }
}

#[test]
fn same_inputs_same_outputs() {
    let run = |seed| {
        let mut cluster = random_cluster(seed);
        trouble(&mut cluster, 10);
        (cluster.messages, format!("{cluster:?}"))
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

/// `cargo test -p omnipaxos-core --release measure -- --ignored --nocapture`
#[test]
#[ignore = "a measurement over many seeds"]
fn measure_random() {
    let healed = (1..=1000).map(trouble_then_one_leader).max();
    println!("after trouble and healing: worst {healed:?}");
    let partial = (1..=1000).map(trouble_then_rest).max();
    println!("after trouble, partial connectivity: worst {partial:?}");
}
