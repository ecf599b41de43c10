//! When a follower that hears its leader looks elsewhere all the same (its leader may not hear it),
//! and when a leader gives up a round in which nobody answers (P7).

use super::lab::{
    Lab, accept, accepted, ballot, decide, learn, names, prepare, promise, refuse, tiny,
};
use crate::ballot::{Ballot, NodeId};
use crate::paxos::{Body, PaxosConfig};

const N: Ballot = Ballot { n: 2, priority: 0, pid: 2 };

/// Twice the keepalive of the default configuration.
const PATIENCE: u32 = 100;

/// Ticks `ticks` times, each time after the leader was heard; returns the ticks at which decided
/// entries were asked for, and whom.
fn looks(lab: &mut Lab, ticks: u32, says: &Body) -> Vec<(u32, NodeId)> {
    let mut asked = Vec::new();
    for tick in 1..=ticks {
        let mut sent = lab.get(2, says.clone());
        sent.extend(lab.ticks(1));
        let requests = sent.iter().filter(|(_, body)| body.name() == "LearnRequest");
        asked.extend(requests.map(|(to, _)| (tick, *to)));
    }
    asked
}

/// In sync with 2, which has decided six entries, of which two are here.
fn behind() -> Lab {
    let mut lab = Lab::follower(PaxosConfig::default(), N, &["a", "b"], 0);
    lab.get(2, decide(N, 1, 6, false));
    lab.ticks(1);
    lab
}

#[test]
fn a_follower_that_stays_behind_asks_its_peers_in_turn() {
    let mut lab = behind();
    let asked = looks(&mut lab, PATIENCE + 21, &decide(N, 1, 6, false));
    let first = PATIENCE + 1;
    assert_eq!(
        asked,
        [(first, 2), (first + 5, 3), (first + 10, 2), (first + 15, 3), (first + 20, 2)]
    );
}

/// Part of it helps, but not all: it asks on at once, not after another hundred ticks.
#[test]
fn a_follower_that_looks_elsewhere_goes_on_until_it_is_no_longer_behind() {
    let mut lab = behind();
    looks(&mut lab, PATIENCE + 3, &decide(N, 1, 6, false));
    lab.get(3, learn(2, &["c"], 3, N));
    assert_eq!(looks(&mut lab, 20, &decide(N, 1, 6, false)).len(), 4);
    lab.get(3, learn(3, &["d", "e", "f"], 6, N));
    assert_eq!(looks(&mut lab, 2 * PATIENCE, &decide(N, 1, 6, false)), []);
}

/// Its leader gets through to it, slowly: no reason to ask others.
#[test]
fn a_follower_that_gets_on_asks_nobody() {
    let mut lab = behind();
    for at in 2..8 {
        assert_eq!(looks(&mut lab, PATIENCE, &decide(N, 1, 1000, false)), []);
        lab.get(2, accept(N, 1, at, &["x"], 1000));
        assert_eq!(looks(&mut lab, 1, &decide(N, 1, 1000, false)), []);
    }
    let mut idle = Lab::follower(PaxosConfig::default(), N, &["a", "b"], 2);
    assert_eq!(looks(&mut idle, 5 * PATIENCE, &decide(N, 1, 2, false)), []);
}

/// The leader is heard, but what is forwarded to it does not arrive.
#[test]
fn a_follower_whose_proposals_are_not_decided_asks_its_peers() {
    let mut lab = Lab::follower(PaxosConfig::default(), N, &["a", "b"], 2);
    lab.ticks(1);
    lab.paxos.propose_normal("mine").unwrap();
    let asked = looks(&mut lab, PATIENCE + 5, &decide(N, 1, 2, false));
    assert_eq!(asked, [(PATIENCE + 1, 2)]);
}

/// The leader prepares it again and again: its Promise does not arrive.
#[test]
fn a_follower_whose_promise_does_not_arrive_asks_its_peers() {
    let mut lab = Lab::new(PaxosConfig::default());
    lab.get(2, prepare(N, 1, Ballot::default(), 0, 0, None));
    let again = prepare(N, 1, Ballot::default(), 0, 0, None);
    assert_eq!(looks(&mut lab, PATIENCE + 5, &again), [(PATIENCE + 1, 2)]);
}

/// 3 refuses; `phase` brings a leader of 5 into the phase in which the others fall silent.
fn refused_by_3(phase: &str) -> Lab {
    let n = ballot(5, 1);
    let mut lab = match phase {
        "Prepare" => Lab::candidate(tiny(), n),
        _ => Lab::leader(tiny(), n, &["a"]),
    };
    lab.get(3, refuse(n, ballot(9, 3)));
    lab
}

#[test]
fn p7_a_leader_that_a_quorum_answers_stays_however_many_refuse() {
    let n = ballot(5, 1);
    let mut lab = refused_by_3("Accept");
    for _ in 0..20 {
        lab.ticks(tiny().keepalive_ticks);
        lab.get(2, accepted(n, 1, 1, 0));
    }
    assert!(lab.paxos.is_leader());
    assert_eq!(lab.paxos.promised(), n);
}

#[test]
fn p7_a_leader_that_nobody_refuses_stays_however_long_nobody_answers() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(tiny(), n, &["a"]);
    lab.ticks(20 * tiny().keepalive_ticks);
    assert!(lab.paxos.is_leader());
    let mut lab = Lab::candidate(tiny(), n);
    lab.ticks(20 * tiny().keepalive_ticks);
    lab.get(2, promise(n, 1, Ballot::default(), 0, 0, &[]));
    assert!(lab.paxos.is_leader(), "it went on asking for promises");
}

#[test]
fn p7_a_candidate_that_nobody_answers_promises_the_other_round() {
    let mut lab = refused_by_3("Prepare");
    lab.ticks(4 * tiny().keepalive_ticks - 1);
    assert_eq!(lab.paxos.promised(), ballot(5, 1));
    lab.ticks(1);
    assert_eq!(lab.paxos.promised(), ballot(9, 3));
    assert!(names(&lab.ticks(5)).contains(&(2, "PrepareReq")), "it follows");
}

#[test]
fn p7_a_candidate_that_a_quorum_answers_goes_on() {
    let n = ballot(5, 1);
    let mut lab = refused_by_3("Prepare");
    // A promise whose tail is never shown holds up phase Prepare, but it is an answer.
    let mut body = promise(n, 1, ballot(3, 2), 3, 0, &["a", "b", "c"]);
    if let Body::Promise(m) = &mut body {
        m.len = 9;
    }
    for _ in 0..20 {
        lab.get(2, body.clone());
        lab.ticks(tiny().keepalive_ticks);
    }
    assert_eq!(lab.paxos.promised(), n);
    assert!(!lab.paxos.is_leader());
}
