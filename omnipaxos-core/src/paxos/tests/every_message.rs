//! "Beyond" 1: whatever becomes of any single message, ticks bring the otherwise idle cluster to
//! the end.

use super::cluster::{Cluster, Fault};
use super::lab::tiny;
use crate::ballot::NodeId;
use crate::paxos::{PaxosConfig, ProposalOutcome};
use crate::storage::ProposalId;

/// No single fault may cost more ticks than this, with the default resend timeout of 5.
const BOUND: u32 = 25;

type Proposed = Vec<(NodeId, ProposalId)>;

fn propose(cluster: &mut Cluster, proposed: &mut Proposed, proposals: &[(NodeId, &str)]) {
    for (pid, what) in proposals {
        proposed.push((*pid, cluster.propose(*pid, what)));
    }
    cluster.settle();
}

/// Election, proposals at the leader and at followers, another election, a proposal at a server
/// that was deposed.
fn take_over(cluster: &mut Cluster) -> Proposed {
    let mut proposed = Vec::new();
    cluster.lead(1);
    let first = [(1, "a"), (1, "b"), (1, "c"), (1, "d"), (2, "e"), (2, "f"), (3, "g")];
    propose(cluster, &mut proposed, &first);
    cluster.lead(2);
    propose(cluster, &mut proposed, &[(1, "h"), (2, "i"), (3, "j")]);
    proposed
}

/// A server that was away comes back as a follower, restarted, with several chunks to fetch.
fn late_follower(cluster: &mut Cluster) -> Proposed {
    let mut proposed = Vec::new();
    cluster.lead(2);
    propose(cluster, &mut proposed, &[(2, "a")]);
    cluster.crash(3);
    let away = ["b", "c", "d", "e", "f", "g"].map(|what| (2, what));
    propose(cluster, &mut proposed, &away);
    // What is not decided when 3 comes back: that goes with the accepted round, all at once.
    cluster.link(1, 2, false);
    propose(cluster, &mut proposed, &["h", "i", "j"].map(|what| (2, what)));
    cluster.start(3);
    cluster.settle();
    cluster.link(1, 2, true);
    cluster.settle();
    proposed
}

/// The only server that reaches a quorum has a log that lags: it adopts, in several parts.
fn late_leader(cluster: &mut Cluster) -> Proposed {
    let mut proposed = Vec::new();
    cluster.lead(1);
    propose(cluster, &mut proposed, &[(1, "a")]);
    cluster.link(1, 2, false);
    propose(cluster, &mut proposed, &["b", "c", "d", "e"].map(|what| (1, what)));
    cluster.link(1, 3, false);
    // Both orders: entries that only 1 has, and a longer tail that only 3 has.
    propose(cluster, &mut proposed, &[(1, "f"), (3, "g")]);
    cluster.lead(3);
    cluster.link(2, 3, false);
    propose(cluster, &mut proposed, &["h", "i", "j"].map(|what| (3, what)));
    for (a, b) in [(1, 2), (1, 3), (2, 3)] {
        cluster.link(a, b, true);
    }
    cluster.lead(2);
    proposed
}

type Story = fn(&mut Cluster) -> Proposed;

/// Tells the story with one fault. Returns how many messages were sent before the ticks.
fn tell(story: Story, config: PaxosConfig, fault: Option<(usize, Fault)>) -> usize {
    let mut cluster = Cluster::new(&[1, 2, 3], config);
    cluster.fault = fault;
    cluster.settle();
    let proposed = story(&mut cluster);
    let sent = cluster.sent;

    let late = std::mem::take(&mut cluster.late);
    cluster.wires.extend(late);
    cluster.settle();
    cluster.run(BOUND);

    for pid in [1, 2, 3] {
        let mut decided = cluster.decided(pid);
        decided.sort_unstable();
        assert_eq!(decided.concat(), "abcdefghij", "server {pid}, {fault:?}");
        assert!(cluster.get(pid).leader().is_some(), "server {pid}, {fault:?}");
    }
    for (pid, id) in proposed {
        let outcome = cluster.servers[&pid].outcomes.get(&id);
        let decided = matches!(outcome, Some(ProposalOutcome::Decided(_)));
        assert!(decided, "{id} ended as {outcome:?}, {fault:?}");
    }
    cluster.run(BOUND);
    let before = cluster.sent;
    cluster.run(4);
    assert!(cluster.sent - before <= 4, "the cluster does not come to rest, {fault:?}");
    sent
}

fn every_message(fault: Fault) {
    for story in [take_over as Story, late_follower, late_leader] {
        for config in [PaxosConfig::default(), tiny()] {
            let sent = tell(story, config.clone(), None);
            assert!(sent > 30, "{sent} messages are no story");
            for at in 0..sent {
                tell(story, config.clone(), Some((at, fault)));
            }
        }
    }
}

#[test]
fn beyond_1_every_message_lost() {
    every_message(Fault::Lost);
}

#[test]
fn beyond_1_every_message_doubled() {
    every_message(Fault::Doubled);
}

#[test]
fn beyond_1_every_message_repeated_at_the_end() {
    every_message(Fault::Repeated);
}

#[test]
fn beyond_1_every_message_late() {
    every_message(Fault::Late);
}
