//! The cluster and its event loop: virtual time, and one source of chance.

use super::disk::{Disk, Lie};
use super::healing::Healing;
use super::log::EventLog;
use super::network::{Network, Wire};
use super::plan::Plan;
use super::rng::Rng;
use super::server::{Node, Process, Server, Settings};
use super::stats::Stats;
use crate::checker::{Check, Checker, History, Key, Members};
use crate::planted::{Plant, Tamper};
use omnipaxos_core::configurations::Proposals;
use omnipaxos_core::paxos::NodeId;
use omnipaxos_core::storage::ConfigId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

#[derive(Clone, Debug)]
pub(super) enum Event {
    Tick { slot: usize, incarnation: u64 },
    Deliver { machine: usize, slot: usize, wire: Wire },
    FlushEnd { slot: usize, incarnation: u64, config_id: ConfigId },
    Written { slot: usize, incarnation: u64, version: u64 },
    Output { slot: usize, incarnation: u64, config_id: ConfigId },
    Start { slot: usize },
    Wake { slot: usize },
    Release { from: usize, to: usize },
    Fault,
    Work,
}

/// Ordered by time, then by the order in which it was scheduled.
#[derive(Debug)]
struct Scheduled {
    at: u64,
    turn: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.turn) == (other.at, other.turn)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.turn).cmp(&(other.at, other.turn))
    }
}

/// Far more events than any run has.
const MOST_EVENTS: u64 = 1_000_000;

/// One run.
#[derive(Debug)]
pub(super) struct Sim {
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) now: u64,
    turn: u64,
    queue: BinaryHeap<Reverse<Scheduled>>,
    pub(super) servers: Vec<Server>,
    pub(super) network: Network,
    pub(super) checker: Checker,
    pub(super) stats: Stats,
    pub(super) log: EventLog,
    pub(super) plant: Option<Plant>,
    pub(super) tamper: Tamper,
    /// The newest configuration that the checker knows.
    pub(super) registered: ConfigId,
    /// The voters of each configuration that began, or may begin.
    pub(super) proposed_sets: Vec<(ConfigId, Vec<NodeId>)>,
    pub(super) history: History,
    /// The operation that each client waits for.
    pub(super) clients: BTreeMap<Key, usize>,
    pub(super) healing: Option<Healing>,
}

impl Sim {
    pub(super) fn new(seed: u64, plant: Option<Plant>, log: EventLog) -> Self {
        let mut rng = Rng::new(seed);
        let mut plan = Plan::new(seed, &mut rng);
        if let Some(plant) = plant {
            plant.adapt(&mut plan);
        }
        let network = Network::new(&plan, &mut rng);
        let pids = plan.pids.iter().zip(&plan.ticks).enumerate();
        let servers = pids.map(|(slot, (pid, rate))| Server::new(slot, *pid, *rate)).collect();
        let mut sim = Self {
            registered: 1,
            proposed_sets: vec![(1, plan.first.voters.clone())],
            plan,
            rng,
            now: 0,
            turn: 0,
            queue: BinaryHeap::new(),
            servers,
            network,
            checker: Checker::new(),
            stats: Stats::default(),
            log,
            plant,
            tamper: Tamper::default(),
            history: History::default(),
            clients: BTreeMap::new(),
            healing: None,
        };
        sim.register(1, sim.plan.first.clone());
        for slot in 0..sim.servers.len() {
            sim.start(slot);
        }
        sim.schedule(1, Event::Work);
        let first_fault = sim.plan.fault_interval;
        sim.schedule(first_fault, Event::Fault);
        sim
    }

    pub(super) fn new_disk(&self) -> Disk {
        let disk = Disk::new(self.plant.map_or(Lie::None, Plant::lie));
        if self.loses_flushes() {
            disk.forgetful();
        }
        disk
    }

    /// A server's disk in a configuration, a new one where there is none.
    pub(super) fn disk_of(&mut self, slot: usize, config_id: ConfigId) -> Disk {
        if let Some(disk) = self.servers[slot].disks.get(&config_id) {
            return disk.clone();
        }
        let disk = self.new_disk();
        self.checker.disk(config_id, self.servers[slot].pid, disk.clone());
        self.servers[slot].disks.insert(config_id, disk.clone());
        disk
    }

    pub(super) fn register(&mut self, config_id: ConfigId, members: Members) {
        let quorums = self.plan.quorums(config_id, members.voters.len());
        self.checker.configuration(config_id, members, quorums);
    }

    pub(super) fn schedule(&mut self, delay: u64, event: Event) {
        self.turn += 1;
        self.queue.push(Reverse(Scheduled { at: self.now + delay, turn: self.turn, event }));
    }

    /// Runs until `until`, a violation, or nothing is left to do.
    pub(super) fn run_until(&mut self, until: u64) {
        while self.checker.violation().is_none() {
            match self.queue.peek() {
                Some(Reverse(next)) if next.at <= until => {}
                _ => break,
            }
            let Some(Reverse(next)) = self.queue.pop() else {
                break;
            };
            self.now = next.at;
            self.stats.events += 1;
            self.step(next.event);
            if self.stats.events > MOST_EVENTS {
                self.checker.fail(Check::Liveness, "there is no end to it");
            }
            if self.healing.as_ref().is_some_and(Healing::done) {
                break;
            }
        }
        self.now = self.now.max(until.min(u64::MAX / 2));
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Tick { slot, incarnation } => self.tick(slot, incarnation),
            Event::Deliver { machine, slot, wire } => self.deliver(machine, slot, wire),
            Event::FlushEnd { slot, incarnation, config_id } => {
                if self.servers[slot].incarnation == incarnation {
                    self.flush_ended(slot, config_id);
                }
            }
            Event::Written { slot, incarnation, version } => {
                if self.servers[slot].incarnation == incarnation {
                    self.written(slot, version);
                }
            }
            Event::Output { slot, incarnation, config_id } => {
                if self.servers[slot].incarnation == incarnation && self.servers[slot].acts() {
                    self.output(slot, config_id);
                }
            }
            Event::Start { slot } if self.servers[slot].process.is_none() => self.start(slot),
            Event::Start { .. } => {}
            Event::Wake { slot } => self.wake(slot),
            Event::Release { from, to } => self.release(from, to),
            Event::Fault => self.inject(),
            Event::Work => self.work(),
        }
    }

    /// Starts a server's process; its life then starts its replicas.
    pub(super) fn start(&mut self, slot: usize) {
        if self.servers[slot].dead || self.servers[slot].process.is_some() {
            return;
        }
        let pipelined = self.rng.chance(60);
        let lazy = self.rng.chance(30);
        let Some(life) = self.begin_life(slot) else { return };
        let server = &mut self.servers[slot];
        server.incarnation += 1;
        server.process = Some(Process {
            life,
            nodes: BTreeMap::new(),
            imports: BTreeMap::new(),
            blocks: BTreeMap::new(),
            commands: 0,
            driving: false,
            line: Proposals::new(self.plan.paxos.max_pending_bytes),
            pipelined,
            lazy,
        });
        let (incarnation, rate) = (server.incarnation, server.rate);
        self.log.line(self.now, format_args!("start {} ({incarnation})", server.pid));
        let first = self.rng.between(1, rate);
        self.schedule(first, Event::Tick { slot, incarnation });
        self.drive(slot);
    }

    /// Starts a server's replica in a configuration that it has a disk for.
    pub(super) fn start_node(&mut self, slot: usize, config_id: ConfigId) {
        let server = &mut self.servers[slot];
        let Some(mut configuration) = server.started.get(&config_id).cloned() else {
            return;
        };
        if self.plant == Some(Plant::VotingLearner) {
            configuration.nodes.extend(configuration.learners.pop());
        }
        let Some(disk) = server.disks.get(&config_id).cloned() else {
            return;
        };
        let voters = configuration.nodes.len();
        let mut quorum = self.plan.quorum(config_id, voters);
        if let Some(plant) = self.plant {
            quorum = plant.quorum(quorum, slot, voters);
        }
        let first = disk.medium().first();
        let from_first = self.rng.chance(70).then_some(first);
        let settings = Settings {
            paxos: self.plan.paxos.clone(),
            election: self.plan.election.clone(),
            quorum,
            priority: server.priority,
            read_from: from_first,
        };
        let (who, pid) = (server.who(), server.pid);
        self.checker.started(who, config_id, from_first, &disk);
        match Node::start(&configuration, pid, disk, settings) {
            Ok(node) => {
                if node.paxos.is_leader() {
                    self.stats.path("leader continues in the next configuration");
                }
                if let Some(process) = &mut server.process {
                    process.nodes.insert(config_id, node);
                }
                self.after_input(slot, config_id);
            }
            Err(error) => {
                let detail = format!("{who} cannot start in {config_id}: {error}");
                self.checker.fail(Check::NoHalt, detail);
            }
        }
    }

    /// The process ends at once; what was not flushed is lost.
    pub(super) fn crash(&mut self, slot: usize) {
        let server = &mut self.servers[slot];
        server.process = None;
        server.paused = false;
        server.inbox.clear();
        server.unread = None;
        self.log.line(self.now, format_args!("crash {}", server.pid));
        let (survived, lost) = server.book.crash(&mut self.rng);
        for _ in 0..survived {
            self.stats.path("book under way survived a crash");
        }
        for _ in 0..lost {
            self.stats.path("book under way lost in a crash");
        }
        let disks: Vec<Disk> = server.disks.values().cloned().collect();
        for disk in disks {
            let (survived, lost) = disk.crash(&mut self.rng);
            for _ in 0..survived {
                self.stats.path("flush under way survived a crash");
            }
            for _ in 0..lost {
                self.stats.path("flush under way lost in a crash");
            }
        }
        if self.plant == Some(Plant::Amnesia) && self.rng.chance(50) {
            self.forget(slot);
        }
    }

    /// Amnesia: the server comes back with empty disks under its old pid.
    fn forget(&mut self, slot: usize) {
        let configs: Vec<ConfigId> = self.servers[slot].disks.keys().copied().collect();
        for config_id in configs {
            let disk = self.new_disk();
            self.checker.disk(config_id, self.servers[slot].pid, disk.clone());
            self.servers[slot].disks.insert(config_id, disk);
        }
    }

    fn wake(&mut self, slot: usize) {
        if !std::mem::take(&mut self.servers[slot].paused) {
            return;
        }
        self.stats.path("zombie woke up");
        self.log.line(self.now, format_args!("wake {}", self.servers[slot].pid));
        if let Some(version) = self.servers[slot].unread.take() {
            self.tell(slot, |life| life.persisted(version));
        }
        for config_id in self.servers[slot].importing() {
            self.finish_import_flush(slot, config_id);
        }
        for config_id in self.servers[slot].running() {
            let ended = self.servers[slot].node(config_id).and_then(|node| node.ended.take());
            if let Some((id, result)) = ended {
                self.finish_flush(slot, config_id, id, result);
            }
            self.output(slot, config_id);
        }
        while let Some(wire) = self.servers[slot].inbox.pop_front() {
            self.handle(slot, wire);
        }
    }

    fn release(&mut self, from: usize, to: usize) {
        let held = self.network.link(from, to).held.take().unwrap_or_default();
        self.stats.released += held.len() as u64;
        for wire in held {
            self.deliver_to(from, to, wire);
        }
    }

    /// Hands a message to whoever has the receiver's pid.
    pub(super) fn deliver_to(&mut self, machine: usize, to: usize, wire: Wire) {
        let twins: Vec<usize> = self.slots(to);
        let slot = self.rng.pick(&twins).unwrap_or(to);
        self.deliver(machine, slot, wire);
    }

    /// The servers that share a machine's links.
    pub(super) fn slots(&self, machine: usize) -> Vec<usize> {
        let servers = self.servers.iter().filter(|server| server.machine == machine);
        servers.map(|server| server.slot).collect()
    }
}
