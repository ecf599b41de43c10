//! The seams between the components: what travels over each port, and who provides it.
//!
//! | port | provided by | required by | indications | requests |
//! |---|---|---|---|---|
//! | [`LeaderElectionPort`] | leader election | replica | [`Leader`] | [`ElectionRequest`] |
//! | [`HeartbeatPort`] | router | leader election | [`LinkIndication`] | [`HeartbeatMessage`]s |
//! | [`PaxosPort`] | router | replica | [`LinkIndication`] | [`Message`]s |
//! | [`IdentityPort`] | router | identity component | [`LinkIndication`] | [`IdentityMessage`]s |
//! | [`ServerPort`] | router | server component | [`LinkIndication`] | [`ServerMail`]s |
//! | [`RouterEventPort`] | router | whoever starts replicas | [`RouterEvent`] | none |
//! | [`DecidedPort`] | replica | the user | [`ReplicaEvent`] | [`ReplicaRequest`] |
//!
//! Several configurations may share one router: it indicates each message to all of them, and each
//! takes those of its own configuration. All events are cheap to clone.

use crate::identity::{Admission, IdentityMessage, StorageId};
use crate::wire::ServerMail;
use bytes::Bytes;
use kompact::prelude::{Never, Port};
use omnipaxos_core::leader_election::{Ballot, HeartbeatMessage, Leader, NodeId};
use omnipaxos_core::paxos::{
    CatchUp, Halted, Message, ProposalOutcome, ProposeError, ReadError, Reconfiguration,
    ReconfigureError, TrimError,
};
use omnipaxos_core::storage::{ConfigId, Entry, ProposalId, StopSign};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;
use thiserror::Error;

/// Joins a leader election and a replica. Any component that provides it can be the election.
pub struct LeaderElectionPort;

impl Port for LeaderElectionPort {
    type Indication = Leader;
    type Request = ElectionRequest;
}

/// What a replica tells its election.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ElectionRequest {
    /// The replica's promise has risen (protocol line B5).
    Promised(Ballot),
    /// The replica leads in this ballot, with the promises of a prepare quorum.
    Prepared(Ballot),
    /// The user prefers another leader.
    SetPriority(u32),
    /// Leadership is handed to this server.
    TakeOver,
}

/// What a router indicates to those that receive messages `M`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkIndication<M> {
    /// A message for this server, from a member of the message's configuration.
    Message(M),
    /// The link to a peer was lost and is there again: something may be missing.
    Reconnected(NodeId),
    /// Whether messages of a configuration come and go has changed.
    Admission {
        /// The configuration.
        config_id: ConfigId,
        /// Where this server stands in it.
        admission: Admission,
    },
}

/// Joins the router and those that exchange messages `M` with other servers.
///
/// A request is messages that go out together, in this order: what several of them say in the same
/// words to different receivers is encoded once.
pub struct LinkPort<M>(PhantomData<M>);

impl<M: Clone + Debug + Send + 'static> Port for LinkPort<M> {
    type Indication = LinkIndication<M>;
    type Request = Vec<M>;
}

/// Joins the router and elections.
pub type HeartbeatPort = LinkPort<HeartbeatMessage>;

/// Joins the router and replicas.
pub type PaxosPort = LinkPort<Message>;

/// Joins the router and the component that knows who is who.
pub type IdentityPort = LinkPort<IdentityMessage>;

/// Joins the router and the component that speaks for the whole server.
pub type ServerPort = LinkPort<ServerMail>;

/// What a router sees and no replica wants.
pub struct RouterEventPort;

impl Port for RouterEventPort {
    type Indication = RouterEvent;
    type Request = Never;
}

/// What a router sees and no replica wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RouterEvent {
    /// A known server speaks of a configuration that does not run here: a newer one was missed, or
    /// the sender missed that an older one ended. At most one indication a second and sender.
    UnregisteredConfiguration {
        /// The configuration.
        config_id: ConfigId,
        /// The sender.
        from: NodeId,
    },
    /// A message came from another storage than the one that its sender's pid is bound to: the
    /// sender lost its storage, or two servers have one pid. At most one indication a second and
    /// sender.
    ForeignStorage {
        /// The message's configuration.
        config_id: ConfigId,
        /// The sender.
        from: NodeId,
        /// The storage that it came from.
        presented: StorageId,
    },
}

/// The output of a replica, and its input for those that prefer ports to actor messages.
pub struct DecidedPort;

impl Port for DecidedPort {
    type Indication = ReplicaEvent;
    type Request = ReplicaRequest;
}

/// Chosen by whoever makes a request over a port, and repeated in the answer, which all subscribers
/// see: choose tokens that are unique among them.
pub type Token = u64;

/// What a replica indicates.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReplicaEvent {
    /// Decided entries, in the order of the log, without gaps or repeats.
    Decided(DecidedBatch),
    /// The decided StopSign at `index`: the configuration is over, its log is sealed.
    StopSign {
        /// The configuration that is over.
        config_id: ConfigId,
        /// Its index in the log.
        index: u64,
        /// What comes next.
        stop_sign: Arc<StopSign>,
    },
    /// The replica follows another leader, or none.
    LeaderChanged {
        /// The configuration.
        config_id: ConfigId,
        /// The leader.
        leader: Option<NodeId>,
    },
    /// Where this server stands in the configuration has changed. While it is not
    /// [open](Admission::Open) no message comes or goes, so nothing is decided here; a
    /// [refusal](Admission::Refused) says what to do about it.
    AdmissionChanged {
        /// The configuration.
        config_id: ConfigId,
        /// Where it stands now.
        admission: Admission,
    },
    /// The replica is too far behind for its leader to bring it up, or no longer: see
    /// [`ReplicaSpec::catch_up`](crate::spawn::ReplicaSpec::catch_up).
    Behind {
        /// The configuration.
        config_id: ConfigId,
        /// What it lacks.
        catch_up: Option<CatchUp>,
    },
    /// The replica has halted for good: its storage failed.
    Halted {
        /// The configuration.
        config_id: ConfigId,
        /// Why.
        reason: Arc<Halted>,
    },
    /// The answer to [`ReplicaRequest::Propose`] or [`ReplicaRequest::Reconfigure`].
    Proposed {
        /// The token of the request.
        token: Token,
        /// What became of it.
        result: ProposalResult,
    },
    /// The answer to [`ReplicaRequest::Read`].
    Read {
        /// The token of the request.
        token: Token,
        /// The entries.
        result: Result<ReadBatch, ReadFailure>,
    },
    /// The answer to [`ReplicaRequest::Trim`].
    Trimmed {
        /// The token of the request.
        token: Token,
        /// Whether the log was trimmed.
        result: Result<(), TrimFailure>,
    },
}

/// Contiguous decided payloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedBatch {
    /// The configuration in whose log they are.
    pub config_id: ConfigId,
    /// The index of the first.
    pub first_index: u64,
    /// The payloads.
    pub entries: Arc<[Bytes]>,
}

/// Contiguous decided entries, read on request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBatch {
    /// The configuration in whose log they are.
    pub config_id: ConfigId,
    /// The index of the first.
    pub first_index: u64,
    /// The entries; a StopSign may be the last.
    pub entries: Arc<[Entry]>,
}

/// What is asked of a replica over a port. The answers are [`ReplicaEvent`]s.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReplicaRequest {
    /// Replicate `data`.
    Propose {
        /// Repeated in the answer.
        token: Token,
        /// The payload.
        data: Bytes,
    },
    /// End this configuration and name the next one.
    Reconfigure {
        /// Repeated in the answer.
        token: Token,
        /// The next configuration.
        next: Reconfiguration,
    },
    /// Read decided entries from `from` on, below `to`, as many as one batch may hold.
    Read {
        /// Repeated in the answer.
        token: Token,
        /// The first index.
        from: u64,
        /// The index after the last one wanted.
        to: u64,
    },
    /// Forget the entries below `to`.
    Trim {
        /// Repeated in the answer.
        token: Token,
        /// The first index to keep.
        to: u64,
    },
}

/// What became of a proposal: its index, or that the log was sealed without it, or why it failed.
pub type ProposalResult = Result<ProposalOutcome, ProposalFailure>;

/// Why a proposal has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProposalFailure {
    /// It was refused and will never be decided.
    #[error(transparent)]
    Refused(#[from] ProposeError),
    /// The reconfiguration was refused and will never be decided.
    #[error(transparent)]
    ReconfigurationRefused(#[from] ReconfigureError),
    /// The replica has halted meanwhile; the proposal may or may not be decided by the others.
    #[error("the replica halted before proposal {id} was decided: {reason}")]
    Halted {
        /// The proposal.
        id: ProposalId,
        /// Why the replica halted.
        reason: Halted,
    },
    /// The replica was stopped; a proposal that it had taken may or may not be decided.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why decided entries could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadFailure {
    /// The replica refused.
    #[error(transparent)]
    Refused(#[from] ReadError),
    /// The replica was stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why the log could not be trimmed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TrimFailure {
    /// The replica refused.
    #[error(transparent)]
    Refused(#[from] TrimError),
    /// The replica was stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The replica was stopped, or its system was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the replica was stopped")]
pub struct Stopped;
