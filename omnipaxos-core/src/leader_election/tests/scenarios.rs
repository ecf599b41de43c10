//! The partitions of the paper, and how long each leaves the cluster without a leader.

use super::harness::{Cluster, TIMEOUT};
use crate::leader_election::NodeId;

/// What a fault led to.
#[derive(Debug, Default)]
struct Outcome {
    /// Instants from the fault to the last Leader event.
    took: u64,
    /// Leader ballots since the fault.
    changes: usize,
}

/// A settled cluster, a fault, and what came of it.
fn outcome(seed: u64, n: u64, fault: impl FnOnce(&mut Cluster, NodeId, NodeId)) -> Outcome {
    let mut cluster = Cluster::new(seed, n);
    // From a fast network to one whose round trip takes most of a timeout.
    cluster.delay.1 = 1 + cluster.rng.below(cluster.delay.1);
    cluster.run_timeouts(6);
    let leader = cluster.leader().expect("a leader at the start").pid;
    let others: Vec<_> = cluster.pids().into_iter().filter(|p| *p != leader).collect();
    let hub = cluster.rng.pick(&others);
    let wait = cluster.rng.below(TIMEOUT);
    cluster.run(wait);
    let start = cluster.time;
    fault(&mut cluster, leader, hub);
    cluster.run_timeouts(12);
    let events = cluster.since(start);
    assert!(cluster.leader().is_some(), "seed {seed}: no leader");
    assert!(cluster.all_served(), "seed {seed}");
    let mut ballots: Vec<_> = events.iter().map(|e| e.ballot).collect();
    ballots.sort_unstable();
    ballots.dedup();
    let quiet = cluster.time;
    cluster.run_timeouts(20);
    assert!(cluster.since(quiet).is_empty(), "seed {seed}: no rest");
    Outcome { took: events.last().map_or(0, |e| e.time - start), changes: ballots.len() }
}

/// The worst outcome for 3, 5 and 7 servers; timeouts are printed in hundredths.
fn worst(name: &str, seeds: u64, fault: impl Fn(&mut Cluster, NodeId, NodeId)) -> Outcome {
    let mut worst = Outcome::default();
    for n in [3, 5, 7] {
        let (mut took, mut changes, mut sum) = (0, 0, 0);
        for seed in 1..=seeds {
            let outcome = outcome(seed, n, &fault);
            took = took.max(outcome.took);
            changes = changes.max(outcome.changes);
            sum += outcome.took;
        }
        let mean = sum / seeds;
        println!("{name:18} {n} servers: worst {took:3} mean {mean:3} ballots {changes}");
        worst.took = worst.took.max(took);
        worst.changes = worst.changes.max(changes);
    }
    worst
}

/// The leader keeps only its link to the hub; so do all others.
fn lose_quorum(cluster: &mut Cluster, _: NodeId, hub: NodeId) {
    cluster.star(hub);
}

/// The leader is gone, and only the hub reaches a quorum: the others reach only the hub.
fn constrain(cluster: &mut Cluster, leader: NodeId, hub: NodeId) {
    cluster.star(hub);
    cluster.isolate(leader);
}

fn crash(cluster: &mut Cluster, leader: NodeId, _: NodeId) {
    cluster.crash(leader);
}

fn chain(cluster: &mut Cluster, leader: NodeId, other: NodeId) {
    cluster.cut(leader, other);
}

fn chain_then_crash(cluster: &mut Cluster, leader: NodeId, other: NodeId) {
    cluster.cut(leader, other);
    cluster.run_timeouts(3);
    assert!(cluster.since(cluster.time - 3 * TIMEOUT).is_empty());
    cluster.crash(leader);
}

fn restart_at_once(cluster: &mut Cluster, leader: NodeId, _: NodeId) {
    cluster.crash(leader);
    cluster.restart(leader);
}

const SEEDS: u64 = 20;

#[test]
fn full_mesh_leader_crash() {
    let worst = worst("crash", SEEDS, crash);
    assert!(worst.took <= 3 * TIMEOUT, "{worst:?}");
}

#[test]
fn quorum_loss_only_the_hub_reaches_a_quorum() {
    for n in [5, 7] {
        for seed in 1..=SEEDS {
            let outcome = outcome(seed, n, |cluster, leader, hub| {
                lose_quorum(cluster, leader, hub);
                cluster.run_timeouts(6);
                assert_eq!(cluster.leader().map(|l| l.pid), Some(hub));
            });
            assert!(outcome.took <= 3 * TIMEOUT, "{n} {seed} {outcome:?}");
            assert_eq!(outcome.changes, 1);
        }
    }
}

#[test]
fn constrained_election_only_one_server_may_lead() {
    // Of three, a hub without the leader has a single link.
    let worst = worst("constrained", SEEDS, constrain);
    assert!(worst.took <= 3 * TIMEOUT, "{worst:?}");
    assert_eq!(worst.changes, 1);
}

#[test]
fn chained_no_change_at_all() {
    let worst = worst("chained", SEEDS, chain);
    assert_eq!(worst.changes, 0, "{worst:?}");
}

#[test]
fn chained_then_the_leader_crashes() {
    for n in [3, 5, 7] {
        for seed in 1..=SEEDS {
            let outcome = outcome(seed, n, chain_then_crash);
            assert!(outcome.took <= 6 * TIMEOUT, "{n} {seed} {outcome:?}");
        }
    }
}

#[test]
fn a_leader_that_restarts_at_once_does_not_resume() {
    let worst = worst("restart", SEEDS, restart_at_once);
    assert!(worst.took <= 3 * TIMEOUT, "{worst:?}");
}

/// `cargo test -p omnipaxos-core --release measure -- --ignored --nocapture`
#[test]
#[ignore = "a measurement over many seeds"]
fn measure() {
    let seeds = 1000;
    worst("crash", seeds, crash);
    worst("quorum loss", seeds, lose_quorum);
    worst("constrained", seeds, constrain);
    worst("chained", seeds, chain);
    println!("the next includes 300 before the crash:");
    worst("chained, crash", seeds, chain_then_crash);
    worst("restart", seeds, restart_at_once);
}
