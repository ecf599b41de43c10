//! Lines R1-R4: restarts in every phase, links that come back, refusals.

use super::cluster::Cluster;
use super::lab::{
    Lab, accept, accept_sync, accepted, ballot, decide, learn_request, names, prepare, prepare_req,
    promise, propose, refuse, tiny,
};
use crate::ballot::{Ballot, Leader};
use crate::paxos::{Body, Message, PaxosConfig};
use crate::quorum::Quorum;

fn three() -> Cluster {
    let mut cluster = Cluster::new(&[1, 2, 3], PaxosConfig::default());
    cluster.settle();
    cluster
}

#[test]
fn r1_a_restarted_server_asks_everyone_for_a_prepare() {
    let mut lab = Lab::follower(PaxosConfig::default(), ballot(2, 2), &["a", "b"], 1);
    let disk = lab.paxos.clone().into_storage();
    let config = PaxosConfig::default();
    let peers = vec![2, 3];
    lab.paxos =
        crate::paxos::Paxos::try_with(super::cluster::CONFIG, 1, peers, disk, config).unwrap();
    let asked = prepare_req(ballot(2, 2));
    assert_eq!(lab.sent(), [(2, asked.clone()), (3, asked.clone())]);
    lab.assert_log(&["a", "b"], 1);
    assert_eq!(lab.state().accepted_round, ballot(2, 2));
    assert_eq!(lab.state().session, 2);
    // Repeated by ticks, together with a look at what others have decided.
    let sent = lab.ticks(5);
    assert_eq!(sent, [(2, asked.clone()), (3, asked), (2, learn_request(1))]);
}

/// A server that led does not resume: its promise is its own old ballot.
#[test]
fn r1_a_restarted_leader_does_not_lead_its_old_round() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(PaxosConfig::default(), n, &["a"]);
    lab.restart();
    lab.paxos.handle_leader(Leader::new(n));
    assert_eq!(lab.sent(), []);
    lab.ignores(2, promise(n, 1, Ballot::default(), 0, 0, &[]));
    lab.ignores(2, accepted(n, 1, 1, 0));
    assert_eq!(lab.paxos.decided_index(), 0);
    lab.assert_log(&["a"], 0);
}

/// Whatever server crashes after whatever number of deliveries: everything is decided in the end.
#[test]
fn r1_a_restart_at_any_moment() {
    for victim in [1, 2, 3] {
        for moment in 0..60 {
            let mut cluster = Cluster::new(&[1, 2, 3], tiny());
            cluster.elect(1);
            for (pid, what) in [(1, "a"), (1, "b"), (1, "c"), (2, "d"), (2, "e"), (3, "f")] {
                cluster.propose(pid, what);
            }
            for _ in 0..moment {
                for pid in [1, 2, 3] {
                    cluster.output_pipelined(pid);
                }
                if !cluster.wires.is_empty() {
                    let message = cluster.wires.remove(0);
                    cluster.deliver(message);
                }
            }
            cluster.crash(victim);
            cluster.start(victim);
            cluster.settle();
            let leader = if victim == 1 { 2 } else { 1 };
            if victim == 1 {
                cluster.elect(leader);
            }
            cluster.run(60);
            let log = cluster.decided(leader);
            for pid in [1, 2, 3] {
                assert_eq!(cluster.decided(pid), log, "{victim} at {moment}");
                assert!(cluster.get(pid).replica.proposals.is_empty(), "{victim} at {moment}");
            }
            // Only what the victim forgot may be missing.
            let lost = [("a", 1), ("b", 1), ("c", 1), ("d", 2), ("e", 2), ("f", 3)];
            for (what, pid) in lost {
                assert!(pid == victim || log.iter().any(|e| e == what), "{what}: {log:?}");
            }
        }
    }
}

#[test]
fn r2_a_follower_asks_the_leader_when_the_link_is_back() {
    let mut lab = Lab::follower(PaxosConfig::default(), ballot(2, 2), &["a"], 0);
    lab.paxos.reconnected(3);
    lab.paxos.reconnected(9);
    lab.paxos.reconnected(1);
    assert_eq!(lab.sent(), []);
    lab.paxos.reconnected(2);
    assert_eq!(lab.sent(), [(2, prepare_req(ballot(2, 2)))]);
    // A server that was elected but has not been heard counts too.
    lab.paxos.handle_leader(Leader::new(ballot(4, 3)));
    lab.paxos.reconnected(3);
    assert_eq!(lab.sent(), [(3, prepare_req(ballot(2, 2)))]);
    // So it does at a leader that was deposed by that.
    let mut lab = Lab::leader(PaxosConfig::default(), ballot(2, 1), &[]);
    lab.paxos.handle_leader(Leader::new(ballot(4, 3)));
    lab.paxos.reconnected(2);
    assert_eq!(lab.sent(), []);
    lab.paxos.reconnected(3);
    assert_eq!(lab.sent(), [(3, prepare_req(ballot(2, 1)))]);
}

#[test]
fn r2_a_leader_sends_again_what_was_on_its_way() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(PaxosConfig::default(), n, &[]);
    lab.get(2, accepted(n, 1, 0, 0));
    lab.get(2, propose(1, &["a"]));
    lab.paxos.reconnected(2);
    assert_eq!(lab.sent(), [(2, accept(n, 1, 0, &["a"], 0))]);
    assert!(lab.ticks(1).contains(&(2, decide(n, 1, 0, true))));
    // One that never promised is prepared.
    lab.paxos.reconnected(3);
    assert_eq!(names(&lab.sent()), [(3, "Prepare")]);
    lab.get(3, refuse(n, ballot(9, 3)));
    lab.paxos.reconnected(3);
    assert_eq!(lab.sent(), [], "it was told off");
}

#[test]
fn r2_a_candidate_prepares_again_who_has_not_promised() {
    let n = ballot(5, 1);
    let quorum = Some(Quorum::flexible(3, 1, 3).unwrap());
    let mut lab = Lab::candidate(PaxosConfig { quorum, ..PaxosConfig::default() }, n);
    lab.get(2, promise(n, 1, Ballot::default(), 0, 0, &[]));
    lab.paxos.reconnected(2);
    assert_eq!(lab.sent(), []);
    lab.paxos.reconnected(3);
    assert_eq!(names(&lab.sent()), [(3, "Prepare")]);
}

#[test]
fn r2_everyones_links_flap_while_entries_flow() {
    let mut cluster = three();
    cluster.lead(1);
    for at in 0..12 {
        cluster.propose(1 + at % 3, &at.to_string());
        cluster.output(1);
        for pid in [1, 2, 3] {
            for peer in [1, 2, 3] {
                cluster.get(pid).reconnected(peer);
            }
        }
        cluster.settle();
    }
    cluster.run(10);
    for pid in [1, 2, 3] {
        assert_eq!(cluster.decided(pid).len(), 12);
    }
}

#[test]
fn r4_a_leader_leaves_a_refuser_alone_and_follows_when_too_many_refuse() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(PaxosConfig::default(), n, &["a"]);
    lab.get(2, accepted(n, 1, 1, 1));
    lab.get(2, refuse(n, ballot(6, 3)));
    assert!(lab.paxos.is_leader(), "two of three can still decide");
    assert_eq!(lab.get(2, propose(2, &["b"])), []);
    lab.get(2, refuse(n, ballot(6, 3)));
    assert!(lab.paxos.is_leader(), "one refusal twice");
    lab.get(3, refuse(ballot(4, 1), ballot(6, 3)));
    assert!(lab.paxos.is_leader(), "an old refusal");
    lab.get(3, refuse(n, ballot(6, 3)));
    assert!(!lab.paxos.is_leader());
    assert_eq!(lab.paxos.promised(), n, "the election is not told");
    lab.assert_log(&["a", "b"], 1);
}

#[test]
fn r4_a_candidate_follows_when_too_many_refuse() {
    let n = ballot(5, 1);
    let mut lab = Lab::candidate(PaxosConfig::default(), n);
    lab.get(2, prepare_req(ballot(6, 3)));
    lab.get(2, refuse(n, ballot(6, 3)));
    assert_eq!(names(&lab.ticks(5)), [(3, "Prepare")]);
    lab.get(3, refuse(n, ballot(6, 3)));
    assert_eq!(names(&lab.ticks(5)), [(2, "PrepareReq"), (3, "PrepareReq"), (2, "LearnRequest")]);
}

/// A refuser that asks again and promises less is taken back: its promise was never durable.
#[test]
fn r4_a_refuser_that_forgot_its_promise_is_taken_back() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(PaxosConfig::default(), n, &["a"]);
    lab.get(3, prepare_req(ballot(6, 3)));
    assert_eq!(names(&lab.ticks(5)).iter().filter(|(to, _)| *to == 3).count(), 0);
    assert_eq!(lab.get(3, prepare_req(Ballot::default())), [(3, prepare(n, 2, n, 1, 0, None))]);
}

#[test]
fn r4_a_leader_that_hears_of_a_higher_round_follows() {
    let higher = ballot(6, 2);
    let bodies = [
        prepare(higher, 1, Ballot::default(), 0, 0, None),
        accept_sync(higher, 1, 0, &["x"], 1, 0),
        accept(higher, 1, 0, &["x"], 0),
        decide(higher, 1, 1, true),
    ];
    for body in bodies {
        let mut lab = Lab::leader(PaxosConfig::default(), ballot(5, 1), &["a"]);
        let sent = lab.get(2, body.clone());
        assert!(!lab.paxos.is_leader(), "{}", body.name());
        let answer = if body.name() == "Prepare" { "Promise" } else { "PrepareReq" };
        match body.name() {
            "AcceptSync" => assert_eq!(sent, []),
            _ => assert_eq!(names(&sent), [(2, answer)]),
        }
        lab.assert_log(&["a"], 0);
    }
}

/// Losing touch in phase Prepare, with the promise on its way, and long silence after.
#[test]
fn r3_a_follower_whose_leader_is_silent_asks_it() {
    let n = ballot(2, 2);
    let mut lab = Lab::follower(PaxosConfig::default(), n, &["a"], 0);
    assert_eq!(lab.ticks(100), []);
    let sent = lab.ticks(20);
    assert!(sent.contains(&(2, prepare_req(n))), "{sent:?}");
    assert!(names(&sent).contains(&(3, "LearnRequest")), "{sent:?}");
    // Heard again: quiet again.
    lab.get(2, decide(n, 1, 1, false));
    assert_eq!(names(&lab.ticks(10)), []);
}

/// Ticks bound the rate of what an unreachable cluster is sent, for as long as it takes.
#[test]
fn beyond_1_resends_are_bounded_in_rate() {
    let mut cluster = three();
    cluster.lead(1);
    for at in 0..500 {
        cluster.propose(1, &format!("{at:030}"));
    }
    cluster.crash(2);
    cluster.crash(3);
    cluster.settle();
    let before = cluster.sent;
    cluster.run(500);
    // One Accept and one Decide to each peer in 5 ticks.
    assert!(cluster.sent - before <= 500 / 5 * 4, "{} messages", cluster.sent - before);
    cluster.crash(1);
    cluster.start(1);
    cluster.settle();
    let before = cluster.sent;
    cluster.run(500);
    assert!(cluster.sent - before <= 500 / 5 * 4, "{} messages", cluster.sent - before);
}

/// A network that delivers everything twice, the second time late, comes to rest all the same.
#[test]
fn beyond_1_everything_twice_comes_to_rest() {
    let mut cluster = Cluster::new(&[1, 2, 3], tiny());
    let mut late: Vec<(usize, Message)> = Vec::new();
    cluster.elect(1);
    for (pid, what) in [(1, "a"), (2, "b"), (3, "c"), (1, "d"), (1, "e"), (1, "f")] {
        cluster.propose(pid, what);
    }
    for round in 0..400 {
        for pid in [1, 2, 3] {
            cluster.output(pid);
        }
        if round % 10 == 0 {
            cluster.tick();
        }
        let due: Vec<Message> =
            late.extract_if(.., |(at, _)| *at <= round).map(|(_, m)| m).collect();
        let fresh = std::mem::take(&mut cluster.wires);
        late.extend(fresh.iter().map(|m| (round + 7, m.clone())));
        for message in fresh.into_iter().chain(due) {
            cluster.deliver(message);
        }
        assert!(late.len() < 200, "{} messages on their way in round {round}", late.len());
    }
    for pid in [1, 2, 3] {
        assert_eq!(cluster.decided(pid).len(), 6);
    }
    let prepares = late.iter().filter(|(_, m)| matches!(m.body, Body::Prepare(_))).count();
    assert_eq!(prepares, 0, "attempts follow each other for ever");
}

/// P7: its election counts on this server until a higher promise says that the round is over.
#[test]
fn r4_a_refused_leader_that_nobody_answers_promises_the_other_round() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(tiny(), n, &["a"]);
    lab.get(2, refuse(n, ballot(9, 3)));
    assert!(lab.paxos.is_leader(), "server 3 may still answer");
    lab.ticks(2 * 4 * tiny().keepalive_ticks);
    assert!(!lab.paxos.is_leader());
    assert_eq!(lab.paxos.promised(), ballot(9, 3));
}
