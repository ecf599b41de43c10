//! Proposals on their way to the leader: own ones, and those that peers cannot get to it.

use super::{Follower, Phase};
use crate::ballot::NodeId;
use crate::paxos::messages::{Body, Propose};
use crate::paxos::replica::Replica;
use crate::storage::{PaxosState, Records, Sequence};

impl Follower {
    /// A proposal that a peer cannot get to the leader itself.
    pub(in crate::paxos) fn on_propose<S: Sequence, P: PaxosState>(
        &self,
        r: &mut Replica<S, P>,
        from: NodeId,
        m: &Propose,
    ) {
        let Some(hops) = m.hops.checked_sub(1) else {
            return;
        };
        if let Some(leader) = self.leader(r.promised())
            && leader != from
        {
            r.send_early(leader, Body::Propose(Propose { proposals: m.proposals.clone(), hops }));
        }
    }

    /// Forwards own proposals to the leader that this server is in sync with.
    pub(super) fn forward<S: Sequence, P: PaxosState>(&self, r: &mut Replica<S, P>) {
        if !r.proposals.is_empty()
            && let Some(leader) = self.leader(r.promised())
            && r.storage.stop_sign().is_none()
        {
            let frames = frames(r);
            send_proposals(r, leader, &frames);
        }
    }

    /// Own proposals that do not enter the log: sent again, to the leader and in turn through
    /// peers, which may reach a leader that this server does not hear.
    pub(super) fn tick_proposals<S: Sequence, P: PaxosState>(&mut self, r: &mut Replica<S, P>) {
        // Out of sync the own tail says nothing about the leader's log: only what is decided does.
        // Nor does it once the leader is silent: its round may be over.
        let synced = matches!(self.phase, Phase::Synced { .. }) && !self.is_silent(r);
        let next = if synced { r.storage.next_of(r.pid) } else { r.storage.next_decided(r.pid) };
        let moved = std::mem::replace(&mut self.stuck_at, next.number) != next.number;
        let ended = synced && r.storage.stop_sign().is_some();
        if moved || !r.proposals.lacks(next) || ended {
            self.stuck = 0;
            return;
        }
        self.stuck = self.stuck.saturating_add(1);
        if self.stuck < r.limits.resend_ticks {
            return;
        }
        self.stuck = 0;
        r.proposals.rewind(next);
        let leader = self.leader(r.promised()).or(self.elected).filter(|pid| *pid != r.pid);
        let relay = self.relay.next(&r.peers).filter(|peer| Some(*peer) != leader);
        let frames = frames(r);
        for to in leader.into_iter().chain(relay) {
            send_proposals(r, to, &frames);
        }
    }
}

/// The own proposals that may go now: those that were not sent since the last loss, as far as the
/// window has room.
fn frames<S: Sequence, P: PaxosState>(r: &mut Replica<S, P>) -> Vec<Records> {
    let (frame, window) = (r.limits.accept_frame_bytes, r.limits.window_bytes);
    std::iter::from_fn(|| r.proposals.forward(frame, window)).collect()
}

fn send_proposals<S: Sequence, P: PaxosState>(
    r: &mut Replica<S, P>,
    to: NodeId,
    frames: &[Records],
) {
    for frame in frames {
        r.send_proposals(to, Body::Propose(Propose { proposals: frame.clone(), hops: 1 }));
    }
}
