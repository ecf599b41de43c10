//! What a server's component, its thread and its users say to each other.

use super::change::Change;
use super::error::{ChangeError, LogReadError, ProposalError};
use super::port::ServerEvent;
use super::stream::Cursor;
use crate::components::{Outcome, Permit, ReplicaMessage};
use crate::identity::Admission;
use crate::ports::Stopped;
use crate::wire::{Member, ServerMail, ServerPacket};
use bytes::Bytes;
use kompact::prelude::{ActorRef, Ask, KPromise};
use omnipaxos_core::configurations::{Configuration, Stage};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::paxos::{CatchUp, Halted};
use omnipaxos_core::storage::{ConfigId, Entry, StopSign};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Replicate these bytes. Answered with the global index once they are decided, in whichever
/// configuration.
#[derive(Debug)]
pub struct ProposeData {
    pub(super) data: Bytes,
    /// Its place among what is open.
    pub(super) permit: Option<Permit>,
}

impl ProposeData {
    /// These bytes, however many are open already.
    #[must_use]
    pub fn new(data: Bytes) -> Self {
        Self { data, permit: None }
    }

    /// These bytes, which were let in by a gate.
    pub(super) fn admitted(data: Bytes, permit: Permit) -> Self {
        Self { data, permit: Some(permit) }
    }
}

/// Read entries from a global index on, as many as one batch may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLog {
    /// The global index.
    pub from: u64,
}

/// Contiguous decided entries of one configuration, read on request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSlice {
    /// The global index of the first.
    pub index: u64,
    /// The configuration in whose log they are.
    pub config_id: ConfigId,
    /// The entries; a StopSign may be the last.
    pub entries: Vec<Entry>,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The newest configuration after it.
    pub config_id: ConfigId,
    /// Its leader, as far as that is known.
    pub leader: Option<NodeId>,
}

/// A server's state, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStatus {
    /// This server.
    pub pid: NodeId,
    /// The newest configuration that it knows; `None` while it knows none.
    pub newest: Option<Configuration>,
    /// The global index of its index 0.
    pub base: u64,
    /// The configurations that an operator ended by force: entries of theirs may be lost.
    pub forced: Vec<ConfigId>,
    /// How far this server is on the way into it.
    pub stage: Stage,
    /// How far its other members are, as far as they have said so.
    pub stages: BTreeMap<NodeId, Stage>,
    /// The leader of the newest configuration that runs here.
    pub leader: Option<NodeId>,
    /// The configurations whose replicas run here.
    pub replicas: Vec<ConfigId>,
    /// Where servers are, as far as this one knows.
    pub members: Vec<Member>,
}

/// What a server's component receives.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerRequest {
    /// Replicate.
    Propose(Ask<ProposeData, Result<u64, ProposalError>>),
    /// Change the membership or the leader.
    Change(Ask<Change, Result<Changed, ChangeError>>),
    /// Read decided entries.
    Read(Ask<ReadLog, Result<LogSlice, LogReadError>>),
    /// Report the state.
    Status(Ask<(), Result<ServerStatus, Stopped>>),
    /// From a replica: what became of a proposal.
    Outcome(Outcome),
    /// From the server's thread.
    Driver(FromDriver),
}

/// What a server's thread tells its component.
#[derive(Debug)]
pub enum FromDriver {
    /// Send this.
    Send(ServerMail),
    /// Indicate this.
    Indicate(ServerEvent),
    /// The stream begins here.
    Begin(Cursor),
    /// A log is durable here so far, and this long once it is sealed.
    Log {
        /// Its configuration.
        config_id: ConfigId,
        /// How many of its records are decided and durable here.
        end: u64,
        /// How many it has.
        len: Option<u64>,
    },
    /// What was read for the stream.
    Entries {
        /// The configuration.
        config_id: ConfigId,
        /// The index of the first one.
        first_index: u64,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// A replica runs, and takes proposals.
    Started {
        /// Its configuration.
        config_id: ConfigId,
        /// The global index of its index 0.
        base: u64,
        /// The replica.
        replica: ActorRef<ReplicaMessage>,
    },
    /// End this configuration, in which this server's replica takes proposals.
    Reconfigure {
        /// The configuration that is to end.
        config_id: ConfigId,
        /// What comes next.
        next: omnipaxos_core::paxos::Reconfiguration,
    },
    /// This server is not in the newest configuration.
    LeftOut {
        /// The newest configuration.
        config_id: ConfigId,
    },
    /// It is over: the server has halted or is being stopped.
    Over,
    /// Time has passed.
    Tick,
}

/// What a server's thread is told.
#[derive(Debug)]
pub(super) enum Input {
    /// From another server.
    Packet(ServerPacket),
    /// Somebody speaks of a configuration that does not run here.
    Unregistered { config_id: ConfigId, from: NodeId },
    /// A replica has decided so much, durably.
    Decided { config_id: ConfigId, end: u64 },
    /// A replica has decided its StopSign, durably.
    StopSign { config_id: ConfigId, index: u64, stop_sign: Arc<StopSign> },
    /// A replica follows somebody else.
    Following { config_id: ConfigId, leader: Option<NodeId> },
    /// Whether a replica takes part.
    Admission { config_id: ConfigId, admission: Admission },
    /// A replica lacks more than its leader shall bring, or no longer.
    Behind { config_id: ConfigId, catch_up: Option<CatchUp> },
    /// A replica has halted.
    ReplicaHalted { config_id: ConfigId, reason: Arc<Halted> },
    /// What became of a reconfiguration.
    Outcome(Outcome),
    /// The stream needs entries.
    Wanted { config_id: ConfigId, from: u64 },
    /// A user wants a change.
    Change(Change, KPromise<Result<Changed, ChangeError>>),
    /// A user wants to read.
    Read(ReadLog, KPromise<Result<LogSlice, LogReadError>>),
    /// A user wants to know.
    Status(KPromise<Result<ServerStatus, Stopped>>),
    /// Stop replicas and routers, then end.
    Stop,
    /// The system is gone: give the storage free and end.
    Release,
}
