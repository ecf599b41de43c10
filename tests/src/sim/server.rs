//! One server: its disks, and while its process runs, its life, and a replica and an election a
//! configuration.

use super::book::Book;
use super::disk::{Disk, DiskCommit, DiskLog, DiskState};
use super::import::Import;
use super::network::Wire;
use super::shelf::KnownBlocks;
use crate::checker::{Key, Who};
use omnipaxos_core::Quorum;
use omnipaxos_core::configurations::{Configuration, Configurations, Ended, Proposals};
use omnipaxos_core::leader_election::{BallotLeaderElection, ElectionConfig};
use omnipaxos_core::paxos::{Ballot, NodeId, Paxos, PaxosConfig};
use omnipaxos_core::storage::{ConfigId, Flush, FlushId, StorageError};
use std::collections::{BTreeMap, VecDeque};

/// The replica under test.
pub type Replica = Paxos<DiskLog, DiskState>;

/// A machine, whether its process runs or not.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) slot: usize,
    pub(super) pid: NodeId,
    /// Which links it uses; only a twin shares those of another machine.
    pub(super) machine: usize,
    /// Units between two of its ticks.
    pub(super) rate: u64,
    /// The configurations in which it ever started a replica.
    pub(super) started: BTreeMap<ConfigId, Configuration>,
    pub(super) disks: BTreeMap<ConfigId, Disk>,
    pub(super) book: Book,
    /// What its life wanted to be written last: that it retires.
    pub(super) retired: bool,
    /// Behind which of its commands its process ends next, where that is on.
    pub(super) boundary: u64,
    pub(super) incarnation: u64,
    pub(super) process: Option<Process>,
    pub(super) paused: bool,
    /// What arrived while the process was paused.
    pub(super) inbox: VecDeque<Wire>,
    /// A version of the book that became durable meanwhile.
    pub(super) unread: Option<u64>,
    /// Broken for good.
    pub(super) dead: bool,
    pub(super) priority: u32,
}

/// A running process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) life: Configurations,
    pub(super) nodes: BTreeMap<ConfigId, Node>,
    pub(super) imports: BTreeMap<ConfigId, Import>,
    /// What it can list of complete logs.
    pub(super) blocks: KnownBlocks,
    /// How many of its commands were carried out.
    pub(super) commands: u64,
    /// One of them is being carried out.
    pub(super) driving: bool,
    /// Flushes take time and run beside the replica.
    pub(super) pipelined: bool,
    /// What it proposes, from one configuration to the next.
    pub(super) line: Proposals<Key>,
    /// Outputs are taken some time after the inputs, for several of them together.
    pub(super) lazy: bool,
}

/// A replica and its election.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) members: Vec<NodeId>,
    pub(super) paxos: Replica,
    /// A learner has none.
    pub(super) election: Option<BallotLeaderElection>,
    pub(super) disk: Disk,
    pub(super) flushing: Option<Flush<DiskCommit>>,
    /// A flush that ended while the process was paused.
    pub(super) ended: Option<(FlushId, Result<(), StorageError>)>,
    /// The promise that the election was told last.
    pub(super) reported: Ballot,
    /// An output is scheduled.
    pub(super) dirty: bool,
    /// Whom it follows, and that its log has ended, as the server's life was told.
    pub(super) told_leader: Option<NodeId>,
    pub(super) told_end: bool,
    /// The replica recovered when it was looked at last.
    pub(super) recovering: bool,
}

/// What a node starts with.
pub(super) struct Settings {
    pub(super) paxos: PaxosConfig,
    pub(super) election: ElectionConfig,
    pub(super) quorum: Option<Quorum>,
    pub(super) priority: u32,
    pub(super) read_from: Option<u64>,
}

impl Server {
    pub(super) fn new(slot: usize, pid: NodeId, rate: u64) -> Self {
        Self {
            slot,
            pid,
            machine: slot,
            rate,
            started: BTreeMap::new(),
            disks: BTreeMap::new(),
            book: Book::default(),
            retired: false,
            boundary: 1,
            incarnation: 0,
            process: None,
            paused: false,
            inbox: VecDeque::new(),
            unread: None,
            dead: false,
            priority: 0,
        }
    }

    pub(super) fn who(&self) -> Who {
        Who { slot: self.slot, pid: self.pid, incarnation: self.incarnation }
    }

    pub(super) fn node(&mut self, config_id: ConfigId) -> Option<&mut Node> {
        self.process.as_mut()?.nodes.get_mut(&config_id)
    }

    /// The configurations whose replicas run, the newest last.
    pub(super) fn running(&self) -> Vec<ConfigId> {
        let nodes = self.process.as_ref().map(|process| &process.nodes);
        nodes.map_or_else(Vec::new, |nodes| nodes.keys().copied().collect())
    }

    /// The configurations whose logs it gets from others.
    pub(super) fn importing(&self) -> Vec<ConfigId> {
        let imports = self.process.as_ref().map(|process| &process.imports);
        imports.map_or_else(Vec::new, |imports| imports.keys().copied().collect())
    }

    pub(super) fn acts(&self) -> bool {
        self.process.is_some() && !self.paused
    }
}

impl Node {
    /// A node over `disk`; `Err` says why the core refused it.
    pub(super) fn start(
        configuration: &Configuration,
        pid: NodeId,
        disk: Disk,
        settings: Settings,
    ) -> Result<Self, String> {
        let (config_id, peers) = (configuration.config_id, configuration.peers(pid));
        let mut config = settings.paxos;
        config.quorum = settings.quorum;
        config.read_from = settings.read_from;
        config.learners.clone_from(&configuration.learners);
        config.continued = configuration.leader;
        let paxos = Paxos::try_with(config_id, pid, peers, disk.storage(), config);
        let paxos = paxos.map_err(|error| error.to_string())?;
        let mut election = None;
        if configuration.nodes.contains(&pid) {
            let peers = configuration.nodes.iter().copied().filter(|peer| *peer != pid).collect();
            let mut config = settings.election;
            config.quorum = settings.quorum;
            config.priority = settings.priority;
            config.promised = paxos.promised();
            let continued = configuration.leader.map(|leader| leader.ballot);
            config.continued = continued.filter(|n| n.pid == pid && paxos.is_leader());
            let begun = BallotLeaderElection::with(config_id, pid, peers, config);
            election = Some(begun.map_err(|error| error.to_string())?);
        }
        let mut node = Self {
            members: configuration.members().collect(),
            reported: paxos.promised(),
            recovering: paxos.is_recovering(),
            paxos,
            election,
            disk,
            flushing: None,
            ended: None,
            dirty: false,
            told_leader: None,
            told_end: false,
        };
        node.set_healthy(true);
        Ok(node)
    }

    /// How its configuration has ended, once all of its log is durable here and this was not told.
    pub(super) fn end(&self) -> Option<Ended> {
        let stop_sign = self.paxos.stop_sign().filter(|_| !self.told_end)?;
        let medium = self.disk.medium();
        medium.is_sealed().then(|| Ended {
            config_id: self.paxos.config_id(),
            len: medium.end(),
            stop_sign: stop_sign.clone(),
            anchor: self.paxos.anchor_of_sealed(),
            round: medium.state.as_ref().map_or(Ballot::default(), |state| state.decided_round),
            forced: false,
        })
    }
}
