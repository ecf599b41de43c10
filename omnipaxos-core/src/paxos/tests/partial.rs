//! Servers that reach each other only in part: a server that never hears the leader follows the log
//! through its peers, and its proposals get to the leader through them.

use super::cluster::Cluster;
use crate::ballot::{Leader, NodeId};
use crate::paxos::PaxosConfig;

/// 1 - 2 - 3, led by 1, after some entries were decided everywhere.
fn chain() -> Cluster {
    let mut cluster = Cluster::new(&[1, 2, 3], PaxosConfig::default());
    cluster.settle();
    cluster.lead(1);
    cluster.propose(1, "a");
    cluster.settle();
    cluster.link(1, 3, false);
    cluster
}

#[test]
fn d1_a_server_that_does_not_hear_the_leader_learns_from_a_peer() {
    let mut cluster = chain();
    for what in ["b", "c", "d"] {
        cluster.propose(1, what);
    }
    cluster.settle();
    cluster.assert_decided(&[1, 2], &["a", "b", "c", "d"]);
    cluster.assert_decided(&[3], &["a"]);
    // Twice the keepalive of silence, then one turn to each peer.
    cluster.run(115);
    cluster.assert_decided(&[1, 2, 3], &["a", "b", "c", "d"]);
}

#[test]
fn beyond_2_proposals_reach_an_unheard_leader_through_a_peer() {
    let mut cluster = chain();
    cluster.propose(3, "b");
    cluster.propose(3, "c");
    cluster.run(20);
    cluster.assert_decided(&[1, 2], &["a", "b", "c"]);
    cluster.run(110);
    cluster.assert_decided(&[3], &["a", "b", "c"]);
    let outcomes = &cluster.servers[&3].outcomes;
    assert_eq!(outcomes.len(), 2, "{outcomes:?}");
}

/// Looking for decided entries and relaying proposals both go from peer to peer: neither may keep
/// the other away from the only peer that helps.
#[test]
fn beyond_2_relaying_and_learning_do_not_starve_each_other() {
    for (peers_first, resend_ticks) in [(true, 5), (false, 5), (true, 1), (false, 3)] {
        let mut cluster = chain();
        cluster.config.resend_ticks = resend_ticks;
        cluster.crash(3);
        cluster.start(3);
        if peers_first {
            cluster.run(1);
        }
        cluster.propose(3, "b");
        cluster.settle();
        cluster.run(60);
        cluster.assert_decided(&[1, 2, 3], &["a", "b"]);
    }
}

#[test]
fn beyond_2_a_chain_of_five_with_the_leader_in_the_middle() {
    let mut cluster = Cluster::new(&[1, 2, 3, 4, 5], PaxosConfig::default());
    for a in 1..=5 {
        for b in a + 2..=5 {
            cluster.link(a, b, false);
        }
    }
    let ballot = cluster.lead(3);
    for pid in [1, 2, 4, 5] {
        cluster.get(pid).handle_leader(Leader::new(ballot));
    }
    let proposed: Vec<NodeId> = vec![1, 5, 2, 4, 3, 1, 5];
    for (at, pid) in proposed.iter().enumerate() {
        cluster.propose(*pid, &at.to_string());
    }
    cluster.settle();
    cluster.run(60);
    for pid in 1..=5 {
        assert_eq!(cluster.decided(pid).len(), 7, "server {pid}");
    }
}

/// One direction of a link is cut for long: the leader's messages arrive, the answers do not.
#[test]
fn beyond_1_one_way_cuts_heal() {
    for (from, to) in [(1, 2), (2, 1), (1, 3), (3, 1)] {
        let mut cluster = Cluster::new(&[1, 2, 3], PaxosConfig::default());
        cluster.settle();
        cluster.lead(1);
        cluster.cut.insert((from, to));
        cluster.propose(1, "a");
        cluster.settle();
        cluster.propose(2, "b");
        cluster.propose(3, "c");
        cluster.run(200);
        cluster.cut.clear();
        cluster.run(25);
        for pid in [1, 2, 3] {
            assert_eq!(cluster.decided(pid).len(), 3, "server {pid}, {from} to {to} was cut");
            assert_eq!(cluster.get(pid).leader(), Some(1), "server {pid}");
        }
    }
}
