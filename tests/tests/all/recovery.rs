//! Replicas on real directories that crash between any two messages of their life and come back.

use bytes::Bytes;
use omnipaxos_core::leader_election::{Ballot, Leader, NodeId};
use omnipaxos_core::paxos::{Message, Paxos, PaxosConfig, ProposalOutcome};
use omnipaxos_core::storage::{ConfigId, Entry};
use omnipaxos_kompact::durable::{DurableSequence, DurableState, Engine, Options, Owner};
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;

type Replica = Paxos<DurableSequence, DurableState>;

const NODES: [NodeId; 3] = [1, 2, 3];

/// Rounds of ticks within which everything comes to its end again.
const PATIENCE: u32 = 400;

fn options() -> Options {
    Options {
        segment_bytes: 64 << 10,
        cache_bytes: 4 << 10,
        prepare_ahead: false,
        ..Options::default()
    }
}

fn config() -> PaxosConfig {
    let mut config = PaxosConfig::default();
    config.resend_ticks = 2;
    config.keepalive_ticks = 4;
    config.accept_frame_bytes = 300;
    config.sync_chunk_bytes = 400;
    config.window_bytes = 1200;
    config
}

struct Server {
    dir: TempDir,
    /// `None` only while it is opened again: its lock is free once the last handle is gone.
    engine: Option<Engine>,
    replicas: BTreeMap<ConfigId, Replica>,
    decided: BTreeMap<ConfigId, Vec<Entry>>,
}

impl Server {
    fn owner(pid: NodeId) -> Owner {
        Owner { cluster_id: 1, pid }
    }

    fn start(&mut self, pid: NodeId, config_id: ConfigId) {
        let peers = NODES.into_iter().filter(|peer| *peer != pid).collect();
        let storage = self.engine.as_ref().unwrap().storage(config_id).unwrap();
        let replica = Paxos::try_with(config_id, pid, peers, storage, config()).unwrap();
        self.decided.entry(config_id).or_default().truncate(replica.first_index() as usize);
        self.replicas.insert(config_id, replica);
    }

    /// As after kill -9: what was not flushed is gone, and the directory is opened again.
    fn restart(&mut self, pid: NodeId) {
        let configurations: Vec<ConfigId> = self.replicas.keys().copied().collect();
        self.replicas.clear();
        self.engine = None;
        let owner = Self::owner(pid);
        self.engine = Some(Engine::open(self.dir.path(), owner, options()).unwrap());
        for config_id in configurations {
            self.start(pid, config_id);
        }
    }
}

/// Who crashes behind which message.
#[derive(Clone, Copy, Debug)]
struct Crash {
    behind: usize,
    servers: &'static [NodeId],
}

struct Cluster {
    servers: BTreeMap<NodeId, Server>,
    wires: Vec<Message>,
    cut: BTreeSet<NodeId>,
    crash: Option<Crash>,
    delivered: usize,
    round: u64,
    /// What a proposer was told: it holds for ever.
    acknowledged: BTreeMap<(ConfigId, u64), Bytes>,
    proposed: u64,
}

impl Cluster {
    fn new(crash: Option<Crash>) -> Self {
        let servers = NODES.into_iter().map(|pid| {
            let dir = TempDir::new().unwrap();
            let engine = Engine::create(dir.path(), Server::owner(pid), options()).unwrap();
            let replicas = BTreeMap::new();
            let engine = Some(engine);
            let mut server = Server { dir, engine, replicas, decided: BTreeMap::new() };
            server.start(pid, 1);
            (pid, server)
        });
        Self {
            servers: servers.collect(),
            wires: Vec::new(),
            cut: BTreeSet::new(),
            crash,
            delivered: 0,
            round: 0,
            acknowledged: BTreeMap::new(),
            proposed: 0,
        }
    }

    fn replica(&mut self, pid: NodeId, config_id: ConfigId) -> &mut Replica {
        self.servers.get_mut(&pid).unwrap().replicas.get_mut(&config_id).unwrap()
    }

    fn elect(&mut self, pid: NodeId, config_id: ConfigId) {
        self.round += 1;
        let leader = Leader::new(Ballot::new(self.round, 0, pid));
        self.replica(pid, config_id).handle_leader(leader);
    }

    /// Proposes an entry that says which it is; a replica that has crashed may forget it.
    fn propose(&mut self, pid: NodeId, config_id: ConfigId) {
        self.proposed += 1;
        let data = format!("{:>60}", self.proposed);
        self.replica(pid, config_id).propose_normal(data).unwrap();
    }

    /// Flushes all, moves all messages, and ticks once.
    fn step(&mut self) {
        for pid in NODES {
            let server = self.servers.get_mut(&pid).unwrap();
            for (config_id, replica) in &mut server.replicas {
                replica.tick();
                self.wires.extend(replica.get_outgoing_msgs());
                assert_eq!(replica.halted(), None, "server {pid}");
                let log = server.decided.entry(*config_id).or_default();
                let taken = replica.take_decided(u64::MAX);
                assert_eq!(taken.first_index, log.len() as u64, "server {pid}");
                log.extend(taken.entries);
                for (_, outcome) in replica.take_outcomes() {
                    if let ProposalOutcome::Decided(index) = outcome
                        && let Some(Entry::Normal(data)) = log.get(index as usize)
                    {
                        self.acknowledged.insert((*config_id, index), data.clone());
                    }
                }
            }
        }
        for message in std::mem::take(&mut self.wires) {
            if self.cut.contains(&message.from) || self.cut.contains(&message.to) {
                continue;
            }
            let server = self.servers.get_mut(&message.to).unwrap();
            if let Some(replica) = server.replicas.get_mut(&message.config_id) {
                replica.handle_message(message).unwrap();
            }
            self.delivered += 1;
            if let Some(Crash { behind, servers }) = self.crash
                && self.delivered == behind
            {
                for pid in servers {
                    self.servers.get_mut(pid).unwrap().restart(*pid);
                }
            }
        }
    }

    /// Ends a configuration.
    fn seal(&mut self, config_id: ConfigId) {
        let sealed = |server: &Server| {
            let last = server.decided.get(&config_id).and_then(|log| log.last());
            last.is_some_and(Entry::is_stop_sign)
        };
        for _ in 0..PATIENCE / 20 {
            // Who proposed it may have crashed before anybody else knew of it.
            for pid in NODES {
                let _ = self.replica(pid, config_id).propose_reconfiguration(NODES.to_vec());
            }
            for _ in 0..20 {
                self.step();
                if self.servers.values().all(sealed) {
                    return;
                }
            }
            self.elect_if_nobody_leads(1, config_id);
        }
        panic!("in vain: the StopSign at all servers; {:?}", self.crash);
    }

    fn elect_if_nobody_leads(&mut self, pid: NodeId, config_id: ConfigId) {
        let led = self.servers.iter().any(|(pid, server)| {
            !self.cut.contains(pid)
                && server.replicas.get(&config_id).is_some_and(Replica::is_leader)
        });
        if !led {
            self.elect(pid, config_id);
        }
    }

    /// Proposes at `pid` until one entry is decided at all of `at`, so that all before it are.
    fn decide_one_more(&mut self, pid: NodeId, config_id: ConfigId, at: &[NodeId]) {
        self.propose(pid, config_id);
        let number = self.proposed;
        let data = Entry::from(format!("{number:>60}"));
        let has = |c: &Self, pid: &NodeId| {
            c.servers[pid].decided.get(&config_id).is_some_and(|log| log.contains(&data))
        };
        for _ in 0..PATIENCE / 20 {
            for _ in 0..20 {
                self.step();
                if at.iter().all(|pid| has(self, pid)) {
                    return;
                }
            }
            self.elect_if_nobody_leads(pid, config_id);
            // Its proposer may have crashed before anybody else knew of it.
            if !NODES.iter().any(|pid| has(self, pid)) {
                let again = format!("{number:>60}");
                let _ = self.replica(pid, config_id).propose_normal(again);
            }
        }
        panic!("in vain: entry {number}; {:?}", self.crash);
    }

    /// A life with everything in it; returns how many messages it took.
    fn live(crash: Option<Crash>) -> usize {
        let mut c = Self::new(crash);
        c.elect(1, 1);
        for n in 0..12 {
            c.propose(NODES[n % 3], 1);
        }
        c.decide_one_more(1, 1, &NODES);
        // Server 3 misses a good part, then another leader brings it back, in parts.
        c.cut.insert(3);
        for _ in 0..12 {
            c.propose(1, 1);
        }
        c.decide_one_more(1, 1, &[1, 2]);
        c.cut.clear();
        c.elect(2, 1);
        c.decide_one_more(2, 1, &NODES);
        for pid in NODES {
            let replica = c.replica(pid, 1);
            // As far as it knows how far the others are.
            if replica.trim(10).is_err() {
                let _ = replica.trim(5);
            }
        }
        c.elect(3, 1);
        c.decide_one_more(3, 1, &NODES);
        c.seal(1);
        for pid in NODES {
            c.servers.get_mut(&pid).unwrap().start(pid, 2);
        }
        c.elect(1, 2);
        for n in 0..6 {
            c.propose(NODES[n % 3], 2);
        }
        c.decide_one_more(2, 2, &NODES);
        c.check();
        // Once more from the disks alone.
        for pid in NODES {
            c.servers.get_mut(&pid).unwrap().restart(pid);
        }
        c.decide_one_more(1, 2, &NODES);
        c.check();
        c.delivered
    }

    fn check(&self) {
        for config_id in [1, 2] {
            let log = &self.servers[&1].decided[&config_id];
            for (pid, server) in &self.servers {
                assert_eq!(&server.decided[&config_id], log, "server {pid}, {:?}", self.crash);
            }
        }
        for ((config_id, index), data) in &self.acknowledged {
            let entry = self.servers[&1].decided[config_id].get(*index as usize);
            let kept = matches!(entry, Some(Entry::Normal(kept)) if kept == data);
            assert!(kept, "index {index} of configuration {config_id}: {:?}", self.crash);
        }
    }
}

const WHO: [&[NodeId]; 7] = [&[1], &[2], &[3], &[1, 2], &[2, 3], &[1, 3], &[1, 2, 3]];

/// In the middle of Prepare, of AcceptSync, of a trim, of a reconfiguration.
#[test]
fn a_restart_behind_any_message_loses_nothing() {
    let messages = Cluster::live(None);
    assert!(messages > 100, "{messages}");
    for (n, behind) in (1..=messages).step_by(9).enumerate() {
        Cluster::live(Some(Crash { behind, servers: WHO[n % WHO.len()] }));
    }
}

#[test]
#[ignore = "minutes: everybody who may crash, behind every message"]
fn all_restarts_behind_every_message_lose_nothing() {
    let messages = Cluster::live(None);
    for behind in 1..=messages {
        for servers in WHO {
            Cluster::live(Some(Crash { behind, servers }));
        }
    }
}
