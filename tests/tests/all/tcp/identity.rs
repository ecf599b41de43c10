//! Servers that lose their disk, and who is let in.

use crate::tcp::cluster::{Cluster, DEADLINE, Server, decided, eventually, loopback, memory};
use kompact::prelude::BlockingFutureExt as _;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::{Operation, StorageError};
use omnipaxos_kompact::config::OmniPaxosConfig;
use omnipaxos_kompact::counters::DropReason;
use omnipaxos_kompact::identity::{
    Admission, Binding, MemberStore, MembersError, Refusal, StorageId,
};
use omnipaxos_kompact::spawn::{ReplicaHandle, ReplicaSpec, RouterHandle, SpawnError};
use std::collections::BTreeMap;

fn admission(server: &Server) -> Option<Admission> {
    server.client().status().wait_timeout(DEADLINE).unwrap().unwrap().admission
}

fn refusal(server: &Server) -> Refusal {
    let mut found = None;
    eventually("the server is refused", || {
        if let Some(Admission::Refused(refusal)) = admission(server) {
            found = Some(refusal);
        }
        found.is_some()
    });
    let records = &server.member().records;
    eventually("its user is told", || {
        matches!(records.lock().admission, Some(Admission::Refused(_)))
    });
    found.unwrap()
}

#[test]
fn an_empty_disk_under_an_old_pid_is_refused_and_replaced_under_a_new_one() {
    let mut cluster = Cluster::start(3);
    let lost = cluster.a_follower();
    cluster.propose(lost, 0..20);
    cluster.same_log(20);
    let bound = cluster.server(lost).router.storage_id();
    let remains = cluster.kill(lost).without_disk();
    cluster.restart(lost, &[1, 2, 3], remains);
    let server = cluster.server(lost);
    let Refusal { pid, presented, bound: known, by } = refusal(server);
    assert_eq!((pid, known, presented), (lost, bound, server.router.storage_id()));
    assert!(by != lost && (1..=3).contains(&by));

    // It takes no part, and nobody misses it.
    let others: Vec<NodeId> = (1..=3).filter(|pid| *pid != lost).collect();
    cluster.propose(others[0], 20..40);
    let next = vec![others[0], others[1], 4];
    decided(cluster.server(others[0]).client().propose_reconfiguration(next.clone()));
    let server = cluster.server(lost);
    assert_eq!((server.leader(), server.numbers()), (None, vec![]));
    let heartbeats = server.router.heartbeat_counters();
    eventually("its heartbeats, and those for the old disk, are dropped", || {
        let dropped = |reason| heartbeats.dropped(reason) > 0;
        dropped(DropReason::Closed) && dropped(DropReason::Receiver)
    });
    assert_eq!((heartbeats.sent(), heartbeats.received()), (0, 0));
    assert_eq!(server.router.paxos_counters().sent(), 0);
    cluster.kill(lost);

    cluster.add(Server::start(4, loopback()));
    for pid in &next {
        cluster.servers.get_mut(pid).unwrap().join(2, &next, memory());
    }
    cluster.propose(4, 0..10);
    cluster.same_log(10);
}

#[test]
fn an_empty_disk_is_refused_also_where_it_first_meets_one_that_never_knew_it() {
    let mut cluster = Cluster::start(3);
    cluster.propose(1, 0..10);
    cluster.same_log(10);
    let address = cluster.kill(3).address;
    let next = [1, 2, 3, 4];
    decided(cluster.server(1).client().propose_reconfiguration(next.to_vec()));
    cluster.add(Server::start(4, loopback()));
    for pid in [1, 2, 4] {
        cluster.servers.get_mut(&pid).unwrap().join(2, &next, memory());
    }
    // 3 comes back without its disk, and for now only 4 and it know where the other one is.
    let mut back = Server::start(3, address);
    for other in cluster.servers.values() {
        other.router.remove_peer(3);
    }
    back.router.set_peer(4, cluster.server(4).address());
    cluster.server(4).router.set_peer(3, address);
    back.join(2, &next, memory());
    let waits = Some(Admission::Waiting { peers: vec![1, 2] });
    eventually("4 lets it in", || admission(&back) == waits);
    cluster.add(back);
    let refusal = refusal(cluster.server(3));
    assert!(refusal.by == 1 || refusal.by == 2);
    // A quorum of four is three: these.
    cluster.propose(4, 10..30);
    cluster.propose(1, 30..40);
    let back = cluster.server(3);
    assert_eq!((back.leader(), back.numbers()), (None, vec![]));
    assert_eq!(back.router.paxos_counters().sent(), 0);
    cluster.kill(3);
    cluster.same_log(30);
}

#[test]
fn a_majority_that_comes_back_with_its_disks_waits_for_nobody() {
    let mut cluster = Cluster::start(3);
    cluster.propose(1, 0..10);
    cluster.same_log(10);
    let killed: Vec<_> = (1..=3).map(|pid| (pid, cluster.kill(pid))).collect();
    for (pid, remains) in killed {
        if pid != 3 {
            cluster.restart(pid, &[1, 2, 3], remains.elsewhere());
        }
    }
    cluster.propose(2, 10..20);
    assert_eq!(cluster.same_log(20), (0..20).collect::<Vec<_>>());
}

fn with_members(server: &Server, members: &BTreeMap<NodeId, StorageId>) -> Result<(), SpawnError> {
    let spec = ReplicaSpec::new(1, vec![1, 2, 3], memory()).members(members.clone());
    ReplicaHandle::spawn(&server.system, &server.router, spec).map(drop)
}

#[test]
fn decided_members_need_no_introduction_and_other_storages_are_not_heard() {
    let mut cluster = Cluster::without_replicas(4);
    let decided_members: BTreeMap<NodeId, StorageId> =
        [1, 2, 3].map(|pid| (pid, cluster.server(pid).router.storage_id())).into();
    let spec = |members: &BTreeMap<NodeId, StorageId>| {
        ReplicaSpec::new(1, vec![1, 2, 3], memory()).members(members.clone())
    };
    // 3 is not up, and nobody has ever met it.
    cluster.kill(3);
    let spawn = |server: &Server| {
        ReplicaHandle::spawn(&server.system, &server.router, spec(&decided_members)).unwrap()
    };
    let one = spawn(cluster.server(1));
    let _two = spawn(cluster.server(2));
    decided(one.client().propose("a"));

    // Another storage under pid 3 does not start; where it is told otherwise, nobody hears it.
    let back = Server::start(3, loopback());
    let presented = back.router.storage_id();
    assert_eq!(
        with_members(&back, &decided_members),
        Err(SpawnError::Members(MembersError::OtherStorage {
            pid: 3,
            decided: decided_members[&3],
            presented,
        }))
    );
    let mut forged = decided_members.clone();
    forged.insert(3, presented);
    with_members(&back, &forged).unwrap();
    cluster.add(back);
    let counters = cluster.server(1).router.heartbeat_counters().clone();
    eventually("its heartbeats are dropped", || counters.dropped(DropReason::Storage) > 0);
    assert_eq!(
        with_members(cluster.server(2), &forged),
        Err(SpawnError::Members(MembersError::Conflict {
            pid: 3,
            decided: presented,
            bound: decided_members[&3],
        }))
    );
    forged.remove(&3);
    let refused = with_members(cluster.server(4), &forged);
    assert!(matches!(refused, Err(SpawnError::NotMember { pid: 4, .. })), "{refused:?}");
    let refused = with_members(cluster.server(1), &forged);
    assert!(
        matches!(refused, Err(SpawnError::Members(MembersError::OtherNodes { .. }))),
        "{refused:?}"
    );
}

/// A disk that is full.
struct Full(StorageId);

fn full() -> StorageError {
    StorageError::Full { operation: Operation::Flush, detail: "as the test wants".to_owned() }
}

impl MemberStore for Full {
    fn storage_id(&self) -> StorageId {
        self.0
    }

    fn bindings(&self) -> Result<BTreeMap<NodeId, Binding>, StorageError> {
        Ok(BTreeMap::new())
    }

    fn record(&mut self, _: NodeId, _: Binding) -> Result<(), StorageError> {
        Err(full())
    }
}

#[test]
fn who_cannot_record_its_members_takes_no_part_and_says_so() {
    let mut cluster = Cluster::without_replicas(1);
    cluster.servers.get_mut(&1).unwrap().join(1, &[1, 2], memory());
    let system = crate::tcp::cluster::start_system(loopback());
    let config = OmniPaxosConfig::from_config(system.config()).unwrap();
    let store = Full(StorageId::random().unwrap());
    let router = RouterHandle::spawn_with_members(&system, 2, store, config).unwrap();
    router.set_peer(1, cluster.server(1).address());
    cluster.server(1).router.set_peer(2, system.system_path().socket_address());
    let spec = ReplicaSpec::new(1, vec![1, 2], memory());
    let replica = ReplicaHandle::spawn(&system, &router, spec).unwrap();
    eventually("the failure is told", || {
        let status = replica.client().status().wait_timeout(DEADLINE).unwrap().unwrap();
        status.admission == Some(Admission::Failed(full()))
    });
    assert_ne!(admission(cluster.server(1)), Some(Admission::Open));
    system.kill_system().unwrap();
}
