//! What a caller can set about an election, and why it cannot start.

use crate::ballot::{Ballot, NodeId};
use crate::quorum::{Quorum, QuorumError};
use thiserror::Error;

/// Timeouts and preferences of a server's election.
///
/// ```
/// use omnipaxos_core::leader_election::ElectionConfig;
/// let mut config = ElectionConfig::default();
/// config.timeout_ticks = 20;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ElectionConfig {
    /// Ticks of one election timeout: a server is connected while it has answered a request that
    /// was sent within the last so many ticks. At least 1; longer than a heartbeat and its answer
    /// take.
    pub timeout_ticks: u32,
    /// Ticks between two heartbeat rounds (B1), at least 1 and at most `timeout_ticks`; a fifth of
    /// the timeout when `None`. A timeout should span the round trip and at least one round more.
    pub heartbeat_ticks: Option<u32>,
    /// The server with the highest priority is preferred as leader.
    pub priority: u32,
    /// Quorum sizes; a majority of the servers when `None`.
    pub quorum: Option<Quorum>,
    /// The promise that the replica's storage holds at start; default ballot for a new one.
    pub promised: Ballot,
    /// The ballot of the leader with which this configuration continues the one before (C5): `L`
    /// starts there. Its owner stands in it, so it must set this only where its replica leads in
    /// that ballot from its start, which is known right after the replica was created; the others
    /// may leave it to `promised`.
    pub continued: Option<Ballot>,
}

impl Default for ElectionConfig {
    fn default() -> Self {
        Self {
            timeout_ticks: 10,
            heartbeat_ticks: None,
            priority: 0,
            quorum: None,
            promised: Ballot::default(),
            continued: None,
        }
    }
}

/// Why an election cannot start.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ElectionError {
    /// A pid is 0.
    #[error("pid 0 is no server")]
    PidZero,
    /// A peer is named twice, or the server itself is among its peers.
    #[error("server {0} is named twice")]
    DuplicatePid(NodeId),
    /// A number of ticks that must be at least 1 is 0.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// Heartbeats are rarer than timeouts: each server would be taken for dead between two of
    /// them.
    #[error(
        "a heartbeat each {heartbeat_ticks} ticks is too rare for {timeout_ticks} ticks timeout"
    )]
    RareHeartbeats {
        /// The refused distance between two rounds.
        heartbeat_ticks: u32,
        /// The election timeout.
        timeout_ticks: u32,
    },
    /// Impossible quorum sizes.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
}

impl ElectionConfig {
    /// Ticks between two heartbeat rounds.
    ///
    /// # Errors
    /// [`ElectionError`] when a number of ticks is 0, or a round takes longer than a timeout.
    pub(super) fn checked_heartbeat_ticks(&self) -> Result<u32, ElectionError> {
        if self.timeout_ticks == 0 {
            return Err(ElectionError::Zero("timeout_ticks"));
        }
        match self.heartbeat_ticks {
            None => Ok((self.timeout_ticks / 5).max(1)),
            Some(0) => Err(ElectionError::Zero("heartbeat_ticks")),
            Some(heartbeat_ticks) if heartbeat_ticks > self.timeout_ticks => {
                Err(ElectionError::RareHeartbeats {
                    heartbeat_ticks,
                    timeout_ticks: self.timeout_ticks,
                })
            }
            Some(ticks) => Ok(ticks),
        }
    }

    /// The quorum sizes among `servers` servers.
    ///
    /// # Errors
    /// [`QuorumError`] when the configured sizes are impossible or need not meet.
    pub(super) fn checked_quorum(&self, servers: usize) -> Result<Quorum, QuorumError> {
        match self.quorum {
            None => Ok(Quorum::majority(servers)),
            Some(quorum) => Quorum::flexible(quorum.prepare(), quorum.accept(), servers),
        }
    }
}

/// The peers in the order of their pids.
///
/// # Errors
/// [`ElectionError`] when a pid is 0 or named twice; `pid` must not be among `peers`.
pub(super) fn checked_peers(
    pid: NodeId,
    mut peers: Vec<NodeId>,
) -> Result<Vec<NodeId>, ElectionError> {
    if pid == 0 || peers.contains(&0) {
        return Err(ElectionError::PidZero);
    }
    if peers.contains(&pid) {
        return Err(ElectionError::DuplicatePid(pid));
    }
    peers.sort_unstable();
    for pair in peers.windows(2) {
        if pair[0] == pair[1] {
            return Err(ElectionError::DuplicatePid(pair[0]));
        }
    }
    Ok(peers)
}
