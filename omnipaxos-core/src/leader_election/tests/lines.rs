//! One test per line of the protocol.

use super::harness::{CONFIG, Cluster, TIMEOUT, TIMEOUT_TICKS, follower, leading, message, single};
use crate::leader_election::{
    Ballot, BallotLeaderElection, ElectionConfig, Heartbeat, HeartbeatMessage, Leader, NodeId,
};
use crate::quorum::Quorum;

/// Ticks once and answers each request as `answer` says.
fn tick_answered(
    election: &mut BallotLeaderElection,
    answer: impl Fn(NodeId, u64) -> Option<Heartbeat>,
) -> Option<Leader> {
    let mut event = election.tick();
    for HeartbeatMessage { from, to, body, .. } in election.get_outgoing_msgs() {
        if let Heartbeat::Request { round } = body
            && let Some(body) = answer(to, round)
        {
            let leader = election.handle_message(message(to, from, body)).unwrap();
            event = event.or(leader);
        }
    }
    event
}

/// As `tick_answered`, for so many ticks; the leader events.
fn run(
    election: &mut BallotLeaderElection,
    ticks: u32,
    answer: impl Fn(NodeId, u64) -> Option<Heartbeat>,
) -> Vec<Ballot> {
    let events = (0..ticks).filter_map(|_| tick_answered(election, &answer));
    events.map(|leader| leader.ballot).collect()
}

fn requests(messages: &[HeartbeatMessage]) -> Vec<u64> {
    let round = |m: &HeartbeatMessage| match m.body {
        Heartbeat::Request { round } => Some(round),
        Heartbeat::Reply { .. } => None,
    };
    messages.iter().filter_map(round).collect()
}

/// Server 1 of three that follows server 3 in ballot 4.0@3; the connected server 2 hears it, too.
fn following(config: ElectionConfig) -> BallotLeaderElection {
    let mut election = single(1, 3, config);
    let events = run(&mut election, 10, |pid, round| Some(calm(pid, round)));
    assert_eq!(events, [LEADER]);
    election
}

const LEADER: Ballot = Ballot { n: 4, priority: 0, pid: 3 };

fn calm(pid: NodeId, round: u64) -> Heartbeat {
    match pid {
        3 => leading(round, LEADER, true),
        _ => follower(round, pid, LEADER, true),
    }
}

#[test]
fn b1_a_round_asks_every_peer_at_a_fraction_of_the_timeout() {
    let mut election = single(1, 3, ElectionConfig::default());
    let mut rounds = Vec::new();
    for _ in 0..TIMEOUT_TICKS {
        assert_eq!(election.tick(), None);
        rounds.push(requests(&election.get_outgoing_msgs()));
    }
    let sent: Vec<_> = rounds.iter().filter(|r| !r.is_empty()).collect();
    assert_eq!(sent, [&[1, 1], &[3, 3], &[5, 5], &[7, 7], &[9, 9]]);
}

#[test]
fn b1_rounds_are_as_far_apart_as_the_caller_says() {
    for ticks in [1, 3, TIMEOUT_TICKS] {
        let heartbeat_ticks = Some(ticks);
        let config = ElectionConfig { heartbeat_ticks, ..ElectionConfig::default() };
        let mut election = single(1, 2, config);
        let mut rounds = Vec::new();
        for _ in 0..2 * TIMEOUT_TICKS {
            assert_eq!(election.tick(), None);
            rounds.extend(requests(&election.get_outgoing_msgs()));
        }
        let expected = (1..=u64::from(2 * TIMEOUT_TICKS)).step_by(ticks as usize);
        assert_eq!(rounds, expected.collect::<Vec<_>>());
    }
}

#[test]
fn b1_without_a_quorum_of_replies_a_server_is_not_quorum_connected() {
    let mut election = following(ElectionConfig::default());
    assert!(election.is_quorum_connected());
    let events = run(&mut election, 2 * TIMEOUT_TICKS, |_, _| None);
    assert!(!election.is_quorum_connected());
    assert_eq!(election.connected_peers().count(), 0);
    assert_eq!(events, []);
}

#[test]
fn b1_a_peer_is_connected_for_one_timeout_after_the_request_that_it_answered() {
    let mut election = single(1, 2, ElectionConfig::default());
    tick_answered(&mut election, |pid, round| Some(follower(round, pid, LEADER, true)));
    run(&mut election, TIMEOUT_TICKS, |_, _| None);
    assert_eq!(election.connected_peers().collect::<Vec<_>>(), [2]);
    run(&mut election, 1, |_, _| None);
    assert_eq!(election.connected_peers().count(), 0);
}

#[test]
fn b1_works_with_a_timeout_of_one_tick() {
    let config = ElectionConfig { timeout_ticks: 1, ..ElectionConfig::default() };
    let mut election = single(1, 3, config);
    let answer = |pid, round| Some(follower(round, pid, Ballot::default(), false));
    assert_eq!(run(&mut election, 4, answer).len(), 1);
    assert!(election.is_quorum_connected());
    run(&mut election, 2, |_, _| None);
    assert!(!election.is_quorum_connected());
}

#[test]
fn b2_elects_the_highest_candidate_and_only_once() {
    let mut election = following(ElectionConfig::default());
    let higher = Ballot::new(5, 0, 2);
    let answer = |pid, round| match pid {
        2 => Some(leading(round, higher, true)),
        _ => Some(leading(round, LEADER, true)),
    };
    assert_eq!(run(&mut election, 30, answer), [higher]);
    assert_eq!(election.leader(), Some(Leader::new(higher)));
}

#[test]
fn b2_a_server_that_is_not_quorum_connected_is_no_candidate() {
    let mut election = following(ElectionConfig::default());
    let higher = Ballot::new(5, 0, 2);
    let answer = |pid, round| match pid {
        2 => Some(leading(round, higher, false)),
        _ => Some(leading(round, LEADER, true)),
    };
    assert_eq!(run(&mut election, 5, answer), []);
    assert_eq!(election.leader(), Some(Leader::new(LEADER)));
}

#[test]
fn b2_stands_above_a_leader_that_is_gone_or_no_longer_quorum_connected() {
    let without_quorum = |round| Some(leading(round, LEADER, false));
    let silent = |_: u64| None;
    let leaders: [fn(u64) -> Option<Heartbeat>; 2] = [without_quorum, silent];
    for leader in leaders {
        let mut election = following(ElectionConfig::default());
        let answer = |pid, round| match pid {
            3 => leader(round),
            _ => Some(follower(round, pid, LEADER, false)),
        };
        let events = run(&mut election, 3 * TIMEOUT_TICKS, answer);
        assert_eq!(events, [Ballot::new(5, 0, 1)]);
        assert_eq!(election.ballot(), events[0]);
        assert_eq!(election.leader(), Some(Leader::new(events[0])));
    }
}

#[test]
fn b2_does_not_stand_while_a_peer_hears_the_leader_first_hand() {
    let mut election = following(ElectionConfig::default());
    let answer = |pid, round| (pid == 2).then(|| follower(round, pid, LEADER, true));
    assert_eq!(run(&mut election, 100 * TIMEOUT_TICKS, answer), []);
    assert!(!election.hears_leader());
    assert_eq!(election.leader(), Some(Leader::new(LEADER)));
}

#[test]
fn b2_never_says_that_it_hears_what_it_only_heard_of() {
    let mut election = following(ElectionConfig::default());
    assert!(election.hears_leader());
    run(&mut election, 2 * TIMEOUT_TICKS, |pid, round| {
        (pid == 2).then(|| follower(round, pid, LEADER, true))
    });
    let request = message(2, 1, Heartbeat::Request { round: 1 });
    election.handle_message(request).unwrap();
    let sent = election.get_outgoing_msgs();
    let says = |m: &HeartbeatMessage| match m.body {
        Heartbeat::Reply { leader, hears_leader, .. } => Some((leader, hears_leader)),
        Heartbeat::Request { .. } => None,
    };
    assert_eq!(sent.iter().find_map(says), Some((LEADER, false)));
}

/// A server that does not stand owns `n = 0`; whoever promised that hears no leader in it.
#[test]
fn b2_nobody_leads_in_a_ballot_of_n_0() {
    let config = ElectionConfig { promised: Ballot::new(0, 0, 2), ..ElectionConfig::default() };
    let mut election = single(1, 3, config);
    let answer = |pid, round| (pid == 2).then(|| follower(round, pid, Ballot::default(), false));
    assert_eq!(run(&mut election, 5, answer), []);
    assert!(election.is_quorum_connected() && !election.hears_leader());
    assert_eq!(election.leader(), None);
}

#[test]
fn b2_does_not_elect_a_candidate_while_a_peer_hears_a_higher_leader() {
    let mut election = single(1, 4, ElectionConfig::default());
    let answer = |pid, round| match pid {
        2 => Some(follower(round, pid, LEADER, true)),
        4 => Some(leading(round, Ballot::new(2, 0, 4), true)),
        _ => None,
    };
    assert_eq!(run(&mut election, 50, answer), []);
    assert_eq!(election.leader(), None);
}

#[test]
fn b2_leaves_it_to_a_living_leader_to_stand_again() {
    let mut election = following(ElectionConfig::default());
    let lower = Ballot::new(2, 0, 2);
    let answer = |pid, round| (pid == 2).then(|| leading(round, lower, true));
    assert_eq!(run(&mut election, 5 * TIMEOUT_TICKS / 2, answer), []);
    let events = run(&mut election, TIMEOUT_TICKS, answer);
    assert_eq!(events, [Ballot::new(5, 0, 1)], "it did not");
}

/// A promise may outrun the heartbeat of a leader that was elected just now: it is waited for one
/// timeout, but not where the ballot is known to be over.
#[test]
fn b2_waits_for_the_owner_of_an_unheard_ballot_unless_it_abandoned_it() {
    let unheard = Ballot::new(6, 0, 2);
    let own = Ballot::new(6, 0, 1);
    let none = Ballot::default();
    // (the promise at the start, what server 2 says) -> ticks until this server stands.
    // Both peers are preferred: two turns of 6 ticks, after the first tick.
    type Case = (&'static str, Ballot, fn(u64) -> Heartbeat, usize);
    let cases: [Case; 6] = [
        ("nobody ever led", none, |r| follower(r, 2, Ballot::default(), false), 13),
        ("its own, from before a restart", own, |r| follower(r, 2, Ballot::default(), false), 13),
        ("2 does not know it yet", unheard, |r| follower(r, 2, LEADER, false), 23),
        ("2 does not lead in it", unheard, |r| follower(r, 2, Ballot::new(6, 0, 2), false), 13),
        ("2 went on", unheard, |r| follower(r, 2, Ballot::new(7, 0, 3), false), 23),
        // One turn: it stands already.
        ("2 leads, without a quorum", unheard, |r| leading(r, Ballot::new(6, 0, 2), false), 17),
    ];
    for (what, promised, says, expected) in cases {
        let config = ElectionConfig { promised, ..ElectionConfig::default() };
        let mut election = single(1, 3, config);
        let answer = |pid, round| match pid {
            2 => Some(says(round)),
            _ => Some(follower(round, pid, Ballot::default(), false)),
        };
        let stands = (1..50).find(|_| tick_answered(&mut election, answer).is_some());
        assert_eq!(stands, Some(expected), "{what}");
    }
}

/// Whoever was promised meanwhile gets as much time as the one before.
#[test]
fn b2_waiting_starts_over_for_another_ballot() {
    let config = ElectionConfig { promised: Ballot::new(6, 0, 2), ..ElectionConfig::default() };
    let mut election = single(1, 3, config);
    let answer = |pid, round| Some(follower(round, pid, Ballot::default(), false));
    assert_eq!(run(&mut election, 20, answer), []);
    election.handle_promised(Ballot::new(7, 0, 3));
    let stands = (1..50).find(|_| tick_answered(&mut election, answer).is_some());
    assert_eq!(stands, Some(23));
}

#[test]
fn b2_flexible_quorums_more_to_be_elected_than_to_lead() {
    let config = ElectionConfig {
        quorum: Some(Quorum::flexible(4, 2, 5).unwrap()),
        ..ElectionConfig::default()
    };
    let mut election = single(5, 5, config);
    let up_to = |last: NodeId| {
        move |pid, round| {
            let reply = || follower(round, pid, Ballot::default(), false);
            (pid <= last).then(reply)
        }
    };
    assert_eq!(run(&mut election, 50, up_to(2)), [], "two peers do not elect");
    election.handle_prepared(election.ballot());
    assert!(!election.is_quorum_connected(), "it does not stand in that one");
    assert_eq!(run(&mut election, 50, up_to(3)).len(), 1, "three do");
    assert!(election.is_quorum_connected());
    assert_eq!(run(&mut election, 50, up_to(2)), []);
    assert!(!election.is_quorum_connected(), "three peers have to promise first");
    election.handle_prepared(Ballot::new(1, 0, 1));
    assert!(!election.is_quorum_connected(), "that was another ballot");
    election.handle_prepared(election.ballot());
    assert_eq!(run(&mut election, 50, up_to(1)), []);
    assert!(election.is_quorum_connected(), "one peer accepts");
    assert_eq!(run(&mut election, 50, up_to(0)), []);
    assert!(!election.is_quorum_connected());
}

#[test]
fn b2_flexible_quorums_nobody_is_elected_who_could_not_lead() {
    let config = ElectionConfig {
        quorum: Some(Quorum::flexible(2, 4, 5).unwrap()),
        ..ElectionConfig::default()
    };
    let mut election = single(5, 5, config);
    let up_to = |last: NodeId| {
        move |pid, round| {
            let reply = || follower(round, pid, Ballot::default(), false);
            (pid <= last).then(reply)
        }
    };
    assert_eq!(run(&mut election, 50, up_to(2)), []);
    assert_eq!(run(&mut election, 50, up_to(3)).len(), 1);
}

#[test]
fn b3_answers_with_the_round_and_its_own_facts() {
    let mut election = following(ElectionConfig::default());
    let request = message(2, 1, Heartbeat::Request { round: 77 });
    assert_eq!(election.handle_message(request), Ok(None));
    let reply = election.get_outgoing_msgs().pop().unwrap();
    assert_eq!((reply.config_id, reply.from, reply.to), (CONFIG, 1, 2));
    let Heartbeat::Reply { round, ballot, quorum_connected, leader, hears_leader, .. } = reply.body
    else {
        panic!("no reply");
    };
    assert_eq!((round, ballot), (77, Ballot::new(0, 0, 1)));
    assert_eq!((quorum_connected, leader, hears_leader), (true, LEADER, true));
}

#[test]
fn b3_tells_changes_at_once_to_whoever_asked_within_its_timeout() {
    let mut election = following(ElectionConfig::default());
    let request = message(2, 1, Heartbeat::Request { round: 77 });
    election.handle_message(request).unwrap();
    assert_eq!(election.get_outgoing_msgs().len(), 1);
    election.handle_promised(Ballot::new(9, 0, 2));
    let pushed = election.get_outgoing_msgs();
    assert_eq!(pushed.len(), 1);
    assert!(matches!(
        (pushed[0].to, &pushed[0].body),
        (2, Heartbeat::Reply { round: 77, leader, .. }) if leader.n == 9
    ));
    run(&mut election, 2 * TIMEOUT_TICKS, |pid, round| Some(calm(pid, round)));
    election.handle_promised(Ballot::new(10, 0, 2));
    assert_eq!(election.get_outgoing_msgs(), [], "nobody asked lately");
}

#[test]
fn b3_answers_a_peer_that_restarted_and_counts_from_1_again() {
    let mut election = single(1, 2, ElectionConfig::default());
    for asked in [900, 1] {
        let request = message(2, 1, Heartbeat::Request { round: asked });
        election.handle_message(request).unwrap();
        let reply = election.get_outgoing_msgs().pop().unwrap();
        assert!(matches!(reply.body, Heartbeat::Reply { round, .. } if round == asked));
    }
}

#[test]
fn b3_a_repeated_request_counts_as_asked_lately() {
    let mut election = following(ElectionConfig::default());
    for _ in 0..2 {
        run(&mut election, TIMEOUT_TICKS - 1, |pid, round| Some(calm(pid, round)));
        let request = message(2, 1, Heartbeat::Request { round: 1 });
        election.handle_message(request).unwrap();
        assert_eq!(election.get_outgoing_msgs().len(), 1);
    }
    run(&mut election, 2, |pid, round| Some(calm(pid, round)));
    election.handle_promised(Ballot::new(9, 0, 2));
    assert_eq!(election.get_outgoing_msgs().len(), 1, "it may have restarted");
}

#[test]
fn b4_a_late_reply_is_ignored_and_counted() {
    let mut election = single(1, 2, ElectionConfig::default());
    run(&mut election, TIMEOUT_TICKS + 2, |_, _| None);
    for round in [0, 1, 1000] {
        let late = message(2, 1, leading(round, Ballot::new(1, 0, 2), true));
        assert_eq!(election.handle_message(late), Ok(None));
    }
    assert_eq!(election.late_replies(), 3);
    assert_eq!(election.connected_peers().count(), 0);
    let in_time = message(2, 1, leading(3, Ballot::new(1, 0, 2), true));
    let leader = election.handle_message(in_time).unwrap();
    assert_eq!(leader.map(|l| l.pid()), Some(2));
}

#[test]
fn b4_a_reply_counts_until_one_timeout_after_its_request() {
    for (ticks, late) in [(TIMEOUT_TICKS + 1, 0), (TIMEOUT_TICKS + 2, 1)] {
        let mut election = single(1, 2, ElectionConfig::default());
        run(&mut election, ticks, |_, _| None);
        let first = message(2, 1, follower(1, 2, Ballot::default(), false));
        assert_eq!(election.handle_message(first), Ok(None));
        assert_eq!(election.late_replies(), late);
        assert_eq!(election.connected_peers().count() as u64, 1 - late);
    }
}

#[test]
fn b4_duplicates_and_overtaken_replies_change_nothing() {
    let mut election = following(ElectionConfig::default());
    let newest = message(3, 1, leading(9, LEADER, true));
    assert_eq!(election.handle_message(newest.clone()), Ok(None));
    let before = election.clone();
    assert_eq!(election.handle_message(newest), Ok(None));
    let overtaken = message(3, 1, leading(5, LEADER, false));
    assert_eq!(election.handle_message(overtaken), Ok(None));
    let second_answer = message(3, 1, leading(9, LEADER, false));
    assert_eq!(election.handle_message(second_answer), Ok(None), "of the same version");
    assert_eq!(election, before);
}

#[test]
fn b5_a_promise_raises_the_leader_and_is_no_election() {
    let mut election = following(ElectionConfig::default());
    let promised = Ballot::new(6, 0, 2);
    election.handle_promised(promised);
    assert_eq!(election.leader(), None, "not heard yet");
    assert_eq!(run(&mut election, 5, |pid, round| Some(calm(pid, round))), []);
    // Its owner is heard: now it is elected, though L has it already.
    let answer = |pid, round| match pid {
        2 => Some(leading(round, promised, true)),
        _ => Some(calm(pid, round)),
    };
    assert_eq!(run(&mut election, 30, answer), [promised]);
    election.handle_promised(LEADER);
    assert_eq!(election.leader(), Some(Leader::new(promised)), "a promise only rises");
}

#[test]
fn b5_stands_above_a_promised_ballot_whose_owner_vanished() {
    let mut election = following(ElectionConfig::default());
    let promised = Ballot::new(6, 0, 2);
    election.handle_promised(promised);
    let answer = |pid, round| (pid == 3).then(|| calm(pid, round));
    let events = run(&mut election, 5 * TIMEOUT_TICKS, answer);
    assert_eq!(events, [Ballot::new(7, 0, 1)]);
}

#[test]
fn b5_a_leader_stands_again_above_what_a_peer_has_promised() {
    // The peer refuses this leader for ever, and is itself too badly connected to stand.
    let mut election = single(1, 3, ElectionConfig::default());
    let fresh = |pid, round| Some(follower(round, pid, Ballot::default(), false));
    assert_eq!(run(&mut election, 30, fresh), [Ballot::new(1, 0, 1)]);
    let stuck = |pid, round| {
        (pid == 2).then_some(Heartbeat::Reply {
            round,
            version: 2,
            ballot: Ballot::new(0, 0, 2),
            quorum_connected: false,
            leader: LEADER,
            hears_leader: false,
            votes: true,
        })
    };
    assert_eq!(run(&mut election, 30, stuck), [Ballot::new(5, 0, 1)]);
}

#[test]
fn b5_after_a_restart_the_old_leadership_is_not_resumed() {
    let config = ElectionConfig { promised: Ballot::new(4, 0, 1), ..ElectionConfig::default() };
    let promised = config.promised;
    let mut election = single(1, 3, config);
    assert_eq!(election.leader(), None);
    assert!(election.ballot() < promised);
    let answer = |pid, round| Some(follower(round, pid, promised, true));
    assert_eq!(run(&mut election, 50, answer), [], "they still hear it");
    let answer = |pid, round| Some(follower(round, pid, promised, false));
    assert_eq!(run(&mut election, 50, answer), [Ballot::new(5, 0, 1)]);
}

#[test]
fn b5_a_restarted_follower_elects_the_leader_that_it_had_promised() {
    let config = ElectionConfig { promised: LEADER, ..ElectionConfig::default() };
    following(config);
}

#[test]
fn le1_each_quorum_connected_server_elects_the_leader() {
    for seed in 1..=50 {
        let mut cluster = Cluster::new(seed, 1 + seed % 7);
        cluster.run_timeouts(4);
        let leader = cluster.leader().map(Leader::new);
        assert!(leader.is_some());
        for pid in cluster.pids() {
            assert_eq!(cluster.election(pid).leader(), leader);
        }
    }
}

#[test]
fn le1_a_dead_leader_is_not_kept_alive_by_those_who_heard_it() {
    // All but the leader hear each other say so; none of them passes it on.
    let mut cluster = Cluster::new(3, 7);
    cluster.run_timeouts(4);
    let dead = cluster.leader().unwrap();
    cluster.crash(dead.pid);
    cluster.run(5 * TIMEOUT / 2);
    assert!(cluster.leader() > Some(dead));
    assert!(cluster.all_served());
}

#[test]
fn le2_no_further_leader_while_connectivity_stays() {
    for seed in 1..=20 {
        let mut cluster = Cluster::new(seed, 5);
        cluster.run_timeouts(4);
        assert_eq!(cluster.log.len(), 5, "one ballot, each server once");
        cluster.run_timeouts(200);
        assert_eq!(cluster.log.len(), 5);
    }
}

#[test]
fn le3_ballots_are_unique_and_only_grow() {
    // The harness checks growth at each event; here the leader crashes again and again.
    let mut cluster = Cluster::new(11, 5);
    let mut ballots = Vec::new();
    for _ in 0..20 {
        cluster.run_timeouts(5);
        let leader = cluster.leader().unwrap();
        ballots.push(leader);
        cluster.crash(leader.pid);
        cluster.run_timeouts(1);
        cluster.restart(leader.pid);
    }
    assert!(ballots.is_sorted_by(|a, b| a < b), "{ballots:?}");
}
