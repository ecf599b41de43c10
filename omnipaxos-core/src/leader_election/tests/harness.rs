//! A cluster in virtual time: seeded, single-threaded, and finer than ticks.

use crate::leader_election::{
    Ballot, BallotLeaderElection, ElectionConfig, Heartbeat, HeartbeatMessage, Leader, NodeId,
};
use crate::quorum::Quorum;
use std::collections::{BTreeMap, BTreeSet};

/// Instants of virtual time in one tick.
pub(super) const TICK: u64 = 10;
/// Ticks of an election timeout.
pub(super) const TIMEOUT_TICKS: u32 = 10;
/// Instants of an election timeout.
pub(super) const TIMEOUT: u64 = TICK * TIMEOUT_TICKS as u64;
pub(super) const CONFIG: u64 = 1;

/// xorshift64*.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`, 0 when `bound` is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % bound.max(1)
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

#[derive(Clone, Debug)]
enum Event {
    Tick(NodeId),
    Heartbeat(HeartbeatMessage),
    /// What a replica does with its own Leader event: it asks the others for a promise.
    Prepare(NodeId, NodeId, Ballot),
}

#[derive(Debug)]
struct Server {
    /// `None` while it is down.
    election: Option<BallotLeaderElection>,
    config: ElectionConfig,
    /// The replica's durable promise.
    promised: Ballot,
    last: Option<Ballot>,
}

/// A Leader event at some server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elected {
    pub(super) time: u64,
    pub(super) ballot: Ballot,
}

#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) time: u64,
    pub(super) rng: Rng,
    /// A hop takes from .. to instants.
    pub(super) delay: (u64, u64),
    pub(super) loss_percent: u64,
    pub(super) dup_percent: u64,
    pub(super) log: Vec<Elected>,
    pub(super) messages: u64,
    servers: BTreeMap<NodeId, Server>,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    cut: BTreeSet<(NodeId, NodeId)>,
}

impl Cluster {
    /// Servers with these pids and configurations, their clocks staggered, all of them connected.
    pub(super) fn with(seed: u64, servers: Vec<(NodeId, ElectionConfig)>) -> Self {
        let mut cluster = Self {
            time: 0,
            rng: Rng::new(seed),
            delay: (1, 3 * TIMEOUT / 10),
            loss_percent: 0,
            dup_percent: 0,
            log: Vec::new(),
            messages: 0,
            servers: BTreeMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            cut: BTreeSet::new(),
        };
        for (pid, config) in servers {
            let promised = config.promised;
            let server = Server { election: None, config, promised, last: None };
            cluster.servers.insert(pid, server);
            let phase = cluster.rng.below(TICK);
            cluster.schedule(phase, Event::Tick(pid));
        }
        for pid in cluster.pids() {
            cluster.restart(pid);
        }
        cluster
    }

    /// Servers 1 ..= n without preferences.
    pub(super) fn new(seed: u64, n: u64) -> Self {
        Self::with(seed, (1..=n).map(|pid| (pid, ElectionConfig::default())).collect())
    }

    /// As `new`, with priorities by pid.
    pub(super) fn prioritized(seed: u64, priorities: &[u32]) -> Self {
        let config = |priority| ElectionConfig { priority, ..ElectionConfig::default() };
        let servers = (1..).zip(priorities);
        Self::with(seed, servers.map(|(pid, p)| (pid, config(*p))).collect())
    }

    pub(super) fn pids(&self) -> Vec<NodeId> {
        self.servers.keys().copied().collect()
    }

    pub(super) fn up(&self) -> Vec<NodeId> {
        let up = |(pid, server): (&NodeId, &Server)| server.election.is_some().then_some(*pid);
        self.servers.iter().filter_map(up).collect()
    }

    pub(super) fn election(&self, pid: NodeId) -> &BallotLeaderElection {
        self.servers[&pid].election.as_ref().expect("is up")
    }

    pub(super) fn crash(&mut self, pid: NodeId) {
        self.servers.get_mut(&pid).unwrap().election = None;
    }

    /// Starts a server that is down, with what its replica has promised.
    pub(super) fn restart(&mut self, pid: NodeId) {
        let peers = self.pids().into_iter().filter(|p| *p != pid).collect();
        let server = self.servers.get_mut(&pid).unwrap();
        server.config.promised = server.promised;
        let election = BallotLeaderElection::with(CONFIG, pid, peers, server.config.clone());
        server.election = Some(election.unwrap());
        // Its replica leads from its start only once.
        if let Some(ballot) = server.config.continued.take() {
            server.promised = ballot;
        }
        server.last = None;
    }

    /// A change from outside, at once.
    pub(super) fn poke(&mut self, pid: NodeId, change: impl FnOnce(&mut BallotLeaderElection)) {
        change(self.servers.get_mut(&pid).unwrap().election.as_mut().unwrap());
        self.send(pid);
    }

    /// Hands the leadership to a server.
    pub(super) fn take_over(&mut self, pid: NodeId) -> bool {
        let election = self.servers.get_mut(&pid).unwrap().election.as_mut().unwrap();
        let leader = election.take_over();
        self.after(pid, leader);
        leader.is_some()
    }

    pub(super) fn cut_one_way(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
    }

    pub(super) fn cut(&mut self, a: NodeId, b: NodeId) {
        self.cut.extend([(a, b), (b, a)]);
    }

    /// Leaves the links from and to `hub` only.
    pub(super) fn star(&mut self, hub: NodeId) {
        for a in self.pids() {
            for b in self.pids() {
                if a != hub && b != hub {
                    self.cut(a, b);
                }
            }
        }
    }

    pub(super) fn isolate(&mut self, pid: NodeId) {
        for other in self.pids() {
            self.cut(pid, other);
        }
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(super) fn run_timeouts(&mut self, timeouts: u64) {
        self.run(timeouts * TIMEOUT);
    }

    pub(super) fn run(&mut self, instants: u64) {
        let end = self.time + instants;
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > end {
                break;
            }
            self.time = entry.key().0;
            let event = entry.remove();
            self.handle(event);
        }
        self.time = end;
    }

    /// The Leader events since `time`.
    pub(super) fn since(&self, time: u64) -> Vec<Elected> {
        self.log.iter().copied().filter(|e| e.time > time).collect()
    }

    /// The server that leads in the highest ballot and is able to.
    pub(super) fn leader(&self) -> Option<Ballot> {
        let leads = |pid: &NodeId| {
            let election = self.election(*pid);
            (election.ballot().n > 0 && election.is_quorum_connected()).then(|| election.ballot())
        };
        self.up().iter().filter_map(leads).max()
    }

    /// LE1: each quorum-connected server follows the leader, or hears somebody that hears it; and
    /// each server that the leader reaches follows it, so that it can decide. Leaders that kept
    /// accept quorums of less than a majority need not meet: each leads on as far as it knows.
    pub(super) fn all_served(&self) -> bool {
        let up = self.up();
        let mut able = up.iter().filter(|pid| self.election(**pid).is_quorum_connected());
        let Some(leader) = self.leader() else {
            return able.next().is_none();
        };
        let follows = |pid: NodeId| self.election(pid).leader() == Some(Leader::new(leader));
        let reaches_follower = |pid| self.election(pid).connected_peers().any(follows);
        let small = |server: &Server| {
            let quorum = server.config.quorum;
            quorum.is_some_and(|q| 2 * q.accept() <= self.servers.len())
        };
        let kept = |pid| small(&self.servers[&pid]) && self.election(pid).ballot().n > 0;
        able.all(|pid| follows(*pid) || reaches_follower(*pid) || kept(*pid))
            && self.election(leader.pid).connected_peers().all(follows)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Tick(pid) => {
                self.schedule(TICK, Event::Tick(pid));
                let Some(election) = self.servers.get_mut(&pid).unwrap().election.as_mut() else {
                    return;
                };
                let leader = election.tick();
                self.after(pid, leader);
            }
            Event::Heartbeat(message) => {
                let pid = message.to;
                if self.cut.contains(&(message.from, pid)) {
                    return;
                }
                let Some(election) = self.servers.get_mut(&pid).unwrap().election.as_mut() else {
                    return;
                };
                let leader = election.handle_message(message).expect("possible");
                self.after(pid, leader);
            }
            Event::Prepare(from, to, ballot) => {
                let server = self.servers.get_mut(&to).unwrap();
                if self.cut.contains(&(from, to)) || ballot <= server.promised {
                    return;
                }
                if let Some(election) = server.election.as_mut() {
                    server.promised = ballot;
                    election.handle_promised(ballot);
                    self.send(to);
                    self.promised(ballot);
                }
            }
        }
    }

    /// The owner of `ballot` hears at once of the last promise that it needs.
    fn promised(&mut self, ballot: Ballot) {
        let promises = self.servers.values().filter(|server| server.promised == ballot).count();
        let majority = Quorum::majority(self.servers.len());
        let owner = self.servers.get_mut(&ballot.pid).unwrap();
        if promises >= owner.config.quorum.unwrap_or(majority).prepare()
            && let Some(election) = owner.election.as_mut()
        {
            election.handle_prepared(ballot);
            self.send(ballot.pid);
        }
    }

    /// Checks LE3 and plays the replica.
    fn after(&mut self, pid: NodeId, leader: Option<Leader>) {
        if let Some(Leader { ballot }) = leader {
            let server = self.servers.get_mut(&pid).unwrap();
            assert!(Some(ballot) > server.last, "LE3 at {pid}: {ballot}");
            assert!(ballot.n > 0 && ballot >= server.promised, "below the promise");
            server.last = Some(ballot);
            self.log.push(Elected { time: self.time, ballot });
            if ballot.pid == pid {
                assert!(ballot > server.promised, "a round would be used twice");
                server.promised = ballot;
                server.election.as_mut().unwrap().handle_promised(ballot);
                for to in self.pids() {
                    self.post(pid, to, Event::Prepare(pid, to, ballot));
                }
            }
        }
        self.send(pid);
    }

    fn send(&mut self, pid: NodeId) {
        let election = self.servers.get_mut(&pid).unwrap().election.as_mut();
        for message in election.unwrap().get_outgoing_msgs() {
            self.messages += 1;
            self.post(pid, message.to, Event::Heartbeat(message));
        }
    }

    fn post(&mut self, from: NodeId, to: NodeId, event: Event) {
        let copies = 1 + u64::from(self.rng.below(100) < self.dup_percent);
        for _ in 0..copies {
            let lost = self.rng.below(100) < self.loss_percent;
            if from != to && !lost && !self.cut.contains(&(from, to)) {
                let (low, high) = self.delay;
                let delay = low + self.rng.below(high - low + 1);
                self.schedule(delay, event.clone());
            }
        }
    }

    fn schedule(&mut self, delay: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.time + delay, self.sequence), event);
    }
}

/// The election of server `pid` among 1 ..= n, driven by hand.
pub(super) fn single(pid: NodeId, n: u64, config: ElectionConfig) -> BallotLeaderElection {
    let peers = (1..=n).filter(|p| *p != pid).collect();
    BallotLeaderElection::with(CONFIG, pid, peers, config).unwrap()
}

pub(super) fn message(from: NodeId, to: NodeId, body: Heartbeat) -> HeartbeatMessage {
    HeartbeatMessage { config_id: CONFIG, from, to, body }
}

/// What a quorum-connected server says that does not stand and follows `leader`.
pub(super) fn follower(round: u64, from: NodeId, leader: Ballot, hears_leader: bool) -> Heartbeat {
    Heartbeat::Reply {
        round,
        version: 1,
        ballot: Ballot::new(0, 0, from),
        quorum_connected: true,
        leader,
        hears_leader,
        votes: true,
    }
}

/// What a leader says.
pub(super) fn leading(round: u64, ballot: Ballot, quorum_connected: bool) -> Heartbeat {
    Heartbeat::Reply {
        round,
        version: 1,
        ballot,
        quorum_connected,
        leader: ballot,
        hears_leader: false,
        votes: true,
    }
}
