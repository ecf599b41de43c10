//! One state of the world: servers with their disks, the network, and what was handed out.

use super::network;
use super::scope::Scope;
use super::shared::Shared;
use omnipaxos_core::paxos::{Ballot, Message, NodeId, Paxos, PaxosConfig};
use omnipaxos_core::storage::{
    ConfigId, Entry, FlushId, MemorySequence, MemoryState, PaxosState, Records, Sequence, Storage,
};

/// The replica that is checked: the real one, on storage in memory.
pub type Replica = Paxos<MemorySequence, MemoryState>;

const CONFIG: ConfigId = 1;

/// What a crash leaves of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Disk {
    pub(super) log: MemorySequence,
    pub(super) state: MemoryState,
}

/// What is on a disk, as the properties look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Written {
    /// The whole log.
    pub entries: Vec<Entry>,
    /// What was promised.
    pub promised: Ballot,
    /// The round in which the log was accepted.
    pub accepted_round: Ballot,
}

impl Disk {
    /// What `replica` has given to its storage, flushed or not.
    fn of(replica: &Replica) -> Self {
        let (log, state) = replica.clone().into_storage().into_parts();
        Self { log, state }
    }

    fn written(&self) -> Written {
        // Reading a disk in memory cannot fail.
        let records = self.log.read(self.log.first_index(), self.log.end_index(), u64::MAX);
        let state = self.state.load().ok().flatten().unwrap_or_default();
        Written {
            entries: records.map(Records::into_entries).unwrap_or_default(),
            promised: state.promised,
            accepted_round: state.accepted_round,
        }
    }
}

/// How a server's output is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Flushes, and sends everything.
    Whole,
    /// Begins a flush that never ends, and sends what need not wait for it.
    Torn,
    /// Begins a flush if none is under way, and sends what need not wait.
    Pipelined,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// The real thing.
    pub replica: Replica,
    pub(super) disk: Shared<Disk>,
    /// What is on the disk.
    pub written: Shared<Written>,
    /// A flush under way, and the disk as it will be.
    flushing: Option<(FlushId, Shared<Disk>)>,
}

impl Server {
    /// A server that starts from `disk`. `None` when it cannot: then the storage is wrong.
    pub(super) fn start(scope: &Scope, pid: NodeId, disk: Shared<Disk>) -> Option<Self> {
        let peers = scope.pids.iter().copied().filter(|peer| *peer != pid);
        let mut config = PaxosConfig::default();
        config.sync_chunk_bytes = scope.chunk;
        config.resend_ticks = 1;
        config.keepalive_ticks = 1;
        if let Some(fault) = scope.fault {
            fault.configure(pid, &mut config);
        }
        let storage = Storage::with(disk.log.clone(), disk.state.clone());
        let replica = Paxos::try_with(CONFIG, pid, peers.collect(), storage, config).ok()?;
        let written = Shared::new(disk.written());
        Some(Self { replica, disk, written, flushing: None })
    }

    /// Everything that was not flushed is lost, and the server starts again.
    pub(super) fn crash(&self, scope: &Scope) -> Option<Self> {
        let disk = match scope.fault {
            Some(fault) => Shared::new(fault.crash((*self.disk).clone())),
            None => self.disk.clone(),
        };
        Self::start(scope, self.replica.pid(), disk)
    }

    /// Whether a flush is under way.
    pub(super) fn flushes(&self) -> bool {
        self.flushing.is_some()
    }

    /// The flush under way ends.
    pub(super) fn end_flush(&mut self) {
        if let Some((id, disk)) = self.flushing.take()
            && self.replica.finish_flush(id, Ok(())).is_ok()
        {
            self.written = Shared::new(disk.written());
            self.disk = disk;
        }
    }

    /// Takes what may leave. Also says whether something waits for a flush that has not ended.
    pub(super) fn output(&mut self, output: Output) -> (Vec<Message>, bool) {
        let mut messages = Vec::new();
        loop {
            if self.flushing.is_none()
                && let Some(flush) = self.replica.begin_flush()
            {
                let id = flush.id();
                // Memory is durable at once; when the flush ends is up to the model.
                drop(flush.run());
                self.flushing = Some((id, Shared::new(Disk::of(&self.replica))));
            }
            messages.extend(self.replica.take_sendable());
            if output != Output::Whole || self.flushing.is_none() {
                return (messages, self.flushing.is_some());
            }
            self.end_flush();
        }
    }

    /// The log in memory up to the decided index, flushed or not.
    pub(super) fn decided(&self) -> Vec<Entry> {
        let mut entries = Disk::of(&self.replica).written().entries;
        entries.truncate(self.replica.decided_index() as usize);
        entries
    }
}

/// What users were told: the history that must never be contradicted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    /// The longest log that was decided anywhere, at any time.
    pub log: Vec<Entry>,
    /// The first contradiction.
    pub wrong: Option<&'static str>,
}

/// One state of the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The servers, in the order of the scope's pids.
    pub servers: Vec<Shared<Server>>,
    /// Every message that was ever sent and may still do something, each once, in the order of
    /// their hashes.
    pub network: Vec<Shared<Message>>,
    /// Bit `k`: ballot `k` was told to its owner.
    pub elected: u8,
    /// Bit `k`: proposal `k` was made.
    pub proposed: u8,
    /// Crashes so far.
    pub crashes: u8,
    /// Ticks so far.
    pub ticks: u8,
    /// What users were told.
    pub history: Shared<History>,
}

impl State {
    /// Puts messages on the network; those that are there already change nothing.
    pub(super) fn send(&mut self, scope: &Scope, messages: Vec<Message>) {
        for message in messages {
            let message = match scope.fault {
                Some(fault) => fault.tamper(message),
                None => message,
            };
            if network::attempt(&message) > scope.attempts {
                continue;
            }
            let message = Shared::new(message);
            let key = message.key();
            if let Err(at) = self.network.binary_search_by_key(&key, Shared::key) {
                self.network.insert(at, message);
            }
        }
    }
}
