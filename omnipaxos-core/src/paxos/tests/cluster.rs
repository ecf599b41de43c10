//! A cluster of replicas in virtual time, with a network and disks that tests control.

use crate::ballot::{Ballot, Leader, NodeId};
use crate::paxos::{Message, Paxos, PaxosConfig, ProposalOutcome};
use crate::storage::{
    ConfigId, Entry, Flush, MemoryCommit, MemorySequence, MemoryState, ProposalId, Storage,
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) type Replica = Paxos<MemorySequence, MemoryState>;
type Disk = Storage<MemorySequence, MemoryState>;

pub(super) const CONFIG: ConfigId = 7;

/// Deterministic random numbers (xorshift64*).
#[derive(Clone)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound.max(1)
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// One server: its replica while it is up, and what a crash leaves of its disk.
pub(super) struct Server {
    pub(super) up: Option<Replica>,
    pub(super) disk: Disk,
    /// A flush that was begun and has not ended, with the disk as it will be then.
    flushing: Option<(Flush<MemoryCommit>, Disk)>,
    /// Everything that was handed out as decided since the last start, from index 0.
    pub(super) decided: Vec<Entry>,
    pub(super) outcomes: BTreeMap<ProposalId, ProposalOutcome>,
}

/// What the network does to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Lost,
    /// Delivered twice in a row.
    Doubled,
    /// Delivered, and once more at the end.
    Repeated,
    /// Delivered at the end only.
    Late,
}

/// Servers and the messages between them.
pub(super) struct Cluster {
    pub(super) servers: BTreeMap<NodeId, Server>,
    pub(super) config: PaxosConfig,
    pub(super) wires: Vec<Message>,
    /// Messages from the first to the second are lost.
    pub(super) cut: BTreeSet<(NodeId, NodeId)>,
    /// The longest decided log seen anywhere: all others must be prefixes of it (SC2).
    pub(super) log: Vec<Entry>,
    /// How many messages were sent.
    pub(super) sent: usize,
    /// What happens to which message.
    pub(super) fault: Option<(usize, Fault)>,
    /// Messages that are delivered at the end.
    pub(super) late: Vec<Message>,
    elections: u64,
}

impl Cluster {
    pub(super) fn new(pids: &[NodeId], config: PaxosConfig) -> Self {
        let mut cluster = Self {
            servers: BTreeMap::new(),
            config,
            wires: Vec::new(),
            cut: BTreeSet::new(),
            log: Vec::new(),
            sent: 0,
            fault: None,
            late: Vec::new(),
            elections: 5,
        };
        for &pid in pids {
            let disk = Storage::with(MemorySequence::new(), MemoryState::new());
            let server = Server {
                up: None,
                disk,
                flushing: None,
                decided: Vec::new(),
                outcomes: BTreeMap::new(),
            };
            cluster.servers.insert(pid, server);
        }
        for &pid in pids {
            cluster.start(pid);
        }
        cluster
    }

    pub(super) fn pids(&self) -> Vec<NodeId> {
        self.servers.keys().copied().collect()
    }

    pub(super) fn get(&mut self, pid: NodeId) -> &mut Replica {
        self.servers.get_mut(&pid).unwrap().up.as_mut().expect("a server that is up")
    }

    pub(super) fn start(&mut self, pid: NodeId) {
        let peers = self.pids().into_iter().filter(|peer| *peer != pid).collect();
        let config = self.config.clone();
        let server = self.servers.get_mut(&pid).unwrap();
        let replica = Paxos::try_with(CONFIG, pid, peers, server.disk.clone(), config).unwrap();
        server.decided.truncate(replica.first_index() as usize);
        server.up = Some(replica);
    }

    /// Everything that was not flushed is lost.
    pub(super) fn crash(&mut self, pid: NodeId) {
        let server = self.servers.get_mut(&pid).unwrap();
        server.up = None;
        server.flushing = None;
    }

    /// Elects `pid` in a ballot above all earlier ones, and tells only that server.
    pub(super) fn elect(&mut self, pid: NodeId) -> Ballot {
        self.elections += 1;
        let ballot = Ballot::new(self.elections, 0, pid);
        self.get(pid).handle_leader(Leader::new(ballot));
        ballot
    }

    /// Flushes `pid` and puts what it sends on the wires.
    pub(super) fn output(&mut self, pid: NodeId) {
        let server = self.servers.get_mut(&pid).unwrap();
        let Some(replica) = server.up.as_mut() else {
            return;
        };
        if let Some((flush, disk)) = server.flushing.take() {
            let id = flush.id();
            replica.finish_flush(id, flush.run()).unwrap();
            server.disk = disk;
        }
        let messages = replica.get_outgoing_msgs();
        server.disk = replica.clone().into_storage();
        self.wire(messages);
        self.take_decided(pid);
    }

    /// One step of the pipelined way out: begins a flush, or ends the one under way.
    pub(super) fn output_pipelined(&mut self, pid: NodeId) {
        let server = self.servers.get_mut(&pid).unwrap();
        let Some(replica) = server.up.as_mut() else {
            return;
        };
        if let Some((flush, disk)) = server.flushing.take() {
            let id = flush.id();
            replica.finish_flush(id, flush.run()).unwrap();
            server.disk = disk;
        } else if let Some(flush) = replica.begin_flush() {
            server.flushing = Some((flush, replica.clone().into_storage()));
        }
        let messages = replica.take_sendable();
        self.wire(messages);
        self.take_decided(pid);
    }

    fn wire(&mut self, messages: Vec<Message>) {
        for message in messages {
            if self.cut.contains(&(message.from, message.to)) {
                continue;
            }
            let at = self.sent;
            self.sent += 1;
            let fault = self.fault.filter(|(which, _)| *which == at);
            match fault.map(|(_, fault)| fault) {
                None => self.wires.push(message),
                Some(Fault::Lost) => {}
                Some(Fault::Doubled) => self.wires.extend([message.clone(), message]),
                Some(Fault::Repeated) => {
                    self.late.push(message.clone());
                    self.wires.push(message);
                }
                Some(Fault::Late) => self.late.push(message),
            }
        }
    }

    /// Takes what `pid` decided and holds it against the whole cluster's log (SC2, SC3).
    fn take_decided(&mut self, pid: NodeId) {
        let server = self.servers.get_mut(&pid).unwrap();
        let Some(replica) = server.up.as_mut() else {
            return;
        };
        let taken = replica.take_decided(u64::MAX);
        let from = taken.first_index as usize;
        assert!(from <= self.log.len(), "server {pid} skipped decided entries");
        for (at, entry) in (from..).zip(taken.entries) {
            match self.log.get(at) {
                Some(known) => assert_eq!(known, &entry, "index {at} at server {pid}"),
                None => self.log.push(entry.clone()),
            }
            if at == server.decided.len() {
                server.decided.push(entry);
            }
        }
        let stop_sign = self.log.iter().position(Entry::is_stop_sign);
        assert!(stop_sign.is_none_or(|at| at + 1 == self.log.len()), "an entry after a StopSign");
        server.outcomes.extend(replica.take_outcomes());
    }

    /// Delivers one message, whatever the receiver makes of it.
    pub(super) fn deliver(&mut self, message: Message) {
        if self.cut.contains(&(message.from, message.to)) {
            return;
        }
        let to = message.to;
        let server = self.servers.get_mut(&to).unwrap();
        if let Some(replica) = server.up.as_mut() {
            let described = format!("{message:?}");
            if let Err(error) = replica.handle_message(message) {
                panic!("server {to} finds fault: {error}\n{described}");
            }
        }
    }

    /// Hands `pid` at most `most` of the records that it is to catch up with, as `donor` has them;
    /// `false` when there are none.
    pub(super) fn migrate(&mut self, pid: NodeId, donor: NodeId, most: u64) -> bool {
        let replica = self.servers.get_mut(&pid).unwrap().up.as_mut();
        let Some(catch_up) = replica.and_then(|replica| replica.catch_up()) else {
            return false;
        };
        let Some(donor) = &self.servers[&donor].up else {
            return false;
        };
        let storage = &donor.replica.storage;
        let to = storage.state().decided.min(catch_up.to).min(catch_up.from + most);
        if catch_up.from < storage.first_index() || to <= catch_up.from {
            return false;
        }
        let records = storage.read(catch_up.from, to, u64::MAX).unwrap();
        self.get(pid).learn_decided(catch_up.from, &records, catch_up.round).unwrap();
        true
    }

    /// Moves messages, in order, until none is left.
    pub(super) fn settle(&mut self) {
        for _ in 0..100_000 {
            for pid in self.pids() {
                self.output(pid);
            }
            if self.wires.is_empty() {
                return;
            }
            for message in std::mem::take(&mut self.wires) {
                self.deliver(message);
            }
        }
        panic!("the cluster never comes to rest");
    }

    pub(super) fn tick(&mut self) {
        for pid in self.pids() {
            if let Some(replica) = self.servers.get_mut(&pid).unwrap().up.as_mut() {
                replica.tick();
            }
        }
    }

    /// Ticks and moves messages `ticks` times.
    pub(super) fn run(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.tick();
            self.settle();
        }
    }

    /// Elects `pid` and lets its messages through.
    pub(super) fn lead(&mut self, pid: NodeId) -> Ballot {
        let ballot = self.elect(pid);
        self.settle();
        ballot
    }

    /// Cuts or heals both directions between two servers.
    pub(super) fn link(&mut self, a: NodeId, b: NodeId, up: bool) {
        for pair in [(a, b), (b, a)] {
            if up {
                self.cut.remove(&pair);
            } else {
                self.cut.insert(pair);
            }
        }
    }

    /// Proposes `what` at `pid`, which takes it.
    pub(super) fn propose(&mut self, pid: NodeId, what: &str) -> ProposalId {
        self.get(pid).propose_normal(what.to_owned()).expect("a proposal that is taken")
    }

    /// Asserts that `pids` have decided exactly `log`.
    #[track_caller]
    pub(super) fn assert_decided(&self, pids: &[NodeId], log: &[&str]) {
        for pid in pids {
            assert_eq!(self.decided(*pid), log, "at server {pid}");
        }
    }

    /// The payloads that `pid` has decided.
    pub(super) fn decided(&self, pid: NodeId) -> Vec<String> {
        self.servers[&pid].decided.iter().map(text).collect()
    }
}

pub(super) fn text(entry: &Entry) -> String {
    match entry {
        Entry::Normal(data) => String::from_utf8_lossy(data).into_owned(),
        Entry::StopSign(ss) => format!("StopSign({})", ss.config_id),
    }
}
