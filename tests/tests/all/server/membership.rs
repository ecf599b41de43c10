//! Members come and go.

use crate::server::cluster::{Cluster, Node, changed};
use crate::server::recorder::LogEntry;
use crate::tcp::cluster::{eventually, loopback};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_kompact::server::{ChangeError, Seat, Start};
use std::collections::BTreeMap;

/// The configurations that a log went through.
fn voters(log: &[LogEntry]) -> Vec<Vec<NodeId>> {
    let ends = log.iter().filter_map(|entry| match entry {
        LogEntry::StopSign(_, stop_sign) => Some(stop_sign.nodes.clone()),
        LogEntry::Normal(..) => None,
    });
    ends.collect()
}

#[test]
fn a_cluster_grows_from_one_to_five_and_shrinks_to_two() {
    let mut cluster = Cluster::grown(1);
    cluster.propose(1, 0..100);
    for pid in 2..=5 {
        cluster.join(pid);
        cluster.propose(pid, 100 * (pid - 1)..100 * pid);
    }
    let log = cluster.same_log(&[1, 2, 3, 4, 5], 0..500);
    assert_eq!(voters(&log).last(), Some(&vec![1, 2, 3, 4, 5]));
    let two = vec![Seat::voter(2, None), Seat::voter(5, None)];
    let done = changed(cluster.node(3).client().reconfigure(two)).unwrap();
    assert_eq!(done.config_id, 6);
    cluster.propose(5, 500..600);
    cluster.same_log(&[2, 5], 0..600);
    for pid in [1, 3, 4] {
        let node = cluster.node(pid);
        eventually("those that were removed retire", || node.records.lock().retired);
        assert_eq!(node.records.numbers().len(), 500);
    }
}

#[test]
fn a_cluster_starts_from_a_list() {
    let servers: BTreeMap<_, _> = (1..=3).map(|pid| (pid, free_address())).collect();
    let mut cluster = Cluster::default();
    for (pid, address) in &servers {
        let start = Start::Bootstrap { servers: servers.clone() };
        cluster.add(Node::start_at(*pid, start, *address));
    }
    cluster.propose(3, 0..50);
    cluster.same_log(&[1, 2, 3], 0..50);
    cluster.join(4);
    cluster.propose(4, 50..60);
    cluster.same_log(&[1, 2, 3, 4], 0..60);
}

/// A port that nobody listens at: the system gave it to somebody who is gone.
fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind(loopback()).unwrap().local_addr().unwrap()
}

#[test]
fn a_majority_is_replaced_at_once() {
    let mut cluster = Cluster::grown(3);
    cluster.propose(1, 0..100);
    let (four, five) = (cluster.stand_by(4), cluster.stand_by(5));
    let seats = vec![Seat::voter(3, None), Seat::voter(4, Some(four)), Seat::voter(5, Some(five))];
    changed(cluster.node(2).client().reconfigure(seats)).unwrap();
    cluster.propose(5, 100..200);
    cluster.same_log(&[3, 4, 5], 0..200);
}

#[test]
fn everyone_is_replaced_at_once() {
    let mut cluster = Cluster::grown(3);
    cluster.propose(1, 0..1000);
    let seats: Vec<Seat> =
        (4..=6).map(|pid| Seat::voter(pid, Some(cluster.stand_by(pid)))).collect();
    let done = changed(cluster.node(3).client().reconfigure(seats)).unwrap();
    assert_eq!(done.config_id, 4);
    cluster.propose(6, 1000..1100);
    cluster.same_log(&[4, 5, 6], 0..1100);
    for pid in 1..=3 {
        let node = cluster.node(pid);
        eventually("the old ones retire", || node.records.lock().retired);
        let answer = changed(node.client().remove(4));
        assert_eq!(answer, Err(ChangeError::NotMember));
    }
}

#[test]
fn the_leader_leaves() {
    let mut cluster = Cluster::grown(3);
    cluster.propose(2, 0..100);
    let leader = cluster.leader();
    changed(cluster.node(leader).client().remove(leader)).unwrap();
    let left: Vec<NodeId> = (1..=3).filter(|pid| *pid != leader).collect();
    cluster.propose(left[0], 100..200);
    cluster.same_log(&left, 0..200);
    let old = cluster.kill(leader);
    cluster.propose(left[1], 200..210);
    cluster.same_log(&left, 0..210);
    drop(old);
}

#[test]
fn one_server_is_replaced_by_another() {
    let mut cluster = Cluster::grown(3);
    cluster.propose(1, 0..100);
    let address = cluster.stand_by(9);
    changed(cluster.node(1).client().replace(2, 9, address)).unwrap();
    cluster.propose(9, 100..110);
    let log = cluster.same_log(&[1, 3, 9], 0..110);
    assert_eq!(voters(&log).last(), Some(&vec![1, 3, 9]));
}

#[test]
fn what_cannot_be_is_refused_and_says_why() {
    let mut cluster = Cluster::grown(1);
    cluster.propose(1, 0..10);
    let client = cluster.node(1).client();
    assert_eq!(changed(client.remove(1)), Err(ChangeError::LastVoter(1)));
    assert_eq!(changed(client.remove(7)), Err(ChangeError::NoSuchMember(7)));
    assert_eq!(changed(client.promote(7)), Err(ChangeError::NoSuchMember(7)));
    assert_eq!(changed(client.transfer_leadership(7)), Err(ChangeError::NoSuchMember(7)));
    let nowhere = vec![Seat::voter(1, None), Seat::voter(7, None)];
    assert_eq!(changed(client.reconfigure(nowhere)), Err(ChangeError::NoAddress(7)));
    assert!(matches!(changed(client.reconfigure(vec![])), Err(ChangeError::Impossible(_))));
    let silent = free_address();
    let start = std::time::Instant::now();
    assert_eq!(changed(client.add(7, silent)), Err(ChangeError::NoAnswer(7)));
    assert!(start.elapsed() < std::time::Duration::from_secs(15));
    // Nothing of it has happened.
    cluster.propose(1, 10..20);
    assert_eq!(cluster.node(1).status().newest.unwrap().nodes, vec![1]);
    // A server that is a member already.
    cluster.join(2);
    let address = cluster.node(2).address();
    let again = changed(cluster.node(1).client().add(2, address));
    assert_eq!(again, Err(ChangeError::MemberAlready(2)));
}

#[test]
fn of_two_changes_one_wins_and_the_other_is_told() {
    let mut cluster = Cluster::grown(3);
    cluster.propose(1, 0..10);
    let (four, five) = (cluster.stand_by(4), cluster.stand_by(5));
    let one = cluster.node(1).client().add(4, four);
    let other = cluster.node(2).client().add(5, five);
    let results = [changed(one), changed(other)];
    let won = results.iter().filter(|r| r.is_ok()).count();
    // The second one may have begun after the first one was done.
    assert!(won > 0, "{results:?}");
    for result in &results {
        match result {
            Ok(_) => {}
            Err(ChangeError::Lost { config_id, nodes }) => {
                assert_eq!(won, 1);
                assert_eq!(*config_id, 4);
                assert!(nodes == &[1, 2, 3, 4] || nodes == &[1, 2, 3, 5], "{nodes:?}");
            }
            Err(error) => panic!("{error}"),
        }
    }
    cluster.propose(1, 10..20);
    let log = cluster.same_log(&[1, 2, 3], 0..20);
    assert_eq!(voters(&log).len(), 2 + won);
}
