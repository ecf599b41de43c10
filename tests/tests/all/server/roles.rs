//! Learners, and who leads.

use crate::server::cluster::{Cluster, changed};
use crate::tcp::cluster::eventually;
use omnipaxos_core::configurations::Role;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_kompact::server::ChangeError;

#[test]
fn a_learner_joins_is_promoted_and_demoted_and_removed() {
    let mut cluster = Cluster::grown(2);
    cluster.propose(1, 0..100);
    cluster.join_as(3, Role::Learner);
    cluster.propose(3, 100..200);
    cluster.same_log(&[1, 2, 3], 0..200);
    let newest = cluster.node(1).status().newest.unwrap();
    assert_eq!((newest.nodes, newest.learners), (vec![1, 2], vec![3]));
    let refused = changed(cluster.node(1).client().transfer_leadership(3));
    assert_eq!(refused, Err(ChangeError::NotVoter(3)));
    changed(cluster.node(3).client().promote(3)).unwrap();
    cluster.propose(3, 200..210);
    // Now it votes: the others are not needed both.
    let remains = cluster.kill(2);
    cluster.propose(1, 210..220);
    cluster.same_log(&[1, 3], 0..220);
    cluster.add(remains.restart());
    changed(cluster.node(1).client().demote(3)).unwrap();
    cluster.propose(2, 220..230);
    cluster.same_log(&[1, 2, 3], 0..230);
    changed(cluster.node(2).client().remove(3)).unwrap();
    cluster.propose(1, 230..240);
    cluster.same_log(&[1, 2], 0..240);
    let learner = cluster.node(3);
    eventually("the learner retires", || learner.records.lock().retired);
}

#[test]
fn a_learner_is_in_no_quorum() {
    let mut cluster = Cluster::grown(2);
    cluster.join_as(3, Role::Learner);
    cluster.join_as(4, Role::Learner);
    cluster.propose(1, 0..10);
    cluster.same_log(&[1, 2, 3, 4], 0..10);
    let remains = cluster.kill(2);
    let waits = cluster.node(1).propose(10);
    let waits_too = cluster.node(3).propose(11);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(cluster.node(4).records.numbers().iter().all(|n| *n < 10));
    cluster.add(remains.restart());
    crate::server::cluster::decided(10, waits);
    crate::server::cluster::decided(11, waits_too);
    cluster.same_log(&[1, 2, 3, 4], 0..12);
}
#[test]
fn leadership_is_transferred_to_a_named_server() {
    let cluster = Cluster::grown(3);
    cluster.propose(1, 0..10);
    for to in [3, 1, 2, 2] {
        let asked: NodeId = to % 3 + 1;
        let done = changed(cluster.node(asked).client().transfer_leadership(to)).unwrap();
        assert_eq!(done.leader, Some(to));
        eventually("all follow it", || cluster.leader() == to);
    }
    cluster.propose(3, 10..20);
    cluster.same_log(&[1, 2, 3], 0..20);
}
