//! The servers of a story, their disks, and the wires between them.

use super::notation;
use omnipaxos_core::Quorum;
use omnipaxos_core::paxos::{
    Ballot, Message, NodeId, Paxos, PaxosConfig, ProposalOutcome, StartError,
};
use omnipaxos_core::storage::{
    ConfigId, Entry, FlushId, MemorySequence, MemoryState, PaxosState, Records, Sequence, Storage,
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) type Replica = Paxos<MemorySequence, MemoryState>;

const CONFIG: ConfigId = 1;

/// What a crash leaves.
type Disk = (MemorySequence, MemoryState);

/// What a story shows of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct View {
    role: String,
    promised: Ballot,
    accepted_round: Ballot,
    first: u64,
    log: Vec<Entry>,
    decided: u64,
}

#[derive(Debug)]
struct Server {
    up: Option<Replica>,
    disk: Disk,
    flushing: Option<(FlushId, Disk)>,
    /// Its flushes begin and end by command.
    by_hand: bool,
    shown: View,
}

/// The cluster of a story. Everything it does is written to `told`.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    servers: BTreeMap<NodeId, Server>,
    config: PaxosConfig,
    pub(super) wires: Vec<Message>,
    pub(super) held: Vec<Message>,
    pub(super) cut: BTreeSet<(NodeId, NodeId)>,
    elections: u64,
    /// Only what servers become is told, not what they send.
    pub(super) quiet: bool,
    pub(super) told: Vec<String>,
}

fn parts(replica: &Replica) -> Disk {
    replica.clone().into_storage().into_parts()
}

impl Cluster {
    /// New servers. Nobody leads yet, so their first messages are lost.
    pub(super) fn new(pids: &[NodeId], settings: &[(&str, u64)]) -> Result<Self, String> {
        let mut cluster = Self::default();
        let config = &mut cluster.config;
        let (mut prepare, mut accept) = (0, 0);
        for (key, value) in settings {
            let ticks = u32::try_from(*value).unwrap_or(u32::MAX);
            match *key {
                "resend" => config.resend_ticks = ticks,
                "keepalive" => config.keepalive_ticks = ticks,
                "chunk" => config.sync_chunk_bytes = *value,
                "frame" => config.accept_frame_bytes = *value,
                "window" => config.window_bytes = *value,
                "prepare" => prepare = *value as usize,
                "accept" => accept = *value as usize,
                _ => return Err(format!("no setting is called {key}")),
            }
        }
        if prepare + accept > 0 {
            let quorum = Quorum::flexible(prepare, accept, pids.len());
            config.quorum = Some(quorum.map_err(|error| error.to_string())?);
        }
        for pid in pids {
            let server = Server {
                up: None,
                disk: Disk::default(),
                flushing: None,
                by_hand: false,
                shown: View::default(),
            };
            cluster.servers.insert(*pid, server);
        }
        for pid in pids {
            cluster.start(*pid).map_err(|error| error.to_string())?;
        }
        cluster.wires.clear();
        cluster.told.clear();
        Ok(cluster)
    }

    pub(super) fn pids(&self) -> Vec<NodeId> {
        self.servers.keys().copied().collect()
    }

    /// The replica of a server that is up.
    pub(super) fn replica(&mut self, pid: NodeId) -> Result<&mut Replica, String> {
        let server = self.servers.get_mut(&pid).ok_or(format!("there is no server {pid}"))?;
        server.up.as_mut().ok_or(format!("server {pid} is down"))
    }

    pub(super) fn start(&mut self, pid: NodeId) -> Result<(), StartError> {
        let peers = self.servers.keys().copied().filter(|peer| *peer != pid).collect();
        let config = self.config.clone();
        if let Some(server) = self.servers.get_mut(&pid) {
            let (log, state) = server.disk.clone();
            let storage = Storage::with(log, state);
            server.up = Some(Paxos::try_with(CONFIG, pid, peers, storage, config)?);
        }
        self.output(pid);
        Ok(())
    }

    /// Everything that was not flushed is lost.
    pub(super) fn crash(&mut self, pid: NodeId) {
        if let Some(server) = self.servers.get_mut(&pid) {
            server.up = None;
            server.flushing = None;
        }
    }

    /// The next ballot of `pid`.
    pub(super) fn next_ballot(&mut self, pid: NodeId) -> Ballot {
        self.elections += 1;
        Ballot::new(self.elections, 0, pid)
    }

    /// Whether the flushes of `pid` begin and end by command.
    pub(super) fn flush_by_hand(&mut self, pid: NodeId, by_hand: bool) {
        if let Some(server) = self.servers.get_mut(&pid) {
            server.by_hand = by_hand;
        }
    }

    /// Takes the output of `pid`: everything, or, where flushes go by hand, what need not wait.
    pub(super) fn output(&mut self, pid: NodeId) {
        let by_hand = self.servers.get(&pid).is_some_and(|server| server.by_hand);
        if by_hand {
            self.send(pid);
        } else {
            while self.begin_flush(pid) {
                self.end_flush(pid);
            }
            self.send(pid);
        }
        self.show(pid);
    }

    /// Begins a flush; `false` when there is nothing to flush, or one is under way.
    pub(super) fn begin_flush(&mut self, pid: NodeId) -> bool {
        let Some(server) = self.servers.get_mut(&pid) else {
            return false;
        };
        let Some(replica) = &mut server.up else {
            return false;
        };
        let Some(flush) = replica.begin_flush() else {
            return false;
        };
        let id = flush.id();
        // Memory is durable at once; when the flush ends is up to the story.
        drop(flush.run());
        server.flushing = Some((id, parts(replica)));
        true
    }

    /// Ends the flush under way; `false` when none is.
    pub(super) fn end_flush(&mut self, pid: NodeId) -> bool {
        let Some(server) = self.servers.get_mut(&pid) else {
            return false;
        };
        match (&mut server.up, server.flushing.take()) {
            (Some(replica), Some((id, disk))) => {
                server.disk = disk;
                replica.finish_flush(id, Ok(())).is_ok()
            }
            _ => false,
        }
    }

    /// Puts what may leave on the wires.
    pub(super) fn send(&mut self, pid: NodeId) {
        let Some(replica) = self.servers.get_mut(&pid).and_then(|server| server.up.as_mut()) else {
            return;
        };
        for message in replica.take_sendable() {
            let cut = self.cut.contains(&(message.from, message.to));
            if !self.quiet {
                let lost = if cut { "   (cut)" } else { "" };
                self.told.push(format!("{}{lost}", notation::message(&message)));
            }
            if !cut {
                self.wires.push(message);
            }
        }
    }

    /// Delivers a message, to whom it may concern.
    pub(super) fn deliver(&mut self, message: Message) {
        let (from, to) = (message.from, message.to);
        let lost = self.cut.contains(&(from, to));
        match self.servers.get_mut(&to).and_then(|server| server.up.as_mut()) {
            Some(replica) if !lost => {
                if let Err(error) = replica.handle_message(message) {
                    self.told.push(format!("  {to}: {error}"));
                }
                self.output(to);
            }
            _ => self.told.push(format!("  lost: {}", notation::message(&message))),
        }
    }

    /// Tells what has changed at `pid` since it was last shown.
    pub(super) fn show(&mut self, pid: NodeId) {
        let Some(server) = self.servers.get_mut(&pid) else {
            return;
        };
        let Some(replica) = &mut server.up else {
            return;
        };
        let now = View::of(replica);
        let changes = now.changes(&server.shown);
        if !changes.is_empty() {
            self.told.push(format!("  {pid}: {}", changes.join(", ")));
        }
        server.shown = now;
        let taken = replica.take_decided(u64::MAX);
        if !taken.entries.is_empty() {
            let (from, entries) = (taken.first_index, notation::entries(&taken.entries));
            self.told.push(format!("  {pid}: hands out {from}:[{entries}]"));
        }
        for (id, outcome) in replica.take_outcomes() {
            let outcome = match outcome {
                ProposalOutcome::Decided(at) => format!("decided at {at}"),
                ProposalOutcome::Dropped => "dropped".to_owned(),
            };
            self.told.push(format!("  {pid}: proposal {id} is {outcome}"));
        }
    }

    /// Tells everything about `pid`.
    pub(super) fn show_all(&mut self, pid: NodeId) {
        let Some(server) = self.servers.get(&pid) else {
            return;
        };
        let told = match &server.up {
            Some(replica) => View::of(replica).changes(&View::unlike_any()).join(", "),
            None => "down".to_owned(),
        };
        self.told.push(format!("  {pid}: {told}"));
    }
}

impl View {
    fn of(replica: &Replica) -> Self {
        let (log, state) = parts(replica);
        // Disks in memory cannot fail.
        let records = log.read(log.first_index(), log.end_index(), u64::MAX);
        let state = state.load().ok().flatten().unwrap_or_default();
        let role = match replica.leader() {
            Some(pid) if pid == replica.pid() => "leads".to_owned(),
            Some(pid) => format!("follows {pid}"),
            None if replica.halted().is_some() => "halted".to_owned(),
            None => "in sync with nobody".to_owned(),
        };
        Self {
            role,
            promised: replica.promised(),
            accepted_round: state.accepted_round,
            first: log.first_index(),
            log: records.map(Records::into_entries).unwrap_or_default(),
            decided: replica.decided_index(),
        }
    }

    /// A view from which each view differs in everything.
    fn unlike_any() -> Self {
        Self {
            promised: Ballot::new(u64::MAX, 0, 0),
            accepted_round: Ballot::new(u64::MAX, 0, 0),
            first: u64::MAX,
            decided: u64::MAX,
            ..Self::default()
        }
    }

    fn changes(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.role != before.role && !(before.role.is_empty() && self.promised.n == 0) {
            changes.push(self.role.clone());
        }
        if self.promised != before.promised {
            changes.push(format!("promised {}", notation::ballot(self.promised)));
        }
        if self.accepted_round != before.accepted_round {
            changes.push(format!("accepted {}", notation::ballot(self.accepted_round)));
        }
        if (self.first, &self.log) != (before.first, &before.log) {
            let (first, log) = (self.first, notation::entries(&self.log));
            let cut = !self.log.starts_with(&before.log) && self.first == before.first;
            let cut = if cut { " (cut)" } else { "" };
            changes.push(format!("log {first}:[{log}]{cut}"));
        }
        if self.decided != before.decided {
            changes.push(format!("decided {}", self.decided));
        }
        changes
    }
}
