//! "Beyond" 2: each proposal is decided at most once, in the order of its proposer, and never lost
//! in silence.

use super::cluster::Cluster;
use super::lab::{Lab, ME, accept_sync, accepted, ballot, names, prepare, propose, records_of};
use crate::ballot::NodeId;
use crate::paxos::{Accept, Body, Learn, PaxosConfig, ProposalOutcome, Propose};
use crate::storage::{ProposalId, Records, RecordsBuilder};

fn leader() -> Lab {
    Lab::leader(PaxosConfig::default(), ballot(5, 1), &[])
}

fn in_session(session: u64, first: u64, entries: &[&str]) -> Body {
    let mut builder = RecordsBuilder::new();
    builder.extend((first..).zip(entries).map(|(number, entry)| {
        let id = ProposalId { proposer: 2, session, number };
        (id, (*entry).to_owned().into())
    }));
    Body::Propose(Propose { proposals: builder.build(), hops: 1 })
}

#[test]
fn beyond_2_duplicates_and_overlaps_enter_the_log_once() {
    let mut lab = leader();
    lab.get(2, propose(1, &["a", "b"]));
    lab.get(2, propose(1, &["a", "b"]));
    lab.get(3, propose(2, &["b", "c", "d"]));
    lab.get(2, propose(1, &["a"]));
    lab.assert_log(&["a", "b", "c", "d"], 0);
}

#[test]
fn beyond_2_what_comes_early_waits_for_the_gap_to_close() {
    let mut lab = leader();
    lab.get(2, propose(2, &["b"]));
    lab.assert_log(&[], 0);
    lab.get(3, propose(4, &["d", "e"]));
    lab.get(2, propose(1, &["a"]));
    lab.assert_log(&["a", "b"], 0);
    lab.get(2, propose(3, &["c", "d"]));
    lab.assert_log(&["a", "b", "c", "d", "e"], 0);
    lab.get(2, propose(1 << 60, &["z"]));
    lab.assert_log(&["a", "b", "c", "d", "e"], 0);
}

/// A window of early proposals is kept, those that come next rather than later ones.
#[test]
fn beyond_2_what_comes_early_is_bounded() {
    let window_bytes = records_of(2, 1, &["a", "b"]).cost();
    let config = PaxosConfig { window_bytes, ..PaxosConfig::default() };
    let mut lab = Lab::leader(config, ballot(5, 1), &[]);
    for (number, entry) in [(5, "e"), (4, "d"), (2, "b"), (3, "c"), (6, "f")] {
        lab.get(2, propose(number, &[entry]));
    }
    lab.get(2, propose(1, &["a"]));
    lab.assert_log(&["a", "b", "c"], 0);
    lab.get(2, propose(4, &["d"]));
    lab.assert_log(&["a", "b", "c", "d"], 0);
}

/// What was sent twice is kept once, and what has entered the log makes room: to the byte.
#[test]
fn beyond_2_what_comes_early_is_counted_once_and_only_while_it_waits() {
    let window_bytes = records_of(2, 1, &["a", "b", "c"]).cost();
    let config = PaxosConfig { window_bytes, ..PaxosConfig::default() };
    let mut lab = Lab::leader(config, ballot(5, 1), &[]);
    for _ in 0..5 {
        lab.get(2, propose(2, &["b"]));
    }
    lab.get(2, propose(4, &["d"]));
    lab.get(2, propose(1, &["a"]));
    lab.assert_log(&["a", "b"], 0);
    // Behind d there is room for three, and behind c for one less.
    for number in 5..12 {
        lab.get(2, propose(number, &["x"]));
    }
    lab.get(2, propose(3, &["c"]));
    lab.assert_log(&["a", "b", "c", "d", "x", "x"], 0);
}

#[test]
fn beyond_2_a_later_session_ends_the_earlier_ones() {
    let mut lab = leader();
    lab.get(2, in_session(3, 1, &["a"]));
    lab.get(2, in_session(2, 1, &["old"]));
    lab.get(2, in_session(3, 3, &["early, and never continued"]));
    lab.get(2, in_session(4, 2, &["c"]));
    lab.assert_log(&["a"], 0);
    lab.get(2, in_session(3, 2, &["of a session that is over"]));
    lab.get(2, in_session(4, 1, &["b"]));
    lab.assert_log(&["a", "b", "c"], 0);
    lab.get(2, in_session(3, 2, &["late"]));
    lab.assert_log(&["a", "b", "c"], 0);
}

/// What was forwarded to an earlier leader may be lost: it goes to the new one at once, without a
/// tick.
#[test]
fn beyond_2_a_new_leader_is_given_what_was_forwarded_to_the_old_one() {
    let mut lab = Lab::follower(PaxosConfig::default(), ballot(2, 2), &[], 0);
    lab.paxos.propose_normal("a").unwrap();
    assert_eq!(names(&lab.sent()), [(2, "Propose")]);
    let n = ballot(5, 3);
    lab.get(3, prepare(n, 1, ballot(2, 2), 0, 0, None));
    let sent = lab.get(3, accept_sync(n, 1, 0, &[], 0, 0));
    assert_eq!(names(&sent), [(3, "Propose"), (3, "Accepted")]);
}

/// What was on its way to the old leader does not count against the new one's window.
#[test]
fn beyond_2_the_window_starts_over_with_a_new_leader() {
    let config = PaxosConfig { window_bytes: 17, accept_frame_bytes: 17, ..PaxosConfig::default() };
    let mut lab = Lab::follower(config, ballot(2, 2), &[], 0);
    for what in ["a", "b", "c"] {
        lab.paxos.propose_normal(what).unwrap();
    }
    assert_eq!(names(&lab.sent()), [(2, "Propose")]);
    let n = ballot(5, 3);
    lab.get(3, prepare(n, 1, ballot(2, 2), 0, 0, None));
    let sent = lab.get(3, accept_sync(n, 1, 0, &[], 0, 0));
    assert_eq!(names(&sent), [(3, "Propose"), (3, "Accepted")]);
}

/// One message of several proposers and sessions: what one lacks does not hold up the others.
#[test]
fn beyond_2_each_run_is_judged_alone() {
    let mut lab = leader();
    let Body::Propose(later) = in_session(2, 1, &["later session"]) else { unreachable!() };
    let parts = [
        later.proposals,
        records_of(2, 1, &["old session"]),
        records_of(3, 2, &["gap"]),
        records_of(3, 1, &["a", "b"]),
        records_of(1, 1, &["c"]),
        records_of(3, 2, &["b", "d"]),
    ];
    let entries = parts.iter().flat_map(|p| p.entries().to_vec()).collect();
    let runs = parts.iter().flat_map(|p| p.runs().to_vec()).collect();
    let proposals = Records::new(entries, runs).unwrap();
    lab.get(2, Body::Propose(Propose { proposals, hops: 0 }));
    lab.assert_log(&["later session", "a", "b", "c", "d"], 0);
}

#[test]
fn beyond_2_a_deposed_leaders_proposals_are_proposed_again() {
    let mut cluster = Cluster::new(&[1, 2, 3], PaxosConfig::default());
    cluster.settle();
    cluster.lead(1);
    cluster.link(1, 2, false);
    cluster.link(1, 3, false);
    let ids = ["a", "b"].map(|what| cluster.propose(1, what));
    cluster.settle();
    cluster.lead(2);
    cluster.propose(2, "c");
    cluster.settle();
    cluster.assert_decided(&[2, 3], &["c"]);
    assert_eq!(cluster.get(1).log_len(), 2, "its own, accepted by nobody else");
    cluster.link(1, 2, true);
    cluster.link(1, 3, true);
    cluster.run(25);
    cluster.assert_decided(&[1, 2, 3], &["c", "a", "b"]);
    for (id, at) in ids.iter().zip(1..) {
        assert_eq!(cluster.servers[&1].outcomes[id], ProposalOutcome::Decided(at));
    }
}

/// The other way round: a later leader adopts what the deposed one had proposed.
#[test]
fn beyond_2_a_deposed_leaders_proposals_are_adopted_once() {
    let mut cluster = Cluster::new(&[1, 2, 3], PaxosConfig::default());
    cluster.settle();
    cluster.lead(1);
    cluster.link(1, 2, false);
    cluster.cut.insert((3, 1));
    let id = cluster.propose(1, "a");
    cluster.settle();
    cluster.lead(2);
    cluster.settle();
    cluster.assert_decided(&[2, 3], &["a"]);
    cluster.cut.clear();
    cluster.run(25);
    cluster.assert_decided(&[1, 2, 3], &["a"]);
    assert_eq!(cluster.servers[&1].outcomes[&id], ProposalOutcome::Decided(0));
}

#[test]
fn beyond_2_the_order_of_one_proposer_holds_across_leaders() {
    let mut cluster = Cluster::new(&[1, 2, 3], PaxosConfig::default());
    cluster.settle();
    for round in 0..6 {
        cluster.elect(1 + round % 3);
        for at in 0..3 {
            cluster.propose(2, &format!("{}", round * 3 + at));
            cluster.output(2);
            cluster.output(1 + round % 3);
            // The last messages of each leader arrive, in the wrong order, after the next one's.
            cluster.wires.reverse();
        }
    }
    cluster.settle();
    cluster.run(60);
    let expected: Vec<String> = (0..18).map(|at| at.to_string()).collect();
    for pid in [1, 2, 3] {
        assert_eq!(cluster.decided(pid), expected);
    }
}

#[test]
fn beyond_2_dropped_is_said_only_once_the_sealed_log_lacks_it() {
    let mut cluster = Cluster::new(&[1, 2, 3], PaxosConfig::default());
    cluster.settle();
    cluster.lead(1);
    cluster.cut.insert((3, 1));
    let lost = cluster.propose(3, "lost");
    cluster.settle();
    let stop = cluster.get(1).propose_reconfiguration(vec![1, 2]).unwrap();
    cluster.cut.insert((2, 1));
    cluster.settle();
    // The StopSign is in every log but not decided.
    assert!(cluster.get(3).propose_normal("late").is_err());
    cluster.run(30);
    assert_eq!(cluster.servers[&3].outcomes.get(&lost), None);
    cluster.cut.clear();
    cluster.run(30);
    assert_eq!(cluster.servers[&1].outcomes[&stop], ProposalOutcome::Decided(0));
    assert_eq!(cluster.servers[&3].outcomes[&lost], ProposalOutcome::Dropped);
    cluster.assert_decided(&[1, 2, 3], &["StopSign(8)"]);
}

#[test]
fn beyond_2_a_relay_passes_on_to_its_leader_once() {
    let mut lab = Lab::follower(PaxosConfig::default(), ballot(2, 2), &[], 0);
    let body = |hops| {
        let proposals = records_of(3, 1, &["a"]);
        Body::Propose(Propose { proposals, hops })
    };
    assert_eq!(lab.get(3, body(1)), [(2, body(0))]);
    lab.ignores(3, body(0));
    // Not back to the leader that sent it.
    lab.ignores(2, body(1));
    let mut lab = Lab::new(PaxosConfig::default());
    lab.ignores(3, body(u8::MAX));
}

/// A proposal in the log of a round whose leader is gone: nobody else may have it, and another
/// leader may be known to the peers only.
#[test]
fn beyond_2_what_a_silent_leader_took_goes_to_others() {
    let n = ballot(2, 2);
    let mut lab = Lab::follower(PaxosConfig::default(), n, &[], 0);
    lab.paxos.propose_normal("a").unwrap();
    lab.sent();
    let entries = records_of(ME, 1, &["a"]);
    let taken =
        Accept { n, s: 1, start: 0, entries: entries.clone(), decided: 0, decided_by_all: 0 };
    lab.get(2, Body::Accept(taken));
    lab.assert_log(&["a"], 0);
    let proposed = (3, Body::Propose(Propose { proposals: entries, hops: 1 }));
    assert!(!lab.ticks(90).contains(&proposed), "while the leader may live");
    assert!(lab.ticks(30).contains(&proposed));
}

/// A peer that passes proposals on gets as many of them at once as the leader would.
#[test]
fn beyond_2_a_relay_gets_a_window_of_frames() {
    let config = PaxosConfig { window_bytes: 50, accept_frame_bytes: 20, ..PaxosConfig::default() };
    let mut lab = Lab::follower(config, ballot(2, 2), &[], 0);
    for _ in 0..9 {
        lab.paxos.propose_normal("x").unwrap();
    }
    let direct = lab.sent();
    let again = lab.ticks(15);
    let to = |pid: NodeId| again.iter().filter(move |(to, _)| *to == pid).map(|(_, body)| body);
    let frames: Vec<_> = direct.iter().map(|(_, body)| body).collect();
    assert!(frames.len() > 1, "{direct:?}");
    assert_eq!(to(3).collect::<Vec<_>>(), frames);
}

#[test]
fn beyond_2_forwarding_is_coalesced_and_repeated_by_ticks_only() {
    let mut lab = Lab::follower(PaxosConfig::default(), ballot(2, 2), &[], 0);
    for what in ["a", "b", "c"] {
        lab.paxos.propose_normal(what).unwrap();
    }
    assert_eq!(names(&lab.sent()), [(2, "Propose")]);
    assert_eq!(lab.sent(), []);
    // From the first tick that finds them lacking on, every fifth; each time to the leader, and in
    // turn through a peer.
    assert_eq!(lab.ticks(1), []);
    let both: &[_] = &[(2, "Propose"), (3, "Propose")];
    for again in [&both[..1], both, &both[..1]] {
        assert_eq!(lab.ticks(4), []);
        assert_eq!(names(&lab.ticks(1)), again);
    }
}

/// The time until a resend, and the turn of the peers, begin with the proposal.
#[test]
fn beyond_2_a_proposal_is_not_sent_again_earlier_because_its_server_was_idle() {
    for idle in 1..12 {
        let mut lab = Lab::follower(PaxosConfig::default(), ballot(2, 2), &[], 0);
        assert_eq!(lab.ticks(idle), []);
        lab.paxos.propose_normal("a").unwrap();
        assert_eq!(names(&lab.sent()), [(2, "Propose")]);
        assert_eq!(lab.ticks(4), [], "idle for {idle} ticks");
        assert_eq!(names(&lab.ticks(1)), [(2, "Propose")], "idle for {idle} ticks");
    }
}

#[test]
fn beyond_2_forwarding_respects_the_window() {
    let config = PaxosConfig { window_bytes: 50, accept_frame_bytes: 40, ..PaxosConfig::default() };
    let mut lab = Lab::follower(config, ballot(2, 2), &[], 0);
    for _ in 0..100 {
        lab.paxos.propose_normal("x").unwrap();
    }
    assert_eq!(names(&lab.sent()), [(2, "Propose"), (2, "Propose")]);
    assert_eq!(lab.sent(), []);
}

/// What is decided makes room in the window, entry by entry.
#[test]
fn beyond_2_forwarding_goes_on_as_proposals_are_decided() {
    let config = PaxosConfig { window_bytes: 50, accept_frame_bytes: 34, ..PaxosConfig::default() };
    let n = ballot(2, 2);
    let mut lab = Lab::follower(config, n, &[], 0);
    for _ in 0..9 {
        lab.paxos.propose_normal("x").unwrap();
    }
    let forwarded = |sent: Vec<(u64, Body)>| -> Vec<u64> {
        let proposals = sent.iter().filter_map(|(_, body)| match body {
            Body::Propose(m) => Some(m.proposals.len()),
            _ => None,
        });
        proposals.collect()
    };
    assert_eq!(forwarded(lab.sent()), [2, 2], "68 bytes are on their way");
    let mut decide_two =
        |start: u64| {
            let entries = records_of(1, start + 1, &["x", "x"]);
            let decided = start + 2;
            forwarded(lab.get(
                2,
                Body::Accept(Accept { n, s: 1, start, entries, decided, decided_by_all: 0 }),
            ))
        };
    assert_eq!(decide_two(0), [2]);
    assert_eq!(decide_two(2), [2]);
    assert_eq!(decide_two(4), [1]);
}

#[test]
fn proposals_that_are_decided_are_no_longer_pending() {
    let config = PaxosConfig { max_pending_bytes: 3 * 17, ..PaxosConfig::default() };
    let n = ballot(5, 1);
    let mut lab = Lab::leader(config, n, &[]);
    for decided in [0, 2, 3, 3] {
        if decided > 0 {
            lab.get(2, accepted(n, 1, decided, 0));
        }
        let mut pending = lab.paxos.log_len() - lab.paxos.decided_index();
        while lab.paxos.propose_normal("x").is_ok() {
            pending += 1;
        }
        assert_eq!(pending, 3, "{decided} are decided");
        lab.sent();
    }
}

#[test]
fn outcomes_come_once_and_in_order() {
    let mut lab = leader();
    let ids = ["a", "b", "c"].map(|what| lab.paxos.propose_normal(what).unwrap());
    lab.sent();
    lab.get(2, accepted(ballot(5, 1), 1, 2, 0));
    let decided = |at: usize| (ids[at], ProposalOutcome::Decided(at as u64));
    assert_eq!(lab.paxos.take_outcomes(), [decided(0), decided(1)]);
    assert_eq!(lab.paxos.take_outcomes(), []);
    lab.get(2, accepted(ballot(5, 1), 1, 3, 0));
    assert_eq!(lab.paxos.take_outcomes(), [decided(2)]);
}

/// No honest log skips a proposal; one that does gives the skipped one's outcome to none.
#[test]
fn a_log_that_skips_a_proposal_gives_no_outcome() {
    let mut lab = leader();
    let ids = ["a", "b"].map(|what| lab.paxos.propose_normal(what).unwrap());
    let mut builder = RecordsBuilder::new();
    builder.push(ids[1], "b".to_owned().into());
    let body = Body::Learn(Learn {
        start: 0,
        entries: builder.build(),
        decided: 1,
        decided_round: ballot(6, 2),
    });
    lab.get(2, body);
    assert_eq!(lab.paxos.take_outcomes(), []);
}
