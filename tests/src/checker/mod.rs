//! Holds what servers say and what their disks hold against what Omni-Paxos promises.
//!
//! Independent of the core's own state: it sees inputs (proposals), outputs (messages, decided
//! entries, outcomes, the decided index) and the content of the simulated disks, and keeps a log of
//! its own of what was decided. The first violation is kept.

mod ballots;
mod decided;
mod durable;
mod outcomes;
mod register;
mod suspect;

pub use register::{History, Operation};

use crate::sim::Disk;
use omnipaxos_core::paxos::{Ballot, NodeId, ProposalOutcome};
use omnipaxos_core::storage::{ConfigId, Entry, ProposalId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a checker states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Only proposed entries are decided, under their own identity (SC1).
    OnlyProposed,
    /// A proposal is decided once at most.
    AtMostOnce,
    /// Proposals of one proposer are decided in its order, without gaps.
    ProposerOrder,
    /// Decided logs are prefixes of one log, over all time (SC2).
    OneLog,
    /// Nothing follows a decided StopSign.
    NothingAfterStopSign,
    /// What was handed out is still there after a restart (SC3).
    NeverShrinks,
    /// A ballot is led by one incarnation of one server.
    OneLeaderPerBallot,
    /// In one round, an index has one value.
    OneValuePerRound,
    /// A server that has answered a round answers no lower one, also after restarts.
    PromiseKept,
    /// A server whose last flush is missing accepts nothing before it has recovered, and its
    /// promises say so.
    VotesOnlySound,
    /// A promise answers a Prepare that its owner sent.
    AnswersPrepare,
    /// What a message says is on the sender's medium when it leaves.
    DurableFirst,
    /// What is decided is on the media of an accept quorum.
    QuorumDurable,
    /// Each prepare quorum's media lead a new leader to all that is decided.
    Recoverable,
    /// Nothing is trimmed before all members have it decided durably.
    TrimmedLate,
    /// What was acknowledged as decided is decided there.
    Acknowledged,
    /// A proposal is dropped only when the sealed log lacks it.
    DroppedRightly,
    /// Each proposal of a live session has an outcome in the end, exactly one.
    NeverLost,
    /// A register on top of the log is linearizable.
    Linearizable,
    /// A healed quorum-connected core decides new proposals within the bound.
    Liveness,
    /// No server finds an honest peer's message impossible.
    HonestPeers,
    /// No replica halts without a storage fault.
    NoHalt,
    /// The core panics nowhere.
    NoPanic,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What was violated, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which check found it.
    pub check: Check,
    /// What it saw.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.detail)
    }
}

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

#[derive(Clone, Debug)]
struct Proposal {
    who: Who,
    config_id: ConfigId,
    id: ProposalId,
    entry: Entry,
    /// Where it was decided.
    place: Option<(ConfigId, u64)>,
    outcome: Option<ProposalOutcome>,
}

#[derive(Debug, Default)]
struct Configuration {
    members: Vec<NodeId>,
    prepare: usize,
    accept: usize,
    disks: BTreeMap<NodeId, Disk>,
    /// The decided log, as first claimed by anyone.
    log: Vec<Key>,
    sealed: bool,
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
        members: &[NodeId],
        (prepare, accept): (usize, usize),
    ) {
        let configuration = self.configurations.entry(config_id).or_default();
        configuration.members = members.to_vec();
        (configuration.prepare, configuration.accept) = (prepare, accept);
    }

    /// A server's disk in a configuration.
    pub fn disk(&mut self, config_id: ConfigId, pid: NodeId, disk: Disk) {
        if let Some(configuration) = self.configurations.get_mut(&config_id) {
            configuration.disks.insert(pid, disk);
        }
    }

    /// The key that the next proposal is to carry.
    #[must_use]
    pub fn next_key(&self) -> Key {
        self.proposals.len() as u64 + 1
    }

    /// A replica took a proposal.
    pub fn proposed(&mut self, who: Who, config_id: ConfigId, id: ProposalId, entry: Entry) {
        let key = self.next_key();
        let place = (who.slot, who.incarnation, config_id, id.session, id.number);
        if self.by_id.insert(place, key).is_some() {
            self.fail(Check::AtMostOnce, format!("{who} gives {id} twice"));
        }
        self.proposals.push(Proposal { who, config_id, id, entry, place: None, outcome: None });
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
        let sealed = self.configurations.iter().filter(|(_, c)| c.sealed);
        sealed.map(|(id, _)| id + 1).max().unwrap_or(1)
    }

    /// The servers of a configuration that began, or that nobody has started yet although the
    /// StopSign before it is decided.
    #[must_use]
    pub fn members(&self, config_id: ConfigId) -> Option<Vec<NodeId>> {
        let began = self.configurations.get(&config_id).map(|c| c.members.clone());
        began.or_else(|| {
            let before = self.configurations.get(&config_id.checked_sub(1)?)?;
            match &self.proposal(*before.log.last()?)?.entry {
                Entry::StopSign(ss) => Some(ss.nodes.clone()),
                Entry::Normal(_) => None,
            }
        })
    }

    /// The decided entries of all configurations in order, as keys.
    pub fn decided_keys(&self) -> impl Iterator<Item = (ConfigId, u64, Key)> + '_ {
        self.configurations.iter().flat_map(|(id, configuration)| {
            let log = configuration.log.iter().zip(0..);
            log.map(|(key, index)| (*id, index, *key))
        })
    }

    fn proposal(&self, key: Key) -> Option<&Proposal> {
        self.proposals.get(key.checked_sub(1)? as usize)
    }
}
