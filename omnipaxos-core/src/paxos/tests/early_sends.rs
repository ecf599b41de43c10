//! "Beyond" 9: what may leave before the flush of everything handled so far has ended. And flushes
//! under way while the log is cut.

use super::lab::{
    Lab, accept, accept_sync, accepted, ballot, decide, learn, learn_request, message, prepare,
    prepare_req, promise, propose, refuse, sync_request, tiny,
};
use crate::ballot::{Ballot, Leader, NodeId};
use crate::paxos::{Body, PaxosConfig, ProposalOutcome};
use crate::storage::{FinishFlushError, FlushId};

impl Lab {
    /// Hands `body` in; returns what leaves at once, and what only after the flush.
    fn split(&mut self, from: NodeId, body: Body) -> (Vec<&'static str>, Vec<&'static str>) {
        self.paxos.handle_message(message(from, body)).unwrap();
        self.flush_split()
    }

    fn flush_split(&mut self) -> (Vec<&'static str>, Vec<&'static str>) {
        let flush = self.paxos.begin_flush();
        let early = self.paxos.take_sendable().iter().map(|m| m.body.name()).collect();
        if let Some(flush) = flush {
            let id = flush.id();
            self.paxos.finish_flush(id, flush.run()).unwrap();
        }
        (early, self.sent().iter().map(|(_, body)| body.name()).collect())
    }
}

type Names = (Vec<&'static str>, Vec<&'static str>);

fn waits(name: &'static str) -> Names {
    (vec![], vec![name])
}

fn early(name: &'static str) -> Names {
    (vec![name], vec![])
}

#[test]
fn beyond_9_a_followers_word_waits_for_the_flush() {
    let n = ballot(2, 2);
    let mut lab = Lab::new(PaxosConfig::default());
    assert_eq!(lab.split(2, prepare(n, 1, Ballot::default(), 0, 0, None)), waits("Promise"));
    assert_eq!(lab.split(2, accept_sync(n, 1, 0, &["a"], 1, 0)), waits("Accepted"));
    assert_eq!(lab.split(2, accept(n, 1, 1, &["b"], 0)), waits("Accepted"));
    assert_eq!(lab.split(2, accept(n, 1, 2, &["c"], 1)), waits("Accepted"));
    assert_eq!(lab.split(2, decide(n, 1, 2, true)), waits("Accepted"));
    // The refusal names a promise, which has to be durable.
    let prepare_3 = message(3, prepare(ballot(3, 3), 1, Ballot::default(), 0, 0, None));
    lab.paxos.handle_message(prepare_3).unwrap();
    lab.paxos.handle_message(message(2, accept(n, 1, 3, &["d"], 0))).unwrap();
    let (early, late) = lab.flush_split();
    assert_eq!((early.len(), late), (0, vec!["Promise", "Refuse"]));
}

#[test]
fn beyond_9_requests_and_decided_entries_leave_at_once() {
    let n = ballot(2, 2);
    let mut lab = Lab::follower(tiny(), n, &["a", "b"], 2);
    lab.paxos.handle_message(message(2, accept(n, 1, 2, &["c"], 2))).unwrap();
    let flush = lab.paxos.begin_flush().unwrap();
    lab.paxos.handle_message(message(3, learn_request(0))).unwrap();
    lab.paxos.handle_message(message(3, accept(ballot(9, 3), 1, 3, &["x"], 2))).unwrap();
    lab.paxos.propose_normal("p").unwrap();
    let names: Vec<_> = lab.paxos.take_sendable().iter().map(|m| m.body.name()).collect();
    assert_eq!(names, ["Learn", "PrepareReq", "Propose"]);
    lab.paxos.finish_flush(flush.id(), Ok(())).unwrap();

    let mut lab = Lab::follower(tiny(), n, &["a", "b"], 1);
    lab.get(3, prepare(ballot(3, 3), 1, ballot(2, 2), 9, 2, None));
    let part = accept_sync(ballot(3, 3), 1, 2, &["c", "d", "e"], 9, 5);
    assert_eq!(lab.split(3, part), early("SyncRequest"));
    let part = learn(5, &["f", "g"], 9, ballot(3, 3));
    assert_eq!(lab.split(2, part), early("LearnRequest"));
}

#[test]
fn beyond_9_proposals_wait_for_their_session_only() {
    let n = ballot(2, 2);
    let mut lab = Lab::new(PaxosConfig::default());
    lab.restart();
    // Opening began a session; nothing of it may leave before a flush says so.
    let disk = lab.paxos.clone().into_storage();
    let config = PaxosConfig::default();
    let mut paxos =
        crate::paxos::Paxos::try_with(super::cluster::CONFIG, 1, vec![2, 3], disk, config).unwrap();
    paxos.handle_message(message(2, prepare(n, 1, Ballot::default(), 0, 0, None))).unwrap();
    paxos.handle_message(message(2, accept_sync(n, 1, 0, &[], 0, 0))).unwrap();
    paxos.propose_normal("a").unwrap();
    let flush = paxos.begin_flush().unwrap();
    let names = |paxos: &mut super::cluster::Replica| -> Vec<&'static str> {
        paxos.take_sendable().iter().map(|m| m.body.name()).collect()
    };
    assert_eq!(names(&mut paxos), ["PrepareReq", "PrepareReq"]);
    paxos.finish_flush(flush.id(), Ok(())).unwrap();
    assert_eq!(names(&mut paxos), ["Promise", "Accepted", "Propose"]);
}

#[test]
fn beyond_9_a_leader_sends_accepts_before_its_own_flush() {
    let n = ballot(5, 1);
    let mut lab = Lab::new(PaxosConfig::default());
    lab.paxos.handle_leader(Leader::new(n));
    assert_eq!(lab.flush_split(), (vec![], vec!["Prepare", "Prepare"]));
    let none = Ballot::default();
    assert_eq!(lab.split(2, promise(n, 1, none, 0, 0, &[])), early("AcceptSync"));
    assert_eq!(lab.split(2, propose(1, &["a"])), early("Accept"));
    assert_eq!(lab.split(2, accepted(n, 1, 1, 0)), early("Decide"));
    assert_eq!(lab.split(2, prepare_req(none)), (vec!["Prepare"], vec![]), "nothing to flush");
    // A Prepare speaks of the log, which has to be durable.
    lab.get(2, promise(n, 2, n, 1, 1, &[]));
    lab.paxos.handle_message(message(2, propose(2, &["b"]))).unwrap();
    assert_eq!(lab.split(3, prepare_req(none)), (vec!["Accept"], vec!["Prepare"]));
}

#[test]
fn beyond_9_parts_of_a_sync_leave_before_the_flush() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(tiny(), n, &["a", "b", "c", "d"]);
    lab.get(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
    lab.paxos.propose_normal("e").unwrap();
    let flush = lab.paxos.begin_flush().unwrap();
    lab.paxos.handle_message(message(3, sync_request(n, 1, 3))).unwrap();
    assert!(lab.paxos.take_sendable().iter().any(|m| m.body.name() == "AcceptSync"));
    lab.paxos.finish_flush(flush.id(), Ok(())).unwrap();
}

#[test]
fn beyond_9_the_leaders_own_acceptance_counts_after_its_flush() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(PaxosConfig::default(), n, &[]);
    lab.paxos.handle_message(message(2, propose(1, &["a"]))).unwrap();
    let flush = lab.paxos.begin_flush().unwrap();
    lab.paxos.take_sendable();
    lab.paxos.handle_message(message(2, accepted(n, 1, 1, 0))).unwrap();
    assert_eq!(lab.paxos.decided_index(), 0, "one durable copy is no quorum");
    lab.paxos.finish_flush(flush.id(), Ok(())).unwrap();
    assert_eq!(lab.paxos.decided_index(), 1);
}

/// A quorum without the leader decides; the leader hands the entry out once it has it durably.
#[test]
fn beyond_9_a_quorum_without_the_leader_decides() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(PaxosConfig::default(), n, &[]);
    lab.get(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
    let id = lab.paxos.propose_normal("a").unwrap();
    let flush = lab.paxos.begin_flush().unwrap();
    lab.paxos.take_sendable();
    for peer in [2, 3] {
        lab.paxos.handle_message(message(peer, accepted(n, 1, 1, 0))).unwrap();
    }
    assert_eq!(lab.paxos.decided_index(), 1);
    assert_eq!(lab.paxos.take_outcomes(), [(id, ProposalOutcome::Decided(0))]);
    assert_eq!(lab.paxos.get_decided_entries(), []);
    lab.paxos.finish_flush(flush.id(), Ok(())).unwrap();
    assert_eq!(lab.paxos.get_decided_entries().len(), 1);
}

/// ABA: the flush under way holds entries of an old round that were replaced meanwhile.
#[test]
fn a_flush_does_not_count_entries_that_were_replaced_meanwhile() {
    let old = ballot(2, 2);
    let mut lab = Lab::follower(PaxosConfig::default(), old, &["a"], 0);
    lab.paxos.handle_message(message(2, accept(old, 1, 1, &["b", "c"], 0))).unwrap();
    let flush = lab.paxos.begin_flush().unwrap();
    let n = ballot(3, 3);
    lab.paxos.handle_message(message(3, prepare(n, 1, n, 0, 0, None))).unwrap();
    lab.paxos.handle_message(message(3, accept_sync(n, 1, 1, &["x", "y", "z"], 4, 3))).unwrap();
    lab.paxos.finish_flush(flush.id(), Ok(())).unwrap();
    let durable = *lab.paxos.replica.storage.flushes().durable();
    assert_eq!((durable.end, durable.accepted_round), (1, old));
    assert_eq!(lab.paxos.get_decided_entries().len(), 1, "x and y are not durable yet");
    let sent: Vec<_> = lab.paxos.take_sendable().iter().map(|m| m.body.name()).collect();
    assert_eq!(sent, ["Accepted"], "of the old round, which was durable");
    assert_eq!(lab.sent().len(), 2);
    assert_eq!(lab.paxos.get_decided_entries().len(), 2);
}

#[test]
fn only_the_flush_under_way_can_end() {
    let n = ballot(2, 2);
    let mut lab = Lab::follower(PaxosConfig::default(), n, &["a"], 0);
    let none = FlushId::default();
    let refused = |id| Err(FinishFlushError::NotUnderWay(id));
    assert_eq!(lab.paxos.finish_flush(none, Ok(())), refused(none));
    lab.paxos.handle_message(message(2, accept(n, 1, 1, &["b"], 0))).unwrap();
    let flush = lab.paxos.begin_flush().unwrap();
    assert!(lab.paxos.begin_flush().is_none(), "one at a time");
    let id = flush.id();
    let before = lab.paxos.clone();
    assert_eq!(lab.paxos.finish_flush(none, Ok(())), refused(none));
    assert_eq!(lab.paxos, before);
    lab.paxos.finish_flush(id, flush.run()).unwrap();
    assert_eq!(lab.paxos.finish_flush(id, Ok(())), refused(id), "twice");
    assert!(lab.paxos.begin_flush().is_none(), "nothing to write");
}

/// What is written while a flush is under way goes with the next one, and so does what says it.
#[test]
fn a_message_waits_for_the_flush_that_covers_it() {
    let n = ballot(2, 2);
    let mut lab = Lab::follower(PaxosConfig::default(), n, &["a"], 0);
    lab.paxos.handle_message(message(2, accept(n, 1, 1, &["b"], 0))).unwrap();
    let first = lab.paxos.begin_flush().unwrap();
    lab.paxos.handle_message(message(2, accept(n, 1, 2, &["c"], 0))).unwrap();
    assert_eq!(lab.paxos.take_sendable(), []);
    lab.paxos.finish_flush(first.id(), Ok(())).unwrap();
    let accepted_in = |lab: &mut Lab| -> Vec<Body> {
        lab.paxos.take_sendable().into_iter().map(|m| m.body).collect()
    };
    assert_eq!(accepted_in(&mut lab), [accepted(n, 1, 2, 0)]);
    let second = lab.paxos.begin_flush().unwrap();
    lab.paxos.finish_flush(second.id(), Ok(())).unwrap();
    assert_eq!(accepted_in(&mut lab), [accepted(n, 1, 3, 0)]);
    assert_eq!(lab.get(2, refuse(ballot(1, 1), ballot(2, 2))), []);
}
