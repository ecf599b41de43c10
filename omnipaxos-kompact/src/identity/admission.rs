//! Whether a server takes part in a configuration, and why not.

use super::StorageId;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::StorageError;
use thiserror::Error;

/// Where a server stands in one configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Admission {
    /// Nothing is said or heard until these members and this server know each other.
    Waiting {
        /// The members that have not introduced themselves, or not confirmed to know this server.
        peers: Vec<NodeId>,
    },
    /// It takes part, now and after every restart with its storage.
    Open,
    /// A member knows another storage under this server's pid. While that is so it never takes
    /// part: see [`Refusal`].
    Refused(Refusal),
    /// Whom it knows could not be recorded, so it does not take part.
    Failed(StorageError),
}

/// A member knows this server's pid with another storage: what was promised in its name is
/// forgotten here, so that its vote could undo what was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error(
    "server {by} knows server {pid} with storage {bound}, and this is storage {presented}: what \
     server {pid} promised before is not in it, so it must not vote. Bring the old storage back, \
     or replace this server by a reconfiguration under a new pid"
)]
pub struct Refusal {
    /// This server.
    pub pid: NodeId,
    /// Its storage.
    pub presented: StorageId,
    /// The storage that the other one knows.
    pub bound: StorageId,
    /// Who refused.
    pub by: NodeId,
}

/// Why decided members were not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MembersError {
    /// The configuration has this server with another storage.
    #[error(
        "the configuration has server {pid} with storage {decided}, and this is storage \
         {presented}: bring the old storage back, or replace this server by a reconfiguration \
         under a new pid"
    )]
    OtherStorage {
        /// This server.
        pid: NodeId,
        /// The storage that the configuration names.
        decided: StorageId,
        /// Its storage.
        presented: StorageId,
    },
    /// The configuration has a member with another storage than this server knows.
    #[error(
        "the configuration has server {pid} with storage {decided}, which this server knows with \
         storage {bound}: replace server {pid} by a reconfiguration under a new pid"
    )]
    Conflict {
        /// The member.
        pid: NodeId,
        /// The storage that the configuration names.
        decided: StorageId,
        /// The storage that this server knows.
        bound: StorageId,
    },
    /// The members of a configuration are not its servers.
    #[error("the storages of {members:?} are given for a configuration of {nodes:?}")]
    OtherNodes {
        /// Whose storages are given.
        members: Vec<NodeId>,
        /// The servers of the configuration.
        nodes: Vec<NodeId>,
    },
}
