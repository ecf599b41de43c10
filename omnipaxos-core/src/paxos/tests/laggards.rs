//! A replica that is too far behind gets what is decided from its driver, not from the leader.

use super::cluster::{CONFIG, Cluster};
use super::lab::{
    Lab, accept, accept_sync, ballot, decide, learn, names, prepare, records, sync_request, tiny,
};
use crate::ballot::{Ballot, NodeId};
use crate::paxos::{Body, CatchUp, CatchUpLimit, LearnError, PaxosConfig, ProposalOutcome};

fn far(entries: u64) -> PaxosConfig {
    let limit = CatchUpLimit { entries, bytes: u64::MAX };
    PaxosConfig { catch_up: Some(limit), window_bytes: 80, ..tiny() }
}

fn numbers(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|at| format!("{at}")).collect()
}

/// Three servers, of which `laggard` has missed `count` entries that leader 1 decided with 2.
fn with_laggard(config: PaxosConfig, count: u64) -> Cluster {
    let mut cluster = Cluster::new(&[1, 2, 3], config);
    cluster.crash(3);
    cluster.lead(1);
    for what in numbers(0..count) {
        cluster.propose(1, &what);
        cluster.settle();
    }
    cluster
}

/// Entries that were sent to server 3 until nothing more came, `ticks` ticks long.
fn sent_to_3(cluster: &mut Cluster, ticks: u32) -> u64 {
    let mut entries = 0;
    for _ in 0..ticks {
        cluster.tick();
        loop {
            for pid in cluster.pids() {
                cluster.output(pid);
            }
            let wires = std::mem::take(&mut cluster.wires);
            if wires.is_empty() {
                break;
            }
            for mut message in wires {
                if message.to == 3
                    && let Some(records) = message.take_records()
                {
                    entries += records.len();
                    message.put_records(records);
                }
                cluster.deliver(message);
            }
        }
    }
    entries
}

#[test]
fn a_laggard_is_brought_up_by_its_driver_and_then_by_its_leader() {
    let mut cluster = with_laggard(far(10), 100);
    cluster.start(3);
    // One part of an AcceptSync, which says how far behind it is.
    assert!(sent_to_3(&mut cluster, 60) <= 4, "the leader goes on to send");
    let catch_up = cluster.get(3).catch_up().unwrap();
    assert_eq!((catch_up.from, catch_up.to), (3, 100));
    assert_eq!(cluster.get(3).leader(), None);
    // What is decided meanwhile does not move the goal.
    cluster.propose(1, "100");
    cluster.settle();
    while cluster.migrate(3, 2, 7) {
        assert!(cluster.get(3).catch_up().is_none_or(|catch_up| catch_up.to == 100));
        cluster.settle();
    }
    cluster.settle();
    let replica = cluster.get(3);
    assert_eq!((replica.catch_up(), replica.decided_index()), (None, 101));
    assert_eq!(replica.leader(), Some(1));
    // It votes.
    cluster.crash(2);
    cluster.propose(3, "101");
    cluster.settle();
    assert_eq!(cluster.decided(3), numbers(0..102));
}

#[test]
fn within_the_limit_the_leader_brings_everything() {
    for config in [far(100), PaxosConfig { catch_up: None, ..far(1) }] {
        let mut cluster = with_laggard(config, 100);
        cluster.start(3);
        cluster.settle();
        assert_eq!(cluster.get(3).decided_index(), 100);
    }
    let limit = |bytes| CatchUpLimit { entries: u64::MAX, bytes };
    for (bytes, decided) in [(97 * 17 + 97, 100), (1000, 3)] {
        let config = PaxosConfig { catch_up: Some(limit(bytes)), ..far(1) };
        let mut cluster = with_laggard(config, 100);
        cluster.start(3);
        cluster.settle();
        assert_eq!(cluster.get(3).decided_index(), decided, "{bytes} bytes");
    }
}

#[test]
fn where_nothing_comes_the_leader_brings_the_rest() {
    for fed in [0, 20] {
        let mut cluster = with_laggard(far(10), 100);
        cluster.start(3);
        cluster.settle();
        let from = cluster.get(3).catch_up().unwrap().from;
        while cluster.get(3).decided_index() < from + fed {
            assert!(cluster.migrate(3, 2, 5));
        }
        // Each time that something comes it waits anew.
        cluster.run(100);
        assert!(cluster.get(3).catch_up().is_some());
        cluster.run(20);
        assert_eq!(cluster.get(3).catch_up(), None);
        assert_eq!(cluster.decided(3), numbers(0..100));
        assert_eq!(cluster.get(3).leader(), Some(1));
    }
}

/// The link was lost, its replica was not: what the leader has in its window is all that comes.
#[test]
fn a_follower_in_sync_becomes_a_laggard() {
    let mut cluster = Cluster::new(&[1, 2, 3], far(10));
    cluster.lead(1);
    cluster.link(1, 3, false);
    for what in numbers(0..100) {
        cluster.propose(1, &what);
        cluster.settle();
    }
    cluster.link(1, 3, true);
    let sent = sent_to_3(&mut cluster, 60);
    // A frame of two entries each time that the leader tries again, and nothing for it.
    assert!(sent <= 2 * 12 + 5, "{sent} entries");
    let catch_up = cluster.get(3).catch_up().unwrap();
    assert_eq!(catch_up.to, 100);
    while cluster.migrate(3, 2, 9) {}
    cluster.settle();
    cluster.run(5);
    assert_eq!(cluster.decided(3), numbers(0..100));
    cluster.crash(2);
    cluster.propose(3, "100");
    cluster.settle();
    assert_eq!(cluster.decided(3), numbers(0..101));
    assert_eq!(cluster.get(3).catch_up(), None);
}

/// At each point of the way the laggard, or the leader, crashes; a new leader may be elected.
#[test]
fn crashes_on_the_way_change_nothing() {
    for point in 0..14 {
        for crash in [1, 3] {
            let mut cluster = with_laggard(far(10), 50);
            cluster.start(3);
            cluster.settle();
            for _ in 0..point {
                cluster.migrate(3, 2, 4);
                cluster.settle();
            }
            cluster.crash(crash);
            if crash == 1 {
                cluster.lead(2);
            } else {
                cluster.start(3);
            }
            let (mut left, mut ticks) = (100, 0);
            while cluster.get(3).decided_index() < 50 {
                cluster.run(1);
                ticks += 1;
                assert!(ticks < 400, "crash of {crash} at {point}");
                if left > 0 && cluster.migrate(3, 2, 4) {
                    left -= 1;
                }
            }
            cluster.run(20);
            let leader = if crash == 1 { 2 } else { 1 };
            assert_eq!(cluster.get(3).leader(), Some(leader), "crash of {crash} at {point}");
            assert_eq!(cluster.decided(3), numbers(0..50));
        }
    }
}

/// Cut off from the leader, it hears from a peer how far behind it is.
#[test]
fn a_peer_shows_it_too() {
    let mut lab = Lab::new(far(10));
    let n = ballot(5, 3);
    let sent = lab.get(2, learn(0, &["a", "b"], 90, n));
    assert_eq!(names(&sent), [], "it asks the peer on");
    assert_eq!(lab.paxos.catch_up(), Some(CatchUp { from: 2, to: 90, round: n }));
    // Nobody is asked for entries.
    assert!(lab.ticks(50).iter().all(|(_, body)| !matches!(body, Body::LearnRequest(_))));
    let more = records(3, &["c", "d"]);
    lab.paxos.learn_decided(2, &more, n).unwrap();
    lab.assert_log(&["a", "b", "c", "d"], 4);
    assert_eq!(lab.paxos.catch_up().unwrap().from, 4);
    // A little less: it asks on.
    let sent = Lab::new(far(10)).get(2, learn(0, &["a", "b"], 12, n));
    assert_eq!(names(&sent), [(2, "LearnRequest")]);
}

#[test]
fn late_and_repeated_messages_do_not_make_it_ask() {
    let n = ballot(5, 3);
    let mut lab = Lab::new(far(10));
    lab.prepare(n, 1, Ballot::default(), 0);
    let sync = accept_sync(n, 1, 0, &["a", "b", "c"], 50, 50);
    assert_eq!(lab.get(3, sync.clone()), []);
    assert_eq!(lab.get(3, sync.clone()), []);
    // The leader asks where it is.
    assert_eq!(lab.get(3, decide(n, 1, 50, true)), []);
    assert_eq!(lab.get(3, accept(n, 1, 50, &["z"], 50)), []);
    assert!(lab.ticks(50).is_empty());
    let all: Vec<String> = numbers(3..50);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    lab.paxos.learn_decided(3, &records(4, &all[..46]), n).unwrap();
    assert_eq!(lab.sent(), []);
    lab.paxos.learn_decided(0, &records(1, &["a"]), n).unwrap();
    lab.paxos.learn_decided(49, &records(50, &all[46..]), n).unwrap();
    assert_eq!(lab.sent(), [(3, sync_request(n, 1, 50))]);
    // A duplicate of the first part says that this is all that there was.
    assert_eq!(names(&lab.get(3, sync)), [(3, "Accepted")]);
    // A later Prepare attempt begins anew, wherever it is.
    lab.get(3, prepare(n, 2, n, 50, 50, None));
    let sent = lab.get(3, accept_sync(n, 2, 50, &[], 50, 50));
    assert_eq!(names(&sent), [(3, "Accepted")]);
}

#[test]
fn impossible_records_are_refused_and_change_nothing() {
    let n = ballot(5, 3);
    let mut lab = Lab::follower(far(10), n, &["a", "b", "c"], 2);
    let before = lab.clone();
    let mut refused = |start, entries: &[&str], round| {
        let refused = lab.paxos.learn_decided(start, &records(start + 1, entries), round);
        assert_eq!(lab, before);
        refused.unwrap_err()
    };
    assert_eq!(refused(3, &["d"], n), LearnError::Gap { start: 3, decided: 2 });
    let unknown = refused(2, &["c"], ballot(9, 4));
    assert_eq!(unknown, LearnError::Impossible("a round of a server that does not vote"));
    let unknown = refused(2, &["c"], Ballot::default());
    assert_eq!(unknown, LearnError::Impossible("a round of a server that does not vote"));
    let other = refused(2, &["other"], n);
    assert_eq!(other, LearnError::Impossible("decided entries that contradict the log"));
    // The same of a later round is possible.
    lab.paxos.learn_decided(2, &records(3, &["other"]), ballot(6, 2)).unwrap();
    lab.assert_log(&["a", "b", "other"], 3);
    assert_eq!((lab.paxos.promised(), lab.paxos.leader()), (ballot(6, 2), None));
}

/// A member whose configuration was ended without it learns the rest, StopSign included, and what
/// became of its proposals.
#[test]
fn a_member_that_missed_the_end_learns_it() {
    let n = ballot(5, 3);
    let mut lab = Lab::follower(PaxosConfig::default(), n, &["a"], 1);
    let mine = lab.paxos.propose_normal("mine").unwrap();
    let end = records(2, &["b", "STOP"]);
    lab.paxos.learn_decided(1, &end, ballot(7, 2)).unwrap();
    assert!(lab.paxos.stop_sign().is_some_and(|ss| ss.config_id == CONFIG + 1));
    assert_eq!(lab.paxos.take_outcomes(), [(mine, ProposalOutcome::Dropped)]);
    let before = lab.clone();
    lab.paxos.learn_decided(1, &end, ballot(9, 2)).unwrap();
    assert_eq!(lab, before, "repeated");
}

/// A leader has what earlier rounds have chosen in its log; one of an older round steps down.
#[test]
fn a_leader_takes_only_what_a_later_round_has_chosen() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(far(10), n, &["a"]);
    let before = lab.clone();
    let other = lab.paxos.learn_decided(0, &records(1, &["x"]), ballot(4, 2));
    assert!(matches!(other, Err(LearnError::Impossible(_))), "{other:?}");
    lab.paxos.learn_decided(0, &records(1, &["a", "b"]), ballot(4, 2)).unwrap();
    assert_eq!(lab, before);
    lab.paxos.learn_decided(0, &records(1, &["x", "y"]), ballot(6, 2)).unwrap();
    assert!(!lab.paxos.is_leader());
    lab.assert_log(&["x", "y"], 2);
    assert_eq!(lab.paxos.catch_up(), None);
    let pids: Vec<NodeId> = lab.sent().into_iter().map(|(to, _)| to).collect();
    assert!(pids.iter().all(|to| [2, 3].contains(to)));
}
