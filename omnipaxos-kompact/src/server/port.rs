//! What a server says to its user, and is asked, over a port.

use super::error::{ProposalError, ServerHalted};
use crate::identity::Admission;
use crate::ports::Token;
use bytes::Bytes;
use kompact::prelude::Port;
use omnipaxos_core::configurations::{Configuration, Progress};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::{ConfigId, StopSign};
use std::sync::Arc;

/// The one log of all configurations, and what happens to the server that follows it.
pub struct LogPort;

impl Port for LogPort {
    type Indication = ServerEvent;
    type Request = LogRequest;
}

/// What a server indicates.
///
/// [`Decided`](Self::Decided) and [`StopSign`](Self::StopSign) are one stream: their global indexes
/// follow each other without gaps or repeats, from the index on that the server was started with,
/// through all configurations, and are the same at all servers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ServerEvent {
    /// Decided entries.
    Decided(LogBatch),
    /// The decided entry that ended a configuration.
    StopSign {
        /// Its global index.
        index: u64,
        /// The configuration that is over.
        config_id: ConfigId,
        /// What comes next.
        stop_sign: Arc<StopSign>,
    },
    /// The replica of this configuration runs here: proposals go into it.
    ConfigurationStarted {
        /// The configuration.
        configuration: Arc<Configuration>,
        /// The global index of its index 0.
        base: u64,
    },
    /// The replica of the newest configuration that runs here follows another leader, or none.
    LeaderChanged {
        /// The configuration.
        config_id: ConfigId,
        /// The leader.
        leader: Option<NodeId>,
    },
    /// Where this server stands with the other members of a configuration.
    AdmissionChanged {
        /// The configuration.
        config_id: ConfigId,
        /// Where it stands now.
        admission: Admission,
    },
    /// How far a log that this server lacks has been fetched from the others.
    Migrating {
        /// The configuration whose log it is.
        config_id: ConfigId,
        /// How far.
        progress: Arc<Progress>,
    },
    /// Nobody has records of this log below `below` any more, which this server lacks: it cannot
    /// become a member without a snapshot.
    Trimmed {
        /// The configuration whose log it is.
        config_id: ConfigId,
        /// The end of what is missing.
        below: u64,
    },
    /// The cluster has refused to make this server a member. Another attempt follows where that may
    /// help.
    JoinRefused {
        /// Why.
        reason: crate::wire::JoinRefusal,
    },
    /// The answer to [`LogRequest::Propose`].
    Proposed {
        /// The token of the request.
        token: Token,
        /// The global index of the entry, or why it will never have one.
        result: Result<u64, ProposalError>,
    },
    /// This server is in no configuration any more, and nobody needs it: it may be switched off.
    Retired,
    /// This server has stopped for good.
    Halted {
        /// Why.
        reason: Arc<ServerHalted>,
    },
}

/// Contiguous decided payloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogBatch {
    /// The global index of the first.
    pub index: u64,
    /// The configuration in whose log they are.
    pub config_id: ConfigId,
    /// The index of the first in the log of that configuration.
    pub first_index: u64,
    /// The payloads.
    pub entries: Arc<[Bytes]>,
}

/// What is asked of a server over its port.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LogRequest {
    /// Replicate `data`.
    Propose {
        /// Repeated in the answer; unique among all subscribers.
        token: Token,
        /// The payload.
        data: Bytes,
    },
    /// Everything below this global index was processed: see
    /// [`ServerSpec::pace`](super::ServerSpec::pace).
    Confirm {
        /// The global index.
        index: u64,
    },
}
