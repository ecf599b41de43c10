//! Backends that are slow, fail or panic.

use crate::tcp::cluster::{Cluster, DEADLINE, Server, decided, eventually};
use crate::tcp::recorder::{Records, payload};
use kompact::prelude::*;
use omnipaxos_core::paxos::ProposeError;
use omnipaxos_core::storage::{
    Commit, MemorySequence, MemoryState, Operation, PaxosState, State, Storage, StorageError,
};
use omnipaxos_kompact::ports::ProposalFailure;
use omnipaxos_kompact::spawn::{PreparedReplica, ReplicaHandle, ReplicaSpec};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread::{current, sleep};
use std::time::Duration;

const FAILS: u8 = 1;
const PANICS: u8 = 2;
const STALLS: u8 = 3;

/// A disk whose flushes take a while, and end as the test wants.
#[derive(Clone, Default)]
struct Disk {
    state: MemoryState,
    health: Arc<AtomicU8>,
    commits: Arc<AtomicUsize>,
}

struct DiskCommit(Disk);

impl PaxosState for Disk {
    type Commit = DiskCommit;

    fn load(&self) -> Result<Option<State>, StorageError> {
        self.state.load()
    }

    fn store(&mut self, state: &State) -> Result<(), StorageError> {
        self.state.store(state)
    }

    fn commit(&mut self) -> Result<DiskCommit, StorageError> {
        Ok(DiskCommit(self.clone()))
    }
}

impl Commit for DiskCommit {
    fn run(self) -> Result<(), StorageError> {
        assert!(current().name().is_some_and(|name| name.starts_with("flush-")));
        sleep(Duration::from_millis(1));
        self.0.commits.fetch_add(1, Ordering::Relaxed);
        while self.0.health.load(Ordering::Relaxed) == STALLS {
            sleep(Duration::from_millis(1));
        }
        match self.0.health.load(Ordering::Relaxed) {
            FAILS => Err(StorageError::Io {
                operation: Operation::Flush,
                detail: "as the test wants".to_owned(),
            }),
            PANICS => panic!("as the test wants"),
            _ => Ok(()),
        }
    }
}

fn spawn(server: &Server, disk: &Disk) -> ReplicaHandle<MemorySequence, Disk> {
    let storage = Storage::with(MemorySequence::new(), disk.clone());
    let spec = ReplicaSpec::new(1, vec![1, 2, 3], storage);
    PreparedReplica::prepare(&server.system, &server.router, spec)
        .unwrap()
        .start(&server.system)
        .unwrap()
}

#[test]
fn flushes_run_on_their_own_thread_and_cover_bursts() {
    let cluster = Cluster::without_replicas(3);
    let disks = [Disk::default(), Disk::default(), Disk::default()];
    let replicas: Vec<_> =
        cluster.servers.values().zip(&disks).map(|(server, disk)| spawn(server, disk)).collect();
    let answers: Vec<_> = (0..5000).map(|n| replicas[1].client().propose(payload(n))).collect();
    for answer in answers {
        decided(answer);
    }
    for disk in &disks {
        let commits = disk.commits.load(Ordering::Relaxed);
        assert!(commits < 2500, "{commits} flushes for 5000 entries");
    }
}

fn one_bad_disk(health: u8) {
    let mut cluster = Cluster::without_replicas(3);
    let disk = Disk::default();
    let bad = spawn(cluster.server(3), &disk);
    for pid in 1..=2 {
        let server = cluster.servers.get_mut(&pid).unwrap();
        server.join(1, &[1, 2, 3], crate::tcp::cluster::memory());
    }
    let (recorder, records) = cluster.server(3).recorder();
    bad.subscribe(&recorder);
    decided(bad.client().propose(payload(0)));
    disk.health.store(health, Ordering::Relaxed);
    // The others can decide without this disk, so a few proposals may still succeed.
    let mut answer = Ok(());
    for n in 1.. {
        let proposed = bad.client().propose(payload(n)).wait_timeout(DEADLINE);
        answer = proposed.unwrap().map(|_| ());
        if answer.is_err() {
            break;
        }
    }
    assert!(
        matches!(
            answer,
            Err(ProposalFailure::Halted { .. } | ProposalFailure::Refused(ProposeError::Halted(_)))
        ),
        "{answer:?}"
    );
    eventually("the halt is indicated", || records.lock().halted);
    let refused = bad.client().propose(payload(2)).wait_timeout(DEADLINE);
    assert!(matches!(refused, Ok(Err(ProposalFailure::Refused(_)))));
    let status = bad.client().status().wait_timeout(DEADLINE).unwrap().unwrap();
    assert!(status.halted.is_some());
    // Whoever led before, the others go on.
    for pid in 1..=2 {
        decided(cluster.server(pid).propose(1000 + pid));
    }
}

#[test]
fn a_failed_flush_halts_its_replica_and_answers_who_waits() {
    one_bad_disk(FAILS);
}

#[test]
fn a_flush_that_panics_is_a_failed_flush() {
    one_bad_disk(PANICS);
}

/// Three servers on disks of the test's own, and what each of them was told.
type OnDisks = (Cluster, Vec<(Disk, ReplicaHandle<MemorySequence, Disk>, Records)>);

fn on_disks() -> OnDisks {
    let cluster = Cluster::without_replicas(3);
    let servers = cluster.servers.values().map(|server| {
        let disk = Disk::default();
        let replica = spawn(server, &disk);
        let (recorder, records) = server.recorder();
        replica.subscribe(&recorder);
        (disk, replica, records)
    });
    let servers = servers.collect();
    (cluster, servers)
}

fn leader_seen_by(records: &Records) -> usize {
    let mut leader = None;
    eventually("a leader", || {
        leader = records.lock().leader;
        leader.is_some()
    });
    leader.unwrap() as usize - 1
}

#[test]
fn a_leader_whose_disk_stalls_is_replaced_although_its_heartbeats_flow() {
    let (_cluster, servers) = on_disks();
    decided(servers[0].1.client().propose(payload(0)));
    let old = leader_seen_by(&servers[0].2);
    let other = (old + 1) % 3;
    servers[old].0.health.store(STALLS, Ordering::Relaxed);
    // It takes a flush to stall in. The others decide it without this disk.
    drop(servers[old].1.client().propose(payload(1)));
    eventually("another leader", || {
        servers[other].2.lock().leader.is_some_and(|pid| pid as usize - 1 != old)
    });
    decided(servers[other].1.client().propose(payload(2)));
    let before = servers[old].2.numbers().len();
    servers[old].0.health.store(0, Ordering::Relaxed);
    decided(servers[other].1.client().propose(payload(3)));
    eventually("the server catches up once its disk answers again", || {
        servers[old].2.numbers().contains(&3)
    });
    assert!(servers[old].2.numbers().len() > before);
}
