//! Servers on real directories: one is started again with its directory, with a damaged one, and
//! without it.

use crate::tcp::cluster::{DEADLINE, decided, eventually, loopback, start_system};
use crate::tcp::recorder::payload;
use kompact::prelude::{BlockingFutureExt as _, KompactSystem};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_kompact::config::OmniPaxosConfig;
use omnipaxos_kompact::durable::{
    DurableSequence, DurableState, Engine, OpenError, Options, Owner,
};
use omnipaxos_kompact::identity::{Admission, Refusal};
use omnipaxos_kompact::spawn::{ReplicaHandle, ReplicaSpec, RouterHandle};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const NODES: [NodeId; 3] = [1, 2, 3];

fn owner(pid: NodeId) -> Owner {
    Owner { cluster_id: 77, pid }
}

fn create(dir: &Path, pid: NodeId) -> Engine {
    Engine::create(dir, owner(pid), Options::default()).unwrap()
}

/// The process before may still be on its way out.
fn open(dir: &Path, pid: NodeId) -> Result<Engine, OpenError> {
    let mut opened = None;
    eventually("the directory is free", || {
        let result = Engine::open(dir, owner(pid), Options::default());
        let free = !matches!(result, Err(OpenError::InUse { .. }));
        opened = Some(result);
        free
    });
    opened.unwrap()
}

struct Server {
    system: KompactSystem,
    router: RouterHandle,
    replica: ReplicaHandle<DurableSequence, DurableState>,
}

impl Server {
    fn start(engine: &Engine, listen: SocketAddr) -> Self {
        let system = start_system(listen);
        let config = OmniPaxosConfig::from_config(system.config()).unwrap();
        let (pid, members) = (engine.owner().pid, engine.members().unwrap());
        let router = RouterHandle::spawn_with_members(&system, pid, members, config).unwrap();
        let spec = ReplicaSpec::new(1, NODES.to_vec(), engine.storage(1).unwrap());
        let replica = ReplicaHandle::spawn(&system, &router, spec).unwrap();
        Self { system, router, replica }
    }

    fn kill(self) -> SocketAddr {
        let address = self.system.system_path().socket_address();
        self.system.kill_system().unwrap();
        drop(self.replica.into_storage().unwrap());
        address
    }

    fn admission(&self) -> Option<Admission> {
        self.replica.client().status().wait_timeout(DEADLINE).unwrap().unwrap().admission
    }

    fn decided_index(&self) -> u64 {
        self.replica.client().status().wait_timeout(DEADLINE).unwrap().unwrap().decided_index
    }

    fn propose(&self, number: u64) -> u64 {
        decided(self.replica.client().propose(payload(number)))
    }
}

fn meet(servers: &BTreeMap<NodeId, Server>, address: SocketAddr, pid: NodeId) {
    for (other, server) in servers.iter().filter(|(other, _)| **other != pid) {
        server.router.set_peer(pid, address);
        let other_address = server.system.system_path().socket_address();
        servers[&pid].router.set_peer(*other, other_address);
    }
}

/// Three servers of configuration 1 on new directories.
fn three_servers(dir: impl Fn(NodeId) -> PathBuf) -> BTreeMap<NodeId, Server> {
    let mut servers = BTreeMap::new();
    for pid in NODES {
        let server = Server::start(&create(&dir(pid), pid), loopback());
        let address = server.system.system_path().socket_address();
        servers.insert(pid, server);
        meet(&servers, address, pid);
    }
    servers
}

/// Changes a byte of the last flush, in front of its 24 bytes of footer.
fn damage_the_last_flush(dir: &Path) {
    let path = dir.join("0000000001.log");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[last - 30] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn a_damaged_last_flush_costs_the_vote_until_the_others_give_it_back() {
    let top = TempDir::new().unwrap();
    let dir = |pid: NodeId| top.path().join(pid.to_string());
    let mut servers = three_servers(dir);
    for number in 0..10 {
        servers[&2].propose(number);
    }
    let address = servers.remove(&3).unwrap().kill();
    drop(open(&dir(3), 3).unwrap());
    damage_the_last_flush(&dir(3));
    let engine = open(&dir(3), 3).unwrap();
    assert_eq!(engine.suspects(), Ok(vec![1]));
    servers.insert(3, Server::start(&engine, address));
    meet(&servers, address, 3);
    eventually("the others give it its vote back", || {
        let status = servers[&3].replica.client().status().wait_timeout(DEADLINE);
        status.unwrap().unwrap().recovery.is_none()
    });
    eventually("that is durable", || engine.suspects() == Ok(vec![]));
    drop(engine);
    // Now its vote is needed.
    servers.remove(&1).unwrap().kill();
    assert_eq!(servers[&3].propose(10), 10);
    assert_eq!(servers[&2].decided_index(), 11);
    for server in servers.into_values() {
        server.kill();
    }
}

#[test]
fn a_directory_lets_its_server_in_again_and_a_new_one_does_not() {
    let top = TempDir::new().unwrap();
    let dir = |pid: NodeId| top.path().join(pid.to_string());
    let mut servers = three_servers(dir);
    for number in 0..10 {
        servers[&3].propose(number);
    }

    // With its directory it is let in again, and one that is down keeps nobody from that.
    servers.remove(&1).unwrap().kill();
    let address = servers.remove(&3).unwrap().kill();
    let engine = open(&dir(3), 3).unwrap();
    let bound = engine.storage_id();
    servers.insert(3, Server::start(&engine, address));
    drop(engine);
    meet(&servers, address, 3);
    assert_eq!(servers[&3].propose(10), 10);

    // Without it, it does not open, and what is created in its place does not vote.
    let address = servers.remove(&3).unwrap().kill();
    drop(open(&dir(3), 3).unwrap());
    std::fs::remove_dir_all(dir(3)).unwrap();
    assert!(matches!(open(&dir(3), 3), Err(OpenError::Missing { .. })));
    let engine = create(&dir(3), 3);
    let presented = engine.storage_id();
    servers.insert(3, Server::start(&engine, address));
    meet(&servers, address, 3);
    let expected = Admission::Refused(Refusal { pid: 3, presented, bound, by: 2 });
    eventually("it is refused", || servers[&3].admission().as_ref() == Some(&expected));

    // 1 comes back with its directory: with 2 it goes on, and nothing is lost.
    let server = Server::start(&open(&dir(1), 1).unwrap(), loopback());
    let address = server.system.system_path().socket_address();
    servers.insert(1, server);
    meet(&servers, address, 1);
    assert_eq!(servers[&1].propose(11), 11);
    assert_eq!(servers[&3].decided_index(), 0);
    for server in servers.into_values() {
        server.kill();
    }
}
