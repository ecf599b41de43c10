//! One pass over the peers: all that the decisions of B2 rest on.

use super::peer::Peer;
use crate::ballot::{Ballot, NodeId};

/// Orders the servers that could stand: the highest priority is preferred, then the highest pid.
pub(super) type Rank = (u32, NodeId);

/// What the connected peers say. Built anew for each decision, on the stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// Connected servers whose replicas vote, this one included.
    pub(super) connected: usize,
    /// The highest ballot in which a quorum-connected peer says that it leads: the highest
    /// candidate.
    pub(super) candidate: Option<Ballot>,
    /// The highest leader that a peer hears first-hand.
    pub(super) heard: Option<Ballot>,
    /// The highest leader that a peer follows, alive or not: it follows none below.
    pub(super) followed: Ballot,
    /// Quorum-connected peers that do not stand and that are preferred to this server.
    pub(super) preferred: u64,
    /// Each peer is connected and quorum-connected: nothing more is to be learned by waiting.
    pub(super) complete: bool,
}

impl View {
    /// What a server of rank `own` sees at tick `now`.
    pub(super) fn of(peers: &[Peer], own: Rank, now: u64, window: u64) -> Self {
        let mut view = Self {
            connected: 1,
            candidate: None,
            heard: None,
            followed: Ballot::default(),
            preferred: 0,
            complete: true,
        };
        for peer in peers {
            let Some(status) = peer.connected(now, window) else {
                view.complete = false;
                continue;
            };
            view.connected += usize::from(status.votes);
            view.complete &= status.quorum_connected;
            view.followed = view.followed.max(status.leader);
            if status.hears_leader {
                view.heard = view.heard.max(Some(status.leader));
            }
            if status.quorum_connected && status.stands() {
                view.candidate = view.candidate.max(Some(status.ballot));
            } else if status.quorum_connected {
                view.preferred += u64::from((status.ballot.priority, peer.pid) > own);
            }
        }
        view
    }
}
