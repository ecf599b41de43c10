//! A cluster where nothing goes wrong.

use crate::tcp::cluster::{Cluster, DEADLINE, Server, decided, eventually, loopback, memory};
use crate::tcp::recorder::{number_of, payload};
use kompact::prelude::*;
use omnipaxos_core::paxos::{ProposeError, ReadError};
use omnipaxos_core::storage::Entry;
use omnipaxos_kompact::config::OmniPaxosConfig;
use omnipaxos_kompact::counters::DropReason;
use omnipaxos_kompact::ports::{ProposalFailure, ReadFailure, ReplicaEvent, ReplicaRequest};
use omnipaxos_kompact::spawn::{ReplicaHandle, ReplicaSpec, RouterHandle, SpawnError};

#[test]
fn proposals_at_the_leader_are_decided_at_all_servers() {
    let cluster = Cluster::start(3);
    cluster.propose(cluster.leader(), 0..500);
    assert_eq!(cluster.same_log(500), (0..500).collect::<Vec<_>>());
    for server in cluster.servers.values() {
        for counters in [server.router.paxos_counters(), server.router.heartbeat_counters()] {
            assert!(counters.sent() > 0);
            assert!(counters.received() > 0);
            assert_eq!(counters.dropped(DropReason::Undecodable), 0);
            assert_eq!(counters.dropped(DropReason::Overflow), 0);
        }
    }
}

#[test]
fn accepts_are_encoded_once_for_all_followers_in_step() {
    let cluster = Cluster::start(3);
    let server = cluster.server(cluster.leader());
    let shared = || server.router.paxos_counters().shared();
    let before = shared();
    // Each of them goes to whoever is in sync; the others get there.
    let mut proposed = 0;
    eventually("entries shared by two followers", || {
        decided(server.client().propose(payload(proposed)));
        proposed += 1;
        shared() >= before + 10
    });
    let sent = server.router.paxos_counters().sent();
    assert!(shared() <= sent / 2, "{} of {sent}", shared());
}

#[test]
fn proposals_at_a_follower_are_decided_in_its_order() {
    let cluster = Cluster::start(3);
    cluster.propose(cluster.a_follower(), 0..500);
    assert_eq!(cluster.same_log(500), (0..500).collect::<Vec<_>>());
}

#[test]
fn large_entries_travel_in_their_own_frames() {
    let cluster = Cluster::start(3);
    let server = cluster.server(cluster.a_follower());
    let mut large = payload(0).to_vec();
    large.resize(1 << 20, 7);
    let answers: Vec<_> = (0..5).map(|_| server.client().propose(large.clone())).collect();
    for answer in answers {
        decided(answer);
    }
    assert_eq!(cluster.same_log(5), vec![0; 5]);
    large.push(0);
    let refused = server.client().propose(large).wait_timeout(DEADLINE);
    assert!(matches!(refused, Ok(Err(ProposalFailure::Refused(ProposeError::TooLarge { .. })))));
}

#[test]
fn a_single_server_decides_alone() {
    let cluster = Cluster::start(1);
    cluster.propose(1, 0..100);
    assert_eq!(cluster.same_log(100), (0..100).collect::<Vec<_>>());
}

#[test]
fn replicas_digest_what_they_decide_at_leisure() {
    let cluster = Cluster::start(3);
    cluster.propose(cluster.leader(), 0..5000);
    let blocks = |server: &Server| server.client().blocks().wait_timeout(DEADLINE).unwrap();
    let list = || -> Vec<_> { cluster.servers.values().map(|s| blocks(s).unwrap()).collect() };
    eventually("everybody has digested all", || {
        list().iter().all(|blocks| blocks.last().is_some_and(|block| block.end == 5000))
    });
    let lists = list();
    // More than one that is whole, and the same at all.
    assert!(lists[0].len() > 2, "{lists:?}");
    assert!(lists.iter().all(|blocks| *blocks == lists[0]));
}

#[test]
fn requests_over_the_port_are_answered_over_the_port() {
    let cluster = Cluster::start(3);
    let server = cluster.server(cluster.a_follower());
    let data = payload(5);
    server.request(ReplicaRequest::Propose { token: 1, data });
    let answers = || server.member().records.lock().answers.len();
    eventually("an answer over the port", || answers() == 1);
    server.request(ReplicaRequest::Read { token: 2, from: 0, to: u64::MAX });
    server.request(ReplicaRequest::Trim { token: 3, to: 99 });
    eventually("all answers over the port", || answers() == 3);
    let records = server.member().records.lock();
    assert!(matches!(records.answers[0], ReplicaEvent::Proposed { token: 1, result: Ok(_) }));
    match &records.answers[1] {
        ReplicaEvent::Read { token: 2, result: Ok(batch) } => {
            assert_eq!(*batch.entries, [Entry::Normal(payload(5))]);
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(records.answers[2], ReplicaEvent::Trimmed { token: 3, result: Err(_) }));
}

#[test]
fn a_late_subscriber_reads_what_it_missed() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader();
    cluster.propose(leader, 0..3000);
    let server = cluster.server(leader);
    let (recorder, records) = server.recorder();
    let from = server.member().handle.subscribe(&recorder);
    cluster.propose(leader, 3000..3100);
    let mut read = Vec::new();
    while (read.len() as u64) < from {
        let next = server.client().read_decided(read.len() as u64, from);
        let batch = next.wait_timeout(DEADLINE).unwrap().unwrap();
        assert_eq!(batch.first_index, read.len() as u64);
        // A batch is bounded: 256 KiB by default.
        assert!(batch.entries.iter().map(Entry::cost).sum::<u64>() <= 256 << 10);
        for entry in batch.entries.iter() {
            match entry {
                Entry::Normal(data) => read.push(number_of(data)),
                Entry::StopSign(ss) => panic!("{ss:?}"),
            }
        }
    }
    eventually("all later entries", || read.len() + records.numbers().len() == 3100);
    assert_eq!(records.lock().first, Some(from));
    read.extend(records.numbers());
    assert_eq!(read, (0..3100).collect::<Vec<_>>());
    let beyond = server.client().read_decided(5000, 6000);
    assert!(matches!(
        beyond.wait_timeout(DEADLINE),
        Ok(Err(ReadFailure::Refused(ReadError::NotDecided { .. })))
    ));
}

#[test]
fn all_members_trim_what_all_have_decided() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader();
    cluster.propose(leader, 0..100);
    cluster.same_log(100);
    let client = cluster.server(leader).client();
    eventually("everyone's decided index is known", || {
        matches!(client.trim(50).wait_timeout(DEADLINE), Ok(Ok(())))
    });
    let status = client.status().wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(status.first_index, 50);
    assert_eq!(status.leader, Some(leader));
    assert!(status.decided_index >= 100);
    cluster.propose(leader, 100..110);
    assert_eq!(cluster.same_log(110), (0..110).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_spawned_is_refused_by_name() {
    let server = Server::start(1, loopback());
    let spawn = |nodes: Vec<u64>| {
        let spec = ReplicaSpec::new(1, nodes, memory());
        ReplicaHandle::spawn(&server.system, &server.router, spec).err()
    };
    assert_eq!(spawn(vec![2, 3]), Some(SpawnError::NotMember { pid: 1, config_id: 1 }));
    assert!(matches!(spawn(vec![1, 2, 2]), Some(SpawnError::Start(_))));
    let mut config = OmniPaxosConfig::default();
    config.window = 0;
    let refused = RouterHandle::spawn(&server.system, 1, config).err();
    assert!(matches!(refused, Some(SpawnError::Config(_))));
    server.system.kill_system().unwrap();
    let local = KompactConfig::default().build().wait().unwrap();
    let refused = RouterHandle::spawn(&local, 1, OmniPaxosConfig::default()).err();
    assert_eq!(refused, Some(SpawnError::NoNetwork));
    local.kill_system().unwrap();
}
