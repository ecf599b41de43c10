//! What a replica is asked by actor messages.

use crate::components::gate::Permit;
use crate::identity::Admission;
use crate::ports::{ProposalResult, ReadBatch, ReadFailure, Stopped, Token, TrimFailure};
use bytes::Bytes;
use kompact::prelude::Ask;
use omnipaxos_core::digest::Block;
use omnipaxos_core::leader_election::{Ballot, NodeId};
use omnipaxos_core::paxos::{Halted, Reconfiguration, RecoveryStage};
use omnipaxos_core::storage::{ConfigId, FlushId, Records, StopSign, StorageError};

/// Replicate these bytes. Answered when they are decided, or will not be.
#[derive(Debug)]
pub struct Propose {
    pub(super) data: Bytes,
    /// Its place among what is open.
    pub(super) permit: Option<Permit>,
}

impl Propose {
    /// These bytes, however many are open already.
    #[must_use]
    pub fn new(data: Bytes) -> Self {
        Self { data, permit: None }
    }

    /// These bytes, which were let in by a gate.
    pub(crate) fn admitted(data: Bytes, permit: Permit) -> Self {
        Self { data, permit: Some(permit) }
    }
}

/// End the configuration and name the next one. Answered as a proposal.
#[derive(Debug)]
pub struct Reconfigure {
    pub(super) next: Reconfiguration,
    /// Its place among what is open.
    pub(super) permit: Option<Permit>,
}

impl Reconfigure {
    /// To this configuration, however much is open already.
    #[must_use]
    pub fn new(next: Reconfiguration) -> Self {
        Self { next, permit: None }
    }

    /// To this configuration, which was let in by a gate.
    pub(crate) fn admitted(next: Reconfiguration, permit: Permit) -> Self {
        Self { next, permit: Some(permit) }
    }
}

/// Read decided entries from `from` on, below `to`, as many as one batch may hold, and at least one
/// where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// The first index.
    pub from: u64,
    /// The index after the last one wanted.
    pub to: u64,
}

/// Forget the entries below this index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim(pub u64);

/// Read decided records as [`Read`] reads entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRecords {
    /// The first index.
    pub from: u64,
    /// The index after the last one wanted.
    pub to: u64,
    /// Bytes of records in the answer; one record always fits.
    pub max_cost: u64,
}

/// What is proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// An entry.
    Normal(Bytes),
    /// The end of the configuration.
    Reconfiguration(Reconfiguration),
}

/// What became of a proposal that came with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The configuration in which it was proposed.
    pub config_id: ConfigId,
    /// Its token.
    pub token: Token,
    /// What became of it.
    pub result: ProposalResult,
}

/// A replica's state, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaStatus {
    /// The configuration.
    pub config_id: ConfigId,
    /// This server.
    pub pid: NodeId,
    /// The leader that it follows or is.
    pub leader: Option<NodeId>,
    /// Its promised ballot.
    pub promised: Ballot,
    /// The first index that was not trimmed.
    pub first_index: u64,
    /// The index after the last decided entry.
    pub decided_index: u64,
    /// The index after the last entry.
    pub log_len: u64,
    /// The decided StopSign that sealed the log.
    pub stop_sign: Option<StopSign>,
    /// Why it halted, if it did.
    pub halted: Option<Halted>,
    /// Whether it takes part, and if not, why. `None` until the router has said so.
    pub admission: Option<Admission>,
    /// What it waits for before it votes, if its storage was suspect.
    pub recovery: Option<RecoveryStage>,
}

/// What a replica component receives.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReplicaMessage {
    /// Replicate.
    Propose(Ask<Propose, ProposalResult>),
    /// End the configuration.
    Reconfigure(Ask<Reconfigure, ProposalResult>),
    /// Replicate; what becomes of it goes to [`ReplicaComponent::outcomes_to`].
    ///
    /// [`ReplicaComponent::outcomes_to`]: super::ReplicaComponent::outcomes_to
    ProposeWith {
        /// Comes back with the outcome.
        token: Token,
        /// Once one of an attempt was refused, so are all that follow it in the same attempt.
        attempt: u64,
        /// What is proposed.
        proposal: Proposal,
    },
    /// Take these decided records, which start at or below the decided index, from elsewhere.
    LearnDecided {
        /// The index of the first one.
        start: u64,
        /// The records.
        records: Records,
        /// A round in which they were chosen, or a later one.
        round: Ballot,
    },
    /// Read decided records.
    ReadRecords(Ask<ReadRecords, Result<Records, ReadFailure>>),
    /// List the blocks of the log, as far as they were digested.
    Blocks(Ask<(), Result<Vec<Block>, Stopped>>),
    /// Read decided entries.
    Read(Ask<Read, Result<ReadBatch, ReadFailure>>),
    /// Forget decided entries.
    Trim(Ask<Trim, Result<(), TrimFailure>>),
    /// Report the state.
    Status(Ask<(), Result<ReplicaStatus, Stopped>>),
    /// Tell the election of another priority.
    SetPriority(u32),
    /// Tell the election that leadership is handed to this server.
    TakeOver,
    /// From itself: work off what was handled.
    Drain,
    /// From the flusher: a flush has ended.
    Flushed(FlushId, Result<(), StorageError>),
}
