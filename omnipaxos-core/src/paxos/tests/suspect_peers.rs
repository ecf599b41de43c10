//! S2-S4 at the other members, and whole clusters with suspect servers.

use super::cluster::{Cluster, Replica};
use super::lab::{
    Lab, accept_sync, accepted, ballot, names, prepare, prepare_req, promise, propose,
};
use crate::ballot::{Ballot, Leader, NodeId};
use crate::paxos::{Body, PaxosConfig, RecoverReply, RecoverRequest, RecoveryStage};
use crate::storage::{MemorySequence, MemoryState, PaxosState, State, Storage};

fn config() -> PaxosConfig {
    PaxosConfig::default()
}

fn ask(nonce: u64) -> Body {
    Body::RecoverRequest(RecoverRequest { nonce })
}

fn answer(nonce: u64, promised: Ballot, attempt: Option<u64>) -> Body {
    Body::RecoverReply(RecoverReply { nonce, promised, attempt, suspect_session: None })
}

/// A Promise that does not count.
fn weak_promise(n: Ballot, s: u64, round: Ballot, len: u64, suffix: &[&str]) -> Body {
    match promise(n, s, round, len, 0, suffix) {
        Body::Promise(mut promise) => {
            promise.recovering = true;
            Body::Promise(promise)
        }
        other => other,
    }
}

#[test]
fn s2_a_follower_tells_its_promise_once_that_is_durable() {
    let mut lab = Lab::new(config());
    let n = ballot(5, 3);
    lab.paxos.handle_message(super::lab::message(3, prepare(n, 1, n, 0, 0, None))).unwrap();
    lab.paxos.handle_message(super::lab::message(2, ask(7))).unwrap();
    assert_eq!(lab.paxos.take_sendable(), []);
    assert!(lab.sent().contains(&(2, answer(7, n, None))));
    // A question that is repeated is answered again.
    assert_eq!(lab.get(2, ask(7)), [(2, answer(7, n, None))]);
}

#[test]
fn s2_a_leader_begins_one_attempt_a_question() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(config(), n, &["a"]);
    let sent = lab.get(2, ask(7));
    assert_eq!(sent[0], (2, answer(7, n, Some(2))));
    assert_eq!(names(&sent[1..]), [(2, "Prepare")]);
    assert_eq!(lab.get(2, ask(7)), [(2, answer(7, n, Some(2)))]);
    assert_eq!(names(&lab.get(2, ask(8))), [(2, "RecoverReply"), (2, "Prepare")]);
    // One that was overtaken by a later one begins nothing.
    assert_eq!(lab.get(2, ask(7)), [(2, answer(7, n, Some(3)))]);
    // Another server's question is another one.
    assert_eq!(names(&lab.get(3, ask(7))), [(3, "RecoverReply"), (3, "Prepare")]);
}

#[test]
fn s2_what_was_accepted_before_the_question_still_counts_and_later_copies_do_not() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(config(), n, &[]);
    lab.get(2, accepted(n, 1, 0, 0));
    lab.get(2, propose(1, &["a", "b"]));
    lab.get(2, ask(7));
    // On its way since before the loss.
    lab.get(2, accepted(n, 1, 2, 0));
    lab.assert_log(&["a", "b"], 0);
    // It comes back with all that the log holds.
    let sent = lab.get(2, weak_promise(n, 2, Ballot::default(), 0, &[]));
    assert_eq!(sent, [(2, accept_sync(n, 2, 0, &["a", "b"], 2, 0))]);
    lab.get(2, accepted(n, 2, 2, 0));
    lab.assert_log(&["a", "b"], 2);
}

#[test]
fn s3_a_promise_of_a_suspect_server_elects_nobody() {
    let n = ballot(5, 1);
    let mut lab = Lab::candidate(config(), n);
    lab.get(2, weak_promise(n, 1, Ballot::default(), 0, &[]));
    assert!(!lab.paxos.is_leader());
    // It is synchronised together with the first one that counts.
    let sent = lab.get(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
    assert!(lab.paxos.is_leader());
    assert_eq!(names(&sent), [(2, "AcceptSync"), (3, "AcceptSync")]);
}

#[test]
fn s3_the_log_of_a_suspect_server_is_not_adopted() {
    let n = ballot(5, 1);
    let mut lab = Lab::candidate(config(), n);
    lab.get(2, weak_promise(n, 1, ballot(4, 3), 1, &["x"]));
    lab.get(3, promise(n, 1, ballot(3, 3), 1, 0, &["y"]));
    assert!(lab.paxos.is_leader());
    lab.assert_log(&["y"], 0);
}

#[test]
fn s3_a_suspect_server_that_has_recovered_counts_again() {
    let n = ballot(5, 1);
    let mut lab = Lab::candidate(config(), n);
    lab.get(2, weak_promise(n, 1, Ballot::default(), 0, &[]));
    lab.get(2, promise(n, 1, Ballot::default(), 0, 0, &[]));
    assert!(lab.paxos.is_leader());
}

#[test]
fn s2_a_question_ends_what_was_promised_before() {
    let n = ballot(5, 1);
    let servers =
        PaxosConfig { quorum: Some(crate::Quorum::flexible(3, 1, 3).unwrap()), ..config() };
    let mut lab = Lab::candidate(servers, n);
    lab.get(2, promise(n, 1, Ballot::default(), 0, 0, &[]));
    lab.get(2, ask(7));
    lab.get(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
    assert!(!lab.paxos.is_leader());
    lab.get(2, promise(n, 2, Ballot::default(), 0, 0, &[]));
    assert!(lab.paxos.is_leader());
}

#[test]
fn s4_attempts_after_a_loss_have_numbers_that_were_never_used() {
    let mut state = MemoryState::new();
    state.store(&State { session: 6, suspect_session: 3, ..State::default() }).unwrap();
    let disk = Storage::with(MemorySequence::new(), state);
    let paxos = Replica::try_with(super::cluster::CONFIG, 1, vec![2, 3], disk, config()).unwrap();
    let mut lab = Lab { paxos };
    lab.sent();
    lab.paxos.handle_leader(Leader::new(ballot(5, 1)));
    let first = (3 << 32) + 1;
    for (_, body) in lab.sent() {
        let Body::Prepare(prepare) = body else { panic!("{body:?}") };
        assert_eq!(prepare.s, first);
    }
    lab.get(2, prepare_req(Ballot::default()));
    lab.get(2, promise(ballot(5, 1), 2, Ballot::default(), 0, 0, &[]));
    assert!(!lab.paxos.is_leader());
}

/// Takes `pid` back to `disk`, an earlier state of it, and starts it as suspect.
fn lose(cluster: &mut Cluster, pid: NodeId, disk: Storage<MemorySequence, MemoryState>) {
    cluster.crash(pid);
    let (log, mut state) = disk.into_parts();
    let mut lost = state.load().unwrap().unwrap_or_default();
    lost.session += 2;
    lost.recovering = true;
    lost.suspect_session = lost.session;
    state.store(&lost).unwrap();
    cluster.servers.get_mut(&pid).unwrap().disk = Storage::with(log, state);
    cluster.start(pid);
}

fn disk_of(cluster: &mut Cluster, pid: NodeId) -> Storage<MemorySequence, MemoryState> {
    cluster.get(pid).clone().into_storage()
}

#[test]
fn s4_a_follower_that_lost_its_last_flush_comes_back() {
    for pid in [1, 2, 3] {
        let mut cluster = Cluster::new(&[1, 2, 3], config());
        cluster.settle();
        cluster.lead(1);
        cluster.propose(1, "a");
        cluster.settle();
        let before = disk_of(&mut cluster, pid);
        cluster.propose(1, "b");
        cluster.settle();
        lose(&mut cluster, pid, before);
        cluster.run(2);
        // Who leads is not asked: the election elects one that is fit.
        if pid == 1 {
            assert!(cluster.get(1).is_recovering());
            cluster.lead(2);
        }
        cluster.run(20);
        assert!(!cluster.get(pid).is_recovering(), "server {pid}");
        cluster.propose(pid, "c");
        cluster.run(20);
        cluster.assert_decided(&[1, 2, 3], &["a", "b", "c"]);
    }
}

#[test]
fn s4_two_suspect_servers_of_five_come_back() {
    let mut cluster = Cluster::new(&[1, 2, 3, 4, 5], config());
    cluster.settle();
    cluster.lead(1);
    let before = [4, 5].map(|pid| (pid, disk_of(&mut cluster, pid)));
    cluster.propose(1, "a");
    cluster.settle();
    for (pid, disk) in before {
        lose(&mut cluster, pid, disk);
    }
    cluster.run(40);
    for pid in [4, 5] {
        assert!(!cluster.get(pid).is_recovering(), "server {pid}");
    }
    cluster.assert_decided(&[1, 2, 3, 4, 5], &["a"]);
}

#[test]
fn s3_three_suspect_servers_of_five_do_not() {
    let mut cluster = Cluster::new(&[1, 2, 3, 4, 5], config());
    cluster.settle();
    cluster.lead(1);
    let before = [3, 4, 5].map(|pid| (pid, disk_of(&mut cluster, pid)));
    cluster.propose(1, "a");
    cluster.settle();
    for (pid, disk) in before {
        lose(&mut cluster, pid, disk);
    }
    cluster.run(100);
    for pid in [3, 4, 5] {
        let stage = cluster.get(pid).recovery();
        let suspects = vec![3, 4, 5];
        assert_eq!(stage, Some(RecoveryStage::QuorumSuspect { suspects }));
    }
}

/// Why every other member is asked, not only as many as a quorum needs to meet: server 1 leads a
/// round with the promise of 5 in its hands and is out of reach when 5 forgets it. The three others
/// know of no such round. Were 5 to vote again with them, they could decide an entry in a lower
/// round; 1, which gets the promise of 4 later, would never see it, and decide another one.
#[test]
fn s3_a_quorum_of_answers_would_not_do() {
    let mut cluster = Cluster::new(&[1, 2, 3, 4, 5], config());
    cluster.settle();
    cluster.lead(2);
    let before = disk_of(&mut cluster, 5);
    for (pid, up) in [(2, false), (3, false), (4, false)] {
        cluster.link(1, pid, up);
    }
    cluster.lead(1);
    assert!(cluster.get(5).promised().pid == 1 && !cluster.get(1).is_leader());
    cluster.link(1, 5, false);
    lose(&mut cluster, 5, before);
    cluster.propose(2, "low");
    cluster.run(60);
    cluster.assert_decided(&[2, 3, 4, 5], &["low"]);
    assert!(cluster.get(5).is_recovering());
    let missing = vec![1];
    assert_eq!(cluster.get(5).recovery(), Some(RecoveryStage::Asking { missing }));
    // Its vote would have decided this one without 4.
    cluster.link(2, 4, false);
    cluster.propose(2, "alone");
    cluster.run(20);
    cluster.assert_decided(&[2, 3, 5], &["low"]);
    // Once 1 is heard, its round is the bound, and it is its leader that brings 5 back.
    for pid in [2, 3, 4, 5] {
        cluster.link(1, pid, true);
    }
    cluster.link(2, 4, true);
    cluster.run(60);
    assert!(!cluster.get(5).is_recovering());
    assert!(cluster.decided(5).starts_with(&["low".to_owned()]));
}
