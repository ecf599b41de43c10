//! Holds what servers say and what their disks hold against what Omni-Paxos promises.
//!
//! Independent of the core's own state: it sees inputs (proposals), outputs (messages, decided
//! entries, outcomes, the decided index) and the content of the simulated disks, and keeps a log of
//! its own of what was decided. The first violation is kept.

mod ballots;
mod check;
mod decided;
mod durable;
mod lives;
mod outcomes;
mod proposals;
mod register;
mod suspect;

pub use check::{Check, Violation};
pub use outcomes::Fate;
pub use register::{History, Operation};

use crate::sim::Disk;
use omnipaxos_core::paxos::{Ballot, NodeId};
use omnipaxos_core::storage::{ConfigId, Entry, ProposalId, StopSign};
use proposals::Proposal;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One run of one server's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// The machine; two of them share a pid only by a planted fault.
    pub slot: usize,
    /// The server.
    pub pid: NodeId,
    /// Counts the starts of the process.
    pub incarnation: u64,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server {} (start {})", self.pid, self.incarnation)
    }
}

/// Names an entry: the number that the simulator wrote into it. 0 for one it did not write.
pub type Key = u64;

/// The key of an entry.
#[must_use]
pub fn key_of(entry: &Entry) -> Key {
    let bytes = match entry {
        Entry::Normal(data) => Some(data),
        Entry::StopSign(ss) => ss.metadata.as_ref(),
    };
    let head = bytes.and_then(|bytes| bytes.first_chunk::<8>());
    head.map_or(0, |head| u64::from_be_bytes(*head))
}

/// The members of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Those that vote.
    pub voters: Vec<NodeId>,
    /// Those that only learn.
    pub learners: Vec<NodeId>,
    /// The round with which all of them start (C5).
    pub continued: Option<Ballot>,
}

impl Members {
    /// Members that all vote, and start with an election.
    #[must_use]
    pub fn voting(voters: &[NodeId]) -> Self {
        Self { voters: voters.to_vec(), ..Self::default() }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.voters.iter().chain(&self.learners).copied()
    }

    /// Whether a server is one of them.
    #[must_use]
    pub fn contains(&self, pid: NodeId) -> bool {
        self.all().any(|member| member == pid)
    }
}

#[derive(Debug, Default)]
struct Configuration {
    members: Members,
    prepare: usize,
    accept: usize,
    disks: BTreeMap<NodeId, Disk>,
    /// The decided log, as first claimed by anyone.
    log: Vec<(Key, ProposalId)>,
    /// The StopSign that it ends with, as it was decided.
    sealed: Option<StopSign>,
    /// Per proposer: session and number of its last decided proposal.
    order: BTreeMap<NodeId, (u64, u64)>,
    /// Per machine: how far this incarnation's decided log was compared.
    compared: BTreeMap<usize, u64>,
    /// Per machine: what this incarnation hands out next.
    taken: BTreeMap<usize, u64>,
    /// Per machine: how much was ever handed out.
    handed: BTreeMap<usize, u64>,
    /// Who led a ballot.
    ballots: BTreeMap<Ballot, Who>,
    /// The value of an index in a round.
    rounds: BTreeMap<(Ballot, u64), Key>,
    /// The rounds that a server has answered.
    answered: BTreeMap<NodeId, BTreeSet<Ballot>>,
    /// Rounds whose leader had its log.
    accepting: BTreeSet<Ballot>,
    /// Rounds that their owner forgot before it led them.
    void: BTreeSet<Ballot>,
    trimmed: BTreeMap<usize, u64>,
}

/// All that was proposed, said and decided in one run.
#[derive(Debug, Default)]
pub struct Checker {
    proposals: Vec<Proposal>,
    /// Machine, incarnation, configuration, session and number of each proposal.
    by_id: BTreeMap<(usize, u64, ConfigId, u64, u64), Key>,
    configurations: BTreeMap<ConfigId, Configuration>,
    /// Per machine and incarnation: the last decided proposal of those that waited in its line.
    lines: BTreeMap<(usize, u64), Key>,
    violation: Option<Violation>,
}

impl Checker {
    /// A checker that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The first violation.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Records a violation that somebody else found.
    pub fn fail(&mut self, check: Check, detail: impl Into<String>) {
        if self.violation.is_none() {
            let detail = detail.into();
            self.violation = Some(Violation { check, detail });
        }
    }

    /// A configuration begins.
    pub fn configuration(
        &mut self,
        config_id: ConfigId,
        members: Members,
        (prepare, accept): (usize, usize),
    ) {
        let configuration = self.configurations.entry(config_id).or_default();
        configuration.members = members;
        (configuration.prepare, configuration.accept) = (prepare, accept);
    }

    /// A server's disk in a configuration.
    pub fn disk(&mut self, config_id: ConfigId, pid: NodeId, disk: Disk) {
        if let Some(configuration) = self.configurations.get_mut(&config_id) {
            configuration.disks.insert(pid, disk);
        }
    }

    /// How many entries of a configuration are decided.
    #[must_use]
    pub fn decided_len(&self, config_id: ConfigId) -> u64 {
        let configuration = self.configurations.get(&config_id);
        configuration.map_or(0, |c| c.log.len() as u64)
    }

    /// How many entries are decided in all configurations.
    #[must_use]
    pub fn decided_total(&self) -> u64 {
        self.configurations.values().map(|c| c.log.len() as u64).sum()
    }

    /// The newest configuration that can decide: the first one, or one whose predecessor is sealed.
    #[must_use]
    pub fn newest(&self) -> ConfigId {
        let sealed = self.configurations.iter().filter(|(_, c)| c.sealed.is_some());
        sealed.map(|(id, _)| id + 1).max().unwrap_or(1)
    }

    /// The members of a configuration that began.
    #[must_use]
    pub fn members(&self, config_id: ConfigId) -> Option<&Members> {
        self.configurations.get(&config_id).map(|configuration| &configuration.members)
    }

    /// The StopSign with which a configuration has ended, as it was decided.
    #[must_use]
    pub fn stop_sign(&self, config_id: ConfigId) -> Option<&StopSign> {
        self.configurations.get(&config_id)?.sealed.as_ref()
    }

    /// The decided entries of all configurations in order, as keys.
    pub fn decided_keys(&self) -> impl Iterator<Item = (ConfigId, u64, Key)> + '_ {
        self.configurations.iter().flat_map(|(id, configuration)| {
            let log = configuration.log.iter().zip(0..);
            log.map(|((key, _), index)| (*id, index, *key))
        })
    }
}
