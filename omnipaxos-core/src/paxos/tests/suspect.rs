//! S1-S4 at the suspect replica: one message at a time.

use super::cluster::CONFIG;
use super::lab::{
    Lab, ME, accept, accept_sync, accepted, ballot, learn, learn_request, names, prepare, records,
    refuse,
};
use crate::ballot::{Ballot, Leader, NodeId};
use crate::paxos::{
    Body, Paxos, PaxosConfig, Promise, RecoverReply, RecoverRequest, RecoveryStage,
};
use crate::storage::{MemorySequence, MemoryState, PaxosState, Sequence, State, Storage};

/// What the first question after [`suspect`] is called: its session is 5.
const NONCE: u64 = 5 << 32;

/// A replica that was in sync with leader 3 in round 4, with entries a and b, the first decided,
/// when its next flush went missing.
fn suspect() -> Lab {
    suspect_with(PaxosConfig::default())
}

fn suspect_with(config: PaxosConfig) -> Lab {
    let mut log = MemorySequence::new();
    log.append(records(1, &["a", "b"])).unwrap();
    let mut state = MemoryState::new();
    let round = ballot(4, 3);
    let lost = State {
        promised: round,
        accepted_round: round,
        decided: 1,
        decided_round: round,
        session: 4,
        recovering: true,
        suspect_session: 4,
        ..State::default()
    };
    state.store(&lost).unwrap();
    let disk = Storage::with(log, state);
    let paxos = Paxos::try_with(CONFIG, ME, vec![2, 3], disk, config).unwrap();
    Lab { paxos }
}

/// The same, after its first questions.
fn asking() -> Lab {
    let mut lab = suspect();
    lab.sent();
    lab
}

/// The same, once all have answered; leader 3 of round 6 has begun attempt 2.
fn bound() -> Lab {
    let mut lab = asking();
    lab.get(2, reply(NONCE, ballot(5, 2), None));
    lab.get(3, reply(NONCE, ballot(6, 3), Some(2)));
    lab
}

fn ask(to: NodeId, nonce: u64) -> (NodeId, Body) {
    (to, Body::RecoverRequest(RecoverRequest { nonce }))
}

fn reply(nonce: u64, promised: Ballot, attempt: Option<u64>) -> Body {
    Body::RecoverReply(RecoverReply { nonce, promised, attempt, suspect_session: None })
}

fn suspect_reply(nonce: u64, promised: Ballot, session: u64) -> Body {
    let suspect_session = Some(session);
    Body::RecoverReply(RecoverReply { nonce, promised, attempt: None, suspect_session })
}

fn promise_of(sent: &[(NodeId, Body)]) -> &Promise {
    match sent {
        [(_, Body::Promise(promise))] => promise,
        other => panic!("{other:?}"),
    }
}

fn missing(lab: &Lab) -> Vec<NodeId> {
    match lab.paxos.recovery() {
        Some(RecoveryStage::Asking { missing }) => missing,
        other => panic!("{other:?}"),
    }
}

#[test]
fn s1_it_asks_every_member_once_its_session_is_durable() {
    let mut lab = suspect();
    assert!(lab.paxos.is_recovering());
    assert_eq!(missing(&lab), [2, 3]);
    assert_eq!(lab.paxos.take_sendable(), []);
    assert_eq!(lab.sent(), [ask(2, NONCE), ask(3, NONCE)]);
}

#[test]
fn s1_it_asks_again_at_a_bounded_rate() {
    let mut lab = asking();
    let resend = lab.paxos.replica.limits.resend_ticks;
    let sent = lab.ticks(resend * 3);
    let asked = sent.iter().filter(|(_, body)| matches!(body, Body::RecoverRequest(_))).count();
    assert_eq!(asked, 6);
    assert!(!names(&sent).iter().any(|(_, name)| *name == "PrepareReq"));
}

#[test]
fn s1_after_a_restart_answers_to_the_earlier_question_are_stale() {
    let mut lab = asking();
    lab.get(2, reply(NONCE, ballot(5, 2), None));
    assert_eq!(missing(&lab), [3]);
    lab.restart();
    assert!(lab.paxos.is_recovering());
    assert_eq!(missing(&lab), [2, 3]);
    lab.ignores(3, reply(NONCE, ballot(6, 3), Some(2)));
    lab.get(3, reply(6 << 32, ballot(6, 3), Some(2)));
    assert_eq!(missing(&lab), [2]);
}

#[test]
fn s3_nothing_is_promised_before_all_have_answered() {
    let mut lab = asking();
    lab.get(3, reply(NONCE, ballot(6, 3), Some(2)));
    lab.get(3, reply(NONCE, ballot(6, 3), Some(2)));
    assert_eq!(missing(&lab), [2]);
    let sent = lab.get(3, prepare(ballot(6, 3), 2, ballot(4, 3), 2, 1, None));
    assert_eq!(sent, [ask(3, NONCE)], "it asks, and promises nothing");
    assert_eq!(lab.state().promised, ballot(4, 3));
    // Once a tick is enough.
    assert_eq!(lab.get(3, prepare(ballot(6, 3), 2, ballot(4, 3), 2, 1, None)), []);
}

#[test]
fn s3_the_highest_answer_is_promised() {
    let mut lab = asking();
    lab.get(3, reply(NONCE, ballot(6, 3), None));
    lab.get(2, reply(NONCE, ballot(5, 2), None));
    assert_eq!(lab.state().promised, ballot(6, 3));
    assert_eq!(lab.paxos.recovery(), Some(RecoveryStage::Leader { bound: ballot(6, 3) }));
    assert!(lab.paxos.is_recovering());
    // Its own promise may be the highest one.
    let mut lab = asking();
    lab.get(3, reply(NONCE, ballot(3, 3), None));
    lab.get(2, reply(NONCE, ballot(2, 2), None));
    assert_eq!(lab.paxos.recovery(), Some(RecoveryStage::Leader { bound: ballot(4, 3) }));
}

#[test]
fn s3_a_leader_below_the_bound_is_refused() {
    let mut lab = asking();
    lab.get(2, reply(NONCE, ballot(5, 2), Some(2)));
    lab.get(3, reply(NONCE, ballot(6, 3), None));
    let sent = lab.get(2, prepare(ballot(5, 2), 2, ballot(4, 3), 2, 1, None));
    assert_eq!(sent, [(2, refuse(ballot(5, 2), ballot(6, 3)))]);
    let sent = lab.get(2, accept_sync(ballot(5, 2), 2, 1, &["b", "c"], 3, 1));
    assert_eq!(sent, [(2, refuse(ballot(5, 2), ballot(6, 3)))]);
    assert!(lab.paxos.is_recovering());
}

#[test]
fn s3_s4_a_fresh_attempt_brings_its_vote_back_in_one_flush() {
    let mut lab = bound();
    let n = ballot(6, 3);
    let sent = lab.get(3, prepare(n, 2, n, 4, 1, None));
    let promise = promise_of(&sent);
    assert!(promise.recovering);
    assert_eq!((promise.n, promise.s, promise.accepted_round), (n, 2, ballot(4, 3)));
    assert!(lab.paxos.is_recovering());

    let sync = accept_sync(n, 2, 1, &["x", "y", "z"], 4, 1);
    lab.paxos.handle_message(super::lab::message(3, sync)).unwrap();
    assert_eq!(lab.paxos.take_sendable(), [], "nothing counts before it is durable");
    assert_eq!(lab.sent(), [(3, accepted(n, 2, 4, 1))]);
    lab.assert_log(&["a", "x", "y", "z"], 1);
    assert!(!lab.paxos.is_recovering());
    let state = lab.state();
    assert_eq!((state.promised, state.accepted_round, state.recovering), (n, n, false));
    lab.restart();
    assert!(!lab.paxos.is_recovering());
    // From now on its promises count.
    let m = ballot(7, 2);
    assert!(!lab.prepare(m, 1, n, 4).recovering);
}

#[test]
fn s4_it_recovers_where_its_accepted_round_is_the_leader_s() {
    let mut lab = asking();
    let n = ballot(4, 3);
    lab.get(2, reply(NONCE, n, None));
    lab.get(3, reply(NONCE, n, Some(7)));
    lab.get(3, prepare(n, 7, n, 3, 1, None));
    assert_eq!(lab.get(3, accept_sync(n, 7, 2, &["c"], 3, 1)), [(3, accepted(n, 7, 3, 1))]);
    assert!(!lab.state().recovering);
    lab.restart();
    assert!(!lab.paxos.is_recovering());
}

#[test]
fn s3_attempts_from_before_the_loss_are_not_answered() {
    // Its lost flush may have accepted more in attempt 1 than this AcceptSync shows.
    let mut lab = bound();
    let n = ballot(6, 3);
    assert_eq!(lab.get(3, prepare(n, 1, n, 2, 1, None)), [ask(3, NONCE)]);
    lab.get(3, accept_sync(n, 1, 1, &["x"], 2, 1));
    assert!(lab.paxos.is_recovering());
    lab.assert_log(&["a", "b"], 1);
    // Later attempts than the one that was told are fresh, too.
    assert!(promise_of(&lab.get(3, prepare(n, 3, n, 2, 1, None))).recovering);
}

/// Every attempt since the first answer was begun after the loss; a later answer takes nothing
/// back.
#[test]
fn s3_each_attempt_since_the_first_answer_will_do() {
    let mut lab = bound();
    lab.get(3, reply(NONCE, ballot(6, 3), Some(3)));
    let sent = lab.get(3, prepare(ballot(6, 3), 2, ballot(4, 3), 2, 1, None));
    assert_eq!(promise_of(&sent).s, 2);
    let sent = lab.get(3, prepare(ballot(6, 3), 3, ballot(4, 3), 2, 1, None));
    assert_eq!(promise_of(&sent).s, 3);
}

#[test]
fn s3_accepts_and_parts_out_of_sync_are_not_taken() {
    let mut lab = bound();
    let n = ballot(6, 3);
    assert_eq!(lab.get(3, accept(n, 2, 2, &["c"], 2)), [ask(3, NONCE)]);
    lab.assert_log(&["a", "b"], 1);
    assert!(lab.paxos.is_recovering());
}

#[test]
fn s3_a_leader_that_has_not_heard_of_the_loss_is_asked() {
    let mut lab = bound();
    let n = ballot(8, 2);
    assert_eq!(lab.get(2, prepare(n, 1, ballot(6, 3), 2, 1, None)), [ask(2, NONCE)]);
    lab.get(2, reply(NONCE, n, Some(2)));
    assert!(promise_of(&lab.get(2, prepare(n, 2, ballot(6, 3), 2, 1, None))).recovering);
}

#[test]
fn s3_the_prepare_may_overtake_the_answer() {
    let mut lab = asking();
    let n = ballot(6, 3);
    lab.get(2, reply(NONCE, ballot(5, 2), None));
    lab.get(3, prepare(n, 2, n, 2, 1, None));
    lab.get(3, reply(NONCE, n, Some(2)));
    // The leader repeats it.
    assert!(promise_of(&lab.get(3, prepare(n, 2, n, 2, 1, None))).recovering);
}

#[test]
fn s3_a_restart_after_the_promise_begins_again() {
    let mut lab = bound();
    let n = ballot(6, 3);
    lab.get(3, prepare(n, 2, n, 2, 1, None));
    lab.restart();
    lab.get(3, accept_sync(n, 2, 1, &["x"], 2, 1));
    assert!(lab.paxos.is_recovering());
    lab.assert_log(&["a", "b"], 1);
    assert_eq!(missing(&lab), [2, 3]);
}

#[test]
fn s3_when_a_peer_is_suspect_all_are_asked_once_more() {
    let mut lab = asking();
    lab.get(2, reply(NONCE, ballot(5, 2), None));
    let sent = lab.get(3, suspect_reply(NONCE, ballot(6, 3), 9));
    assert_eq!(sent, [ask(2, NONCE + 1), ask(3, NONCE + 1)]);
    assert_eq!(missing(&lab), [2, 3]);
    // Repeated, it is late.
    lab.ignores(3, suspect_reply(NONCE, ballot(6, 3), 9));
    lab.ignores(2, reply(NONCE, ballot(5, 2), None));
    lab.get(3, suspect_reply(NONCE + 1, ballot(6, 3), 9));
    // Two of three: what both forgot may be nowhere.
    let suspects = vec![1, 3];
    assert_eq!(lab.paxos.recovery(), Some(RecoveryStage::QuorumSuspect { suspects }));
    lab.get(2, reply(NONCE + 1, ballot(5, 2), None));
    assert_eq!(lab.state().promised, ballot(4, 3));
    assert!(lab.paxos.is_recovering());
    // The other one has lost a flush once more.
    let sent = lab.get(3, suspect_reply(NONCE + 1, ballot(6, 3), 11));
    assert_eq!(sent, [ask(2, NONCE + 2), ask(3, NONCE + 2)]);
    // And recovers, or its operator vouches for it.
    lab.get(3, suspect_reply(NONCE + 2, ballot(6, 3), 11));
    lab.get(3, reply(NONCE + 2, ballot(6, 3), None));
    lab.get(2, reply(NONCE + 2, ballot(5, 2), None));
    assert_eq!(lab.paxos.recovery(), Some(RecoveryStage::Leader { bound: ballot(6, 3) }));
}

#[test]
fn s3_a_true_answer_stays_good_when_its_sender_becomes_suspect() {
    let mut lab = asking();
    lab.get(2, reply(NONCE, ballot(5, 2), None));
    lab.ignores(2, suspect_reply(NONCE, ballot(4, 3), 9));
    lab.get(3, reply(NONCE, ballot(6, 3), Some(2)));
    assert_eq!(lab.paxos.recovery(), Some(RecoveryStage::Leader { bound: ballot(6, 3) }));
    lab.ignores(3, suspect_reply(NONCE, ballot(6, 3), 9));
}

#[test]
fn s3_a_round_of_nobody_is_refused() {
    let mut lab = asking();
    let reason = lab.refuses(2, reply(NONCE, ballot(5, 9), None));
    assert_eq!(reason, "a round of a server that does not vote");
    // Who has promised nothing says so.
    lab.get(2, reply(NONCE, Ballot::default(), None));
    assert_eq!(missing(&lab), [3]);
}

#[test]
fn s3_only_the_owner_of_a_round_tells_its_attempt() {
    let mut lab = asking();
    lab.get(2, reply(NONCE, ballot(6, 3), Some(1)));
    lab.get(3, reply(NONCE, ballot(6, 3), None));
    let n = ballot(6, 3);
    assert_eq!(lab.get(3, prepare(n, 1, n, 2, 1, None)), [ask(3, NONCE)]);
}

#[test]
fn s3_it_never_leads() {
    let mut lab = bound();
    let before = lab.paxos.clone();
    lab.paxos.handle_leader(Leader::new(ballot(9, ME)));
    assert_eq!(lab.paxos, before);
    assert_eq!(lab.sent(), []);
}

#[test]
fn s3_it_learns_and_serves_what_is_decided() {
    let mut lab = asking();
    lab.get(2, learn(1, &["x", "y"], 3, ballot(5, 2)));
    lab.assert_log(&["a", "x", "y"], 3);
    assert!(lab.paxos.is_recovering());
    let served = learn(0, &["a", "x", "y"], 3, ballot(5, 2));
    assert_eq!(lab.get(2, learn_request(0)), [(2, served)]);
    assert_eq!(lab.paxos.get_decided_entries().len(), 3);
}

#[test]
fn s3_a_sealed_log_needs_no_vote() {
    let mut lab = asking();
    lab.get(2, learn(1, &["x", "STOP"], 3, ballot(5, 2)));
    assert!(lab.paxos.stop_sign().is_some());
    assert!(lab.paxos.is_recovering());
}

#[test]
fn s3_its_proposals_are_forwarded() {
    let mut lab = bound();
    lab.paxos.handle_leader(Leader::new(ballot(8, 3)));
    lab.paxos.propose_normal("mine").unwrap();
    let sent = lab.ticks(10);
    assert!(names(&sent).contains(&(3, "Propose")), "{sent:?}");
}

#[test]
fn s2_a_suspect_one_says_so() {
    let mut lab = asking();
    let promised = ballot(4, 3);
    let sent = lab.get(2, Body::RecoverRequest(RecoverRequest { nonce: 77 }));
    assert_eq!(sent, [(2, suspect_reply(77, promised, 4))]);
}

#[test]
fn a_single_suspect_server_waits_for_its_operator() {
    let mut state = MemoryState::new();
    state.store(&State { session: 1, recovering: true, ..State::default() }).unwrap();
    let start = |disk| Paxos::try_with(CONFIG, ME, vec![], disk, PaxosConfig::default()).unwrap();
    let mut paxos = start(Storage::with(MemorySequence::new(), state));
    let suspects = vec![ME];
    assert_eq!(paxos.recovery(), Some(RecoveryStage::QuorumSuspect { suspects }));
    paxos.handle_leader(Leader::new(ballot(1, ME)));
    paxos.propose_normal("a").unwrap();
    for _ in 0..100 {
        paxos.tick();
        paxos.get_outgoing_msgs();
    }
    assert_eq!((paxos.decided_index(), paxos.is_leader()), (0, false));

    let mut paxos = start(paxos.into_storage().trust_suspect());
    assert_eq!(paxos.recovery(), None);
    paxos.handle_leader(Leader::new(ballot(1, ME)));
    paxos.propose_normal("a").unwrap();
    for _ in 0..3 {
        paxos.get_outgoing_msgs();
    }
    assert_eq!(paxos.decided_index(), 1);
    assert!(!start(paxos.into_storage()).is_recovering());
}

/// Only those that vote have to answer, and only they make a quorum suspect.
#[test]
fn s3_learners_are_not_waited_for() {
    let with = |learner| PaxosConfig { learners: vec![learner], ..PaxosConfig::default() };
    let mut lab = suspect_with(with(2));
    lab.sent();
    lab.get(2, suspect_reply(NONCE, ballot(5, 3), 3));
    assert_eq!(missing(&lab), [3]);
    lab.get(3, reply(NONCE + 1, ballot(6, 3), Some(2)));
    assert_eq!(lab.paxos.recovery(), Some(RecoveryStage::Leader { bound: ballot(6, 3) }));
    let mut lab = suspect_with(with(ME));
    lab.sent();
    lab.get(3, suspect_reply(NONCE, ballot(6, 3), 3));
    lab.get(3, suspect_reply(NONCE + 1, ballot(6, 3), 3));
    lab.get(2, reply(NONCE + 1, ballot(6, 3), None));
    assert_eq!(lab.paxos.recovery(), Some(RecoveryStage::Leader { bound: ballot(6, 3) }));
}
