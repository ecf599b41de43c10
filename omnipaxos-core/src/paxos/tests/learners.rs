//! Members that get the log and do not vote.

use super::cluster::{CONFIG, Cluster};
use super::lab::{Lab, ME, accept_sync, accepted, ballot, learn, prepare, promise, refuse};
use crate::ballot::{Ballot, Leader, NodeId};
use crate::paxos::{Body, Paxos, PaxosConfig, StartError};
use crate::quorum::{Quorum, QuorumError};
use crate::storage::{MemorySequence, MemoryState, Storage};

fn with(learners: &[NodeId]) -> PaxosConfig {
    PaxosConfig { learners: learners.to_vec(), ..PaxosConfig::default() }
}

#[test]
fn impossible_learners_are_refused() {
    let start = |config: PaxosConfig| {
        let disk = Storage::with(MemorySequence::new(), MemoryState::new());
        Paxos::try_with(CONFIG, 1, vec![2, 3], disk, config).map(drop)
    };
    assert_eq!(start(with(&[3, 3])), Err(StartError::DuplicatePid(3)));
    assert_eq!(start(with(&[4])), Err(StartError::UnknownLearner(4)));
    assert_eq!(start(with(&[3, 1, 2])), Err(StartError::NoVoter));
    assert_eq!(start(with(&[3, 1])), Ok(()));
    // Quorums are of those that vote.
    let quorum = Quorum::flexible(3, 1, 3).unwrap();
    let refused = start(PaxosConfig { quorum: Some(quorum), ..with(&[3]) });
    assert_eq!(refused, Err(StartError::Quorum(QuorumError::Size { size: 3, servers: 2 })));
}

/// Three that vote and two that learn: one of the first may be gone, or both of the others, and no
/// learner stands in for the second.
#[test]
fn learners_get_the_log_and_decide_nothing() {
    let mut cluster = Cluster::new(&[1, 2, 3, 4, 5], with(&[4, 5]));
    cluster.lead(1);
    cluster.propose(1, "a");
    cluster.propose(4, "b");
    cluster.settle();
    cluster.assert_decided(&[1, 2, 3, 4, 5], &["a", "b"]);
    assert_eq!(cluster.get(4).leader(), Some(1));
    cluster.crash(3);
    cluster.propose(1, "c");
    cluster.settle();
    cluster.assert_decided(&[1, 2, 4, 5], &["a", "b", "c"]);
    cluster.crash(2);
    cluster.propose(5, "d");
    cluster.run(100);
    cluster.assert_decided(&[1, 4, 5], &["a", "b", "c"]);
    // Nor can a leader be prepared with them.
    cluster.crash(1);
    cluster.start(2);
    cluster.lead(2);
    cluster.run(100);
    assert!(!cluster.get(2).is_leader());
    cluster.start(3);
    cluster.run(100);
    assert!(cluster.get(2).is_leader());
    cluster.assert_decided(&[2, 3, 4, 5], &["a", "b", "c", "d"]);
    cluster.crash(4);
    cluster.crash(5);
    cluster.propose(3, "e");
    cluster.settle();
    cluster.assert_decided(&[2, 3], &["a", "b", "c", "d", "e"]);
}

/// A restart of a learner, and a change of leaders, find it again.
#[test]
fn learners_follow_each_leader() {
    let mut cluster = Cluster::new(&[1, 2, 3, 4], with(&[4]));
    cluster.lead(1);
    cluster.crash(4);
    cluster.propose(1, "a");
    cluster.settle();
    cluster.lead(2);
    cluster.start(4);
    cluster.settle();
    assert_eq!(cluster.get(4).leader(), Some(2));
    cluster.propose(4, "b");
    cluster.settle();
    cluster.assert_decided(&[1, 2, 3, 4], &["a", "b"]);
}

/// What a learner has not decided is not trimmed.
#[test]
fn learners_count_for_trimming() {
    let mut cluster = Cluster::new(&[1, 2, 3, 4], with(&[4]));
    cluster.lead(1);
    cluster.link(1, 4, false);
    cluster.propose(1, "a");
    cluster.run(20);
    assert!(cluster.get(1).trim(1).is_err());
    cluster.link(1, 4, true);
    cluster.run(60);
    cluster.get(1).trim(1).unwrap();
}

#[test]
fn no_learner_is_elected() {
    let mut lab = Lab::new(with(&[ME]));
    let before = lab.clone();
    lab.paxos.handle_leader(Leader::new(ballot(5, ME)));
    assert_eq!(lab, before);
    let mut lab = Lab::new(with(&[3]));
    let before = lab.clone();
    lab.paxos.handle_leader(Leader::new(ballot(5, 3)));
    assert_eq!(lab, before);
}

/// No honest learner owns a round.
#[test]
fn rounds_of_learners_are_impossible() {
    let mut lab = Lab::new(with(&[3]));
    let n = ballot(5, 3);
    let reason = "a round of a server that does not vote";
    assert_eq!(lab.refuses(3, prepare(n, 1, Ballot::default(), 0, 0, None)), reason);
    assert_eq!(lab.refuses(3, accept_sync(n, 1, 0, &["a"], 1, 1)), reason);
    assert_eq!(lab.refuses(2, learn(0, &["a"], 1, n)), reason);
}

/// Promises, acceptances and refusals of a learner, early and late, repeated or alone.
#[test]
fn messages_of_learners_are_in_no_quorum() {
    let (n, none) = (ballot(5, ME), Ballot::default());
    let mut lab = Lab::candidate(with(&[3]), n);
    // Two vote: both have to promise.
    lab.get(3, promise(n, 1, none, 0, 0, &[]));
    lab.get(3, promise(n, 1, ballot(4, 2), 1, 0, &["learned"]));
    assert!(!lab.paxos.is_leader());
    lab.get(2, promise(n, 1, none, 0, 0, &[]));
    assert!(lab.paxos.is_leader());
    lab.assert_log(&[], 0);
    let id = lab.paxos.propose_normal("a").unwrap();
    lab.sent();
    lab.get(3, accepted(n, 1, 0, 0));
    lab.get(3, accepted(n, 1, 1, 0));
    lab.assert_log(&["a"], 0);
    lab.get(2, accepted(n, 1, 1, 0));
    lab.assert_log(&["a"], 1);
    assert_eq!(lab.paxos.take_outcomes().len(), 1, "{id}");
    // Whatever it refuses, the leader leads on while those that vote answer.
    lab.get(3, refuse(n, ballot(6, 2)));
    assert!(lab.paxos.is_leader());
    for _ in 0..300 {
        let sent = lab.ticks(1);
        if sent.iter().any(|(to, body)| *to == 2 && matches!(body, Body::Decide(_))) {
            lab.get(2, accepted(n, 1, 1, 1));
        }
    }
    assert!(lab.paxos.is_leader());
    lab.get(2, refuse(n, ballot(6, 2)));
    assert!(!lab.paxos.is_leader());
}
