//! What a server needs to be started.

use super::store::ServerStorage;
use crate::config::OmniPaxosConfig;
use omnipaxos_core::configurations::Role;
use omnipaxos_core::leader_election::NodeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// How a server that has nothing on disk yet comes into a cluster. One that has goes on with that,
/// whatever is said here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// It is one of the first servers of a new cluster. The same at each of them.
    Bootstrap {
        /// All of them, this one included, and where they are reached.
        servers: BTreeMap<NodeId, SocketAddr>,
    },
    /// It joins a cluster.
    Join {
        /// Where any server of the cluster is reached.
        contact: SocketAddr,
        /// What it wants to be; `None` where it waits until somebody adds it.
        role: Option<Role>,
    },
    /// It must have something on disk.
    Resume,
}

/// A server: who it is, where it keeps what it must not forget, and how it starts.
#[derive(Debug)]
pub struct ServerSpec<E> {
    pub(super) pid: NodeId,
    pub(super) config: OmniPaxosConfig,
    pub(super) storage: E,
    pub(super) start: Start,
    pub(super) advertise: Option<SocketAddr>,
    pub(super) located: BTreeMap<NodeId, SocketAddr>,
    pub(super) deliver_from: u64,
    pub(super) pace: Option<u64>,
    pub(super) serves: bool,
}

impl<E: ServerStorage> ServerSpec<E> {
    /// Server `pid` over `storage`, with the settings of its cluster.
    #[must_use]
    pub fn new(pid: NodeId, config: OmniPaxosConfig, storage: E, start: Start) -> Self {
        Self {
            pid,
            config,
            storage,
            start,
            advertise: None,
            located: BTreeMap::new(),
            deliver_from: 0,
            pace: None,
            serves: true,
        }
    }

    /// The only server of a new cluster, to which others can be added.
    #[must_use]
    pub fn bootstrap(pid: NodeId, config: OmniPaxosConfig, storage: E) -> Self {
        Self::new(pid, config, storage, Start::Bootstrap { servers: BTreeMap::new() })
    }

    /// A voter that joins the cluster of the server at `contact`.
    #[must_use]
    pub fn join(pid: NodeId, config: OmniPaxosConfig, storage: E, contact: SocketAddr) -> Self {
        let role = Some(Role::Voter);
        Self::new(pid, config, storage, Start::Join { contact, role })
    }

    /// Where the others reach this server, if that is not where it listens.
    #[must_use]
    pub fn advertise(mut self, address: SocketAddr) -> Self {
        self.advertise = Some(address);
        self
    }

    /// Where another server is now. Needed only where all servers that this one knows have moved
    /// while it was down: one that is found tells of itself, and so do they.
    #[must_use]
    pub fn locate(mut self, pid: NodeId, address: SocketAddr) -> Self {
        self.located.insert(pid, address);
        self
    }

    /// The global index from which the log is indicated: how far the user had come when it was
    /// stopped. Otherwise all of it is.
    #[must_use]
    pub fn deliver_from(mut self, index: u64) -> Self {
        self.deliver_from = index;
        self
    }

    /// Indicates at most so many bytes of entries that were not
    /// [confirmed](super::LogRequest::Confirm). Without it the log is indicated as fast as it can
    /// be read, and what the user does not process in time waits in memory.
    #[must_use]
    pub fn pace(mut self, bytes: u64) -> Self {
        self.pace = Some(bytes);
        self
    }

    /// Refuses to serve records to servers that lack them, so that this one's uplink is never spent
    /// on others' migrations: whoever lacks something fetches it from the other members. Where all
    /// of them refuse nobody can join, and a member that is far behind waits.
    #[must_use]
    pub fn serve_nothing(mut self) -> Self {
        self.serves = false;
        self
    }
}
