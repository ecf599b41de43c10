//! "Beyond" 4: logs that do not fit one message, in both directions. Decided parts enter the log as
//! they come; the undecided tail enters all together, with the round. And late duplicates of all
//! that.

use super::cluster::CONFIG;
use super::lab::{
    Lab, ME, accept, accept_sync, accepted, ballot, decide, later_part, learn, learn_request,
    message, names, prepare, prepare_req, promise, propose, sync_request, tiny,
};
use crate::ballot::{Ballot, Leader};
use crate::paxos::{Body, Paxos, PaxosConfig};
use crate::storage::{MemorySequence, MemoryState, Storage};

const N: Ballot = Ballot { n: 5, priority: 0, pid: 3 };

/// Has accepted a, b, c from 2, a of it decided; has promised `N` and gets an AcceptSync in parts.
fn fetching() -> Lab {
    let mut lab = Lab::follower(tiny(), ballot(2, 2), &["a", "b", "c"], 1);
    lab.get(3, prepare(N, 1, ballot(4, 3), 9, 1, None));
    lab
}

#[test]
fn beyond_4_an_undecided_tail_enters_the_log_all_together() {
    let mut lab = fetching();
    assert_eq!(
        lab.get(3, accept_sync(N, 1, 1, &["t", "u", "v"], 6, 1)),
        [(3, sync_request(N, 1, 4))]
    );
    lab.assert_log(&["a", "b", "c"], 1);
    assert_eq!(lab.state().accepted_round, ballot(2, 2));
    assert_eq!(lab.get(3, later_part(N, 1, 4, &["w", "x"], 6, 1)), [(3, accepted(N, 1, 6, 1))]);
    lab.assert_log(&["a", "t", "u", "v", "w", "x"], 1);
    assert_eq!(lab.state().accepted_round, N);
}

#[test]
fn beyond_4_a_crash_in_the_middle_leaves_the_old_log() {
    let mut lab = fetching();
    lab.get(3, accept_sync(N, 1, 1, &["t", "u", "v"], 6, 1));
    lab.restart();
    lab.assert_log(&["a", "b", "c"], 1);
    assert_eq!(lab.state().accepted_round, ballot(2, 2));
    // What is left of the attempt is for another life.
    lab.ignores(3, later_part(N, 1, 4, &["w", "x"], 6, 1));
}

#[test]
fn beyond_4_decided_parts_enter_the_log_at_once() {
    let mut lab = fetching();
    lab.get(3, accept_sync(N, 1, 1, &["t", "u", "v"], 6, 3));
    lab.assert_log(&["a", "t", "u"], 3);
    assert_eq!(lab.state().accepted_round, ballot(2, 2), "only decided entries entered");
    lab.get(3, later_part(N, 1, 4, &["w", "x"], 6, 3));
    lab.assert_log(&["a", "t", "u", "v", "w", "x"], 3);
}

#[test]
fn beyond_4_a_lost_part_is_asked_for_again() {
    let mut lab = fetching();
    lab.get(3, accept_sync(N, 1, 1, &["t", "u", "v"], 9, 1));
    // Part two is lost, part three is not taken before it.
    lab.ignores_but_hears(later_part(N, 1, 7, &["y"], 9, 1));
    let asked: Vec<_> = lab.ticks(5);
    assert_eq!(asked, [(3, sync_request(N, 1, 4))]);
}

#[test]
fn beyond_4_a_repeated_part_is_not_asked_on_from_twice() {
    let mut lab = fetching();
    let part = accept_sync(N, 1, 1, &["t", "u", "v"], 9, 1);
    assert_eq!(lab.get(3, part.clone()), [(3, sync_request(N, 1, 4))]);
    assert_eq!(lab.get(3, part), []);
    let next = later_part(N, 1, 4, &["w", "x", "y"], 9, 1);
    assert_eq!(lab.get(3, next), [(3, sync_request(N, 1, 7))]);
}

#[test]
fn beyond_4_a_stop_sign_between_parts_cuts_nothing() {
    let mut lab = fetching();
    lab.get(3, accept_sync(N, 1, 1, &["STOP"], 4, 1));
    let storage = lab.paxos.replica.storage.clone();
    let error = lab.paxos.handle_message(message(3, later_part(N, 1, 2, &["x", "y"], 4, 1)));
    error.unwrap_err();
    assert_eq!(lab.paxos.replica.storage, storage, "accepted entries were cut for nothing");
}

#[test]
fn beyond_4_the_leader_sends_the_parts_that_are_asked_for() {
    let mut lab = Lab::leader(tiny(), ballot(5, 1), &["a", "b", "c", "d", "e"]);
    let n = ballot(5, 1);
    lab.get(2, accepted(n, 1, 5, 0));
    let sent = lab.get(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
    assert_eq!(sent, [(3, accept_sync(n, 1, 0, &["a", "b", "c"], 5, 5))]);
    // Nothing else goes to it meanwhile: its log has a hole.
    lab.get(2, propose(6, &["f"]));
    assert_eq!(
        lab.get(3, sync_request(n, 1, 3)),
        [(3, later_part(n, 1, 3, &["d", "e", "f"], 6, 5))]
    );
    lab.refuses(3, sync_request(n, 1, 7));
    lab.refuses(3, sync_request(n, 1, u64::MAX));
    lab.ignores(3, sync_request(n, 0, 3));
    lab.ignores(3, sync_request(n, 2, 3));
    lab.get(3, accepted(n, 1, 6, 0));
    lab.ignores(3, sync_request(n, 1, 3));
}

#[test]
fn beyond_4_a_leader_sends_parts_from_its_trimmed_prefix_on() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(tiny(), n, &["a", "b", "c", "d", "e", "f"]);
    lab.get(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
    lab.get(3, sync_request(n, 1, 3));
    for peer in [2, 3] {
        lab.get(peer, accepted(n, 1, 6, 6));
    }
    lab.ticks(6);
    lab.get(2, accepted(n, 1, 6, 6));
    lab.paxos.get_decided_entries();
    lab.paxos.trim(2).unwrap();
    // Server 3 lost its disk, and learned two entries from somebody.
    lab.get(3, prepare_req(Ballot::default()));
    let mut learned = promise(n, 2, Ballot::default(), 2, 2, &[]);
    if let Body::Promise(m) = &mut learned {
        m.decided_round = n;
    }
    assert_eq!(lab.get(3, learned), [(3, accept_sync(n, 2, 2, &["c", "d", "e"], 6, 6))]);
    lab.refuses(3, sync_request(n, 2, 1));
    assert_eq!(
        lab.get(3, sync_request(n, 2, 2)),
        [(3, later_part(n, 2, 2, &["c", "d", "e"], 6, 6))]
    );
}

/// What was staged is forgotten when D1 decides a part of it. A part that was in flight then must
/// not pass for a first one: the stale tail below it is not the leader's.
#[test]
fn beyond_4_a_later_part_is_no_first_part_after_learning() {
    let mut lab = Lab::follower(tiny(), ballot(2, 2), &["a", "b", "c", "d", "e"], 1);
    lab.get(3, prepare(N, 1, ballot(4, 3), 9, 1, None));
    lab.get(3, accept_sync(N, 1, 1, &["b", "X", "Y"], 5, 1));
    lab.get(2, learn(1, &["b"], 2, ballot(4, 3)));
    lab.assert_log(&["a", "b", "c", "d", "e"], 2);
    lab.get(3, later_part(N, 1, 4, &["Z"], 5, 5));
    lab.assert_log(&["a", "b", "c", "d", "e"], 2);
    assert!(lab.ticks(5).contains(&(3, sync_request(N, 1, 2))), "it is fetched again");
    lab.get(3, later_part(N, 1, 2, &["X", "Y", "Z"], 5, 5));
    lab.assert_log(&["a", "b", "X", "Y", "Z"], 5);
}

/// The same with a restart, a late Prepare and a late part of one attempt.
#[test]
fn beyond_4_a_later_part_is_no_first_part_after_a_restart() {
    let mut lab = Lab::follower(tiny(), ballot(2, 2), &["a", "b", "c", "d", "e"], 1);
    let late = prepare(N, 1, ballot(4, 3), 9, 1, None);
    lab.get(3, late.clone());
    lab.get(3, accept_sync(N, 1, 1, &["b", "X", "Y"], 5, 1));
    lab.restart();
    lab.get(3, late);
    lab.get(3, later_part(N, 1, 4, &["Z"], 5, 5));
    lab.assert_log(&["a", "b", "c", "d", "e"], 1);
}

/// The last Accepted of a transfer in parts is lost, with no traffic after it.
#[test]
fn beyond_1_a_leader_asks_a_fetching_follower_where_it_is() {
    let mut lab = Lab::leader(tiny(), ballot(5, 1), &["a", "b", "c", "d", "e"]);
    let n = ballot(5, 1);
    lab.get(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
    lab.get(3, sync_request(n, 1, 3));
    let sent = lab.ticks(5);
    assert!(sent.contains(&(3, decide(n, 1, 0, true))), "{sent:?}");
    lab.get(3, accepted(n, 1, 5, 0));
    assert_eq!(lab.paxos.decided_index(), 5);
}

/// D1 got ahead of the AcceptSync: what it still lacks is beyond the end of that.
#[test]
fn beyond_4_learning_past_the_end_of_a_sync_completes_it() {
    let mut lab = fetching();
    lab.get(3, accept_sync(N, 1, 1, &["t", "u", "v"], 6, 6));
    lab.get(2, learn(1, &["t", "u", "v", "w", "x", "y", "z"], 8, N));
    lab.assert_log(&["a", "t", "u", "v", "w", "x", "y", "z"], 8);
    assert_eq!(lab.ticks(5)[0], (3, sync_request(N, 1, 8)));
    let sent = lab.get(3, later_part(N, 1, 8, &[], 8, 8));
    assert_eq!(sent, [(3, accepted(N, 1, 8, 8))]);
    assert_eq!(lab.state().accepted_round, N);
}

#[test]
fn beyond_4_a_leader_answers_who_learned_past_the_end_of_its_sync() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(tiny(), n, &["a", "b", "c", "d"]);
    lab.get(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
    lab.get(2, propose(5, &["e", "f"]));
    lab.get(2, accepted(n, 1, 6, 0));
    let sent = lab.get(3, sync_request(n, 1, 6));
    assert_eq!(sent, [(3, later_part(n, 1, 6, &[], 6, 6))]);
}

/// A second Promise got its answer in one part, which was lost; a late duplicate of the first
/// answer makes the follower fetch in parts.
#[test]
fn beyond_4_a_leader_answers_who_fetches_although_it_takes_it_for_synchronised() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(tiny(), n, &["a", "b", "c", "d"]);
    lab.get(2, accepted(n, 1, 4, 0));
    lab.get(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
    let learned = Body::Promise(Box::new(crate::paxos::Promise {
        n,
        s: 1,
        accepted_round: Ballot::default(),
        len: 2,
        decided: 2,
        decided_round: n,
        start: 2,
        suffix: crate::storage::Records::default(),
        recovering: false,
    }));
    assert_eq!(lab.get(3, learned), [(3, accept_sync(n, 1, 2, &["c", "d"], 4, 4))]);
    let sent = lab.get(3, sync_request(n, 1, 3));
    assert_eq!(sent, [(3, later_part(n, 1, 3, &["d"], 4, 4))]);
}

/// A part of the log a, b, c, d, e, which server 2 accepted in round 3.
fn part_of_five(start: u64, suffix: &[&str]) -> Body {
    let len = start + suffix.len() as u64;
    let mut body = promise(ballot(5, 1), 1, ballot(3, 2), len, 0, suffix);
    if let Body::Promise(m) = &mut body {
        m.len = 5;
    }
    body
}

#[test]
fn beyond_4_a_candidate_adopts_only_a_complete_tail() {
    let mut lab = Lab::candidate(tiny(), ballot(5, 1));
    let n = ballot(5, 1);
    let none = Ballot::default();
    assert_eq!(
        lab.get(2, part_of_five(0, &["a", "b", "c"])),
        [(2, prepare(n, 1, none, 0, 0, Some(3)))]
    );
    lab.assert_log(&[], 0);
    assert!(!lab.paxos.is_leader());
    // The first part again, then one that does not follow: nothing new.
    assert_eq!(lab.get(2, part_of_five(0, &["a", "b", "c"])), []);
    assert_eq!(lab.get(2, part_of_five(4, &["e"])), []);
    assert!(!lab.paxos.is_leader());
    // The part that was asked for is lost: it is asked for again.
    let again = lab.ticks(5);
    assert!(again.contains(&(2, prepare(n, 1, none, 0, 0, Some(3)))), "{again:?}");
    lab.get(2, part_of_five(3, &["d", "e"]));
    assert!(lab.paxos.is_leader());
    lab.assert_log(&["a", "b", "c", "d", "e"], 0);
}

#[test]
fn beyond_4_a_candidate_that_learns_meanwhile_keeps_what_it_learned() {
    let n = ballot(5, 1);
    let mut lab = Lab::candidate(tiny(), n);
    lab.get(2, part_of_five(0, &["a", "b", "c"]));
    lab.get(3, learn(0, &["a", "b"], 2, ballot(3, 2)));
    lab.get(2, part_of_five(3, &["d", "e"]));
    assert!(lab.paxos.is_leader());
    lab.assert_log(&["a", "b", "c", "d", "e"], 2);
}

#[test]
fn beyond_4_a_crash_of_a_candidate_leaves_its_old_log() {
    let mut lab = Lab::follower(tiny(), ballot(2, 2), &["a", "b"], 1);
    let n = ballot(5, 1);
    lab.paxos.handle_leader(Leader::new(n));
    lab.sent();
    let mut body = promise(n, 1, ballot(3, 2), 4, 1, &["x", "y", "z"]);
    if let Body::Promise(m) = &mut body {
        m.len = 6;
    }
    lab.get(2, body);
    lab.restart();
    lab.assert_log(&["a", "b"], 1);
    assert_eq!((lab.state().accepted_round, lab.state().promised), (ballot(2, 2), n));
}

/// What the best log has decided is learned first, so that only the capped tail is held in memory.
#[test]
fn beyond_4_a_candidate_learns_the_decided_part_first() {
    let mut lab = Lab::candidate(tiny(), ballot(5, 1));
    let n = ballot(5, 1);
    let mut body = promise(n, 1, ballot(3, 2), 3, 0, &["a", "b", "c"]);
    if let Body::Promise(m) = &mut body {
        (m.len, m.decided, m.decided_round) = (6, 5, ballot(3, 2));
    }
    assert_eq!(lab.get(2, body), [(2, learn_request(3))]);
    lab.assert_log(&["a", "b", "c"], 3);
    let sent = lab.get(2, learn(3, &["d", "e"], 5, ballot(3, 2)));
    assert_eq!(sent, [(2, prepare(n, 1, Ballot::default(), 5, 5, Some(5)))]);
    lab.get(2, promise(n, 1, ballot(3, 2), 6, 5, &["f"]));
    assert!(lab.paxos.is_leader());
    lab.assert_log(&["a", "b", "c", "d", "e", "f"], 5);
}

#[test]
fn beyond_4_a_candidate_asks_again_for_a_lost_decided_part() {
    let n = ballot(5, 1);
    let mut lab = Lab::candidate(tiny(), n);
    let mut body = promise(n, 1, ballot(3, 2), 6, 0, &[]);
    if let Body::Promise(m) = &mut body {
        (m.decided, m.decided_round) = (5, ballot(3, 2));
    }
    assert_eq!(lab.get(2, body), [(2, learn_request(0))]);
    assert!(lab.ticks(5).contains(&(2, learn_request(0))));
    assert!(lab.ticks(5).contains(&(2, learn_request(0))));
}

/// A source that never shows its tail is given up; any other prepare quorum will do.
#[test]
fn beyond_4_a_silent_source_does_not_hold_up_the_round() {
    let mut lab = Lab::candidate(tiny(), ballot(5, 1));
    let n = ballot(5, 1);
    let mut body = promise(n, 1, ballot(3, 2), 3, 0, &["a", "b", "c"]);
    if let Body::Promise(m) = &mut body {
        m.len = 9;
    }
    lab.get(2, body);
    lab.get(3, promise(n, 1, ballot(1, 2), 1, 0, &["o"]));
    lab.ticks(15);
    assert!(!lab.paxos.is_leader());
    lab.ticks(10);
    assert!(lab.paxos.is_leader());
    lab.assert_log(&["o"], 0);
}

/// It is given up only for another quorum: while there is none, it may be the only one to know what
/// was chosen.
#[test]
fn beyond_4_a_silent_source_stays_the_best_until_another_quorum_is_there() {
    let n = ballot(5, 1);
    let mut lab = Lab::candidate(tiny(), n);
    lab.get(2, part_of_five(0, &["a", "b", "c"]));
    lab.ticks(50);
    lab.get(3, promise(n, 1, ballot(1, 2), 1, 0, &["o"]));
    assert!(!lab.paxos.is_leader());
    lab.get(2, part_of_five(3, &["d", "e"]));
    assert!(lab.paxos.is_leader());
    lab.assert_log(&["a", "b", "c", "d", "e"], 0);
}

/// Leads round 5 in phase Prepare, with four peers.
fn candidate_of_five() -> Lab {
    let disk = Storage::with(MemorySequence::new(), MemoryState::new());
    let paxos = Paxos::try_with(CONFIG, ME, vec![2, 3, 4, 5], disk, tiny()).unwrap();
    let mut lab = Lab { paxos };
    lab.paxos.handle_leader(Leader::new(ballot(5, 1)));
    lab.sent();
    lab
}

/// Two of five promise besides the silent source: a quorum without it.
#[test]
fn beyond_4_a_silent_source_does_not_hold_up_the_round_of_five() {
    let n = ballot(5, 1);
    let mut lab = candidate_of_five();
    lab.get(2, part_of_five(0, &["a", "b", "c"]));
    lab.get(3, promise(n, 1, ballot(1, 2), 1, 0, &["o"]));
    lab.ticks(50);
    assert!(!lab.paxos.is_leader(), "any two others may not know what was chosen");
    lab.get(4, promise(n, 1, Ballot::default(), 0, 0, &[]));
    lab.ticks(25);
    assert!(lab.paxos.is_leader());
    lab.assert_log(&["o"], 0);
}

/// Nor do two of them: one after the other is given up, as long as a quorum is there without both.
#[test]
fn beyond_4_two_silent_sources_do_not_hold_up_the_round_of_five() {
    let mut lab = candidate_of_five();
    for peer in [2, 3] {
        lab.get(peer, part_of_five(0, &["a", "b", "c"]));
    }
    for peer in [4, 5] {
        lab.get(peer, promise(ballot(5, 1), 1, ballot(1, 2), 1, 0, &["o"]));
    }
    lab.ticks(50);
    assert!(lab.paxos.is_leader());
    lab.assert_log(&["o"], 0);
}

/// The source has learned by D1 meanwhile, which replaced its tail: parts of two logs do not mix.
#[test]
fn beyond_4_a_source_whose_log_has_changed_is_fetched_anew() {
    let n = ballot(5, 1);
    let mut lab = Lab::candidate(tiny(), n);
    lab.get(2, part_of_five(0, &["a", "b", "c"]));
    let mut body = promise(n, 1, ballot(3, 2), 4, 4, &["z"]);
    if let Body::Promise(m) = &mut body {
        m.decided_round = ballot(4, 3);
    }
    assert_eq!(lab.get(2, body), [(2, learn_request(0))]);
    lab.get(2, learn(0, &["a", "x", "y"], 4, ballot(4, 3)));
    assert!(lab.paxos.is_leader());
    lab.assert_log(&["a", "x", "y", "z"], 3);
}

/// It may have lost what was not durable: nothing that it showed before counts.
#[test]
fn beyond_4_a_source_that_restarted_is_fetched_anew() {
    let n = ballot(5, 1);
    let mut lab = Lab::candidate(tiny(), n);
    lab.get(2, part_of_five(0, &["a", "b", "c"]));
    lab.get(2, prepare_req(ballot(3, 2)));
    let mut again = part_of_five(0, &["a", "b", "c"]);
    if let Body::Promise(m) = &mut again {
        m.s = 2;
    }
    let none = Ballot::default();
    assert_eq!(lab.get(2, again), [(2, prepare(n, 2, none, 0, 0, Some(3)))]);
}

/// What the Promise itself shows need not be asked for.
#[test]
fn beyond_4_a_candidate_learns_from_the_promise_itself() {
    let mut lab = Lab::follower(tiny(), ballot(2, 2), &["a", "b"], 1);
    let n = ballot(5, 1);
    lab.paxos.handle_leader(Leader::new(n));
    lab.sent();
    let mut body = promise(n, 1, ballot(3, 2), 4, 3, &["x", "y", "z"]);
    if let Body::Promise(m) = &mut body {
        m.len = 6;
    }
    assert_eq!(lab.get(2, body), [(2, prepare(n, 1, ballot(2, 2), 3, 3, Some(4)))]);
    lab.assert_log(&["a", "x", "y"], 3);
    let mut rest = promise(n, 1, ballot(3, 2), 6, 3, &["v", "w"]);
    if let Body::Promise(m) = &mut rest {
        m.start = 4;
    }
    lab.get(2, rest);
    assert!(lab.paxos.is_leader());
    lab.assert_log(&["a", "x", "y", "z", "v", "w"], 3);
}

/// Sources that do not answer are asked in turn: the one that was given up first may be the one
/// whose link works by now.
#[test]
fn beyond_4_a_source_that_was_given_up_gets_another_try() {
    let mut lab = Lab::candidate(tiny(), ballot(5, 1));
    let n = ballot(5, 1);
    let none = Ballot::default();
    for (from, round, shown) in [(2, ballot(3, 2), ["a", "b"]), (3, ballot(1, 2), ["o", "p"])] {
        let mut body = promise(n, 1, round, 2, 0, &shown);
        if let Body::Promise(m) = &mut body {
            m.len = 4;
        }
        lab.get(from, body);
    }
    let ask = (2, prepare(n, 1, none, 0, 0, Some(2)));
    assert!(lab.ticks(15).contains(&ask));
    assert!(lab.ticks(20).contains(&(3, prepare(n, 1, none, 0, 0, Some(2)))));
    assert!(!lab.ticks(4).contains(&ask));
    assert!(lab.ticks(20).contains(&ask));
    lab.get(2, promise(n, 1, ballot(3, 2), 4, 0, &["c", "d"]));
    assert!(lab.paxos.is_leader());
    lab.assert_log(&["a", "b", "c", "d"], 0);
}

/// Once a round is accepted, no AcceptSync of it cuts anything: the leader has counted the log.
#[test]
fn f2_a_late_sync_never_cuts_what_was_accepted_in_its_round() {
    let n = ballot(2, 2);
    let mut lab = Lab::follower(PaxosConfig::default(), n, &["a", "b"], 0);
    let old = accept_sync(n, 1, 0, &["a", "b"], 2, 0);
    lab.get(2, accept(n, 1, 2, &["c", "d"], 0));
    // A second attempt, whose AcceptSync starts at what an earlier promise said.
    lab.get(2, prepare(n, 2, n, 4, 0, None));
    lab.ignores(2, old.clone());
    lab.get(2, accept_sync(n, 2, 1, &["b"], 2, 0));
    lab.assert_log(&["a", "b", "c", "d"], 0);
    lab.ignores(3, learn(0, &[], 0, n));
    // Restarted; a duplicate of the first Prepare and of its AcceptSync are still on the way.
    lab.restart();
    lab.get(2, prepare(n, 1, Ballot::default(), 0, 0, None));
    let sent = lab.get(2, old);
    assert_eq!(sent, [(2, accepted(n, 1, 4, 0))]);
    lab.assert_log(&["a", "b", "c", "d"], 0);
}

#[test]
fn f2_a_late_sync_in_parts_never_cuts_what_was_accepted_in_its_round() {
    let n = ballot(2, 2);
    let mut lab = Lab::follower(tiny(), n, &["a", "b", "c"], 0);
    lab.get(2, accept(n, 1, 3, &["d", "e"], 0));
    lab.restart();
    lab.get(2, prepare(n, 1, Ballot::default(), 0, 0, None));
    lab.get(2, accept_sync(n, 1, 0, &["a"], 3, 0));
    lab.assert_log(&["a", "b", "c", "d", "e"], 0);
}

/// The leader's record of a follower only grows within its round, whatever arrives late.
#[test]
fn l3_a_late_promise_of_a_confirmed_attempt_is_ignored() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(PaxosConfig::default(), n, &["a", "b"]);
    lab.get(2, accepted(n, 1, 2, 2));
    lab.ignores(2, promise(n, 1, Ballot::default(), 0, 0, &[]));
    lab.ignores(2, promise(n, 1, ballot(4, 2), 2, 2, &[]));
    lab.ignores(2, promise(n, 1, n, 1, 1, &[]));
}

/// A restarted follower took a late duplicate of the Prepare for its latest attempt.
#[test]
fn l3_a_follower_that_lost_a_confirmed_attempt_is_synchronised_again() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(PaxosConfig::default(), n, &["a", "b"]);
    lab.get(2, accepted(n, 1, 2, 2));
    let sent = lab.get(2, promise(n, 1, n, 2, 2, &[]));
    assert_eq!(sent, [(2, accept_sync(n, 1, 2, &[], 2, 2))]);
    lab.get(2, accepted(n, 1, 2, 2));
    assert_eq!(lab.get(2, propose(3, &["c"])), [(2, accept(n, 1, 2, &["c"], 2))]);
}

#[test]
fn r1_a_prepare_request_starts_a_new_attempt() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(PaxosConfig::default(), n, &["a"]);
    lab.get(2, accepted(n, 1, 1, 1));
    assert_eq!(lab.get(2, prepare_req(n)), [(2, prepare(n, 2, n, 1, 1, None))]);
    assert_eq!(names(&lab.get(2, propose(2, &["b"]))), [], "it has not promised again");
}
