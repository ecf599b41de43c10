//! Lines L1-L5 of docs/PROTOCOL.md, one replica and its messages at a time.

use super::lab::{
    Lab, accepted, ballot, decide, gap, message, names, prepare, prepare_req, promise, propose,
    records_of, sync_request, tiny,
};
use crate::ballot::{Ballot, Leader};
use crate::paxos::{Accept, AcceptSync, Body, PaxosConfig, ProposalOutcome, Propose};
use crate::quorum::Quorum;

fn config() -> PaxosConfig {
    PaxosConfig::default()
}

fn accept_sync_in(sent: &[(u64, Body)]) -> &AcceptSync {
    match sent {
        [(_, Body::AcceptSync(m)), ..] => m,
        other => panic!("{other:?}"),
    }
}

fn accepts_in(sent: &[(u64, Body)]) -> Vec<(u64, &Accept)> {
    let accepts = sent.iter().filter_map(|(to, body)| match body {
        Body::Accept(m) => Some((*to, m)),
        _ => None,
    });
    accepts.collect()
}

/// Has accepted `log` from 2 in round 2, one entry of it decided, and leads 5 in phase Prepare.
fn candidate_with(log: &[&str]) -> Lab {
    let mut lab = Lab::follower(config(), ballot(2, 2), log, 1);
    lab.paxos.handle_leader(Leader::new(ballot(5, 1)));
    lab.sent();
    lab
}

#[test]
fn l1_prepares_everyone_once_its_own_promise_is_durable() {
    let mut lab = Lab::follower(config(), ballot(2, 2), &["a", "b"], 1);
    let n = ballot(5, 1);
    lab.paxos.handle_leader(Leader::new(n));
    assert_eq!(lab.paxos.promised(), n);
    assert!(!lab.paxos.is_leader());
    assert_eq!(lab.paxos.take_sendable(), []);
    let expected = prepare(n, 1, ballot(2, 2), 2, 1, None);
    assert_eq!(lab.sent(), [(2, expected.clone()), (3, expected)]);
}

#[test]
fn l1_stale_repeated_and_foreign_leader_events_change_nothing() {
    let mut lab = Lab::leader(config(), ballot(5, 1), &["a"]);
    let before = lab.paxos.clone();
    for n in [ballot(5, 1), ballot(4, 1), ballot(4, 2), ballot(9, 4), Ballot::default()] {
        lab.paxos.handle_leader(Leader::new(n));
        assert_eq!(lab.paxos, before, "{n}");
    }
}

#[test]
fn l1_a_leader_of_whom_another_is_elected_follows_but_promises_nothing() {
    let mut lab = Lab::leader(config(), ballot(5, 1), &["a"]);
    lab.paxos.handle_leader(Leader::new(ballot(6, 2)));
    assert_eq!(lab.paxos.leader(), None);
    assert_eq!(lab.paxos.promised(), ballot(5, 1));
    lab.assert_log(&["a"], 0);
}

#[test]
fn l1_proposals_wait_for_phase_accept() {
    let mut lab = Lab::candidate(config(), ballot(5, 1));
    lab.paxos.propose_normal("a").unwrap();
    assert_eq!(lab.sent(), []);
    assert_eq!(lab.get(2, propose(1, &["lost"])), []);
    lab.assert_log(&[], 0);
    lab.get(2, promise(ballot(5, 1), 1, Ballot::default(), 0, 0, &[]));
    lab.assert_log(&["a"], 0);
}

#[test]
fn l2_adopts_a_log_of_a_higher_round_from_the_own_decided_index_on() {
    let mut lab = candidate_with(&["a", "b", "c"]);
    let sent = lab.get(3, promise(ballot(5, 1), 1, ballot(3, 3), 2, 1, &["x"]));
    lab.assert_log(&["a", "x"], 1);
    assert_eq!(lab.state().accepted_round, ballot(5, 1));
    let sync = accept_sync_in(&sent);
    assert_eq!((sync.start, sync.end, sync.decided, sync.suffix.len()), (2, 2, 1, 0));
}

#[test]
fn l2_appends_what_it_lacks_of_a_log_of_its_own_round() {
    let mut lab = candidate_with(&["a", "b"]);
    let sent = lab.get(3, promise(ballot(5, 1), 1, ballot(2, 2), 4, 1, &["c", "d"]));
    lab.assert_log(&["a", "b", "c", "d"], 1);
    assert_eq!(accept_sync_in(&sent).start, 4);
}

/// The usual take-over: the same round, and a follower that was told more of what is decided.
#[test]
fn l2_a_promise_that_shows_all_that_is_lacking_is_adopted_at_once() {
    let mut lab = candidate_with(&["a", "b"]);
    let sent = lab.get(3, promise(ballot(5, 1), 1, ballot(2, 2), 3, 3, &["c"]));
    assert_eq!(names(&sent), [(3, "AcceptSync")]);
    lab.assert_log(&["a", "b", "c"], 1);
    assert!(lab.paxos.is_leader());
}

/// A repeated Promise comes without the suffix of the first one, which still counts.
#[test]
fn l2_a_repeated_promise_takes_nothing_back() {
    let quorum = Some(Quorum::flexible(3, 1, 3).unwrap());
    let n = ballot(5, 1);
    let mut lab = Lab::candidate(PaxosConfig { quorum, ..config() }, n);
    lab.get(2, promise(n, 1, ballot(3, 2), 2, 0, &["a", "b"]));
    lab.get(2, promise(n, 1, ballot(3, 2), 2, 0, &[]));
    lab.get(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
    assert!(lab.paxos.is_leader());
    lab.assert_log(&["a", "b"], 2);
}

/// A restarted server has to promise again, in the new attempt, before it counts.
#[test]
fn l2_a_promise_is_forgotten_when_its_server_asks_for_a_prepare() {
    let quorum = Some(Quorum::flexible(3, 1, 3).unwrap());
    let n = ballot(5, 1);
    let mut lab = Lab::candidate(PaxosConfig { quorum, ..config() }, n);
    let empty = |s| promise(n, s, Ballot::default(), 0, 0, &[]);
    lab.get(2, empty(1));
    lab.get(2, prepare_req(n));
    lab.get(3, empty(1));
    assert!(!lab.paxos.is_leader());
    assert_eq!(names(&lab.ticks(5)), [(2, "Prepare")]);
    lab.get(2, empty(2));
    assert!(lab.paxos.is_leader());
}

/// By (round, length), never by length alone.
#[test]
fn l2_keeps_its_own_log_where_that_is_the_best() {
    let mut lab = candidate_with(&["a", "b"]);
    let longer_but_older = promise(ballot(5, 1), 1, ballot(1, 3), 3, 0, &["x", "y", "z"]);
    let sent = lab.get(3, longer_but_older);
    lab.assert_log(&["a", "b"], 1);
    let sync = accept_sync_in(&sent);
    assert_eq!((sync.start, sync.suffix.len()), (0, 2));
}

#[test]
fn l2_ignores_promises_of_other_rounds_and_attempts() {
    let mut lab = candidate_with(&["a"]);
    let none = Ballot::default();
    lab.ignores(2, promise(ballot(4, 1), 1, none, 0, 0, &[]));
    lab.ignores(2, promise(ballot(5, 1), 0, none, 0, 0, &[]));
    lab.ignores(2, promise(ballot(5, 1), 2, none, 0, 0, &[]));
    lab.refuses(2, promise(ballot(5, 2), 1, none, 0, 0, &[]));
    lab.refuses(2, promise(ballot(5, 1), 1, ballot(6, 2), 0, 0, &[]));
    lab.refuses(2, promise(ballot(5, 1), 1, none, 1, 2, &[]));
}

#[test]
fn l2_needs_a_prepare_quorum_and_counts_a_promise_once() {
    let quorum = Some(Quorum::flexible(3, 1, 3).unwrap());
    let mut lab = Lab::candidate(PaxosConfig { quorum, ..config() }, ballot(5, 1));
    let empty = promise(ballot(5, 1), 1, Ballot::default(), 0, 0, &[]);
    for _ in 0..3 {
        assert_eq!(lab.get(2, empty.clone()), []);
    }
    assert!(!lab.paxos.is_leader());
    lab.get(3, empty);
    assert!(lab.paxos.is_leader());
}

#[test]
fn l2_its_own_promise_counts_once_it_is_durable() {
    let mut lab = Lab::new(config());
    lab.paxos.handle_leader(Leader::new(ballot(5, 1)));
    let flush = lab.paxos.begin_flush().unwrap();
    let empty = promise(ballot(5, 1), 1, Ballot::default(), 0, 0, &[]);
    // No honest peer knows this round yet; that must not matter.
    lab.paxos.handle_message(message(2, empty)).unwrap();
    assert!(!lab.paxos.is_leader());
    lab.paxos.finish_flush(flush.id(), Ok(())).unwrap();
    assert!(lab.paxos.is_leader());
}

#[test]
fn l2_nothing_waiting_is_appended_behind_an_adopted_stop_sign() {
    let mut lab = Lab::candidate(config(), ballot(5, 1));
    lab.paxos.propose_normal("late").unwrap();
    lab.get(3, promise(ballot(5, 1), 1, ballot(3, 3), 2, 0, &["a", "STOP"]));
    lab.assert_log(&["a", "StopSign(8)"], 0);
    lab.get(2, propose(1, &["later"]));
    lab.assert_log(&["a", "StopSign(8)"], 0);
    // Nor does it hold up what was adopted: the AcceptSync to 2 is lost, so the entries go again.
    let sent = lab.get(2, promise(ballot(5, 1), 1, Ballot::default(), 0, 0, &[]));
    assert_eq!(accept_sync_in(&sent).suffix.len(), 2);
    let again = lab.ticks(5);
    assert_eq!(accepts_in(&again).len(), 1, "{again:?}");
    lab.get(3, accepted(ballot(5, 1), 1, 2, 0));
    lab.assert_log(&["a", "StopSign(8)"], 2);
    assert_eq!(lab.paxos.take_outcomes()[0].1, ProposalOutcome::Dropped);
}

/// How far a promiser's log is trusted: the three cases of L2, here for late promises (L3).
#[test]
fn l3_a_late_promise_is_trusted_by_the_rule_of_l2() {
    let n = ballot(5, 1);
    // (its accepted round, its length, its decided index) -> where the AcceptSync starts.
    let cases = [
        ("its round is n", n, 2, 1, 2),
        ("the adopted round, shorter", ballot(2, 2), 2, 1, 2),
        ("the adopted round, longer", ballot(2, 2), 9, 1, 3),
        ("the adopted round, decided", ballot(2, 2), 1, 1, 1),
        ("an older round", ballot(1, 3), 3, 0, 0),
        ("an older round, decided in part", ballot(1, 3), 3, 1, 1),
        ("a higher round that is not adopted", ballot(4, 3), 3, 1, 1),
    ];
    for (what, round, len, decided, start) in cases {
        let mut lab = candidate_with(&["a", "b", "c"]);
        lab.get(2, promise(n, 1, ballot(2, 2), 3, 1, &[]));
        lab.get(2, propose(4, &["d"]));
        let sent = lab.get(3, promise(n, 1, round, len, decided, &[]));
        let sync = accept_sync_in(&sent);
        assert_eq!((sync.start, sync.end), (start, 4), "{what}");
        assert_eq!(sync.suffix.len(), 4 - start, "{what}");
        assert_eq!(sent[0].0, 3);
    }
}

/// What is decided is in the leader's log, and so is what its own round accepted.
#[test]
fn l3_refuses_promises_beyond_the_leaders_log() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(config(), n, &["a", "b"]);
    lab.refuses(3, promise(n, 1, ballot(4, 3), 3, 3, &[]));
    lab.refuses(3, promise(n, 1, n, 3, 0, &[]));
    lab.refuses(3, promise(n, 1, n, 3, 3, &[]));
    lab.get(3, promise(n, 1, ballot(4, 3), 3, 2, &[]));
}

#[test]
fn l3_a_late_promise_gets_the_decided_index() {
    let mut lab = Lab::leader(config(), ballot(5, 1), &["a", "b"]);
    lab.get(2, accepted(ballot(5, 1), 1, 2, 0));
    let sent = lab.get(3, promise(ballot(5, 1), 1, Ballot::default(), 0, 0, &[]));
    assert_eq!(accept_sync_in(&sent).decided, 2);
}

#[test]
fn l4_entries_go_to_those_who_promised() {
    let mut lab = Lab::leader(config(), ballot(5, 1), &[]);
    lab.get(2, accepted(ballot(5, 1), 1, 0, 0));
    lab.paxos.propose_normal("a").unwrap();
    let sent = lab.get(2, propose(1, &["b", "c"]));
    let accepts = accepts_in(&sent);
    assert_eq!(names(&sent), [(2, "Accept")]);
    assert_eq!((accepts[0].1.start, accepts[0].1.entries.len()), (0, 3));
}

#[test]
fn l4_a_stop_sign_is_the_last_entry_that_is_ever_appended() {
    let mut lab = Lab::leader(config(), ballot(5, 1), &["a", "STOP"]);
    lab.assert_log(&["a", "StopSign(8)"], 0);
    lab.paxos.propose_normal("late").unwrap_err();
    lab.get(3, Body::Propose(Propose { proposals: records_of(3, 1, &["later"]), hops: 1 }));
    lab.assert_log(&["a", "StopSign(8)"], 0);
}

#[test]
fn l4_r3_a_gap_is_sent_again_from_what_is_confirmed() {
    let mut lab = Lab::leader(tiny(), ballot(5, 1), &[]);
    lab.get(2, accepted(ballot(5, 1), 1, 0, 0));
    let sent = lab.get(2, propose(1, &["a", "b", "c", "d", "e"]));
    let starts = |sent: &[(u64, Body)]| -> Vec<u64> {
        accepts_in(sent).iter().map(|(_, m)| m.start).collect()
    };
    assert_eq!(starts(&sent), [0, 2, 4]);
    // The second frame was lost: the third reports a gap. One frame probes, then all the rest goes.
    let sent = lab.get(2, gap(ballot(5, 1), 1, 2));
    assert_eq!(starts(&sent), [2]);
    assert_eq!(starts(&lab.get(2, gap(ballot(5, 1), 1, 2))), [0u64; 0]);
    let sent = lab.get(2, accepted(ballot(5, 1), 1, 4, 2));
    assert_eq!(starts(&sent), [4]);
}

#[test]
fn l4_r3_the_pipeline_is_full_again_once_something_is_confirmed() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(tiny(), n, &[]);
    lab.get(2, accepted(n, 1, 0, 0));
    assert_eq!(accepts_in(&lab.get(2, propose(1, &["a", "b", "c", "d", "e", "f"]))).len(), 3);
    assert_eq!(accepts_in(&lab.get(2, gap(n, 1, 0))).len(), 1, "one frame probes");
    // Nothing new: the probe may still be on its way.
    assert_eq!(accepts_in(&lab.get(2, accepted(n, 1, 0, 0))).len(), 0);
    assert_eq!(accepts_in(&lab.get(2, accepted(n, 1, 2, 0))).len(), 2, "all the rest");
}

#[test]
fn l4_what_is_confirmed_late_is_not_sent_again() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(tiny(), n, &[]);
    lab.get(2, accepted(n, 1, 0, 0));
    lab.get(2, propose(1, &["a", "b", "c", "d", "e"]));
    assert_eq!(accepts_in(&lab.ticks(5)).len(), 1, "one frame goes again");
    assert!(accepts_in(&lab.get(2, accepted(n, 1, 5, 0))).is_empty());
}

#[test]
fn l5_decides_what_a_quorum_accepted_in_this_round() {
    let mut lab = Lab::leader(config(), ballot(5, 1), &["a", "b", "c"]);
    let sent = lab.get(2, accepted(ballot(5, 1), 1, 2, 0));
    assert_eq!(lab.paxos.decided_index(), 2);
    assert_eq!(sent, [(2, decide(ballot(5, 1), 1, 2, false))]);
    // Late and repeated ones neither lower nor raise it.
    lab.get(2, accepted(ballot(5, 1), 1, 1, 0));
    lab.get(2, accepted(ballot(5, 1), 1, 2, 0));
    assert_eq!(lab.paxos.decided_index(), 2);
}

#[test]
fn l5_counts_each_server_once() {
    let quorum = Some(Quorum::flexible(1, 3, 3).unwrap());
    let mut lab = Lab::candidate(PaxosConfig { quorum, ..config() }, ballot(5, 1));
    assert!(lab.paxos.is_leader(), "a prepare quorum of one");
    let empty = promise(ballot(5, 1), 1, Ballot::default(), 0, 0, &[]);
    lab.get(2, empty.clone());
    lab.get(3, empty);
    lab.get(2, propose(1, &["a", "b"]));
    for _ in 0..3 {
        lab.get(2, accepted(ballot(5, 1), 1, 2, 0));
    }
    assert_eq!(lab.paxos.decided_index(), 0);
    lab.get(3, accepted(ballot(5, 1), 1, 1, 0));
    assert_eq!(lab.paxos.decided_index(), 1);
    // A late one takes back nothing.
    lab.get(2, accepted(ballot(5, 1), 1, 1, 0));
    lab.get(3, accepted(ballot(5, 1), 1, 2, 0));
    assert_eq!(lab.paxos.decided_index(), 2);
}

/// Its own copy is durable, but in an earlier round: a crash now would leave one copy in this
/// round.
#[test]
fn l5_the_leaders_own_copy_of_an_earlier_round_does_not_count() {
    let mut lab = candidate_with(&["a", "b"]);
    let n = ballot(5, 1);
    let same = promise(n, 1, ballot(2, 2), 2, 1, &[]);
    lab.paxos.handle_message(message(2, same)).unwrap();
    let flush = lab.paxos.begin_flush().unwrap();
    lab.paxos.handle_message(message(2, accepted(n, 1, 2, 1))).unwrap();
    assert_eq!(lab.paxos.decided_index(), 1);
    lab.paxos.finish_flush(flush.id(), Ok(())).unwrap();
    assert_eq!(lab.paxos.decided_index(), 2);
}

/// Every answer of a synchronised follower was lost, and there is nothing to send again.
#[test]
fn l5_a_leader_asks_until_a_follower_has_confirmed_its_attempt() {
    let mut lab = Lab::leader(config(), ballot(5, 1), &[]);
    let asked = lab.ticks(20);
    let to_2 = asked.iter().filter(|sent| **sent == (2, decide(ballot(5, 1), 1, 0, true)));
    assert_eq!(to_2.count(), 4, "{asked:?}");
    lab.get(2, accepted(ballot(5, 1), 1, 0, 0));
    assert!(lab.ticks(20).iter().all(|(to, _)| *to == 3));
}

/// A resend is due so many ticks after the last news, be it of the log or of what is decided.
#[test]
fn l5_news_of_a_follower_put_the_resend_off_and_repetitions_do_not() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(config(), n, &["a", "b"]);
    lab.get(2, accepted(n, 1, 2, 0));
    let resend = [(2, decide(n, 1, 2, true))];
    let to_2 = |mut sent: Vec<(u64, Body)>| {
        sent.retain(|(to, _)| *to == 2);
        sent
    };
    lab.ticks(4);
    lab.get(2, accepted(n, 1, 2, 1));
    assert_eq!(to_2(lab.ticks(4)), [], "it has decided one more");
    lab.get(2, accepted(n, 1, 2, 1));
    assert_eq!(to_2(lab.ticks(1)), resend, "it said that before");
    assert_eq!(to_2(lab.ticks(4)), []);
    lab.get(2, accepted(n, 1, 2, 0));
    assert_eq!(to_2(lab.ticks(1)), resend, "a late one");
}

#[test]
fn l5_the_first_word_of_a_fetching_follower_puts_the_resend_off() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(tiny(), n, &["a", "b", "c", "d", "e"]);
    lab.get(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
    lab.get(3, sync_request(n, 1, 3));
    lab.ticks(4);
    lab.get(3, accepted(n, 1, 5, 0));
    assert!(lab.ticks(4).iter().all(|(to, _)| *to != 3));
    assert!(lab.ticks(1).contains(&(3, decide(n, 1, 5, true))));
}

/// A follower that fetches is asked where it is, at the rate of all resends.
#[test]
fn l5_a_fetching_follower_is_asked_at_a_bounded_rate() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(tiny(), n, &["a", "b", "c", "d", "e"]);
    lab.get(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
    let asked = lab.ticks(20);
    assert_eq!(asked.iter().filter(|sent| **sent == (3, decide(n, 1, 0, true))).count(), 4);
}

#[test]
fn l5_ignores_other_attempts_and_rounds_and_refuses_the_impossible() {
    let mut lab = Lab::leader(config(), ballot(5, 1), &["a", "b"]);
    lab.ignores(2, accepted(ballot(5, 1), 0, 2, 0));
    lab.ignores(2, accepted(ballot(5, 1), 2, 2, 0));
    lab.ignores(2, accepted(ballot(4, 1), 1, 2, 0));
    // It never promised, so it is not in this round at all.
    lab.ignores(3, accepted(ballot(5, 1), 1, 2, 0));
    lab.refuses(2, accepted(ballot(5, 1), 1, 3, 0));
    lab.refuses(2, accepted(ballot(5, 1), 1, u64::MAX, 0));
    lab.refuses(2, accepted(ballot(5, 1), 1, 1, 2));
    lab.refuses(2, accepted(ballot(5, 2), 1, 1, 0));
}

/// An entry of an earlier round is decided by adopting it in a new one, not by counting its copies.
#[test]
fn l5_acceptance_in_an_earlier_round_does_not_count() {
    let mut lab = Lab::leader(config(), ballot(5, 1), &["a"]);
    lab.paxos.handle_leader(Leader::new(ballot(7, 1)));
    lab.sent();
    lab.get(2, accepted(ballot(5, 1), 1, 1, 0));
    lab.get(2, promise(ballot(7, 1), 1, ballot(5, 1), 1, 0, &[]));
    assert_eq!(lab.paxos.decided_index(), 0);
    lab.get(2, accepted(ballot(7, 1), 1, 1, 0));
    assert_eq!(lab.paxos.decided_index(), 1);
}
