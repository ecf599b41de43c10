//! What the log holds: entries, StopSigns, and who proposed them.

use crate::ballot::{Leader, NodeId};
use crate::hash::Digest;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Identifies a configuration; each next one is larger by 1.
pub type ConfigId = u64;

/// What each entry costs beyond its payload wherever bytes are limited (frames, windows, caps), so
/// that a frame of empty entries is bounded too.
pub const ENTRY_OVERHEAD: u64 = 16;

/// One entry of the replicated log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Entry {
    /// A client's payload, never looked into.
    Normal(Bytes),
    /// The last entry of a configuration. Boxed: there is one of them, and entries are moved and
    /// kept by the million.
    StopSign(Box<StopSign>),
}

impl Entry {
    /// The entry of a StopSign.
    #[must_use]
    pub fn stop_sign(stop_sign: StopSign) -> Self {
        Entry::StopSign(Box::new(stop_sign))
    }

    /// What this entry counts against limits, in bytes: its payload plus [`ENTRY_OVERHEAD`].
    #[must_use]
    #[inline]
    pub fn cost(&self) -> u64 {
        ENTRY_OVERHEAD
            + match self {
                Entry::Normal(data) => data.len() as u64,
                Entry::StopSign(ss) => {
                    let digest = ss.digest.map_or(0, |digest| digest.0.len());
                    let metadata = ss.metadata.as_ref().map_or(0, Bytes::len);
                    8 * (ss.nodes.len() + ss.learners.len()) as u64 + (digest + metadata) as u64
                }
            }
    }

    /// Whether this is a StopSign.
    #[must_use]
    #[inline]
    pub fn is_stop_sign(&self) -> bool {
        matches!(self, Entry::StopSign(_))
    }
}

impl<T: Into<Bytes>> From<T> for Entry {
    fn from(data: T) -> Self {
        Entry::Normal(data.into())
    }
}

/// Ends a configuration and names the next one (protocol line C1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StopSign {
    /// The next configuration.
    pub config_id: ConfigId,
    /// The servers of the next configuration that vote.
    pub nodes: Vec<NodeId>,
    /// Its servers that get the log and do not vote.
    pub learners: Vec<NodeId>,
    /// Whatever the proposer wants the next configuration to know, for instance addresses.
    pub metadata: Option<Bytes>,
    /// The chained digest of everything before this entry, as [`crate::digest::Anchor`] has it:
    /// with the StopSign's index it is the root of trust of a migration. The leader that appends
    /// the StopSign fills it in; `None` where it has trimmed its log without digests.
    pub digest: Option<Digest>,
    /// The leader that the next configuration starts with, without an election and a Prepare phase
    /// (C5); `None` when the next configuration elects its own.
    pub skip_prepare_use_leader: Option<Leader>,
}

/// Identifies a proposal: number `number` of session `session` of server `proposer`.
///
/// Numbers start at 1 in each session; a session is one opening of the proposer's storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProposalId {
    /// The server that proposed.
    pub proposer: NodeId,
    /// Counts the openings of the proposer's storage, from 1.
    pub session: u64,
    /// Counts the proposals of the session, from 1.
    pub number: u64,
}

impl fmt::Display for ProposalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.proposer, self.session, self.number)
    }
}
