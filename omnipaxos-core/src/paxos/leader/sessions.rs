//! The attempts in which a leader has prepared its peers.

use crate::ballot::NodeId;
use crate::paxos::messages::SyncSession;

/// The latest Prepare attempt to each peer. They are few, and asked for with each message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sessions(Vec<(NodeId, SyncSession)>);

impl Sessions {
    /// Attempt `first` to each of `peers`.
    pub(super) fn starting(peers: &[NodeId], first: SyncSession) -> Self {
        Self(peers.iter().map(|peer| (*peer, first)).collect())
    }

    /// The latest attempt to `peer`; 0, which there never is, for anybody else.
    #[inline]
    pub(super) fn of(&self, peer: NodeId) -> SyncSession {
        self.0.iter().find(|(pid, _)| *pid == peer).map_or(0, |(_, s)| *s)
    }

    /// The next attempt to `peer` begins.
    pub(super) fn begin(&mut self, peer: NodeId) {
        if let Some((_, s)) = self.0.iter_mut().find(|(pid, _)| *pid == peer) {
            *s += 1;
        }
    }
}
