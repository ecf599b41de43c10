//! Heartbeats that no honest server of this configuration sends to this one.

use super::harness::{CONFIG, Rng, follower, leading, message, single};
use crate::leader_election::{
    Ballot, BallotLeaderElection, ElectionConfig, Heartbeat, HeartbeatError, HeartbeatMessage,
};

fn election() -> BallotLeaderElection {
    let mut election = single(1, 3, ElectionConfig::default());
    assert_eq!(election.tick(), None);
    election
}

/// Refused, and as if it had never come.
fn refused(message: HeartbeatMessage) -> HeartbeatError {
    let mut election = election();
    let before = election.clone();
    let error = election.handle_message(message).unwrap_err();
    assert_eq!(election, before);
    error
}

#[test]
fn foreign_heartbeats_are_refused() {
    let request = message(2, 1, Heartbeat::Request { round: 1 });
    let mut other_configuration = request.clone();
    other_configuration.config_id = 9;
    let ours = CONFIG;
    assert_eq!(
        refused(other_configuration),
        HeartbeatError::OtherConfiguration { theirs: 9, ours }
    );
    let mut other_receiver = request.clone();
    other_receiver.to = 3;
    assert_eq!(refused(other_receiver), HeartbeatError::OtherReceiver(3));
    for from in [0, 1, 4] {
        let mut stranger = request.clone();
        stranger.from = from;
        assert_eq!(refused(stranger), HeartbeatError::UnknownSender(from));
    }
}

#[test]
fn impossible_heartbeats_are_refused() {
    let at_most = Ballot::new(u64::MAX, 0, 2);
    let two_minds = Heartbeat::Reply {
        round: 1,
        version: 1,
        ballot: Ballot::new(3, 0, 2),
        quorum_connected: true,
        leader: Ballot::new(4, 0, 3),
        hears_leader: false,
        votes: true,
    };
    let impossible = [
        leading(1, Ballot::new(3, 0, 3), true),
        leading(1, at_most, true),
        follower(1, 2, at_most, false),
        follower(1, 2, Ballot::new(3, 0, 0), false),
        follower(1, 2, Ballot::new(3, 0, 2), true),
        follower(1, 2, Ballot::default(), true),
        two_minds,
    ];
    for body in impossible {
        let error = refused(message(2, 1, body));
        assert!(matches!(error, HeartbeatError::Impossible { from: 2, .. }));
    }
}

#[test]
fn the_highest_ballots_do_not_overflow() {
    let stands_after = |n| {
        let promised = Ballot::new(n, u32::MAX, u64::MAX);
        let mut alone = single(1, 1, ElectionConfig { promised, ..ElectionConfig::default() });
        (0..100).find_map(|_| alone.tick()).map(|leader| leader.ballot.n)
    };
    assert_eq!(stands_after(u64::MAX), None, "no ballot is left");
    assert_eq!(stands_after(u64::MAX - 1), None, "peers refuse the last one: none lies above it");
    assert_eq!(stands_after(u64::MAX - 2), Some(u64::MAX - 1));

    let mut election = election();
    let last = leading(1, Ballot::new(u64::MAX - 1, 0, 2), false);
    election.handle_message(message(2, 1, last)).unwrap();
    election.handle_promised(Ballot::new(u64::MAX, 0, 2));
    assert!((0..100).all(|_| election.tick().is_none()));
}

#[test]
fn a_caller_that_sends_nothing_costs_no_memory() {
    let mut election = election();
    for round in 1..1000 {
        let _ = election.tick();
        let request = message(2, 1, Heartbeat::Request { round });
        election.handle_message(request).unwrap();
    }
    let sent = election.get_outgoing_msgs();
    assert_eq!(sent.len(), 3, "a request to each and the reply to the latest");
    assert!(sent.iter().any(|m| matches!(m.body, Heartbeat::Reply { round: 999, .. })));
    assert_eq!(election.get_outgoing_msgs().capacity(), 0);
}

#[test]
fn noise_neither_panics_nor_breaks_le3() {
    let edges = [0, 1, 2, 3, 7, u64::MAX - 1, u64::MAX];
    for seed in 1..=200 {
        let mut rng = Rng::new(seed);
        let mut election = election();
        let mut last = Ballot::default();
        for _ in 0..300 {
            let mut ballot = || {
                let n = rng.pick(&edges);
                Ballot::new(n, rng.below(3) as u32, rng.below(5))
            };
            let (own, leader, promised) = (ballot(), ballot(), ballot());
            let reply = Heartbeat::Reply {
                round: rng.below(40),
                version: rng.pick(&edges),
                ballot: own,
                quorum_connected: rng.below(2) == 0,
                leader: if rng.below(2) == 0 { own } else { leader },
                hears_leader: rng.below(4) == 0,
                votes: rng.below(8) > 0,
            };
            let from = if rng.below(2) == 0 { own.pid } else { rng.below(5) };
            let request = Heartbeat::Request { round: rng.pick(&edges) };
            let body = if rng.below(4) == 0 { request } else { reply };
            let mut events = vec![election.handle_message(message(from, 1, body)).ok().flatten()];
            match rng.below(8) {
                0 if promised.n < 8 => election.handle_promised(promised),
                1 => election.set_priority(promised.priority),
                2..5 => events.push(election.tick()),
                5 => drop(election.get_outgoing_msgs()),
                _ => {}
            }
            for leader in events.into_iter().flatten() {
                assert!(leader.ballot > last, "seed {seed}");
                last = leader.ballot;
            }
        }
    }
}
