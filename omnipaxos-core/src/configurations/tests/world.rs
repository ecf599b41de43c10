//! Several servers' lives over logs in memory and a network that may lose, repeat and delay. What
//! replicas do with each other is replaced by an oracle: one agreed log a configuration, which
//! grows while a majority of its voters runs.

use super::agreed::Agreed;
use crate::configurations::{
    Command, Configuration, Configurations, ConfigurationsConfig, Conflict, Found, FoundLog,
    History, ServerMessage, Stage,
};
use crate::digest::Block;
use crate::migration::{DonorLog, IndexRange, MigrationConfig, Ranges};
use crate::storage::{ConfigId, NodeId, Records, StorageError};
use std::collections::{BTreeMap, BTreeSet};

/// SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) history: Option<History>,
    pub(super) retired: bool,
    pub(super) logs: BTreeMap<ConfigId, FoundLog>,
}

impl Disk {
    fn found(&self) -> Found {
        let logs = self.logs.values().copied().collect();
        Found { history: self.history.clone(), retired: self.retired, logs }
    }
}

/// How a server was started.
#[derive(Clone, Debug)]
pub(super) enum Mode {
    Bootstrap(Configuration),
    Join(NodeId),
}

pub(super) struct Server {
    pub(super) life: Configurations,
    pub(super) disk: Disk,
    pub(super) mode: Mode,
    pub(super) up: bool,
    /// It reaches nobody.
    pub(super) cut: bool,
    pub(super) running: BTreeSet<ConfigId>,
    /// What was appended and not flushed yet.
    unflushed: BTreeMap<ConfigId, u64>,
    pub(super) retired: u32,
    pub(super) conflict: Option<Conflict>,
    pub(super) stored: u64,
    pub(super) blames: u32,
}

/// A donor's log: a part of the agreed one.
struct Held<'a> {
    log: &'a Agreed,
    end: u64,
}

impl DonorLog for Held<'_> {
    fn held(&self) -> Ranges {
        [IndexRange::new(0, self.end)].into_iter().collect()
    }

    fn first_index(&self) -> u64 {
        0
    }

    fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        assert!(from < to && to <= self.end);
        let mut cost = 0;
        let part = self.log.records.slice(from, to);
        let fit = part.entries().iter().take_while(|entry| {
            cost += entry.cost();
            cost <= max_cost
        });
        Ok(part.slice(0, (fit.count() as u64).max(1)))
    }

    fn blocks(&self) -> &[Block] {
        if self.log.is_sealed() && self.end == self.log.len() { &self.log.blocks } else { &[] }
    }
}

/// Faults of the network in percent; delays are up to `delay` ticks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) loss: u64,
    pub(super) duplication: u64,
    pub(super) delay: u64,
}

/// Where a server crashes.
#[derive(Clone, Copy, Debug)]
pub(super) struct CrashAt {
    /// The number of the command, over all servers.
    pub(super) command: u64,
    /// Whether it was still carried out.
    pub(super) done: bool,
}

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) servers: BTreeMap<NodeId, Server>,
    pub(super) logs: BTreeMap<ConfigId, Agreed>,
    pub(super) faults: Faults,
    pub(super) verified: bool,
    /// Replicas further behind are told to catch up.
    pub(super) lag_limit: u64,
    pub(super) crash_at: Option<CrashAt>,
    network: BTreeMap<(u64, u64), ServerMessage>,
    sent: u64,
    pub(super) now: u64,
    /// Commands that were carried out.
    pub(super) commands: u64,
}

pub(super) fn config() -> ConfigurationsConfig {
    let migration =
        MigrationConfig { segment_bytes: 64 << 10, resend_ticks: 5, ..MigrationConfig::default() };
    ConfigurationsConfig {
        migration,
        poll_ticks: 4,
        patience_ticks: 10,
        linger_ticks: 30,
        retire_ticks: 200,
        store_bytes: 64 << 10,
        ..ConfigurationsConfig::default()
    }
}

impl World {
    /// A cluster of these servers, which begins with configuration 1.
    pub(super) fn new(seed: u64, nodes: &[NodeId]) -> Self {
        let first = Configuration::first(1, nodes.to_vec());
        let mut world = Self {
            rng: Rng(seed),
            servers: BTreeMap::new(),
            logs: BTreeMap::from([(1, Agreed::new(first.clone()))]),
            faults: Faults::default(),
            verified: true,
            lag_limit: u64::MAX,
            crash_at: None,
            network: BTreeMap::new(),
            sent: 0,
            now: 0,
            commands: 0,
        };
        for pid in nodes {
            world.start(*pid, Mode::Bootstrap(first.clone()));
        }
        world
    }

    pub(super) fn start(&mut self, pid: NodeId, mode: Mode) {
        let life = Configurations::new(pid, Found::default(), config()).unwrap();
        let server = Server {
            life,
            disk: Disk::default(),
            mode,
            up: false,
            cut: false,
            running: BTreeSet::new(),
            unflushed: BTreeMap::new(),
            retired: 0,
            conflict: None,
            stored: 0,
            blames: 0,
        };
        self.servers.insert(pid, server);
        self.restart(pid);
    }

    pub(super) fn join(&mut self, pids: &[NodeId], contact: NodeId) {
        for pid in pids {
            self.start(*pid, Mode::Join(contact));
        }
    }

    pub(super) fn crash(&mut self, pid: NodeId) {
        let server = self.servers.get_mut(&pid).unwrap();
        server.up = false;
        server.running.clear();
        server.unflushed.clear();
    }

    pub(super) fn restart(&mut self, pid: NodeId) {
        self.crash(pid);
        let server = self.servers.get_mut(&pid).unwrap();
        server.up = true;
        server.life = Configurations::new(pid, server.disk.found(), config()).unwrap();
        if server.disk.history.is_none() {
            match &server.mode {
                Mode::Bootstrap(first) => server.life.bootstrap(first.clone()).unwrap(),
                Mode::Join(contact) => server.life.contact(*contact),
            }
        }
        self.obey(pid);
    }

    fn send(&mut self, message: &ServerMessage) {
        if self.servers[&message.from].cut || self.rng.chance(self.faults.loss) {
            return;
        }
        let copies = 1 + u64::from(self.rng.chance(self.faults.duplication));
        for _ in 0..copies {
            let at = self.now + 1 + self.rng.below(self.faults.delay + 1);
            self.sent += 1;
            self.network.insert((at, self.sent), message.clone());
        }
    }

    /// Bytes of records on their way to a server: in the largest message, and the most that is on
    /// its way from one donor.
    pub(super) fn under_way(&self, to: NodeId) -> (u64, u64) {
        let (mut largest, mut from) = (0, BTreeMap::<NodeId, u64>::new());
        for message in self.network.values().filter(|message| message.to == to) {
            let cost = message.clone().take_records().map_or(0, |records| records.cost());
            largest = largest.max(cost);
            *from.entry(message.from).or_default() += cost;
        }
        (largest, from.into_values().max().unwrap_or_default())
    }

    /// Does what a server's life says, until it says nothing.
    fn obey(&mut self, pid: NodeId) {
        while let Some(command) = self.servers.get_mut(&pid).unwrap().life.next_command() {
            self.commands += 1;
            let crash = self.crash_at.filter(|at| at.command == self.commands);
            if crash.is_some_and(|at| !at.done) {
                return self.restart(pid);
            }
            let acknowledge = self.carry_out(pid, command);
            self.check();
            if crash.is_some() {
                return self.restart(pid);
            }
            acknowledge(&mut self.servers.get_mut(&pid).unwrap().life);
        }
    }

    /// Carries a command out; returns how it is acknowledged.
    fn carry_out(&mut self, pid: NodeId, command: Command) -> Box<dyn FnOnce(&mut Configurations)> {
        let server = self.servers.get_mut(&pid).unwrap();
        assert_eq!(server.conflict, None, "after a conflict: {command:?}");
        match command {
            Command::Persist { version, history, retired } => {
                history.check().unwrap();
                (server.disk.history, server.disk.retired) = (Some(history), retired);
                return Box::new(move |life| life.persisted(version));
            }
            Command::StartReplica { configuration } => {
                let config_id = configuration.config_id;
                assert_eq!(configuration, self.logs[&config_id].configuration);
                assert!(configuration.role(pid).is_some());
                assert!(server.running.insert(config_id), "started twice");
                let log = server.log(config_id);
                log.started = true;
                let ended = log.sealed.then(|| self.logs[&config_id].ended(self.verified));
                return Box::new(move |life| {
                    life.replica_started(config_id);
                    if let Some(ended) = ended {
                        life.stop_sign_decided(ended).unwrap();
                    }
                });
            }
            Command::StopReplica { config_id } => {
                assert!(server.running.remove(&config_id), "stopped twice");
                return Box::new(move |life| life.replica_stopped(config_id));
            }
            Command::Store { config_id, start, records, round } => {
                let agreed = &self.logs[&config_id];
                let end = start + records.len();
                assert_eq!(records, agreed.records.slice(start, end), "not the agreed records");
                assert_eq!(round, agreed.round);
                let durable = server.log(config_id).end;
                let before = server.unflushed.get(&config_id).copied().unwrap_or(durable);
                assert!(start <= before, "a gap");
                let replica = server.running.contains(&config_id);
                assert!(replica || start == before, "stored twice");
                assert!(replica || !server.log(config_id).started, "a replica's log");
                server.unflushed.insert(config_id, before.max(end));
                server.stored += records.len();
            }
            Command::Seal { config_id, end, .. } => {
                assert!(!server.running.contains(&config_id));
                let log = server.log(config_id);
                assert_eq!(log.end, end, "sealed before everything is durable");
                assert_eq!(end, self.logs[&config_id].len());
                server.log(config_id).sealed = true;
                return Box::new(move |life| life.sealed(config_id));
            }
            Command::Send(message) => {
                assert_eq!(message.from, pid);
                self.send(&message);
            }
            Command::Serve(request) => {
                let config_id = request.config_id;
                let end = server.disk.logs.get(&config_id).map(|log| log.end);
                let log = self.logs.get(&config_id).zip(end);
                let log = log.map(|(log, end)| Held { log, end });
                let reply = server.life.answer(&request, log.as_ref(), 256 << 10).unwrap();
                self.send(&reply);
            }
            Command::Blame { .. } => server.blames += 1,
            Command::Retired => {
                assert!(server.disk.retired && server.running.is_empty());
                server.retired += 1;
            }
            Command::Conflict(conflict) => server.conflict = Some(conflict),
            Command::Progress(..) | Command::Trimmed { .. } => {}
        }
        Box::new(|_| {})
    }

    /// A replica is started only once all logs before it are sealed and durable.
    fn check(&self) {
        for (pid, server) in &self.servers {
            for config_id in &server.running {
                for (before, agreed) in self.logs.range(..config_id) {
                    let log = server.disk.logs.get(before);
                    let complete = log.is_some_and(|log| log.sealed && log.end == agreed.len());
                    assert!(complete, "server {pid} runs {config_id} without the log of {before}");
                }
            }
        }
    }

    /// The voters of `config_id` that run and reach each other, if they are a majority.
    fn quorum(&self, config_id: ConfigId) -> Option<Vec<NodeId>> {
        let nodes = &self.logs[&config_id].configuration.nodes;
        let runs = |pid: &&NodeId| self.runs(**pid, config_id);
        let voters: Vec<NodeId> = nodes.iter().filter(runs).copied().collect();
        (voters.len() > nodes.len() / 2).then_some(voters)
    }

    pub(super) fn runs(&self, pid: NodeId, config_id: ConfigId) -> bool {
        let server = self.servers.get(&pid);
        server.is_some_and(|s| s.up && !s.cut && s.running.contains(&config_id))
    }

    pub(super) fn newest(&self) -> ConfigId {
        *self.logs.keys().next_back().unwrap()
    }

    /// Decides `count` more records of `size` bytes in the newest configuration; `false` without a
    /// quorum.
    pub(super) fn append(&mut self, count: u64, size: u64) -> bool {
        let config_id = self.newest();
        let quorum = self.quorum(config_id);
        if let Some(log) = self.logs.get_mut(&config_id).filter(|_| quorum.is_some()) {
            log.append(count, size);
        }
        quorum.is_some()
    }

    /// Decides a StopSign in the newest configuration; `false` without a quorum. One of the quorum
    /// learns of it at once, which is none that has to catch up first.
    pub(super) fn reconfigure(&mut self, nodes: &[NodeId], learners: &[NodeId]) -> bool {
        let config_id = self.newest();
        let Some(mut quorum) = self.quorum(config_id) else { return false };
        let (len, limit) = (self.logs[&config_id].len(), self.lag_limit);
        let end = |pid: &u64| self.servers[pid].disk.logs.get(&config_id).map_or(0, |log| log.end);
        quorum.retain(|pid| len - end(pid) <= limit);
        if quorum.is_empty() {
            return false;
        }
        let next = self.logs.get_mut(&config_id).unwrap().seal(nodes, learners);
        self.logs.insert(config_id + 1, Agreed::new(next));
        let first = quorum[self.rng.below(quorum.len() as u64) as usize];
        self.advance(first, config_id);
        true
    }

    /// The replica of a server has decided everything.
    fn advance(&mut self, pid: NodeId, config_id: ConfigId) {
        let agreed = &self.logs[&config_id];
        let (end, sealed) = (agreed.len(), agreed.is_sealed());
        let ended = sealed.then(|| agreed.ended(self.verified));
        let server = self.servers.get_mut(&pid).unwrap();
        server.unflushed.remove(&config_id);
        let log = server.log(config_id);
        if (log.end, log.sealed) != (end, sealed) {
            (log.end, log.sealed) = (end, sealed);
            match ended {
                Some(ended) => server.life.stop_sign_decided(ended).unwrap(),
                None => server.life.stored(config_id, end),
            }
        }
        self.obey(pid);
    }

    /// What the replicas of a server do in a tick.
    fn replicas(&mut self, pid: NodeId) {
        for config_id in self.servers[&pid].running.clone() {
            let quorum = self.quorum(config_id).filter(|_| !self.servers[&pid].cut);
            let leader = quorum.and_then(|quorum| quorum.first().copied());
            let agreed = &self.logs[&config_id];
            let (len, round) = (agreed.len(), agreed.round);
            let server = self.servers.get_mut(&pid).unwrap();
            let end = server.log(config_id).end;
            if leader.is_some_and(|leader| leader != pid) && len - end > self.lag_limit {
                server.life.catch_up(config_id, end, len, round);
                self.obey(pid);
                continue;
            }
            server.life.following(config_id, leader);
            self.obey(pid);
            if leader.is_some() && self.rng.chance(70) {
                self.advance(pid, config_id);
            }
            // A replica says something to a peer, which may not run one.
            let peers = self.logs[&config_id].configuration.peers(pid);
            if let Some(to) = peers.get(self.rng.below(peers.len() as u64) as usize).copied()
                && self.servers.get(&to).is_some_and(|s| s.up && !s.cut)
                && !self.servers[&pid].cut
                && !self.runs(to, config_id)
            {
                self.servers.get_mut(&to).unwrap().life.unregistered(config_id, pid);
                self.obey(to);
            }
        }
    }

    /// What was appended becomes durable.
    fn flush(&mut self, pid: NodeId) {
        let server = self.servers.get_mut(&pid).unwrap();
        for (config_id, end) in std::mem::take(&mut server.unflushed) {
            let log = server.log(config_id);
            log.end = log.end.max(end);
            let end = log.end;
            server.life.stored(config_id, end);
            let agreed = &self.logs[&config_id];
            if server.running.contains(&config_id) && agreed.is_sealed() && end == agreed.len() {
                server.log(config_id).sealed = true;
                server.life.stop_sign_decided(agreed.ended(self.verified)).unwrap();
            }
        }
        self.obey(pid);
    }

    pub(super) fn tick(&mut self) {
        self.now += 1;
        while let Some(entry) = self.network.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let message = entry.remove();
            let to = message.to;
            if let Some(server) = self.servers.get_mut(&to).filter(|s| s.up && !s.cut) {
                // What comes late is refused.
                let _ = server.life.handle_message(message);
                self.obey(to);
            }
        }
        let pids: Vec<NodeId> = self.servers.keys().copied().collect();
        for pid in pids {
            if self.servers[&pid].up {
                self.servers.get_mut(&pid).unwrap().life.tick();
                self.obey(pid);
                self.replicas(pid);
                if self.rng.chance(50) {
                    self.flush(pid);
                }
            }
        }
        self.check();
    }

    pub(super) fn run(&mut self, ticks: u64) {
        (0..ticks).for_each(|_| self.tick());
    }

    pub(super) fn run_until(&mut self, what: &str, limit: u64, done: impl Fn(&World) -> bool) {
        let start = self.now;
        while !done(self) {
            assert!(self.now - start < limit, "not after {limit} ticks: {what}\n{}", self.show());
            self.tick();
        }
    }

    /// Every member of the newest configuration that is up is in sync, and runs nothing else; who
    /// is left out has retired.
    pub(super) fn settled(&self) -> bool {
        let newest = self.newest();
        let configuration = &self.logs[&newest].configuration;
        self.servers.iter().filter(|(_, server)| server.up).all(|(pid, server)| {
            let served = self.logs.values().any(|log| log.configuration.role(*pid).is_some());
            if configuration.role(*pid).is_some() {
                let synced = matches!(server.life.stage(), Stage::Synced { .. });
                synced && server.running == BTreeSet::from([newest])
            } else {
                !served || (server.disk.retired && server.running.is_empty())
            }
        })
    }

    pub(super) fn settle(&mut self) {
        self.run_until("settled", 3000, World::settled);
    }

    fn show(&self) -> String {
        let servers = self.servers.iter().map(|(pid, server)| {
            format!(
                "{pid}: up {} cut {} running {:?} stage {:?} retired {} logs {:?} newest {:?} \
                 stages {:?}\n",
                server.up,
                server.cut,
                server.running,
                server.life.stage(),
                server.retired,
                server.disk.logs.values().map(|l| (l.end, l.sealed)).collect::<Vec<_>>(),
                server.life.history().map(History::newest_id),
                server.life.stages(),
            )
        });
        servers.collect()
    }
}

impl Server {
    fn log(&mut self, config_id: ConfigId) -> &mut FoundLog {
        let new = FoundLog { config_id, end: 0, sealed: false, started: false };
        self.disk.logs.entry(config_id).or_insert(new)
    }
}
