//! What a replica accepts to start with, what it refuses, and what it holds and sends at most.

use super::cluster::{CONFIG, Cluster};
use super::lab::{Lab, accepted, ballot, promise, propose, records_of, tiny};
use crate::ballot::{Ballot, Leader, NodeId};
use crate::paxos::{
    Body, MessageError, Paxos, PaxosConfig, Propose, ProposeError, ReadError, Reconfiguration,
    ReconfigureError, StartError, TrimError,
};
use crate::quorum::{Quorum, QuorumError};
use crate::storage::{MemorySequence, MemoryState, Storage};

fn start(pid: NodeId, peers: &[NodeId], config: PaxosConfig) -> Result<(), StartError> {
    let disk = Storage::with(MemorySequence::new(), MemoryState::new());
    Paxos::try_with(CONFIG, pid, peers.to_vec(), disk, config).map(drop)
}

#[test]
fn impossible_pids_are_refused_at_the_start() {
    let config = PaxosConfig::default;
    assert_eq!(start(0, &[1], config()), Err(StartError::PidZero));
    assert_eq!(start(1, &[2, 0], config()), Err(StartError::PidZero));
    assert_eq!(start(1, &[3, 2, 3], config()), Err(StartError::DuplicatePid(3)));
    assert_eq!(start(2, &[3, 2], config()), Err(StartError::DuplicatePid(2)));
    assert_eq!(start(u64::MAX, &[10_000_000, 1], config()), Ok(()));
}

#[test]
fn limits_of_zero_and_impossible_quorums_are_refused_at_the_start() {
    type Zero = (&'static str, fn(&mut PaxosConfig));
    let zeros: [Zero; 8] = [
        ("resend_ticks", |c| c.resend_ticks = 0),
        ("keepalive_ticks", |c| c.keepalive_ticks = 0),
        ("accept_frame_bytes", |c| c.accept_frame_bytes = 0),
        ("sync_chunk_bytes", |c| c.sync_chunk_bytes = 0),
        ("window_bytes", |c| c.window_bytes = 0),
        ("max_undecided_bytes", |c| c.max_undecided_bytes = 0),
        ("max_pending_bytes", |c| c.max_pending_bytes = 0),
        ("max_entry_bytes", |c| c.max_entry_bytes = 0),
    ];
    for (name, set) in zeros {
        let mut config = PaxosConfig::default();
        set(&mut config);
        assert_eq!(start(1, &[2, 3], config), Err(StartError::Zero(name)));
    }
    let quorum = Some(Quorum::flexible(2, 2, 3).unwrap());
    let config = PaxosConfig { quorum, ..PaxosConfig::default() };
    let disjoint = QuorumError::Disjoint { prepare: 2, accept: 2, servers: 5 };
    assert_eq!(start(1, &[2, 3, 4, 5], config.clone()), Err(StartError::Quorum(disjoint)));
    let size = QuorumError::Size { size: 2, servers: 1 };
    assert_eq!(start(1, &[], config), Err(StartError::Quorum(size)));
}

#[test]
fn reading_from_what_was_trimmed_is_refused_at_the_start() {
    let mut cluster = Cluster::new(&[1], PaxosConfig::default());
    cluster.lead(1);
    for what in ["a", "b", "c"] {
        cluster.propose(1, what);
    }
    cluster.settle();
    cluster.run(5);
    cluster.get(1).trim(2).unwrap();
    cluster.settle();
    let disk = cluster.get(1).clone().into_storage();
    let config = |from| PaxosConfig { read_from: Some(from), ..PaxosConfig::default() };
    let refused = Paxos::try_with(CONFIG, 1, vec![], disk.clone(), config(1)).map(drop);
    assert_eq!(refused, Err(StartError::Trimmed { from: 1, first: 2 }));
    let mut paxos = Paxos::try_with(CONFIG, 1, vec![], disk, config(2)).unwrap();
    assert_eq!(paxos.take_decided(u64::MAX).first_index, 2);
}

#[test]
fn clusters_of_one_and_two_and_of_any_pids_decide() {
    let clusters: [&[NodeId]; 4] = [&[9], &[5, 6], &[1, 2, 10_000_000], &[u64::MAX, 7, 3, 4, 5]];
    for pids in clusters {
        let mut cluster = Cluster::new(pids, PaxosConfig::default());
        cluster.settle();
        cluster.lead(pids[0]);
        for (at, pid) in pids.iter().enumerate() {
            cluster.propose(*pid, &at.to_string());
            cluster.settle();
        }
        let expected: Vec<String> = (0..pids.len()).map(|at| at.to_string()).collect();
        for pid in pids {
            assert_eq!(cluster.decided(*pid), expected, "{pids:?}");
        }
    }
}

#[test]
fn a_single_server_answers_for_nothing_before_its_flush() {
    let disk = Storage::with(MemorySequence::new(), MemoryState::new());
    let mut paxos = Paxos::with(CONFIG, 1, vec![], disk, PaxosConfig::default());
    paxos.handle_leader(Leader::new(ballot(1, 1)));
    assert!(!paxos.is_leader());
    paxos.get_outgoing_msgs();
    paxos.propose_normal("a").unwrap();
    let flush = paxos.begin_flush().unwrap();
    assert_eq!((paxos.decided_index(), paxos.take_outcomes().len()), (0, 0));
    paxos.finish_flush(flush.id(), Ok(())).unwrap();
    assert_eq!((paxos.decided_index(), paxos.take_outcomes().len()), (1, 1));
}

/// Prepare 4, accept 2 of 5: two servers decide, but none of two can take over.
#[test]
fn flexible_quorums_decide_with_few_and_take_over_with_many() {
    let quorum = Some(Quorum::flexible(4, 2, 5).unwrap());
    let config = PaxosConfig { quorum, ..PaxosConfig::default() };
    let mut cluster = Cluster::new(&[1, 2, 3, 4, 5], config);
    cluster.settle();
    cluster.lead(1);
    for pid in [3, 4, 5] {
        cluster.crash(pid);
    }
    cluster.propose(1, "a");
    cluster.settle();
    cluster.assert_decided(&[1, 2], &["a"]);
    cluster.start(3);
    cluster.lead(3);
    assert!(!cluster.get(3).is_leader());
    cluster.start(4);
    cluster.run(25);
    assert!(cluster.get(3).is_leader());
    cluster.assert_decided(&[1, 2, 3, 4], &["a"]);
}

#[test]
fn memory_depends_on_the_number_of_servers_not_on_pids() {
    let size = |pids: [NodeId; 3]| {
        let mut cluster = Cluster::new(&pids, PaxosConfig::default());
        cluster.lead(pids[0]);
        cluster.propose(pids[0], "a");
        cluster.settle();
        let text = format!("{:?}", cluster.get(pids[0]));
        text.split(',').count()
    };
    assert_eq!(size([1, 2, 3]), size([u64::MAX, 1 << 40, 10_000_000]));
}

/// No follower is sent more than a window and a frame before it confirms something; and each gets
/// on.
#[test]
fn the_window_bounds_what_is_on_its_way_to_a_follower() {
    let config = PaxosConfig { window_bytes: 100, ..tiny() };
    let n = ballot(5, 1);
    let mut lab = Lab::leader(config, n, &[]);
    lab.get(2, accepted(n, 1, 0, 0));
    let entries: Vec<String> = (0..200).map(|at| format!("{at:03}")).collect();
    let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
    let mut sent = lab.get(2, propose(1, &entries));
    let (mut confirmed, mut received) = (0, 0);
    while confirmed < 200 {
        let mut bytes = 0;
        for (to, body) in sent {
            if let (2, Body::Accept(m)) = (to, body) {
                assert_eq!(m.start, received);
                assert!(m.entries.cost() <= 40);
                received += m.entries.len();
                bytes += m.entries.cost();
            }
        }
        assert!(bytes <= 100 + 40, "{bytes} bytes at once");
        // Whatever was confirmed makes room: frames of 38 bytes, three of them a window.
        assert!(bytes >= 3 * 38 || received == 200, "{bytes} bytes only");
        assert!(received > confirmed, "stuck at {confirmed}");
        confirmed = received;
        sent = lab.get(2, accepted(n, 1, confirmed, 0));
    }
    // Unconfirmed, what goes again by ticks is a frame a time.
    lab.get(2, propose(201, &entries));
    let bytes: u64 = lab
        .ticks(50)
        .iter()
        .map(|(_, body)| match body {
            Body::Accept(m) => m.entries.cost(),
            _ => 0,
        })
        .sum();
    assert!(bytes <= 10 * 40, "{bytes} bytes in ten resends");
}

/// A window that is full to the byte is full.
#[test]
fn a_window_of_two_frames_lets_two_through() {
    let config = PaxosConfig { window_bytes: 2 * 34, accept_frame_bytes: 34, ..tiny() };
    let n = ballot(5, 1);
    let mut lab = Lab::leader(config, n, &[]);
    lab.get(2, accepted(n, 1, 0, 0));
    let accepts =
        |sent: &[(NodeId, Body)]| sent.iter().filter(|(_, body)| body.name() == "Accept").count();
    assert_eq!(accepts(&lab.get(2, propose(1, &["a", "b", "c", "d", "e", "f", "g"]))), 2);
    assert_eq!(accepts(&lab.get(2, accepted(n, 1, 2, 0))), 1);
    assert_eq!(accepts(&lab.get(2, accepted(n, 1, 6, 0))), 1);
}

#[test]
fn a_frame_lets_one_entry_through_however_large() {
    let mut cluster = Cluster::new(&[1, 2, 3], tiny());
    cluster.settle();
    cluster.lead(1);
    let large = "x".repeat(5000);
    for pid in [1, 2, 3] {
        cluster.propose(pid, &large);
    }
    cluster.settle();
    cluster.crash(3);
    cluster.start(3);
    cluster.run(10);
    cluster.assert_decided(&[1, 2, 3], &[&large, &large, &large]);
}

#[test]
fn proposals_that_cannot_be_taken_say_why() {
    let config = PaxosConfig { max_entry_bytes: 100, max_pending_bytes: 200, ..tiny() };
    let mut lab = Lab::new(config);
    let too_large = ProposeError::TooLarge { size: 101, limit: 100 };
    let before = lab.paxos.clone();
    assert_eq!(lab.paxos.propose_normal(vec![0; 101]), Err(too_large));
    assert_eq!(lab.paxos, before);
    lab.paxos.propose_normal(vec![0; 100]).unwrap();
    lab.paxos.propose_normal(vec![0; 68]).unwrap();
    let overloaded = ProposeError::Overloaded { pending: 200, limit: 200 };
    assert_eq!(lab.paxos.propose_normal(vec![]), Err(overloaded));
    // The way out of an overload may be to reconfigure.
    let id = lab.paxos.propose_reconfiguration(vec![1]).unwrap();
    assert_eq!(id.number, 3);
    let reconfiguring = ProposeError::Reconfiguring { config_id: CONFIG + 1 };
    assert_eq!(lab.paxos.propose_normal(vec![]), Err(reconfiguring));
}

#[test]
fn impossible_reconfigurations_say_why() {
    let mut lab = Lab::new(PaxosConfig { max_entry_bytes: 60, ..tiny() });
    let before = lab.paxos.clone();
    let mut refused = |next: Reconfiguration| lab.paxos.propose_reconfiguration(next).unwrap_err();
    assert_eq!(refused(vec![].into()), ReconfigureError::Empty);
    assert_eq!(refused(vec![1, 0].into()), ReconfigureError::PidZero);
    assert_eq!(refused(vec![3, 1, 3].into()), ReconfigureError::DuplicatePid(3));
    let with = |learners: &[u64]| Reconfiguration::from(vec![3, 1]).with_learners(learners);
    assert_eq!(refused(with(&[2, 3])), ReconfigureError::DuplicatePid(3));
    assert_eq!(refused(with(&[2, 2])), ReconfigureError::DuplicatePid(2));
    assert_eq!(refused(with(&[0])), ReconfigureError::PidZero);
    assert_eq!(refused(Reconfiguration::from(vec![]).with_learners([1])), ReconfigureError::Empty);
    let large = Reconfiguration::from(vec![1, 2]).with_metadata(vec![0; 60]);
    let too_large = ProposeError::TooLarge { size: 92, limit: 60 };
    assert_eq!(refused(large), ReconfigureError::Propose(too_large));
    assert_eq!(lab.paxos, before);
    let disk = Storage::with(MemorySequence::new(), MemoryState::new());
    let mut last = Paxos::with(u64::MAX, 1, vec![], disk, PaxosConfig::default());
    let refused = last.propose_reconfiguration(vec![1]);
    assert_eq!(refused, Err(ReconfigureError::LastConfiguration));
}

/// A limit is what still passes, and each lets one entry through, however large.
#[test]
fn limits_are_what_still_passes() {
    let config = PaxosConfig { max_pending_bytes: 1, max_entry_bytes: 32, ..tiny() };
    let mut lab = Lab::new(config.clone());
    lab.paxos.propose_normal(vec![0; 32]).expect("nothing else is pending");
    let overloaded = ProposeError::Overloaded { pending: 48, limit: 1 };
    assert_eq!(lab.paxos.propose_normal(vec![]), Err(overloaded));
    // A StopSign costs its overhead and 8 bytes a server.
    lab.paxos.propose_reconfiguration(vec![1, 2]).unwrap();
    let too_large = ProposeError::TooLarge { size: 40, limit: 32 };
    let refused = Lab::new(config.clone()).paxos.propose_reconfiguration(vec![1, 2, 3]);
    assert_eq!(refused, Err(ReconfigureError::Propose(too_large.clone())));
    let learner = Reconfiguration::from(vec![1, 2]).with_learners([3]);
    let refused = Lab::new(config).paxos.propose_reconfiguration(learner);
    assert_eq!(refused, Err(ReconfigureError::Propose(too_large)));
}

#[test]
fn a_replica_knows_who_it_is() {
    let lab = Lab::new(tiny());
    assert_eq!((lab.paxos.pid(), lab.paxos.config_id()), (super::lab::ME, CONFIG));
}

/// Forwarded proposals beyond the cap of the undecided tail are left to their proposer.
#[test]
fn the_undecided_tail_is_capped() {
    let config = PaxosConfig { max_undecided_bytes: 100, ..PaxosConfig::default() };
    let n = ballot(5, 1);
    let mut lab = Lab::leader(config, n, &[]);
    for number in 1..=20 {
        lab.get(2, propose(number, &["x"]));
    }
    assert_eq!(lab.paxos.log_len(), 6);
    for _ in 0..20 {
        lab.paxos.propose_normal("y").unwrap();
    }
    lab.sent();
    assert_eq!(lab.paxos.log_len(), 6);
    lab.get(2, accepted(n, 1, 6, 0));
    // What is free again is shared: a quarter is kept for what others forward.
    assert_eq!(lab.paxos.log_len(), 11);
    lab.get(2, propose(7, &["x"]));
    assert_eq!(lab.paxos.log_len(), 12);
}

/// A cap that is reached to the byte is reached.
#[test]
fn a_cap_of_two_entries_lets_two_in() {
    let config = PaxosConfig { max_undecided_bytes: 2 * 17, ..PaxosConfig::default() };
    let mut lab = Lab::leader(config, ballot(5, 1), &[]);
    for number in 1..=5 {
        lab.get(2, propose(number, &["x"]));
    }
    assert_eq!(lab.paxos.log_len(), 2);
}

#[test]
fn reads_are_bounded_and_say_why_not() {
    let mut cluster = Cluster::new(&[1], tiny());
    cluster.lead(1);
    for what in ["a", "b", "c", "d"] {
        cluster.propose(1, what);
    }
    cluster.settle();
    cluster.run(5);
    let paxos = cluster.get(1);
    assert_eq!(paxos.read_decided(5, 9, 9), Err(ReadError::NotDecided { decided: 4 }));
    assert_eq!(paxos.read_decided(4, u64::MAX, 9).unwrap().entries.len(), 0);
    assert_eq!(paxos.read_decided(1, 0, 99).unwrap().entries.len(), 0);
    assert_eq!(paxos.read_decided(1, u64::MAX, 0).unwrap().entries.len(), 1);
    assert_eq!(paxos.read_decided(1, 3, u64::MAX).unwrap().entries.len(), 2);
    assert_eq!(paxos.trim(5), Err(TrimError::NotDecidedByAll { allowed: 4 }));
    paxos.trim(2).unwrap();
    paxos.trim(1).unwrap();
    assert_eq!(paxos.read_decided(1, 9, 9), Err(ReadError::Trimmed { first: 2 }));
    assert_eq!(paxos.first_index(), 2);
}

#[test]
fn messages_for_others_are_refused_and_change_nothing() {
    let mut lab = Lab::leader(tiny(), ballot(5, 1), &["a"]);
    let good = super::lab::message(2, accepted(ballot(5, 1), 1, 1, 0));
    let before = lab.paxos.clone();
    let mut refused = |change: fn(&mut crate::paxos::Message)| {
        let mut message = good.clone();
        change(&mut message);
        lab.paxos.handle_message(message).unwrap_err()
    };
    let other = |theirs| MessageError::OtherConfiguration { theirs, ours: CONFIG };
    assert_eq!(refused(|m| m.config_id += 1), other(CONFIG + 1));
    assert_eq!(refused(|m| m.config_id = 0), other(0));
    assert_eq!(refused(|m| m.to = 2), MessageError::OtherReceiver(2));
    for (from, change) in [
        (0, (|m| m.from = 0) as fn(&mut crate::paxos::Message)),
        (1, |m| m.from = 1),
        (4, |m| m.from = 4),
    ] {
        assert_eq!(refused(change), MessageError::UnknownSender(from));
    }
    assert_eq!(lab.paxos, before);
}

#[test]
fn impossible_proposals_are_refused() {
    let mut lab = Lab::leader(PaxosConfig { max_entry_bytes: 5, ..tiny() }, ballot(5, 1), &[]);
    let body = |proposer, entries: &[&str]| {
        let proposals = records_of(proposer, 1, entries);
        Body::Propose(Propose { proposals, hops: 1 })
    };
    assert_eq!(lab.refuses(2, body(9, &["a"])), "a proposal of an unknown server");
    assert_eq!(lab.refuses(2, body(2, &["a", "too large"])), "a proposal beyond the size limit");
    lab.get(2, body(2, &["limit"]));
    lab.assert_log(&["limit"], 0);
    let mut stop = super::lab::stop_sign();
    for config_id in [CONFIG, CONFIG + 2, 0, u64::MAX] {
        stop.config_id = config_id;
        let id = records_of(2, 1, &["a"]).runs()[0];
        let proposals = crate::storage::Records::new(
            vec![crate::storage::Entry::stop_sign(stop.clone())],
            vec![id],
        );
        let body = Body::Propose(Propose { proposals: proposals.unwrap(), hops: 1 });
        assert_eq!(lab.refuses(2, body), "a StopSign of an impossible configuration");
    }
    lab.get(3, promise(ballot(5, 1), 1, Ballot::default(), 0, 0, &[]));
}
