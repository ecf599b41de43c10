//! One server: its disks, and while its process runs, a replica and an election a configuration.

use super::disk::{Disk, DiskCommit, DiskLog, DiskState};
use super::network::Wire;
use crate::checker::Who;
use omnipaxos_core::Quorum;
use omnipaxos_core::leader_election::{BallotLeaderElection, ElectionConfig};
use omnipaxos_core::paxos::{Ballot, NodeId, Paxos, PaxosConfig};
use omnipaxos_core::storage::{ConfigId, Flush, FlushId, StopSign, StorageError};
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
    /// The configurations that it has started, durably, and their servers.
    pub(super) started: BTreeMap<ConfigId, Vec<NodeId>>,
    pub(super) disks: BTreeMap<ConfigId, Disk>,
    pub(super) incarnation: u64,
    pub(super) process: Option<Process>,
    pub(super) paused: bool,
    /// What arrived while the process was paused.
    pub(super) inbox: VecDeque<Wire>,
    /// Broken for good.
    pub(super) dead: bool,
    pub(super) priority: u32,
}

/// A running process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) nodes: BTreeMap<ConfigId, Node>,
    /// Flushes take time and run beside the replica.
    pub(super) pipelined: bool,
    /// Outputs are taken some time after the inputs, for several of them together.
    pub(super) lazy: bool,
    pub(super) ticks: u64,
}

/// A replica and its election.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) members: Vec<NodeId>,
    pub(super) paxos: Replica,
    pub(super) election: BallotLeaderElection,
    pub(super) disk: Disk,
    pub(super) flushing: Option<Flush<DiskCommit>>,
    /// A flush that ended while the process was paused.
    pub(super) ended: Option<(FlushId, Result<(), StorageError>)>,
    /// The promise that the election was told last.
    pub(super) reported: Ballot,
    /// An output is scheduled.
    pub(super) dirty: bool,
    pub(super) stop_sign: Option<StopSign>,
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
            incarnation: 0,
            process: None,
            paused: false,
            inbox: VecDeque::new(),
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

    pub(super) fn acts(&self) -> bool {
        self.process.is_some() && !self.paused
    }
}

impl Node {
    /// A node over `disk`; `Err` says why the core refused it.
    pub(super) fn start(
        config_id: ConfigId,
        pid: NodeId,
        members: &[NodeId],
        disk: Disk,
        settings: Settings,
    ) -> Result<Self, String> {
        let peers: Vec<NodeId> = members.iter().copied().filter(|peer| *peer != pid).collect();
        let mut config = settings.paxos;
        config.quorum = settings.quorum;
        config.read_from = settings.read_from;
        let paxos = Paxos::try_with(config_id, pid, peers.clone(), disk.storage(), config);
        let paxos = paxos.map_err(|error| error.to_string())?;
        let mut config = settings.election;
        config.quorum = settings.quorum;
        config.priority = settings.priority;
        config.promised = paxos.promised();
        let election = BallotLeaderElection::with(config_id, pid, peers, config);
        let election = election.map_err(|error| error.to_string())?;
        let mut node = Self {
            members: members.to_vec(),
            reported: paxos.promised(),
            recovering: paxos.is_recovering(),
            paxos,
            election,
            disk,
            flushing: None,
            ended: None,
            dirty: false,
            stop_sign: None,
        };
        node.set_healthy(true);
        Ok(node)
    }
}
