//! A leader that may have been left behind (departure P7): somebody has promised a higher round, and
//! too few peers answer for anything to be decided in this one.

use crate::ballot::NodeId;
use crate::paxos::messages::{Body, LearnRequest, Propose};
use crate::paxos::replica::Replica;
use crate::storage::{PaxosState, Sequence};
use std::collections::BTreeSet;

/// Windows of so many keepalives are looked at.
const KEEPALIVES: u32 = 4;

/// Who has answered in this window and in the last one.
///
/// In doubt a leader leads on, because it is the only one who can lead its round and the election may
/// still count on it. But it also does what a follower does that hears no leader: it asks its peers in
/// turn for decided entries, and gives them its proposals. If another round has gone on, D1 takes it
/// there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Doubt {
    answered: BTreeSet<NodeId>,
    ticks: u32,
    in_doubt: bool,
    /// Ticks since a peer was asked, and which one is next.
    waited: u32,
    turn: usize,
}

impl Doubt {
    pub(super) fn answered(&mut self, peer: NodeId) {
        self.answered.insert(peer);
    }

    /// One tick. `refused`: somebody has promised a higher round.
    pub(super) fn tick<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        refused: bool,
        quorum: usize,
    ) {
        self.ticks = self.ticks.saturating_add(1);
        if self.ticks >= r.limits.keepalive_ticks.saturating_mul(KEEPALIVES) {
            self.ticks = 0;
            self.in_doubt = refused && self.answered.len() + 1 < quorum;
            self.answered.clear();
        }
        self.waited = self.waited.saturating_add(1);
        if self.in_doubt && self.waited >= r.limits.resend_ticks {
            self.waited = 0;
            self.ask(r);
        }
    }

    fn ask<S: Sequence, P: PaxosState>(&mut self, r: &mut Replica<S, P>) {
        let Some(at) = self.turn.checked_rem(r.peers.len()) else { return };
        self.turn = at + 1;
        let peer = r.peers[at];
        r.send_early(peer, Body::LearnRequest(LearnRequest { from: r.decided() }));
        // The own tail says nothing about another leader's log: only what is decided does.
        let next = r.storage.next_decided(r.pid);
        let proposals = r.proposals.lacking(next, r.limits.accept_frame_bytes);
        if !proposals.is_empty() {
            r.send_proposals(peer, Body::Propose(Propose { proposals, hops: 1 }));
        }
    }
}
