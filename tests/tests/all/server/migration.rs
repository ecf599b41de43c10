//! Servers that die while a log is on its way to a new one.

use crate::server::cluster::{Cluster, Node, changed, decided};
use crate::tcp::cluster::eventually;
use omnipaxos_core::configurations::Role;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_kompact::server::{Change, Seat, Start};

/// So much that it takes a while in small segments: 30 MB.
const ENTRIES: u64 = 60_000;
const BYTES: usize = 500;

/// Small segments, one at a time, almost in order.
const SLOW: &str = "segment = 4096\nmigration-window = 1\nmigration-ahead = 65536\n";

/// Three servers with a log, and a fourth one that stands by and will be slow.
fn cluster() -> Cluster {
    let mut cluster = Cluster::grown(3);
    for start in (0..ENTRIES).step_by(10_000) {
        let node = cluster.node(1 + start / 10_000 % 3);
        let propose = |n: u64| {
            let mut data = n.to_le_bytes().to_vec();
            data.resize(BYTES, 0);
            (n, node.client().propose(data))
        };
        let answers: Vec<_> = (start..start + 10_000).map(propose).collect();
        for (number, answer) in answers {
            decided(number, answer);
        }
    }
    let contact = cluster.any().address();
    cluster.add(Node::start_with(4, Start::Join { contact, role: None }, SLOW));
    cluster
}

/// Waits until server 4 is in the middle of a migration; returns how much it has.
fn in_the_middle(cluster: &Cluster) -> u64 {
    let records = &cluster.node(4).records;
    let mut have = 0;
    eventually("a migration", || {
        let recorded = records.lock();
        // The first two configurations are short.
        let progress = recorded.migrated.iter().rfind(|(.., total)| *total > ENTRIES / 2);
        have = progress.map_or(0, |(_, have, _)| *have);
        have > ENTRIES / 20
    });
    assert!(have < ENTRIES, "it was too fast");
    have
}

fn add_four(cluster: &Cluster) {
    let seat = Seat::voter(4, Some(cluster.node(4).address()));
    drop(cluster.node(1).client().change(Change::Add(seat)));
}

#[test]
fn a_donor_dies_in_the_middle_of_a_migration() {
    let mut cluster = cluster();
    add_four(&cluster);
    in_the_middle(&cluster);
    let donor: NodeId = 2;
    let remains = cluster.kill(donor);
    cluster.takes_part(4, 4);
    cluster.propose(4, ENTRIES..ENTRIES + 10);
    cluster.same_log(&[1, 3, 4], 0..ENTRIES + 10);
    cluster.add(remains.restart());
    cluster.propose(2, ENTRIES + 10..ENTRIES + 20);
    cluster.same_log(&[1, 2, 3, 4], 0..ENTRIES + 20);
}

#[test]
fn the_new_server_dies_in_the_middle_and_goes_on_where_it_was() {
    let mut cluster = cluster();
    add_four(&cluster);
    let had = in_the_middle(&cluster);
    let remains = cluster.kill(4);
    // The others go on meanwhile.
    cluster.propose(2, ENTRIES..ENTRIES + 10);
    cluster.add(remains.restart());
    cluster.takes_part(4, 4);
    let first = {
        let recorded = cluster.node(4).records.lock();
        recorded.migrated.first().copied()
    };
    // What was durable is not fetched again: less than all is left to be fetched.
    if let Some((_, _, total)) = first {
        assert!(total < ENTRIES, "{total} of {ENTRIES} are fetched, {had} were there");
    }
    cluster.propose(4, ENTRIES + 10..ENTRIES + 20);
    cluster.same_log(&[1, 2, 3, 4], 0..ENTRIES + 20);
}

#[test]
fn a_new_server_gets_the_log_from_the_others_where_the_leader_is_gone() {
    let mut cluster = cluster();
    let leader = cluster.leader();
    let asked = (1..=3).find(|pid| *pid != leader).unwrap();
    let seat = Seat::voter(4, Some(cluster.node(4).address()));
    let answer = cluster.node(asked).client().change(Change::Add(seat));
    in_the_middle(&cluster);
    drop(cluster.kill(leader));
    changed(answer).unwrap();
    cluster.propose(4, ENTRIES..ENTRIES + 10);
    let left: Vec<NodeId> = (1..=4).filter(|pid| *pid != leader).collect();
    cluster.same_log(&left, 0..ENTRIES + 10);
}

#[test]
fn a_server_that_serves_nothing_leaves_it_to_the_others() {
    let mut cluster = Cluster::grown(1);
    for pid in 2..=3 {
        let start = Start::Join { contact: cluster.any().address(), role: Some(Role::Voter) };
        cluster.joined(Node::serving_nothing(pid, start));
    }
    cluster.propose(1, 0..20_000);
    cluster.join(4);
    cluster.same_log(&[1, 2, 3, 4], 0..20_000);
    let [served, refused @ ..] =
        [1, 2, 3].map(|pid| cluster.node(pid).handle.router().server_counters().sent_bytes());
    assert!(served > 20_000 * 8, "{served}");
    assert!(refused.iter().all(|sent| *sent < served / 4), "{served} {refused:?}");
}
