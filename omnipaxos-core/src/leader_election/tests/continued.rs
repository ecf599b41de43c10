//! A configuration that goes on with the leader of the one before (C5), and a leadership that is
//! handed over.

use super::harness::{CONFIG, Cluster, TIMEOUT, message, single};
use crate::leader_election::{Ballot, ElectionConfig, Heartbeat, Leader};

const N: Ballot = Ballot { n: 1, priority: 0, pid: 2 };

fn continued(seed: u64) -> Cluster {
    let config = ElectionConfig { continued: Some(N), ..ElectionConfig::default() };
    Cluster::with(seed, (1..=5).map(|pid| (pid, config.clone())).collect())
}

/// The ballots elected anywhere since `time`.
fn ballots(cluster: &Cluster, time: u64) -> Vec<Ballot> {
    let mut ballots: Vec<_> = cluster.since(time).iter().map(|e| e.ballot).collect();
    ballots.sort_unstable();
    ballots.dedup();
    ballots
}

#[test]
fn c5_the_leader_is_followed_without_an_election() {
    for seed in 1..=30 {
        let mut cluster = continued(seed);
        assert_eq!(cluster.election(2).leader(), Some(Leader::new(N)));
        cluster.run_timeouts(20);
        assert_eq!(cluster.leader(), Some(N), "seed {seed}");
        assert_eq!(ballots(&cluster, 0), [N], "seed {seed}");
    }
}

#[test]
fn c5_a_leader_that_never_comes_or_restarts_is_replaced_once() {
    for seed in 1..=30 {
        for restarts in [false, true] {
            let mut cluster = continued(seed);
            cluster.crash(2);
            if restarts {
                cluster.restart(2);
            }
            cluster.run(5 * TIMEOUT);
            let leader = cluster.leader().expect("a leader");
            assert!(leader > N && leader.pid == 5, "seed {seed}: {leader}");
            let others = ballots(&cluster, 0).into_iter().filter(|n| *n != N).count();
            assert_eq!(others, 1, "seed {seed}");
        }
    }
}

/// A higher promise than the one that is continued: the configuration has gone on.
#[test]
fn c5_a_ballot_below_the_promise_is_over() {
    let promised = Ballot::new(4, 0, 3);
    let config = ElectionConfig { promised, continued: Some(N), ..ElectionConfig::default() };
    let election = single(2, 3, config);
    assert_eq!((election.leader(), election.ballot().n), (None, 0));
}

#[test]
fn take_over_is_one_election_at_once() {
    for seed in 1..=30 {
        let mut cluster = Cluster::new(seed, 5);
        cluster.run_timeouts(4);
        let start = cluster.time;
        assert!(cluster.take_over(1));
        let taken = cluster.election(1).ballot();
        assert_eq!(taken.pid, 1);
        cluster.run(2 * TIMEOUT);
        assert_eq!(cluster.leader(), Some(taken), "seed {seed}");
        assert_eq!(ballots(&cluster, start), [taken], "seed {seed}");
        // Once more changes nothing.
        assert!(!cluster.take_over(1));
    }
}

#[test]
fn take_over_needs_a_quorum_health_and_a_vote() {
    let mut cluster = Cluster::new(1, 3);
    cluster.run_timeouts(4);
    cluster.poke(1, |election| election.set_healthy(false));
    assert!(!cluster.take_over(1));
    cluster.poke(1, |election| election.set_healthy(true));
    cluster.poke(1, |election| election.set_voting(false));
    assert!(!cluster.take_over(1));
    cluster.poke(1, |election| election.set_voting(true));
    cluster.isolate(1);
    cluster.run_timeouts(2);
    assert!(!cluster.take_over(1));
    cluster.heal();
    cluster.run_timeouts(2);
    assert!(cluster.take_over(1));
}

/// Whoever it hears of is below the ballot that it takes.
#[test]
fn take_over_goes_above_all_that_was_heard() {
    let mut election = single(1, 3, ElectionConfig::default());
    let _ = election.tick();
    let leader = Ballot::new(9, 0, 3);
    let reply = Heartbeat::Reply {
        round: 1,
        version: 1,
        ballot: leader,
        quorum_connected: true,
        leader,
        hears_leader: false,
        votes: true,
    };
    let elected = election.handle_message(message(3, 1, reply)).unwrap();
    assert_eq!(elected, Some(Leader::new(leader)));
    assert_eq!(election.take_over(), Some(Leader::new(Ballot::new(10, 0, 1))));
    let told = election.get_outgoing_msgs();
    assert!(told.iter().any(|m| m.config_id == CONFIG && m.to == 3), "told at once");
}
