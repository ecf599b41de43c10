//! Lines F1-F4 of docs/PROTOCOL.md, one replica and its messages at a time.

use super::lab::{
    Lab, accept, accept_sync, accepted, ballot, decide, gap, names, prepare, prepare_req, promise,
    refuse, sync_request, tiny,
};
use crate::ballot::Ballot;
use crate::paxos::{Body, Learn, PaxosConfig, Promise};

fn config() -> PaxosConfig {
    PaxosConfig::default()
}

/// In sync with 2 in round 2: a, b, c, of which a is decided.
fn follower() -> Lab {
    Lab::follower(config(), ballot(2, 2), &["a", "b", "c"], 1)
}

#[track_caller]
fn promise_in(sent: &[(u64, Body)]) -> &Promise {
    match sent {
        [(_, Body::Promise(m))] => m,
        other => panic!("{other:?}"),
    }
}

#[test]
fn f1_promises_with_what_the_leader_may_lack() {
    // The leader's (accepted round, length, decided index) -> start and length of the suffix.
    let cases = [
        ("an older round: from its decided index", ballot(1, 3), 9, 1, (1, 2)),
        ("an older round, decided less than here", ballot(1, 3), 9, 0, (0, 3)),
        ("the same round: from its length", ballot(2, 2), 2, 1, (2, 1)),
        ("the same round, longer than here", ballot(2, 2), 5, 1, (3, 0)),
        ("a higher round: nothing", ballot(4, 3), 1, 1, (3, 0)),
    ];
    for (what, round, len, decided, (start, suffix)) in cases {
        let mut lab = follower();
        let sent = lab.get(3, prepare(ballot(5, 3), 4, round, len, decided, None));
        assert_eq!(sent[0].0, 3);
        let m = promise_in(&sent);
        assert_eq!((m.n, m.s, m.accepted_round), (ballot(5, 3), 4, ballot(2, 2)), "{what}");
        assert_eq!((m.len, m.decided, m.decided_round), (3, 1, ballot(2, 2)), "{what}");
        assert_eq!((m.start, m.suffix.len()), (start, suffix), "{what}");
        assert_eq!(lab.paxos.promised(), ballot(5, 3));
        assert_eq!(lab.paxos.leader(), None);
    }
}

#[test]
fn f1_a_trimmed_log_says_where_it_starts() {
    let mut lab = follower();
    lab.get(2, decide(ballot(2, 2), 1, 3, true));
    lab.paxos.replica.decided_by_all = 3;
    lab.paxos.get_decided_entries();
    lab.paxos.trim(2).unwrap();
    let sent = lab.get(3, prepare(ballot(5, 3), 1, ballot(1, 3), 0, 0, None));
    let m = promise_in(&sent);
    assert_eq!((m.start, m.suffix.len(), m.len), (2, 1, 3));
}

#[test]
fn f1_r4_refuses_lower_rounds_with_the_promised_one() {
    let mut lab = follower();
    lab.get(3, prepare(ballot(5, 3), 1, Ballot::default(), 0, 0, None));
    let before = lab.paxos.replica.storage.clone();
    let stale = ballot(2, 2);
    let refusal = vec![(2, refuse(stale, ballot(5, 3)))];
    assert_eq!(lab.get(2, prepare(stale, 2, stale, 3, 1, None)), refusal);
    assert_eq!(lab.get(2, accept(stale, 1, 3, &["d"], 1)), refusal);
    assert_eq!(lab.get(2, accept_sync(stale, 1, 1, &["x"], 2, 1)), refusal);
    assert_eq!(lab.get(2, decide(stale, 1, 3, true)), refusal);
    assert_eq!(lab.paxos.replica.storage, before);
}

#[test]
fn f1_a_repeated_prepare_is_answered_again_and_an_older_attempt_is_not() {
    let mut lab = follower();
    let n = ballot(5, 3);
    let first = lab.get(3, prepare(n, 2, Ballot::default(), 0, 0, None));
    let again = lab.get(3, prepare(n, 2, Ballot::default(), 0, 0, None));
    assert_eq!(first, again);
    lab.ignores(3, prepare(n, 1, Ballot::default(), 0, 0, None));
    // Only a leader that has decided more may have trimmed what is lacking here.
    let as_much = lab.get(3, prepare(n, 2, Ballot::default(), 1, 1, None));
    assert_eq!(names(&as_much), [(3, "Promise")]);
    let more = lab.get(3, prepare(n, 2, Ballot::default(), 2, 2, None));
    assert_eq!(names(&more), [(2, "LearnRequest"), (3, "Promise")]);
    lab.get(3, accept_sync(n, 2, 3, &[], 3, 1));
    // It is in sync: that is all the leader has to know.
    assert_eq!(
        lab.get(3, prepare(n, 2, Ballot::default(), 0, 0, None)),
        [(3, accepted(n, 2, 3, 1))]
    );
    lab.ignores(3, prepare(n, 1, Ballot::default(), 0, 0, None));
    assert_eq!(lab.paxos.leader(), Some(3));
}

#[test]
fn f1_refuses_a_prepare_that_contradicts_itself() {
    let mut lab = follower();
    let n = ballot(5, 3);
    lab.refuses(3, prepare(n, 1, ballot(4, 3), 3, 4, None));
    lab.refuses(3, prepare(n, 1, ballot(5, 4), 3, 3, None));
    // Everything decided, and its own round accepted: possible.
    lab.get(3, prepare(n, 1, n, 3, 3, None));
}

#[test]
fn f1_a_long_suffix_comes_in_the_parts_that_are_asked_for() {
    let mut lab = Lab::follower(tiny(), ballot(2, 2), &["a", "b", "c"], 0);
    lab.get(2, accept(ballot(2, 2), 1, 3, &["d", "e"], 0));
    let n = ballot(5, 3);
    let sent = lab.get(3, prepare(n, 1, Ballot::default(), 0, 0, None));
    assert_eq!((promise_in(&sent).start, promise_in(&sent).suffix.len()), (0, 3));
    let sent = lab.get(3, prepare(n, 1, Ballot::default(), 0, 0, Some(3)));
    assert_eq!((promise_in(&sent).start, promise_in(&sent).suffix.len()), (3, 2));
    let sent = lab.get(3, prepare(n, 1, Ballot::default(), 0, 0, Some(u64::MAX)));
    assert_eq!((promise_in(&sent).start, promise_in(&sent).suffix.len()), (5, 0));
}

#[test]
fn f2_cuts_at_the_trusted_index_and_appends_with_the_round_in_one_flush() {
    let mut lab = follower();
    let n = ballot(5, 3);
    lab.get(3, prepare(n, 1, ballot(4, 3), 3, 1, None));
    let sync = super::lab::message(3, accept_sync(n, 1, 2, &["x", "y"], 4, 2));
    lab.paxos.handle_message(sync).unwrap();
    lab.assert_log(&["a", "b", "x", "y"], 2);
    let flush = lab.paxos.begin_flush().unwrap();
    // Log, round and decided index are all in this one flush.
    assert!(!lab.paxos.replica.storage.flushes().needed());
    assert_eq!(lab.paxos.take_sendable(), []);
    lab.paxos.finish_flush(flush.id(), Ok(())).unwrap();
    assert_eq!(lab.sent(), [(3, accepted(n, 1, 4, 2))]);
    lab.restart();
    assert_eq!(lab.state().accepted_round, n);
    lab.assert_log(&["a", "b", "x", "y"], 2);
}

#[test]
fn f2_never_cuts_below_decided() {
    let mut lab = follower();
    lab.get(2, decide(ballot(2, 2), 1, 2, false));
    let n = ballot(5, 3);
    lab.get(3, prepare(n, 1, ballot(4, 3), 3, 0, None));
    // The leader's picture is older than what was learned since.
    lab.get(3, accept_sync(n, 1, 0, &["a", "b", "x"], 3, 0));
    lab.assert_log(&["a", "b", "x"], 2);
}

#[test]
fn f2_takes_only_the_sync_that_answers_its_latest_promise() {
    let mut lab = follower();
    let n = ballot(5, 3);
    let sync = |s| accept_sync(n, s, 1, &["x"], 2, 1);
    // Never promised: round n may have to be prepared first.
    lab.ignores(3, sync(1));
    lab.get(3, prepare(n, 2, ballot(4, 3), 3, 1, None));
    lab.ignores(3, sync(1));
    lab.ignores(3, sync(3));
    lab.ignores(3, sync(u64::MAX));
    lab.get(3, sync(2));
    lab.assert_log(&["a", "x"], 1);
    lab.ignores(3, sync(1));
    lab.ignores(3, sync(3));
}

#[test]
fn f2_a_repeated_sync_is_answered_and_changes_nothing() {
    let mut lab = follower();
    lab.get(2, accept(ballot(2, 2), 1, 3, &["d"], 1));
    let storage = lab.paxos.replica.storage.clone();
    let again = accept_sync(ballot(2, 2), 1, 0, &["a", "b", "c"], 3, 1);
    assert_eq!(lab.get(2, again), [(2, accepted(ballot(2, 2), 1, 4, 1))]);
    assert_eq!(lab.paxos.replica.storage, storage);
}

#[test]
fn f2_refuses_impossible_indexes() {
    let mut lab = follower();
    let n = ballot(5, 3);
    lab.get(3, prepare(n, 1, ballot(4, 3), 3, 1, None));
    for (start, end) in [(u64::MAX, u64::MAX), (1, 1), (u64::MAX - 1, 0)] {
        lab.refuses(3, accept_sync(n, 1, start, &["x"], end, 1));
    }
    // Behind the log: its first part was for another log. The promise is repeated by a tick.
    lab.get(3, accept_sync(n, 1, 7, &["x"], 8, 1));
    lab.assert_log(&["a", "b", "c"], 1);
    assert!(names(&lab.ticks(5)).contains(&(3, "Promise")));
}

#[test]
fn f3_appends_without_a_gap() {
    let mut lab = follower();
    let n = ballot(2, 2);
    assert_eq!(lab.get(2, accept(n, 1, 3, &["d"], 2)), [(2, accepted(n, 1, 4, 2))]);
    lab.assert_log(&["a", "b", "c", "d"], 2);
    assert_eq!(lab.get(2, accept(n, 1, 5, &["f"], 2)), [(2, gap_at(n, 4, 2))]);
    lab.assert_log(&["a", "b", "c", "d"], 2);
    // Overlapping frames and duplicates add only what is new.
    lab.get(2, accept(n, 1, 2, &["c", "d", "e"], 2));
    lab.get(2, accept(n, 1, 0, &["a"], 2));
    lab.assert_log(&["a", "b", "c", "d", "e"], 2);
}

fn gap_at(n: Ballot, len: u64, decided: u64) -> Body {
    match gap(n, 1, len) {
        Body::Accepted(m) => Body::Accepted(crate::paxos::Accepted { decided, ..m }),
        other => other,
    }
}

#[test]
fn f3_answers_a_batch_of_accepts_once() {
    let mut lab = follower();
    let n = ballot(2, 2);
    for (at, what) in ["d", "e", "f"].iter().enumerate() {
        let body = accept(n, 1, 3 + at as u64, &[what], 1);
        lab.paxos.handle_message(super::lab::message(2, body)).unwrap();
    }
    assert_eq!(lab.sent(), [(2, accepted(n, 1, 6, 1))]);
}

/// R3: the follower has no AcceptSync, so the leader has to begin again. Asking once a tick is
/// enough.
#[test]
fn f3_r3_out_of_sync_it_asks_instead() {
    let mut lab = follower();
    let n = ballot(5, 3);
    let ask = vec![(3, prepare_req(ballot(2, 2)))];
    assert_eq!(lab.get(3, accept(n, 1, 3, &["x"], 1)), ask);
    assert_eq!(lab.get(3, decide(n, 1, 3, true)), []);
    assert_eq!(lab.ticks(1), []);
    assert_eq!(lab.get(3, decide(n, 1, 3, true)), ask);
    lab.get(3, prepare(n, 2, ballot(4, 3), 3, 1, None));
    lab.ticks(1);
    // The AcceptSync of this attempt is missing: the promise goes again. Earlier attempts are late.
    assert_eq!(names(&lab.get(3, accept(n, 2, 3, &["x"], 1))), [(3, "Promise")]);
    lab.ticks(1);
    assert_eq!(lab.get(3, accept(n, 1, 3, &["x"], 1)), []);
    assert_eq!(lab.get(3, accept(n, 3, 3, &["x"], 1)), [(3, prepare_req(n))]);
    lab.assert_log(&["a", "b", "c"], 1);
}

#[test]
fn f3_refuses_overflow_and_entries_behind_a_stop_sign() {
    let mut lab = follower();
    let n = ballot(2, 2);
    lab.refuses(2, accept(n, 1, u64::MAX, &["x"], 1));
    lab.get(2, accept(n, 1, 3, &["STOP"], 1));
    let storage = lab.paxos.replica.storage.clone();
    lab.paxos.handle_message(super::lab::message(2, accept(n, 1, 4, &["x"], 1))).unwrap_err();
    assert_eq!(lab.paxos.replica.storage, storage);
}

#[test]
fn f4_decides_within_its_log_and_never_less() {
    let mut lab = follower();
    let n = ballot(2, 2);
    lab.get(2, decide(n, 1, 2, false));
    assert_eq!(lab.paxos.decided_index(), 2);
    lab.get(2, decide(n, 1, 1, false));
    assert_eq!(lab.paxos.decided_index(), 2);
    lab.get(2, decide(n, 1, u64::MAX, false));
    assert_eq!(lab.paxos.decided_index(), 3);
    assert_eq!(lab.paxos.get_decided_entries().len(), 3);
}

#[test]
fn f4_only_in_sync() {
    let mut lab = follower();
    let n = ballot(5, 3);
    lab.get(3, decide(n, 1, 3, false));
    lab.get(3, prepare(n, 1, ballot(4, 3), 3, 1, None));
    lab.get(3, decide(n, 1, 3, false));
    assert_eq!(lab.paxos.decided_index(), 1, "its log may not be the leader's");
}

#[test]
fn f4_answers_when_asked_with_what_is_durable() {
    let mut lab = follower();
    let n = ballot(2, 2);
    assert_eq!(lab.get(2, decide(n, 1, 2, false)), []);
    assert_eq!(lab.get(2, decide(n, 1, 2, true)), [(2, accepted(n, 1, 3, 2))]);
    assert_eq!(lab.get(2, decide(n, 1, 3, true)), [(2, accepted(n, 1, 3, 3))]);
    // Something between was lost.
    assert_eq!(lab.get(2, decide(n, 1, 5, true)), [(2, gap_at(n, 3, 3))]);
}

#[test]
fn followers_ignore_answers_to_a_leader_and_refuse_those_to_others() {
    let mut lab = follower();
    let mine = ballot(1, 1);
    lab.ignores(3, promise(mine, 1, Ballot::default(), 0, 0, &[]));
    lab.ignores(3, accepted(mine, 1, 1, 0));
    lab.ignores(3, sync_request(mine, 1, 0));
    lab.ignores(3, refuse(mine, ballot(2, 2)));
    lab.ignores(3, prepare_req(ballot(2, 2)));
    for n in [ballot(2, 2), ballot(9, 3), ballot(u64::MAX, 9)] {
        lab.refuses(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
        lab.refuses(3, accepted(n, 1, 1, 0));
        lab.refuses(3, sync_request(n, 1, 0));
        lab.refuses(3, refuse(n, Ballot::new(u64::MAX, 1, 9)));
    }
    lab.refuses(3, refuse(mine, mine));
}

/// The owner of a ballot is the only one who may lead in it.
#[test]
fn a_leaders_message_comes_from_its_ballots_owner() {
    let mut lab = follower();
    for n in [ballot(2, 2), ballot(9, 2), ballot(9, 1), ballot(9, 9)] {
        lab.refuses(3, prepare(n, 9, Ballot::default(), 0, 0, None));
        lab.refuses(3, accept_sync(n, 1, 3, &["x"], 4, 4));
        lab.refuses(3, accept(n, 1, 3, &["x"], 4));
        lab.refuses(3, decide(n, 1, 3, true));
    }
}

#[test]
fn a_learn_of_nothing_is_ignored() {
    let mut lab = follower();
    let empty = Learn {
        start: 1,
        entries: crate::storage::Records::default(),
        decided: 9,
        decided_round: ballot(9, 3),
    };
    lab.ignores(3, Body::Learn(empty));
}
