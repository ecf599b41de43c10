//! Three servers in one process that replicate on real disks until they are killed.

use super::reported::{Durable, ReportedSequence, ReportedState, hash, reported};
use crate::sim::Rng;
use omnipaxos_core::leader_election::{
    BallotLeaderElection, ElectionConfig, HeartbeatMessage, NodeId,
};
use omnipaxos_core::paxos::{Message, Paxos, PaxosConfig, TrimError};
use omnipaxos_core::storage::{ConfigId, PaxosState, Storage};
use omnipaxos_kompact::durable::{Engine, OpenError, Options, Owner, RemoveError};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The servers.
pub(super) const SERVERS: [NodeId; 3] = [1, 2, 3];

const TICK: Duration = Duration::from_millis(2);
/// Entries after which a configuration ends.
const ENTRIES: u64 = 1500;
/// Decided entries that stay.
const KEPT: u64 = 100;

type Failure = Box<dyn Error + Send + Sync>;

enum Wire {
    Paxos(Message),
    Heartbeat(HeartbeatMessage),
}

struct Node {
    paxos: Paxos<ReportedSequence, ReportedState>,
    election: BallotLeaderElection,
    durable: Durable,
}

/// Which servers have which configurations sealed, durably.
type Sealed = Arc<Mutex<BTreeMap<ConfigId, BTreeSet<NodeId>>>>;

struct Server {
    pid: NodeId,
    engine: Engine,
    nodes: BTreeMap<ConfigId, Node>,
    inbox: Receiver<Wire>,
    peers: BTreeMap<NodeId, Sender<Wire>>,
    sealed: Sealed,
    rng: Rng,
}

/// The directory of a server.
#[must_use]
pub(super) fn directory(dir: &Path, pid: NodeId) -> PathBuf {
    dir.join(pid.to_string())
}

/// Whose it is.
#[must_use]
pub(super) fn owner(pid: NodeId) -> Owner {
    Owner { cluster_id: 7, pid }
}

/// Small segments, so that new ones begin all the time.
#[must_use]
pub(super) fn options() -> Options {
    Options { segment_bytes: 256 << 10, cache_bytes: 32 << 10, ..Options::default() }
}

/// Opens or creates the directories of three servers in `dir`, and replicates until an error.
///
/// # Errors
/// The first one of any server.
pub fn replicate(dir: &Path, seed: u64) -> Result<(), Failure> {
    let (senders, inboxes): (Vec<_>, Vec<_>) = SERVERS.iter().map(|_| channel()).unzip();
    let peers: BTreeMap<NodeId, Sender<Wire>> = SERVERS.into_iter().zip(senders).collect();
    let sealed = Sealed::default();
    let mut servers = Vec::new();
    for (pid, inbox) in SERVERS.into_iter().zip(inboxes) {
        let path = directory(dir, pid);
        let engine = match Engine::open(&path, owner(pid), options()) {
            Err(OpenError::Missing { .. }) => Engine::create(&path, owner(pid), options())?,
            opened => opened?,
        };
        let rng = Rng::new(seed.wrapping_add(pid));
        let (peers, sealed) = (peers.clone(), sealed.clone());
        let nodes = BTreeMap::new();
        servers.push(Server { pid, engine, nodes, inbox, peers, sealed, rng });
    }
    println!("ready");
    let threads: Vec<_> =
        servers.into_iter().map(|server| thread::spawn(move || server.run())).collect();
    for thread in threads {
        thread.join().map_err(|_| "a server panicked")??;
    }
    Ok(())
}

impl Server {
    fn run(mut self) -> Result<(), Failure> {
        let mut configurations = self.engine.configurations();
        if configurations.is_empty() {
            configurations.push(1);
        }
        for config_id in configurations {
            self.start(config_id)?;
        }
        let mut next_tick = Instant::now();
        loop {
            let wait = next_tick.saturating_duration_since(Instant::now());
            if let Ok(wire) = self.inbox.recv_timeout(wait) {
                self.receive(wire);
                while let Ok(wire) = self.inbox.try_recv() {
                    self.receive(wire);
                }
            }
            if Instant::now() >= next_tick {
                next_tick = Instant::now() + TICK;
                self.tick();
            }
            self.send()?;
            self.go_on()?;
        }
    }

    fn start(&mut self, config_id: ConfigId) -> Result<(), Failure> {
        let parts = self.engine.parts(config_id)?;
        if parts.1.suspect() {
            return Err("suspect after a kill".into());
        }
        let (sequence, state, durable) = reported(self.pid, config_id, parts)?;
        let peers: Vec<NodeId> = SERVERS.into_iter().filter(|peer| *peer != self.pid).collect();
        let storage = Storage::with(sequence, state);
        let config = PaxosConfig::default();
        let paxos = Paxos::try_with(config_id, self.pid, peers.clone(), storage, config)?;
        let mut config = ElectionConfig::default();
        config.promised = paxos.promised();
        let election = BallotLeaderElection::with(config_id, self.pid, peers, config)?;
        self.nodes.insert(config_id, Node { paxos, election, durable });
        Ok(())
    }

    fn receive(&mut self, wire: Wire) {
        let config_id = match &wire {
            Wire::Paxos(message) => message.config_id,
            Wire::Heartbeat(message) => message.config_id,
        };
        let Some(node) = self.nodes.get_mut(&config_id) else {
            return;
        };
        match wire {
            // One that is refused is as good as lost.
            Wire::Paxos(message) => drop(node.paxos.handle_message(message)),
            Wire::Heartbeat(message) => {
                if let Ok(Some(leader)) = node.election.handle_message(message) {
                    node.paxos.handle_leader(leader);
                }
            }
        }
    }

    fn tick(&mut self) {
        for node in self.nodes.values_mut() {
            if let Some(leader) = node.election.tick() {
                node.paxos.handle_leader(leader);
            }
            node.paxos.tick();
            node.election.handle_promised(node.paxos.promised());
            for _ in 0..self.rng.below(8) {
                let bytes = [10, 100, 2000][self.rng.below(3) as usize];
                // Refused where the log is full or sealed.
                let _ = node.paxos.propose_normal(vec![self.rng.number() as u8; bytes]);
            }
            if node.paxos.is_leader() && node.paxos.decided_index() > ENTRIES {
                let _ = node.paxos.propose_reconfiguration(SERVERS.to_vec());
            }
            let to = node.paxos.decided_index().saturating_sub(KEPT);
            if to > node.paxos.first_index() + KEPT
                && let Err(TrimError::NotDecidedByAll { allowed }) = node.paxos.trim(to)
            {
                let _ = node.paxos.trim(allowed);
            }
        }
    }

    fn send(&mut self) -> Result<(), Failure> {
        for (config_id, node) in &mut self.nodes {
            for message in node.paxos.get_outgoing_msgs() {
                let _ = self.peers[&message.to].send(Wire::Paxos(message));
            }
            for message in node.election.get_outgoing_msgs() {
                let _ = self.peers[&message.to].send(Wire::Heartbeat(message));
            }
            let decided = node.paxos.take_decided(u64::MAX);
            for (index, entry) in (decided.first_index..).zip(&decided.entries) {
                println!("decided {config_id} {index} {:x}", hash(entry));
            }
            node.paxos.take_outcomes();
            if let Some(halted) = node.paxos.halted() {
                return Err(halted.clone().into());
            }
        }
        Ok(())
    }

    /// Starts what follows a sealed configuration, and removes what all have sealed.
    fn go_on(&mut self) -> Result<(), Failure> {
        let next: Vec<ConfigId> = self
            .nodes
            .values()
            .filter_map(|node| Some(node.paxos.stop_sign()?.config_id))
            .filter(|next| self.nodes.last_key_value().is_some_and(|(last, _)| next > last))
            .collect();
        for config_id in next {
            self.start(config_id)?;
        }
        let mut sealed = self.sealed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut over = Vec::new();
        for (config_id, node) in &self.nodes {
            let durably = node.durable.decided() == node.paxos.log_len();
            if node.paxos.stop_sign().is_some() && durably {
                let servers = sealed.entry(*config_id).or_default();
                servers.insert(self.pid);
                if servers.len() == SERVERS.len() {
                    over.push(*config_id);
                }
            }
        }
        drop(sealed);
        for config_id in over {
            if !self.engine.configurations().iter().any(|other| *other > config_id) {
                continue;
            }
            self.nodes.remove(&config_id);
            println!("remove {} {config_id}", self.pid);
            match self.engine.remove(config_id) {
                Ok(()) | Err(RemoveError::Latest(_)) => {}
                Err(error) => return Err(error.into()),
            }
            println!("removed {} {config_id}", self.pid);
        }
        Ok(())
    }
}
