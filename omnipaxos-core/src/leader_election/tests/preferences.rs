//! Priorities, fitness, and who may start.

use super::harness::{CONFIG, Cluster, TIMEOUT};
use crate::leader_election::{Ballot, BallotLeaderElection, ElectionConfig, ElectionError, NodeId};
use crate::quorum::{Quorum, QuorumError};

fn leader(cluster: &Cluster) -> NodeId {
    cluster.leader().expect("a leader").pid
}

/// The ballots elected anywhere since `time`.
fn ballots(cluster: &Cluster, time: u64) -> Vec<Ballot> {
    let mut ballots: Vec<_> = cluster.since(time).iter().map(|e| e.ballot).collect();
    ballots.sort_unstable();
    ballots.dedup();
    ballots
}

#[test]
fn start_the_highest_priority_wins_in_one_election() {
    for seed in 1..=30 {
        let mut cluster = Cluster::prioritized(seed, &[1, 7, 3, 7, 0]);
        cluster.run_timeouts(4);
        assert_eq!(leader(&cluster), 4, "equal priorities: the highest pid");
        assert_eq!(ballots(&cluster, 0).len(), 1, "seed {seed}");
    }
}

#[test]
fn start_a_latecomer_without_a_higher_priority_changes_nothing() {
    let mut cluster = Cluster::new(1, 3);
    cluster.crash(3);
    cluster.run_timeouts(4);
    assert_eq!(leader(&cluster), 2);
    let start = cluster.time;
    cluster.restart(3);
    cluster.run_timeouts(20);
    assert_eq!(ballots(&cluster, start).len(), 1, "only the old one, at the latecomer");
    assert_eq!(leader(&cluster), 2);
}

#[test]
fn priority_a_latecomer_with_a_higher_one_takes_over_once() {
    let mut cluster = Cluster::prioritized(1, &[0, 0, 9]);
    cluster.crash(3);
    cluster.run_timeouts(4);
    let start = cluster.time;
    cluster.restart(3);
    cluster.run_timeouts(20);
    assert_eq!(leader(&cluster), 3);
    assert!(ballots(&cluster, start).len() <= 2);
}

#[test]
fn priority_raising_it_hands_leadership_over_in_one_election() {
    for seed in 1..=30 {
        let mut cluster = Cluster::new(seed, 5);
        cluster.run_timeouts(4);
        assert_eq!(leader(&cluster), 5);
        let start = cluster.time;
        cluster.poke(2, |e| e.set_priority(3));
        cluster.run_timeouts(2);
        assert_eq!(leader(&cluster), 2);
        assert_eq!(ballots(&cluster, start).len(), 1);
        cluster.run_timeouts(100);
        assert_eq!(ballots(&cluster, start).len(), 1, "no alternation");
    }
}

#[test]
fn priority_equal_to_that_of_the_leader_does_not_take_over() {
    let mut cluster = Cluster::prioritized(1, &[0, 3, 0]);
    cluster.run_timeouts(4);
    let start = cluster.time;
    cluster.poke(3, |e| e.set_priority(3));
    cluster.run_timeouts(20);
    assert_eq!(leader(&cluster), 2);
    assert_eq!(ballots(&cluster, start), []);
}

#[test]
fn priority_a_leader_that_lowers_its_own_hands_over_to_a_higher_one() {
    for seed in 1..=30 {
        let mut cluster = Cluster::prioritized(seed, &[2, 3, 9]);
        cluster.run_timeouts(4);
        let start = cluster.time;
        cluster.poke(3, |e| e.set_priority(1));
        cluster.run_timeouts(3);
        assert_eq!(leader(&cluster), 2);
        assert_eq!(ballots(&cluster, start).len(), 2, "lower, then over");
        cluster.run_timeouts(100);
        assert_eq!(ballots(&cluster, start).len(), 2);
    }
}

#[test]
fn priority_a_leader_that_lowers_its_own_goes_on_without_a_higher_one() {
    let mut cluster = Cluster::prioritized(1, &[2, 3, 9]);
    cluster.run_timeouts(4);
    let start = cluster.time;
    cluster.poke(3, |e| e.set_priority(4));
    cluster.run_timeouts(100);
    assert_eq!(leader(&cluster), 3);
    assert_eq!(ballots(&cluster, start).len(), 1, "the same leader, lower");
}

#[test]
fn priority_a_leader_that_raises_its_own_keeps_lower_ones_off() {
    let mut cluster = Cluster::prioritized(1, &[0, 0, 1]);
    cluster.run_timeouts(4);
    cluster.poke(3, |e| e.set_priority(9));
    cluster.run_timeouts(2);
    let start = cluster.time;
    cluster.poke(1, |e| e.set_priority(8));
    cluster.run_timeouts(20);
    assert_eq!(leader(&cluster), 3);
    assert_eq!(ballots(&cluster, start), []);
}

#[test]
fn priority_in_a_chain_one_change_and_no_alternation() {
    for seed in 1..=30 {
        // 3 - 1 - 2: the leader 3 and server 2 do not hear each other.
        let mut cluster = Cluster::new(seed, 3);
        cluster.run_timeouts(4);
        cluster.cut(2, 3);
        cluster.run_timeouts(4);
        let start = cluster.time;
        cluster.poke(2, |e| e.set_priority(5));
        cluster.run_timeouts(100);
        assert_eq!(ballots(&cluster, start).len(), 1, "seed {seed}");
        assert_eq!(leader(&cluster), 2);
        assert!(cluster.all_served());
    }
}

#[test]
fn healthy_an_unfit_leader_is_replaced_and_does_not_return() {
    for seed in 1..=30 {
        let mut cluster = Cluster::new(seed, 3);
        cluster.run_timeouts(4);
        let start = cluster.time;
        cluster.poke(3, |e| e.set_healthy(false));
        assert!(!cluster.election(3).is_quorum_connected());
        cluster.run(3 * TIMEOUT / 2);
        assert_eq!(leader(&cluster), 2);
        cluster.poke(3, |e| e.set_healthy(true));
        cluster.run_timeouts(20);
        assert_eq!(ballots(&cluster, start).len(), 1, "seed {seed}");
        assert!(cluster.all_served());
    }
}

#[test]
fn healthy_nobody_stands_while_all_are_unfit() {
    let mut cluster = Cluster::new(1, 3);
    for pid in 1..=3 {
        cluster.poke(pid, |e| e.set_healthy(false));
    }
    cluster.run_timeouts(20);
    assert_eq!(ballots(&cluster, 0), []);
    cluster.poke(1, |e| e.set_healthy(true));
    cluster.run_timeouts(3);
    assert_eq!(leader(&cluster), 1);
}

/// Server 5 leads and reaches 3 and 4 only, and 4 does not vote: its round can decide nothing.
#[test]
fn voting_who_does_not_vote_is_part_of_no_quorum() {
    for seed in 1..=30 {
        let mut cluster = Cluster::new(seed, 5);
        cluster.run_timeouts(4);
        assert_eq!(leader(&cluster), 5);
        for pid in [1, 2] {
            cluster.cut(5, pid);
            cluster.cut(4, pid);
        }
        cluster.run_timeouts(4);
        assert_eq!(leader_of(&cluster, 3), 5, "seed {seed}: with the vote of 4 it is a quorum");
        cluster.poke(4, |e| e.set_voting(false));
        assert!(!cluster.election(4).is_quorum_connected());
        cluster.run_timeouts(4);
        assert!(!cluster.election(5).is_quorum_connected());
        assert_eq!(leader_of(&cluster, 3), 3, "seed {seed}");
        cluster.poke(4, |e| e.set_voting(true));
        cluster.run_timeouts(4);
        assert_eq!(leader_of(&cluster, 4), 3, "seed {seed}");
    }
}

fn leader_of(cluster: &Cluster, pid: NodeId) -> NodeId {
    cluster.election(pid).leader().map_or(0, |leader| leader.pid())
}

#[test]
fn single_server_elects_itself_at_its_first_tick_once() {
    for promised in [Ballot::default(), Ballot::new(8, 2, 5)] {
        let config = ElectionConfig { promised, ..ElectionConfig::default() };
        let mut election = BallotLeaderElection::with(CONFIG, 5, vec![], config).unwrap();
        let leader = election.tick().unwrap();
        assert_eq!(leader.ballot, Ballot::new(promised.n + 1, 0, 5));
        assert!((0..100).all(|_| election.tick().is_none()));
        assert_eq!(election.get_outgoing_msgs(), []);
        election.set_priority(3);
        let again = election.tick().unwrap().ballot;
        assert_eq!(again, Ballot::new(promised.n + 2, 3, 5));
    }
}

#[test]
fn two_servers_need_each_other() {
    let mut cluster = Cluster::new(1, 2);
    cluster.run_timeouts(4);
    assert_eq!(leader(&cluster), 2);
    cluster.cut_one_way(1, 2);
    cluster.run_timeouts(4);
    assert_eq!(cluster.leader(), None, "one way is no connection");
    cluster.heal();
    cluster.run_timeouts(2);
    assert!(cluster.leader().is_some() && cluster.all_served());
}

#[test]
fn a_leader_goes_on_after_a_partition_in_which_nobody_had_a_quorum() {
    for seed in 1..=30 {
        let mut cluster = Cluster::new(seed, 5);
        cluster.run_timeouts(4);
        let start = cluster.time;
        cluster.cut(1, 2);
        (3..=5).for_each(|pid| cluster.isolate(pid));
        cluster.run_timeouts(4);
        assert_eq!(cluster.leader(), None);
        cluster.heal();
        cluster.run_timeouts(20);
        assert_eq!(ballots(&cluster, start), [], "seed {seed}");
        assert_eq!(leader(&cluster), 5);
    }
}

#[test]
fn pids_may_be_any_number() {
    let config = ElectionConfig::default();
    let servers = [5, 6, 10_000_000, u64::MAX].map(|pid| (pid, config.clone()));
    let mut cluster = Cluster::with(1, servers.to_vec());
    cluster.run_timeouts(4);
    assert_eq!(leader(&cluster), u64::MAX);
    assert!(cluster.all_served());
}

#[test]
fn start_is_refused_when_it_could_not_work() {
    let start = |pid, peers: &[NodeId], change: fn(&mut ElectionConfig)| {
        let mut config = ElectionConfig::default();
        change(&mut config);
        BallotLeaderElection::with(CONFIG, pid, peers.to_vec(), config).err()
    };
    let zero = |name| Some(ElectionError::Zero(name));
    assert_eq!(start(1, &[2], |_| {}), None);
    assert_eq!(start(0, &[2], |_| {}), Some(ElectionError::PidZero));
    assert_eq!(start(1, &[0], |_| {}), Some(ElectionError::PidZero));
    assert_eq!(start(1, &[2, 3, 2], |_| {}), Some(ElectionError::DuplicatePid(2)));
    assert_eq!(start(1, &[2, 1], |_| {}), Some(ElectionError::DuplicatePid(1)));
    assert_eq!(start(1, &[2], |c| c.timeout_ticks = 0), zero("timeout_ticks"));
    assert_eq!(start(1, &[2], |c| c.heartbeat_ticks = Some(0)), zero("heartbeat_ticks"));
    let rare = Some(ElectionError::RareHeartbeats { heartbeat_ticks: 11, timeout_ticks: 10 });
    assert_eq!(start(1, &[2], |c| c.heartbeat_ticks = Some(11)), rare);
    let too_large = QuorumError::Size { size: 3, servers: 2 };
    let refused = start(1, &[2], |c| c.quorum = Some(Quorum::majority(5)));
    assert_eq!(refused, Some(ElectionError::Quorum(too_large)));
}
