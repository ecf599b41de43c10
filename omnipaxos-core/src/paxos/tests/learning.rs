//! Line D1 ("beyond" 3): learning decided entries from any peer.

use super::lab::{
    Lab, accept, accept_sync, accepted, ballot, later_part, learn, learn_request, message, names,
    prepare, prepare_req, promise, propose, refuse, tiny,
};
use crate::ballot::Ballot;
use crate::paxos::{Body, MessageError, PaxosConfig, Promise};

const N: Ballot = Ballot { n: 2, priority: 0, pid: 2 };

/// In sync with 2 in `N`: a, b, c, d, of which a is decided.
fn follower() -> Lab {
    Lab::follower(PaxosConfig::default(), N, &["a", "b", "c", "d"], 1)
}

#[test]
fn d1_keeps_what_is_equal_and_what_follows_it() {
    let mut lab = follower();
    lab.get(3, learn(0, &["a", "b"], 2, ballot(4, 3)));
    // c and d may be chosen too: a higher round at the donor is no reason to cut them.
    lab.assert_log(&["a", "b", "c", "d"], 2);
}

#[test]
fn d1_cuts_at_the_first_different_entry_and_appends() {
    let mut lab = follower();
    lab.get(3, learn(1, &["b", "x", "y", "z"], 5, ballot(4, 3)));
    lab.assert_log(&["a", "b", "x", "y", "z"], 5);
}

/// The same payload of another proposal is another entry.
#[test]
fn d1_compares_identities_too() {
    let mut lab = follower();
    let mut body = learn(1, &["b", "c"], 3, ballot(4, 3));
    if let Body::Learn(m) = &mut body {
        m.entries = super::lab::records_of(3, 2, &["b", "c"]);
    }
    lab.get(3, body);
    lab.assert_log(&["a", "b", "c"], 3);
    let next = lab.paxos.replica.storage.next_of(3);
    assert_eq!((next.session, next.number), (1, 4));
    let next = lab.paxos.replica.storage.next_of(2);
    assert_eq!((next.session, next.number), (1, 2));
}

#[test]
fn d1_raises_the_promise_but_never_the_accepted_round() {
    let mut lab = follower();
    lab.get(3, learn(1, &["x"], 2, ballot(4, 3)));
    assert_eq!(lab.state().promised, ballot(4, 3));
    assert_eq!(lab.state().accepted_round, N, "that would claim the whole log of round 4");
    assert_eq!(lab.state().decided_round, ballot(4, 3));
    assert_eq!(lab.paxos.leader(), None);
    // A stale leader's legal Accept would overwrite what was learned.
    let refusal = [(2, refuse(N, ballot(4, 3)))];
    assert_eq!(lab.get(2, accept(N, 1, 2, &["c"], 1)), refusal);
    lab.assert_log(&["a", "x"], 2);
}

#[test]
fn d1_goes_with_the_promise_in_one_flush() {
    let mut lab = follower();
    lab.paxos.handle_message(message(3, learn(1, &["x"], 2, ballot(4, 3)))).unwrap();
    assert_eq!(lab.paxos.get_decided_entries().len(), 1, "b may be handed out once durable");
    let flush = lab.paxos.begin_flush().unwrap();
    assert!(!lab.paxos.replica.storage.flushes().needed());
    lab.paxos.finish_flush(flush.id(), Ok(())).unwrap();
    assert_eq!(lab.paxos.get_decided_entries().len(), 1);
    lab.restart();
    lab.assert_log(&["a", "x"], 2);
    assert_eq!(lab.state().promised, ballot(4, 3));
}

#[test]
fn d1_in_sync_with_the_round_of_the_entries_stays_in_sync() {
    let mut lab = follower();
    let sent = lab.get(3, learn(1, &["b", "c", "d", "e"], 5, N));
    assert_eq!(sent, [(2, accepted(N, 1, 5, 5))]);
    assert_eq!(lab.paxos.leader(), Some(2));
    lab.get(2, accept(N, 1, 4, &["e", "f"], 5));
    lab.assert_log(&["a", "b", "c", "d", "e", "f"], 5);
}

/// What a round accepted holds all that was chosen in it and before: this donor lies, or this
/// server's disk does.
#[test]
fn d1_refuses_a_contradiction() {
    let mut lab = follower();
    for round in [N, ballot(1, 3), ballot(2, 1)] {
        let storage = lab.paxos.replica.storage.clone();
        lab.refuses(3, learn(1, &["x"], 2, round));
        assert_eq!(lab.paxos.replica.storage, storage);
    }
}

#[test]
fn d1_ignores_what_it_has_and_what_would_leave_a_gap() {
    let mut lab = follower();
    lab.ignores(3, learn(0, &["a"], 1, ballot(4, 3)));
    lab.ignores(3, learn(0, &["lie"], 1, ballot(4, 3)));
    lab.ignores(3, learn(2, &["x"], 3, ballot(4, 3)));
    lab.ignores(3, learn(u64::MAX - 1, &["x"], u64::MAX, ballot(4, 3)));
    lab.refuses(3, learn(1, &["b", "c"], 2, ballot(4, 3)));
    lab.refuses(3, learn(u64::MAX, &["b"], u64::MAX, ballot(4, 3)));
    lab.refuses(3, learn(1, &["b"], 2, ballot(4, 9)));
    lab.refuses(3, learn(1, &["b"], 2, Ballot::default()));
}

#[test]
fn d1_asks_on_until_it_has_all_that_the_donor_has() {
    let mut lab = follower();
    let sent = lab.get(3, learn(1, &["b", "c"], 9, ballot(4, 3)));
    assert_eq!(sent, [(3, learn_request(3))]);
    assert_eq!(lab.get(3, learn(1, &["b", "c"], 9, ballot(4, 3))), [], "a duplicate");
}

#[test]
fn d1_a_sealed_log_learns_nothing() {
    let mut lab = Lab::follower(PaxosConfig::default(), N, &["a", "STOP"], 2);
    lab.ignores(3, learn(2, &["x"], 3, ballot(4, 3)));
    let mut lab = Lab::follower(PaxosConfig::default(), N, &["a", "STOP"], 1);
    lab.paxos
        .handle_message(message(3, learn(1, &["STOP", "x"], 3, ballot(4, 3))))
        .unwrap_or_default();
    lab.paxos.handle_message(message(3, learn(1, &["STOP"], 2, ballot(4, 3)))).unwrap();
    lab.sent();
    lab.assert_log(&["a", "StopSign(8)"], 2);
}

#[test]
fn d1_a_leader_of_a_lower_round_follows_and_of_the_same_decides_what_it_has() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(PaxosConfig::default(), n, &["a", "b"]);
    for round in [ballot(4, 2), n] {
        lab.ignores(2, learn(0, &["a", "b", "x"], 3, round));
        let refused = lab.paxos.handle_message(message(2, learn(0, &["x"], 1, round)));
        assert!(matches!(refused, Err(MessageError::Impossible { .. })));
    }
    lab.assert_log(&["a", "b"], 0);
    // Those who accepted it may be gone for good: the next configuration has begun.
    lab.get(2, learn(0, &["a"], 1, ballot(4, 2)));
    assert!(lab.paxos.is_leader());
    lab.assert_log(&["a", "b"], 1);
    let mut lab = Lab::leader(PaxosConfig::default(), n, &["a", "b"]);
    lab.get(2, learn(0, &["x"], 1, ballot(6, 2)));
    assert!(!lab.paxos.is_leader());
    lab.assert_log(&["x"], 1);
    assert_eq!(lab.state().promised, ballot(6, 2));
}

#[test]
fn d1_a_candidate_learns() {
    let mut lab = Lab::candidate(PaxosConfig::default(), ballot(5, 1));
    lab.get(2, learn(0, &["a", "b"], 2, ballot(3, 2)));
    lab.assert_log(&["a", "b"], 2);
    assert_eq!(lab.state().promised, ballot(5, 1));
    // Nobody can have decided in its own round yet: this one is forged, and deposes nobody.
    lab.get(3, learn(2, &["c"], 3, ballot(5, 1)));
    lab.get(2, promise(ballot(5, 1), 1, ballot(3, 2), 2, 2, &[]));
    assert!(lab.paxos.is_leader());
}

#[test]
fn d1_donors_serve_decided_entries_in_chunks() {
    let mut lab = Lab::follower(tiny(), N, &["a", "b", "c"], 0);
    lab.get(2, accept(N, 1, 3, &["d", "e"], 4));
    assert_eq!(lab.get(3, learn_request(0)), [(3, learn(0, &["a", "b", "c"], 4, N))]);
    assert_eq!(lab.get(3, learn_request(3)), [(3, learn(3, &["d"], 4, N))]);
    // Not decided, or not here any more.
    lab.ignores(3, learn_request(4));
    lab.ignores(3, learn_request(u64::MAX));
    lab.paxos.replica.decided_by_all = 4;
    lab.paxos.get_decided_entries();
    lab.ticks(5);
    lab.paxos.trim(2).unwrap();
    lab.sent();
    lab.ignores(3, learn_request(1));
    assert_eq!(lab.get(3, learn_request(2)), [(3, learn(2, &["c", "d"], 4, N))]);
}

/// The leader trimmed what this server lacks; a peer still has it.
#[test]
fn d1_a_server_that_needs_a_trimmed_prefix_finds_a_donor() {
    let mut lab = Lab::new(PaxosConfig::default());
    let n = ballot(5, 3);
    lab.get(3, prepare(n, 1, n, 9, 9, None));
    let mut asked = Vec::new();
    for _ in 0..4 {
        lab.ticks(4);
        asked.extend(lab.get(3, prepare(n, 1, n, 9, 9, None)));
    }
    assert!(names(&asked).contains(&(2, "LearnRequest")), "{:?}", names(&asked));
}

/// The leader's side of it: what it trimmed it cannot send, and that is no reason to halt.
#[test]
fn d1_a_leader_leaves_who_needs_a_trimmed_prefix_to_donors() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(PaxosConfig::default(), n, &["a", "b", "c"]);
    lab.get(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
    lab.get(2, accepted(n, 1, 3, 3));
    lab.get(3, accepted(n, 1, 3, 3));
    lab.ticks(6);
    lab.get(2, accepted(n, 1, 3, 3));
    lab.paxos.get_decided_entries();
    lab.paxos.trim(2).unwrap();
    // Server 3 lost its disk.
    lab.get(3, prepare_req(Ballot::default()));
    assert_eq!(lab.get(3, promise(n, 2, Ballot::default(), 0, 0, &[])), []);
    assert_eq!(names(&lab.ticks(5)), [(3, "Prepare")]);
    // It has learned from somebody.
    let learned = Body::Promise(Box::new(Promise {
        n,
        s: 2,
        accepted_round: Ballot::default(),
        len: 2,
        decided: 2,
        decided_round: n,
        start: 2,
        suffix: crate::storage::Records::default(),
        recovering: false,
    }));
    assert_eq!(names(&lab.get(3, learned)), [(3, "AcceptSync")]);
}

#[test]
fn d1_learning_between_the_parts_of_a_sync() {
    let mut lab = Lab::follower(tiny(), N, &["a", "b", "c"], 1);
    let n = ballot(5, 3);
    lab.get(3, prepare(n, 1, ballot(4, 3), 9, 1, None));
    lab.get(3, accept_sync(n, 1, 1, &["t", "u", "v"], 6, 1));
    // What was staged is known to be chosen now.
    lab.get(2, learn(1, &["t", "u"], 3, ballot(4, 3)));
    lab.assert_log(&["a", "t", "u"], 3);
    let sent = lab.ticks(5);
    assert_eq!(names(&sent), [(3, "SyncRequest")], "fetched again from what was learned");
    lab.get(3, later_part(n, 1, 3, &["v", "w", "x"], 6, 3));
    lab.assert_log(&["a", "t", "u", "v", "w", "x"], 3);
}

/// The AcceptSync begins behind what is learned: nothing of it has to be fetched twice.
#[test]
fn d1_learning_below_a_sync_keeps_what_was_fetched() {
    let mut lab = Lab::follower(tiny(), N, &["a", "b", "c"], 1);
    let n = ballot(5, 3);
    lab.get(3, prepare(n, 1, N, 3, 1, None));
    lab.get(3, accept_sync(n, 1, 3, &["d", "e", "f"], 8, 1));
    lab.get(2, learn(1, &["b", "c"], 3, N));
    lab.get(3, later_part(n, 1, 6, &["g", "h"], 8, 1));
    lab.assert_log(&["a", "b", "c", "d", "e", "f", "g", "h"], 3);
    assert_eq!(lab.state().accepted_round, n);
}

#[test]
fn d1_a_later_part_is_never_taken_for_the_first() {
    let mut lab = Lab::follower(tiny(), N, &["a", "b", "c", "d"], 1);
    let n = ballot(5, 3);
    lab.get(3, prepare(n, 1, ballot(4, 3), 9, 1, None));
    lab.get(3, accept_sync(n, 1, 1, &["b", "y", "z"], 6, 1));
    // Equal to what the log holds: the stale tail behind it stays.
    lab.get(2, learn(1, &["b"], 2, ballot(4, 3)));
    lab.assert_log(&["a", "b", "c", "d"], 2);
    lab.get(3, later_part(n, 1, 4, &["w", "x"], 6, 4));
    lab.assert_log(&["a", "b", "c", "d"], 2);
    lab.get(3, later_part(n, 1, 2, &["y", "z", "w", "x"], 6, 4));
    lab.assert_log(&["a", "b", "y", "z", "w", "x"], 4);
}

#[test]
fn proposals_of_a_learner_get_their_outcome() {
    let mut lab = follower();
    let id = lab.paxos.propose_normal("mine").unwrap();
    assert_eq!(names(&lab.sent()), [(2, "Propose")]);
    let mut body = learn(1, &["b"], 3, ballot(4, 3));
    if let Body::Learn(m) = &mut body {
        let mut builder = crate::storage::RecordsBuilder::new();
        builder.extend(m.entries.iter().map(|(id, entry)| (id, entry.clone())));
        builder.push(id, "mine".to_owned().into());
        m.entries = builder.build();
    }
    lab.get(3, body);
    let outcome = crate::paxos::ProposalOutcome::Decided(2);
    assert_eq!(lab.paxos.take_outcomes(), [(id, outcome)]);
    lab.ignores(3, propose(9, &[]));
}
