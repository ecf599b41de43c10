//! Ballots and leaders: the two types that leader election and Sequence Paxos share.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Identifies a server for its whole life. Never 0, never used again by another server.
pub type NodeId = u64;

/// A ballot: totally ordered, unique per server, and the round number of Sequence Paxos.
///
/// The order compares `n`, then `priority`, then `pid`; equality and order agree because both are
/// derived from the same fields in the same order. `Ballot::default()` lies below each ballot that
/// a server can own.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Ballot {
    /// Counts the elections.
    pub n: u64,
    /// Orders the candidates of one election: the highest wins.
    pub priority: u32,
    /// The server that owns this ballot; breaks ties. 0 only in the default ballot.
    pub pid: NodeId,
}

impl Ballot {
    /// A ballot of server `pid`.
    #[must_use]
    pub fn new(n: u64, priority: u32, pid: NodeId) -> Self {
        Self { n, priority, pid }
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}@{}", self.n, self.priority, self.pid)
    }
}

/// The leader event `Leader(ballot)` (protocol line B2): server `ballot.pid` was elected in
/// `ballot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Leader {
    /// The ballot in which the server was elected.
    pub ballot: Ballot,
}

impl Leader {
    /// The leader event for `ballot`.
    #[must_use]
    pub fn new(ballot: Ballot) -> Self {
        Self { ballot }
    }

    /// The server that leads.
    #[must_use]
    pub fn pid(&self) -> NodeId {
        self.ballot.pid
    }
}
