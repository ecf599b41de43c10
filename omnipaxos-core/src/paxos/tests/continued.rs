//! C5: a configuration that begins with a leader.

use super::cluster::{CONFIG, Cluster, Fault, Replica};
use super::lab::{Lab, accept, accepted, ballot, decide, names, prepare, records};
use crate::ballot::{Ballot, Leader, NodeId};
use crate::paxos::{Body, Paxos, PaxosConfig};
use crate::storage::{Importer, MemorySequence, MemoryState, Storage};
use std::collections::BTreeSet;

const N: Ballot = Ballot { n: 1, priority: 0, pid: 1 };

fn with(n: Ballot) -> PaxosConfig {
    PaxosConfig { continued: Some(Leader::new(n)), ..PaxosConfig::default() }
}

fn empty() -> Storage<MemorySequence, MemoryState> {
    Storage::with(MemorySequence::new(), MemoryState::new())
}

fn start(pid: NodeId, disk: Storage<MemorySequence, MemoryState>, n: Ballot) -> Replica {
    let peers = [1, 2, 3].into_iter().filter(|peer| *peer != pid).collect();
    Paxos::try_with(CONFIG, pid, peers, disk, with(n)).unwrap()
}

/// No tick, no leader event, no Prepare.
#[test]
fn the_first_entries_are_decided_without_waiting_for_anything() {
    for pids in [vec![1], vec![1, 2], vec![1, 2, 3], vec![1, 2, 3, 4, 5]] {
        let mut cluster = Cluster::new(&pids, with(N));
        assert!(cluster.get(1).is_leader());
        cluster.propose(1, "a");
        if let Some(last) = pids.last().filter(|pid| **pid != 1) {
            assert_eq!(cluster.get(*last).leader(), Some(1));
            cluster.propose(*last, "b");
        }
        cluster.settle();
        let log = if pids.len() > 1 { vec!["a", "b"] } else { vec!["a"] };
        cluster.assert_decided(&pids, &log);
        assert_eq!(cluster.get(1).promised(), N);
    }
}

/// Whoever starts late says where it is, and gets what it missed at once.
#[test]
fn members_may_start_late() {
    let mut cluster = Cluster::new(&[1, 2, 3], with(N));
    cluster.crash(3);
    cluster.crash(2);
    cluster.propose(1, "a");
    cluster.settle();
    cluster.assert_decided(&[1], &[]);
    cluster.start(2);
    cluster.settle();
    cluster.run(1);
    cluster.assert_decided(&[1, 2], &["a"]);
    cluster.propose(1, "b");
    cluster.settle();
    cluster.start(3);
    cluster.settle();
    cluster.run(1);
    cluster.assert_decided(&[1, 2, 3], &["a", "b"]);
}

/// Nothing leaves before the round is durable at its leader: a crash before that leaves no trace,
/// and the round is begun once.
#[test]
fn nothing_leaves_before_the_round_is_durable() {
    let mut paxos = start(1, empty(), N);
    paxos.propose_normal("a").unwrap();
    let flush = paxos.begin_flush().unwrap();
    assert_eq!(paxos.take_sendable(), []);
    for _ in 0..100 {
        paxos.tick();
        assert_eq!(paxos.take_sendable(), []);
    }
    let id = flush.id();
    paxos.finish_flush(id, flush.run()).unwrap();
    let sent: Vec<(NodeId, Body)> =
        paxos.take_sendable().into_iter().map(|m| (m.to, m.body)).collect();
    assert_eq!(names(&sent), [(2, "Accept"), (3, "Accept")]);
    // From here on the round is over for this server once it restarts.
    let mut again = start(1, paxos.into_storage(), N);
    assert!(!again.is_leader());
    assert_eq!(again.promised(), N);
    again.handle_leader(Leader::new(N));
    assert!(!again.is_leader());
    let sent = again.get_outgoing_msgs();
    assert!(sent.iter().all(|m| matches!(m.body, Body::PrepareReq(_))));
}

/// The leader dies at each point of the first exchange, whatever was delivered by then; another one
/// takes over, then the first one comes back. Logs that differ make the cluster panic.
#[test]
fn the_leader_may_die_at_any_point() {
    for delivered in 0..16 {
        for next in [2, 3] {
            for isolated in [None, Some(5 - next)] {
                let mut cluster = Cluster::new(&[1, 2, 3], with(N));
                cluster.propose(1, "a");
                cluster.propose(2, "b");
                deliver(&mut cluster, delivered);
                cluster.crash(1);
                cluster.wires.clear();
                if let Some(pid) = isolated {
                    // It starts anew, without what it had not flushed.
                    cluster.crash(pid);
                    cluster.start(pid);
                }
                cluster.lead(next);
                cluster.propose(next, "c");
                cluster.run(20);
                cluster.start(1);
                cluster.run(60);
                assert!(cluster.get(next).is_leader(), "{delivered}");
                let log = cluster.decided(next);
                assert!(log.contains(&"c".to_owned()), "{delivered}: {log:?}");
                assert_eq!(cluster.decided(1), log, "{delivered}");
            }
        }
    }
}

/// Delivers the first `count` messages one by one.
fn deliver(cluster: &mut Cluster, count: usize) {
    for _ in 0..count {
        for pid in cluster.pids() {
            cluster.output(pid);
        }
        if cluster.wires.is_empty() {
            return;
        }
        let message = cluster.wires.remove(0);
        cluster.deliver(message);
    }
}

/// The same with what the leader has flushed and not sent: its entries may come back with it, or
/// not, but nowhere else than in its log.
#[test]
fn entries_that_only_the_first_leader_has_are_replaced() {
    let mut cluster = Cluster::new(&[1, 2, 3], with(N));
    cluster.propose(1, "lost");
    cluster.link(1, 2, false);
    cluster.link(1, 3, false);
    cluster.settle();
    cluster.crash(1);
    cluster.lead(2);
    cluster.propose(2, "b");
    cluster.settle();
    cluster.assert_decided(&[2, 3], &["b"]);
    cluster.link(1, 2, true);
    cluster.link(1, 3, true);
    cluster.start(1);
    cluster.run(60);
    cluster.assert_decided(&[1, 2, 3], &["b"]);
}

#[test]
fn each_message_may_be_lost_doubled_or_late() {
    for fault in [Fault::Lost, Fault::Doubled, Fault::Repeated, Fault::Late] {
        for which in 0..30 {
            let mut cluster = Cluster::new(&[1, 2, 3], with(N));
            cluster.fault = Some((which, fault));
            cluster.propose(1, "a");
            cluster.propose(3, "b");
            cluster.run(60);
            let late = std::mem::take(&mut cluster.late);
            cluster.wires.extend(late);
            cluster.propose(2, "c");
            cluster.run(60);
            let log: BTreeSet<String> = cluster.decided(1).into_iter().collect();
            assert_eq!(log.len(), 3, "{fault:?} of {which}");
            for pid in [2, 3] {
                assert_eq!(cluster.decided(pid), cluster.decided(1), "{fault:?} of {which}");
            }
        }
    }
}

/// Storage that is not new has promised the round, and nothing else: it is not led again, and no
/// lower round comes through.
#[test]
fn storage_that_was_used_only_promises() {
    let used = || {
        let mut import = Importer::open(empty()).unwrap();
        while let Some(flush) = import.begin_flush().unwrap() {
            let id = flush.id();
            import.finish_flush(id, flush.run()).unwrap();
        }
        import.into_storage()
    };
    assert!(!start(1, used(), N).is_leader());
    let n = ballot(1, 3);
    let mut lab = Lab { paxos: start(1, used(), n) };
    assert_eq!(names(&lab.sent()), [(2, "PrepareReq"), (3, "PrepareReq")]);
    assert_eq!((lab.paxos.promised(), lab.paxos.leader()), (n, None));
    let sent = lab.get(2, prepare(ballot(1, 2), 1, Ballot::default(), 0, 0, None));
    assert_eq!(names(&sent), [(2, "Refuse")]);
    // Nor where it is new.
    let mut lab = Lab { paxos: start(1, empty(), n) };
    lab.sent();
    let sent = lab.get(2, prepare(ballot(1, 2), 1, Ballot::default(), 0, 0, None));
    assert_eq!(names(&sent), [(2, "Refuse")]);
}

/// A member that comes back into the round is synchronised in an attempt of its own; what is left
/// of the first one is late.
#[test]
fn late_messages_of_the_first_attempt_are_ignored() {
    let n = ballot(1, 3);
    let mut lab = Lab { paxos: start(1, empty(), n) };
    assert_eq!(names(&lab.sent()), [(3, "Accepted")]);
    lab.get(3, accept(n, 1, 0, &["a"], 0));
    let mut lab = Lab { paxos: start(1, lab.paxos.into_storage(), n) };
    assert_eq!(names(&lab.sent()), [(2, "PrepareReq"), (3, "PrepareReq")]);
    // Out of sync it takes nothing, and asks once.
    assert_eq!(names(&lab.get(3, accept(n, 1, 1, &["b"], 1))), [(3, "PrepareReq")]);
    lab.get(3, prepare(n, 2, n, 2, 1, None));
    lab.ignores_but_hears(accept(n, 1, 1, &["b"], 1));
    lab.ignores_but_hears(decide(n, 1, 1, true));
    lab.assert_log(&["a"], 0);
}

/// The leader counts what a member says in the attempt that is current.
#[test]
fn the_leader_counts_the_current_attempt_only() {
    let mut lab = Lab { paxos: start(1, empty(), N) };
    lab.paxos.propose_normal("a").unwrap();
    assert_eq!(names(&lab.sent()), [(2, "Accept"), (3, "Accept")]);
    // Server 2 restarts.
    let sent = lab.get(2, super::lab::prepare_req(N));
    assert_eq!(names(&sent), [(2, "Prepare")]);
    lab.get(2, accepted(N, 1, 1, 0));
    lab.assert_log(&["a"], 0);
    lab.get(3, accepted(N, 1, 1, 0));
    lab.assert_log(&["a"], 1);
    let more = records(1, &["b"]);
    assert!(lab.paxos.learn_decided(1, &more, N).is_ok());
    assert_eq!(lab.paxos.decided_index(), 1, "nothing is decided behind its log");
}

#[test]
fn a_leader_that_does_not_vote_is_ignored() {
    for config in [
        with(ballot(1, 9)),
        PaxosConfig { learners: vec![3], ..with(ballot(1, 3)) },
        PaxosConfig { learners: vec![1], ..with(N) },
    ] {
        let disk = empty();
        let mut paxos = Paxos::try_with(CONFIG, 1, vec![2, 3], disk, config).unwrap();
        assert_eq!((paxos.leader(), paxos.promised()), (None, Ballot::default()));
        let sent = paxos.get_outgoing_msgs();
        assert!(sent.iter().all(|m| matches!(m.body, Body::PrepareReq(_))));
    }
}
