//! Why something that was asked of a server, or the server itself, failed.

use crate::identity::StorageId;
use crate::ports::{ProposalFailure, Stopped};
use crate::spawn::SpawnError;
use crate::wire::WireError;
use omnipaxos_core::configurations::{
    BootstrapError, ConfigurationsStartError, Conflict, HistoryError,
};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::paxos::{Halted, ProposeError, ReconfigureError};
use omnipaxos_core::storage::{ConfigId, StorageError};
use std::time::Duration;
use thiserror::Error;

/// Why a server could not be started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServerStartError {
    /// Its routers or its component could not be spawned.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// Its storage cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What its storage says of the configurations cannot be understood.
    #[error("the history on disk: {0}")]
    History(#[source] WireError),
    /// What is on disk does not go together.
    #[error(transparent)]
    Configurations(#[from] ConfigurationsStartError),
    /// There is no such first configuration.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// It was to go on with what is on disk, and there is nothing.
    #[error("there is nothing to resume: bootstrap a cluster, or join one")]
    NothingToResume,
    /// There is no thread for it.
    #[error("no thread: {0}")]
    NoThread(String),
}

/// Why a server stopped for good.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServerHalted {
    /// A replica halted.
    #[error("the replica of configuration {config_id}: {reason}")]
    Replica {
        /// The configuration.
        config_id: ConfigId,
        /// Why.
        #[source]
        reason: Halted,
    },
    /// A replica could not be started or stopped.
    #[error("the replica of configuration {config_id}: {reason}")]
    Spawn {
        /// The configuration.
        config_id: ConfigId,
        /// Why.
        #[source]
        reason: SpawnError,
    },
    /// Its storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Two things that cannot both be true.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A configuration that can be none was decided.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The cluster knows its pid with another storage.
    #[error(
        "server {pid} is known with storage {bound}: bring that storage back, or join under a new \
         pid"
    )]
    OtherStorage {
        /// This server.
        pid: NodeId,
        /// The storage that it is known with.
        bound: StorageId,
    },
    /// A replica did not do in time what it was told.
    #[error("the replica of configuration {0} does not answer")]
    Stuck(ConfigId),
}

/// Why a proposal is not in the log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProposalError {
    /// It was refused, and will never be decided.
    #[error(transparent)]
    Refused(#[from] ProposeError),
    /// This server has halted. The proposal may or may not be decided by the others.
    #[error("the server halted before the proposal was decided")]
    Halted,
    /// This server is no member of the newest configuration. The proposal will never be decided.
    #[error("this server is no member of configuration {config_id}")]
    NotMember {
        /// The newest configuration.
        config_id: ConfigId,
    },
    /// The server was stopped; a proposal that it had taken may or may not be decided.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a change of membership, or of the leader, did not happen.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// This server is no member of the newest configuration: ask another one.
    #[error("this server is no member of the cluster (any more)")]
    NotMember,
    /// Another change that was asked of this server is under way.
    #[error("another change is under way here")]
    UnderWay,
    /// Another server's change came first.
    #[error("configuration {config_id} with the servers {nodes:?} was decided instead")]
    Lost {
        /// The configuration that was decided instead.
        config_id: ConfigId,
        /// Its voters.
        nodes: Vec<NodeId>,
    },
    /// A server that is to be removed, promoted or to lead is no member.
    #[error("server {0} is no member")]
    NoSuchMember(NodeId),
    /// A server that is to be added is a member already, in the same role.
    #[error("server {0} is a member already")]
    MemberAlready(NodeId),
    /// A server that is to lead does not vote.
    #[error("server {0} does not vote")]
    NotVoter(NodeId),
    /// Nobody would be left to vote.
    #[error("server {0} is the last one that votes")]
    LastVoter(NodeId),
    /// Nobody knows where a server is.
    #[error("the address of server {0} is not known")]
    NoAddress(NodeId),
    /// A new server did not say who it is: it does not run, is not reached at its address, or
    /// belongs to another cluster.
    #[error("server {0} does not answer")]
    NoAnswer(NodeId),
    /// A server that is known with one storage has another one.
    #[error("server {pid} is known with storage {bound}, and has storage {presented}")]
    OtherStorage {
        /// The server.
        pid: NodeId,
        /// The storage that it is known with.
        bound: StorageId,
        /// The storage that it has.
        presented: StorageId,
    },
    /// There cannot be such a configuration.
    #[error(transparent)]
    Impossible(#[from] ReconfigureError),
    /// Nothing was decided in time: it may still happen.
    #[error("nothing was decided within {0:?}: the change may still happen")]
    Undecided(Duration),
    /// It was decided, but the new configuration was not ready in time.
    #[error(
        "configuration {config_id} was decided, but not enough of its servers were ready within \
         {patience:?}"
    )]
    NotReady {
        /// The new configuration.
        config_id: ConfigId,
        /// How long that was waited for.
        patience: Duration,
    },
    /// This server's replica failed.
    #[error(transparent)]
    Replica(#[from] ProposalFailure),
    /// The server was stopped, or has halted.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why entries could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LogReadError {
    /// They are not decided, or not here yet.
    #[error("entry {index} is not here yet")]
    NotHere {
        /// The global index that was asked for.
        index: u64,
    },
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The server was stopped, or has halted.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
