//! Real replicas behind the identity rule, or without it, on a network and disks of one seed.

use bytes::Bytes;
use omnipaxos_core::leader_election::{Ballot, Leader, NodeId};
use omnipaxos_core::paxos::{Message, Paxos, PaxosConfig};
use omnipaxos_core::storage::Entry;
use omnipaxos_kompact::identity::{
    Admission, Binding, Handshake, IdentityMessage, MemberStore as _, MemoryMembers, Output,
    StorageId,
};
use omnipaxos_tests::checker::{Checker, Members, Who};
use omnipaxos_tests::sim::{Disk, Lie, Replica, Rng};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const NODES: [NodeId; 3] = [1, 2, 3];
const MAJORITY: usize = 2;

/// A machine: its disk, and the process that runs on it.
struct Machine {
    who: Who,
    disk: Disk,
    known: MemoryMembers,
    recording: VecDeque<(NodeId, Binding)>,
    handshake: Handshake,
    replica: Replica,
}

/// What is on its way.
#[derive(Clone)]
pub(super) struct Packet {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    /// From which storage to which one; nothing of the sort without the rule.
    storages: Option<(StorageId, StorageId)>,
    body: Body,
}

#[derive(Clone)]
enum Body {
    Identity(IdentityMessage),
    Paxos(Message),
}

/// Servers 1, 2 and 3 of configuration 1.
pub(super) struct World {
    /// Whether only servers that know each other's storage hear each other.
    rule: bool,
    pub(super) rng: Rng,
    machines: BTreeMap<NodeId, Machine>,
    pub(super) network: Vec<Packet>,
    pub(super) checker: Checker,
    elections: u64,
    starts: usize,
    storages: u128,
    /// Servers that took part with a disk that is lost.
    took_part: BTreeSet<NodeId>,
    pub(super) refused: u64,
}

impl World {
    /// All servers are up, with disks that were never used.
    pub(super) fn new(rule: bool, seed: u64) -> Self {
        let mut world = Self {
            rule,
            rng: Rng::new(seed),
            machines: BTreeMap::new(),
            network: Vec::new(),
            checker: Checker::new(),
            elections: 0,
            starts: 0,
            storages: 0,
            took_part: BTreeSet::new(),
            refused: 0,
        };
        world.checker.configuration(1, Members::voting(&NODES), (MAJORITY, MAJORITY));
        for pid in NODES {
            let disk = Disk::new(Lie::None);
            world.checker.disk(1, pid, disk.clone());
            let known = world.unknown();
            world.boot(pid, disk, known);
        }
        world
    }

    fn unknown(&mut self) -> MemoryMembers {
        self.storages += 1;
        MemoryMembers::new(StorageId::new(self.storages).unwrap())
    }

    fn boot(&mut self, pid: NodeId, disk: Disk, known: MemoryMembers) {
        self.starts += 1;
        let who = Who { slot: self.starts, pid, incarnation: self.starts as u64 };
        let bindings = known.bindings().unwrap();
        let mut handshake = Handshake::new(pid, known.storage_id(), bindings);
        handshake.register(1, &NODES);
        let peers = NODES.into_iter().filter(|peer| *peer != pid).collect();
        let replica = Paxos::with(1, pid, peers, disk.storage(), PaxosConfig::default());
        let recording = VecDeque::new();
        self.machines.insert(pid, Machine { who, disk, known, recording, handshake, replica });
        self.output(pid);
    }

    /// The process crashes and starts again. What was not durable is lost.
    pub(super) fn restart(&mut self, pid: NodeId) {
        let (disk, known) = (self.machines[&pid].disk.clone(), self.machines[&pid].known.clone());
        disk.crash(&mut self.rng);
        self.boot(pid, disk, known);
    }

    /// The server loses its disk and comes back with an empty one, under its old pid. The checker
    /// goes on counting a disk with which the server took part: what it held may be decided by now.
    pub(super) fn wipe(&mut self, pid: NodeId) {
        let disk = Disk::new(Lie::None);
        if *self.admission(pid) == Admission::Open {
            self.took_part.insert(pid);
        }
        if !self.took_part.contains(&pid) {
            self.checker.disk(1, pid, disk.clone());
        }
        let known = self.unknown();
        self.boot(pid, disk, known);
    }

    fn machine(&mut self, pid: NodeId) -> &mut Machine {
        self.machines.get_mut(&pid).unwrap()
    }

    pub(super) fn admission(&self, pid: NodeId) -> &Admission {
        self.machines[&pid].handshake.admission(1).unwrap()
    }

    pub(super) fn decided_index(&self, pid: NodeId) -> u64 {
        self.machines[&pid].replica.decided_index()
    }

    /// An election makes `pid` leader, with a ballot of its own.
    pub(super) fn elect(&mut self, pid: NodeId) {
        self.elections += 1;
        let leader = Leader::new(Ballot::new(self.elections, 0, pid));
        self.machine(pid).replica.handle_leader(leader);
        self.output(pid);
    }

    pub(super) fn propose(&mut self, pid: NodeId) {
        let key = self.checker.next_key();
        let payload = Bytes::from(key.to_be_bytes().to_vec());
        let machine = self.machine(pid);
        let who = machine.who;
        if let Ok(id) = machine.replica.propose_normal(payload.clone()) {
            self.checker.proposed(who, 1, id, Entry::Normal(payload));
            self.output(pid);
        }
    }

    pub(super) fn tick(&mut self, pid: NodeId) {
        let machine = self.machine(pid);
        machine.replica.tick();
        machine.handshake.tick();
        self.output(pid);
    }

    /// The oldest binding under way becomes durable.
    pub(super) fn record(&mut self, pid: NodeId) -> bool {
        let machine = self.machine(pid);
        let Some((of, binding)) = machine.recording.pop_front() else {
            return false;
        };
        machine.known.record(of, binding).unwrap();
        machine.handshake.recorded(of, binding);
        self.output(pid);
        true
    }

    pub(super) fn deliver(&mut self, packet: Packet) {
        let Packet { from, to, storages, body } = packet;
        let rule = self.rule;
        let machine = self.machine(to);
        match body {
            Body::Identity(message) => machine.handshake.handle_message(message),
            Body::Paxos(message) => {
                if rule && !machine.hears(from, storages) {
                    return;
                }
                // What an amnesiac makes impossible may be refused by name.
                let _ = machine.replica.handle_message(message);
            }
        }
        self.output(to);
    }

    /// Sends what may be sent, and shows the checker what is decided.
    fn output(&mut self, pid: NodeId) {
        let rule = self.rule;
        let machine = self.machines.get_mut(&pid).unwrap();
        for output in machine.handshake.take_outputs() {
            match output {
                Output::Send(message) => self.network.push(Packet {
                    from: pid,
                    to: message.to,
                    storages: None,
                    body: Body::Identity(message),
                }),
                Output::Record(of, binding) => machine.recording.push_back((of, binding)),
                Output::Admission(_, Admission::Refused(_)) => self.refused += 1,
                _ => {}
            }
        }
        for message in machine.replica.get_outgoing_msgs() {
            let (to, storages) = (message.to, machine.storages(message.to));
            if !rule || storages.is_some() {
                let body = Body::Paxos(message);
                self.network.push(Packet { from: pid, to, storages, body });
            }
        }
        let decided = machine.replica.decided_index();
        self.checker.decided(machine.who, 1, decided, &machine.disk);
    }

    /// Delivers and records everything, between those that `link` connects; what is on other links
    /// is lost.
    pub(super) fn settle(&mut self, link: impl Fn(NodeId, NodeId) -> bool) {
        loop {
            for pid in NODES {
                while self.record(pid) {}
            }
            if self.network.is_empty() {
                return;
            }
            for packet in std::mem::take(&mut self.network) {
                if link(packet.from, packet.to) {
                    self.deliver(packet);
                }
            }
        }
    }
}

impl Machine {
    /// Between which storages a message to `to` goes; `None` while it must not go.
    fn storages(&self, to: NodeId) -> Option<(StorageId, StorageId)> {
        if self.handshake.admission(1) != Some(&Admission::Open) {
            return None;
        }
        let to = self.handshake.members(1).get(&to).copied()?;
        Some((self.handshake.storage_id(), to))
    }

    /// The same the other way round.
    fn hears(&self, from: NodeId, storages: Option<(StorageId, StorageId)>) -> bool {
        self.storages(from).map(|(own, other)| (other, own)) == storages && storages.is_some()
    }
}
