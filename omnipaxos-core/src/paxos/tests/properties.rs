//! SC1-SC3, C1 and the rules of trimming ("beyond" 8), told as stories of a cluster.

use super::cluster::Cluster;
use super::lab::{Lab, accepted, ballot, decide, names, promise, propose};
use crate::ballot::Ballot;
use crate::paxos::{
    Body, Decide, PaxosConfig, ProposalOutcome, ProposeError, Reconfiguration, ReconfigureError,
    TrimError,
};

fn three() -> Cluster {
    let mut cluster = Cluster::new(&[1, 2, 3], PaxosConfig::default());
    cluster.settle();
    cluster
}

#[test]
fn sc1_only_what_was_proposed_is_decided() {
    let mut cluster = three();
    cluster.lead(1);
    cluster.lead(2);
    cluster.lead(3);
    cluster.run(20);
    cluster.assert_decided(&[1, 2, 3], &[]);
    cluster.propose(1, "a");
    cluster.settle();
    cluster.assert_decided(&[1, 2, 3], &["a"]);
}

/// Hazard 5: an old entry on a quorum is not decided by that; a newer round may overwrite it.
#[test]
fn sc2_an_entry_of_an_old_round_is_not_decided_by_counting_copies() {
    let mut cluster = Cluster::new(&[1, 2, 3, 4, 5], PaxosConfig::default());
    cluster.settle();
    // 1 writes x to itself and 2 only.
    cluster.lead(1);
    for pid in [3, 4, 5] {
        cluster.link(1, pid, false);
    }
    cluster.propose(1, "x");
    cluster.settle();
    // 5 leads a later round without 1 and 2, and writes y to itself only.
    cluster.link(5, 1, false);
    cluster.link(5, 2, false);
    cluster.lead(5);
    for pid in [3, 4] {
        cluster.link(5, pid, false);
    }
    cluster.propose(5, "y");
    cluster.settle();
    // 1 is back, adopts its own log and copies x to 3: a quorum holds x, of round 1.
    cluster.link(1, 3, true);
    let ballot = cluster.elect(1);
    cluster.output(1);
    for message in std::mem::take(&mut cluster.wires) {
        cluster.deliver(message);
    }
    for pid in [2, 3] {
        cluster.output(pid);
    }
    for message in std::mem::take(&mut cluster.wires) {
        cluster.deliver(message);
    }
    cluster.output(1);
    for message in std::mem::take(&mut cluster.wires) {
        cluster.deliver(message);
    }
    // The followers' answers never arrive: nothing is decided, whatever the copies.
    assert!(cluster.get(3).log_len() == 1 && cluster.get(1).promised() == ballot);
    cluster.crash(1);
    for pid in [2, 3, 4] {
        cluster.link(5, pid, true);
    }
    cluster.lead(5);
    cluster.run(30);
    // 3 accepted x in the latest round, so 5 has to adopt it; its own y waits for its turn.
    cluster.assert_decided(&[2, 3, 4, 5], &["x", "y"]);
}

#[test]
fn sc2_the_longest_log_does_not_win_over_a_later_round() {
    let mut cluster = three();
    cluster.lead(1);
    cluster.link(1, 2, false);
    cluster.link(1, 3, false);
    for what in ["old-1", "old-2", "old-3"] {
        cluster.propose(1, what);
    }
    cluster.settle();
    cluster.lead(2);
    cluster.propose(2, "new");
    cluster.settle();
    cluster.assert_decided(&[2, 3], &["new"]);
    cluster.crash(2);
    cluster.link(1, 3, true);
    cluster.lead(1);
    cluster.run(10);
    cluster.assert_decided(&[1, 3], &["new", "old-1", "old-2", "old-3"]);
}

/// The only quorum-connected server has an outdated log: it leads all the same (constrained
/// election).
#[test]
fn sc2_a_leader_with_an_outdated_log_adopts_before_it_decides() {
    let mut cluster = three();
    cluster.lead(1);
    cluster.link(1, 2, false);
    for what in ["a", "b", "c"] {
        cluster.propose(1, what);
    }
    cluster.settle();
    cluster.assert_decided(&[1, 3], &["a", "b", "c"]);
    cluster.link(1, 3, false);
    cluster.propose(2, "d");
    cluster.lead(2);
    cluster.run(10);
    cluster.assert_decided(&[2, 3], &["a", "b", "c", "d"]);
}

#[test]
fn sc3_a_decided_log_only_grows_and_is_handed_out_once() {
    let mut cluster = three();
    let mut decided = Vec::new();
    for round in 0..9 {
        let leader = 1 + round % 3;
        cluster.lead(leader);
        cluster.propose(1 + (round + 1) % 3, &round.to_string());
        cluster.settle();
        decided.push(round.to_string());
        cluster.run(5);
        for pid in [1, 2, 3] {
            assert_eq!(cluster.decided(pid), decided);
        }
        cluster.crash(leader);
        cluster.start(leader);
    }
}

#[test]
fn c1_a_decided_stop_sign_seals_the_log() {
    let mut cluster = three();
    cluster.lead(1);
    cluster.propose(1, "a");
    let next = Reconfiguration::from(vec![2, 3, 4]).with_metadata("addresses");
    let id = cluster.get(2).propose_reconfiguration(next).unwrap();
    assert_eq!(cluster.get(2).stop_sign(), None);
    cluster.settle();
    cluster.run(10);
    cluster.assert_decided(&[1, 2, 3], &["a", "StopSign(8)"]);
    assert_eq!(cluster.servers[&2].outcomes[&id], ProposalOutcome::Decided(1));
    for pid in [1, 2, 3] {
        let replica = cluster.get(pid);
        let ss = replica.stop_sign().unwrap();
        assert_eq!((ss.config_id, ss.nodes.as_slice()), (8, &[2, 3, 4][..]));
        assert_eq!(ss.metadata.as_deref(), Some(&b"addresses"[..]));
        let sealed = ProposeError::Sealed { config_id: 8 };
        assert_eq!(replica.propose_normal("late"), Err(sealed.clone()));
        let refused = replica.propose_reconfiguration(vec![1]);
        assert_eq!(refused, Err(ReconfigureError::Propose(sealed)));
    }
    // Sealed across restarts and elections.
    cluster.crash(2);
    cluster.start(2);
    cluster.lead(2);
    cluster.run(20);
    cluster.assert_decided(&[1, 2, 3], &["a", "StopSign(8)"]);
    assert!(cluster.get(2).is_leader());
    assert!(cluster.get(2).propose_normal("late").is_err());
}

#[test]
fn c1_of_two_reconfigurations_one_is_decided() {
    let mut cluster = three();
    cluster.lead(1);
    let ids: Vec<_> = [2, 3]
        .map(|pid| (pid, cluster.get(pid).propose_reconfiguration(vec![pid]).unwrap()))
        .into();
    cluster.settle();
    cluster.run(10);
    let outcomes: Vec<_> = ids.iter().map(|(pid, id)| cluster.servers[pid].outcomes[id]).collect();
    assert!(outcomes.contains(&ProposalOutcome::Decided(0)), "{outcomes:?}");
    assert!(outcomes.contains(&ProposalOutcome::Dropped), "{outcomes:?}");
}

/// A StopSign that was never decided may be replaced: then proposals are welcome again.
#[test]
fn c1_an_undecided_stop_sign_can_vanish() {
    let mut cluster = three();
    cluster.lead(1);
    cluster.link(1, 2, false);
    cluster.link(1, 3, false);
    cluster.get(1).propose_reconfiguration(vec![1]).unwrap();
    cluster.settle();
    let refused = cluster.get(1).propose_normal("x");
    assert_eq!(refused, Err(ProposeError::Reconfiguring { config_id: 8 }));
    cluster.lead(2);
    cluster.propose(2, "a");
    cluster.settle();
    cluster.crash(1);
    cluster.start(1);
    cluster.link(1, 2, true);
    cluster.link(1, 3, true);
    cluster.run(20);
    cluster.propose(1, "b");
    cluster.settle();
    cluster.assert_decided(&[1, 2, 3], &["a", "b"]);
}

/// "Beyond" 8.
#[test]
fn beyond_8_nothing_is_trimmed_that_some_member_may_need() {
    let mut cluster = three();
    cluster.lead(1);
    cluster.crash(3);
    for what in ["a", "b", "c"] {
        cluster.propose(1, what);
    }
    cluster.settle();
    cluster.run(60);
    for pid in [1, 2] {
        assert_eq!(cluster.get(pid).trim(1), Err(TrimError::NotDecidedByAll { allowed: 0 }));
    }
    cluster.start(3);
    cluster.settle();
    cluster.run(60);
    for pid in [1, 2, 3] {
        assert_eq!(cluster.get(pid).trim(4), Err(TrimError::NotDecidedByAll { allowed: 3 }));
        cluster.get(pid).trim(2).unwrap();
        assert_eq!(cluster.get(pid).first_index(), 2);
    }
    // Life goes on behind a trimmed prefix, also across restarts and elections.
    cluster.settle();
    cluster.crash(2);
    cluster.start(2);
    cluster.lead(2);
    cluster.propose(3, "d");
    cluster.run(10);
    for pid in [1, 2, 3] {
        assert_eq!(cluster.get(pid).decided_index(), 4, "server {pid}");
    }
}

#[test]
fn beyond_8_only_what_was_taken_is_trimmed() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(PaxosConfig::default(), n, &["a", "b"]);
    lab.get(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
    lab.get(2, accepted(n, 1, 2, 0));
    lab.ticks(5);
    lab.get(2, accepted(n, 1, 2, 2));
    assert_eq!(lab.paxos.trim(1), Err(TrimError::NotDecidedByAll { allowed: 0 }));
    lab.get(3, accepted(n, 1, 2, 1));
    assert_eq!(lab.paxos.trim(1), Err(TrimError::NotTaken { taken: 0 }));
    lab.paxos.take_decided(1);
    lab.paxos.trim(1).unwrap();
    assert_eq!(lab.paxos.trim(2), Err(TrimError::NotDecidedByAll { allowed: 1 }));
}

/// The StopSign says what comes after this configuration.
#[test]
fn beyond_8_the_stop_sign_is_never_trimmed() {
    let mut cluster = three();
    cluster.lead(1);
    cluster.propose(1, "a");
    cluster.get(1).propose_reconfiguration(vec![1]).unwrap();
    cluster.settle();
    cluster.run(60);
    for pid in [1, 2, 3] {
        assert_eq!(cluster.get(pid).trim(2), Err(TrimError::NotDecidedByAll { allowed: 1 }));
        cluster.get(pid).trim(1).unwrap();
        cluster.settle();
        cluster.crash(pid);
        cluster.start(pid);
        assert!(cluster.get(pid).stop_sign().is_some());
    }
}

/// What the leader itself has not decided durably may be trimmed nowhere.
#[test]
fn beyond_8_the_leader_counts_its_own_durable_decided_index() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(PaxosConfig::default(), n, &["a", "b"]);
    lab.get(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
    lab.get(2, accepted(n, 1, 2, 2));
    lab.get(3, accepted(n, 1, 2, 2));
    let claimed = |sent: Vec<(u64, Body)>| match sent.as_slice() {
        [(_, Body::Accept(m)), ..] => m.decided_by_all,
        other => panic!("{other:?}"),
    };
    let early = propose(3, &["c"]);
    lab.paxos.handle_message(super::lab::message(2, early)).unwrap();
    let flush = lab.paxos.begin_flush().unwrap();
    let sent = lab.paxos.take_sendable().into_iter().map(|m| (m.to, m.body)).collect();
    assert_eq!(claimed(sent), 0);
    lab.paxos.finish_flush(flush.id(), Ok(())).unwrap();
    assert_eq!(claimed(lab.get(2, propose(4, &["d"]))), 2);
}

/// What is decided by all is a claim of the leader; one's own durable decided index bounds it.
#[test]
fn beyond_8_a_follower_trims_what_it_has_decided_durably_at_most() {
    let n = ballot(2, 2);
    let mut lab = Lab::follower(PaxosConfig::default(), n, &["a", "b", "c"], 0);
    let body =
        Body::Decide(Decide { n, s: 1, decided: 2, decided_by_all: u64::MAX, answer: false });
    lab.get(2, body);
    lab.paxos.get_decided_entries();
    assert_eq!(lab.paxos.trim(1), Err(TrimError::NotDecidedByAll { allowed: 0 }));
    // Written once things are quiet.
    lab.ticks(6);
    assert_eq!(lab.paxos.trim(3), Err(TrimError::NotDecidedByAll { allowed: 2 }));
    lab.paxos.trim(2).unwrap();
}

/// Debug builds check the order of the cursors after each input: here a round is accepted that was
/// never promised.
#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "accepted within the promise")]
fn an_impossible_state_is_noticed_at_the_next_input() {
    let mut lab = Lab::leader(PaxosConfig::default(), ballot(5, 1), &[]);
    lab.paxos.replica.storage.accept_round(ballot(6, 1));
    lab.paxos.tick();
}

/// An idle cluster shows that the leader lives, and no more.
#[test]
fn an_idle_leader_shows_itself() {
    let n = ballot(5, 1);
    let mut lab = Lab::leader(PaxosConfig::default(), n, &[]);
    lab.get(2, accepted(n, 1, 0, 0));
    lab.get(3, promise(n, 1, Ballot::default(), 0, 0, &[]));
    lab.get(3, accepted(n, 1, 0, 0));
    let sent = lab.ticks(150);
    let to_2 = sent.iter().filter(|(to, body)| *to == 2 && *body == decide(n, 1, 0, false));
    assert_eq!((to_2.count(), sent.len()), (3, 6), "{:?}", names(&sent));
    lab.get(2, propose(1, &["a"]));
}
