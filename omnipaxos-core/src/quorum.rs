//! Quorum sizes, flexible or by majority.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How many servers make a quorum.
///
/// Safety needs only that each prepare quorum meets each accept quorum: `prepare + accept > n`
/// (protocol.md, "flexible quorums"). A majority for both is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Quorum {
    prepare: usize,
    accept: usize,
}

/// Why quorum sizes were refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum QuorumError {
    /// A quorum is 0 or larger than the number of servers.
    #[error("a quorum of {size} servers is impossible among {servers}")]
    Size {
        /// The refused size.
        size: usize,
        /// The servers of the configuration.
        servers: usize,
    },
    /// A prepare quorum and an accept quorum need not meet.
    #[error(
        "prepare quorum {prepare} + accept quorum {accept} must be larger than {servers} servers"
    )]
    Disjoint {
        /// The prepare quorum.
        prepare: usize,
        /// The accept quorum.
        accept: usize,
        /// The servers of the configuration.
        servers: usize,
    },
}

impl Quorum {
    /// A majority of `servers` for both quorums.
    #[must_use]
    pub fn majority(servers: usize) -> Self {
        let half = servers / 2 + 1;
        Self { prepare: half, accept: half }
    }

    /// Flexible quorums among `servers` servers.
    ///
    /// # Errors
    /// [`QuorumError`] when a size is impossible or the two quorums need not meet.
    pub fn flexible(prepare: usize, accept: usize, servers: usize) -> Result<Self, QuorumError> {
        for size in [prepare, accept] {
            if size == 0 || size > servers {
                return Err(QuorumError::Size { size, servers });
            }
        }
        if prepare + accept <= servers {
            return Err(QuorumError::Disjoint { prepare, accept, servers });
        }
        Ok(Self { prepare, accept })
    }

    /// Servers (this one included) whose promise a leader needs, and whose heartbeats a server
    /// needs to be elected.
    #[must_use]
    pub fn prepare(&self) -> usize {
        self.prepare
    }

    /// Servers (this one included) that must accept an entry before it is decided, and whose
    /// heartbeats a leader needs to stay leader.
    #[must_use]
    pub fn accept(&self) -> usize {
        self.accept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn majorities_meet_for_every_size() {
        for servers in 1..=9 {
            let q = Quorum::majority(servers);
            assert!(q.prepare() + q.accept() > servers, "{servers}");
            assert!(q.prepare() <= servers);
        }
    }

    #[test]
    fn flexible_quorums_must_meet() {
        assert!(Quorum::flexible(4, 2, 5).is_ok());
        assert_eq!(
            Quorum::flexible(3, 2, 5),
            Err(QuorumError::Disjoint { prepare: 3, accept: 2, servers: 5 })
        );
        assert_eq!(Quorum::flexible(0, 5, 5), Err(QuorumError::Size { size: 0, servers: 5 }));
        assert_eq!(Quorum::flexible(6, 1, 5), Err(QuorumError::Size { size: 6, servers: 5 }));
    }
}
