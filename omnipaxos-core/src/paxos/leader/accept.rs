//! Phase Accept: synchronised followers, the pipeline to each of them, and what is decided (L3-L5).

use super::Promised;
use super::prepare::Adopted;
use super::sessions::Sessions;
use crate::ballot::{Ballot, NodeId};
use crate::paxos::flow::Flow;
use crate::paxos::messages::{
    Accept, AcceptSync, Accepted, Body, Decide, SyncRequest, SyncSession,
};
use crate::paxos::replica::{Fault, Replica};
use crate::storage::{PaxosState, Records, Sequence};
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// What a leader with a prepare quorum knows of its peers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Progress {
    adopted: Adopted,
    /// In the order of their pids.
    peers: Vec<Peer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Peer {
    pid: NodeId,
    /// Its acceptance counts.
    votes: bool,
    link: Link,
    /// How much of the log the peer has accepted in this round. Only grows.
    accepted: Option<u64>,
    /// What the peer has decided durably.
    decided: u64,
    /// The decided index that it was last told.
    told: u64,
    /// Ticks since it last reported something new, or was sent something again.
    waited: u32,
    /// Ticks since something was sent to it.
    quiet: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Link {
    /// It has not promised this round, or lost its session.
    Unpromised,
    /// It has promised a higher round (R4).
    Refused,
    /// It fetches an AcceptSync, part by part.
    Syncing,
    /// Its log follows this one.
    Synced(Flow),
}

impl Progress {
    pub(super) fn new<S: Sequence, P: PaxosState>(
        r: &Replica<S, P>,
        adopted: Adopted,
        refused: &BTreeSet<NodeId>,
    ) -> Self {
        let peer = |pid: &NodeId| Peer {
            pid: *pid,
            votes: r.is_voter(*pid),
            link: if refused.contains(pid) { Link::Refused } else { Link::Unpromised },
            accepted: None,
            decided: 0,
            told: 0,
            waited: 0,
            quiet: 0,
        };
        Self { adopted, peers: r.peers.iter().map(peer).collect() }
    }

    /// C5: all peers are in sync, with an empty log.
    pub(super) fn continued<S: Sequence, P: PaxosState>(
        r: &Replica<S, P>,
        adopted: Adopted,
    ) -> Self {
        let mut progress = Self::new(r, adopted, &BTreeSet::new());
        for peer in &mut progress.peers {
            peer.link = Link::Synced(Flow::after_sync(0, 0, 0));
        }
        progress
    }

    fn peer(&self, pid: NodeId) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.pid == pid)
    }

    #[inline]
    fn peer_mut(&mut self, pid: NodeId) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.pid == pid)
    }

    pub(super) fn forget(&mut self, peer: NodeId) {
        if let Some(peer) = self.peer_mut(peer) {
            peer.link = Link::Unpromised;
            peer.waited = 0;
        }
    }

    /// Whether some peer has promised a higher round.
    pub(super) fn any_refused(&self) -> bool {
        self.peers.iter().any(|peer| peer.link == Link::Refused)
    }

    /// Whether `peer` has promised a higher round.
    pub(super) fn has_refused(&self, peer: NodeId) -> bool {
        self.peer(peer).is_some_and(|peer| peer.link == Link::Refused)
    }

    /// Records a refusal.
    pub(super) fn refused(&mut self, peer: NodeId) {
        if let Some(peer) = self.peer_mut(peer) {
            peer.link = Link::Refused;
        }
    }

    /// Whether `promised` comes from before what `peer` has confirmed in the same attempt: with
    /// that it had accepted round `n`, in which its log never shrinks.
    pub(super) fn is_late(&self, peer: NodeId, promised: &Promised, n: Ballot) -> bool {
        match self.peer(peer).map(|peer| &peer.link) {
            Some(Link::Synced(flow)) if flow.confirmed() => {
                promised.accepted_round < n || promised.len < flow.acked()
            }
            _ => false,
        }
    }

    /// The link to `peer` was lost: what was on its way may be gone. `false` if it has to be
    /// prepared.
    pub(super) fn resume(&mut self, peer: NodeId) -> bool {
        let Some(peer) = self.peer_mut(peer) else {
            return true;
        };
        if let Link::Synced(flow) = &mut peer.link {
            if flow.waits() {
                flow.rewind();
            }
            // The next tick asks it where it is.
            peer.waited = u32::MAX;
        }
        peer.link != Link::Unpromised
    }

    /// L2, L3: brings a promised follower to this log. `at` is how far its own log can be trusted.
    pub(super) fn synchronise<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        n: Ballot,
        s: SyncSession,
        to: NodeId,
        promised: &Promised,
    ) -> Result<(), Fault> {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.pid == to) else {
            return Ok(());
        };
        let end = r.storage.end_index();
        let accepted = promised.accepted_round == n;
        // What is decided in a round up to n is in this log, and what n accepted came from it.
        if promised.decided > end || (accepted && promised.len > end) {
            return Err(Fault::Impossible("a Promise beyond the leader's log"));
        }
        let at = if accepted {
            promised.len
        } else if promised.accepted_round == self.adopted.round {
            promised.len.min(self.adopted.len).max(promised.decided)
        } else {
            promised.decided
        };
        peer.waited = 0;
        if at < r.storage.first_index() {
            // It has to learn the trimmed prefix first (D1); then its promise says so.
            peer.link = Link::Unpromised;
            return Ok(());
        }
        let suffix = r.storage.read(at, end, r.limits.sync_chunk_bytes)?;
        peer.link = if at + suffix.len() == end {
            Link::Synced(Flow::after_sync(at, end, suffix.cost()))
        } else {
            Link::Syncing
        };
        peer.told = r.decided();
        peer.quiet = 0;
        let sync = AcceptSync { n, s, first: true, start: at, suffix, end, decided: r.decided() };
        r.send_early(to, Body::AcceptSync(Box::new(sync)));
        Ok(())
    }

    /// The next part of an AcceptSync.
    pub(super) fn continue_sync<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        to: NodeId,
        m: &SyncRequest,
    ) -> Result<(), Fault> {
        let Some(peer) = self.peer_mut(to) else {
            return Ok(());
        };
        match &peer.link {
            Link::Syncing => {}
            // A late duplicate made it fetch an AcceptSync although the last one was in one part.
            Link::Synced(flow) if !flow.confirmed() => peer.link = Link::Syncing,
            _ => return Ok(()),
        }
        // It may have learned more (D1) than the log held when this attempt was first answered.
        let end = r.storage.end_index();
        if m.from < r.storage.first_index() || m.from > end {
            return Err(Fault::Impossible("a SyncRequest outside the log"));
        }
        let suffix = r.storage.read(m.from, end, r.limits.sync_chunk_bytes)?;
        let decided = r.decided();
        peer.waited = 0;
        peer.quiet = 0;
        peer.told = decided;
        let sync = AcceptSync { n: m.n, s: m.s, first: false, start: m.from, suffix, end, decided };
        r.send_early(to, Body::AcceptSync(Box::new(sync)));
        Ok(())
    }

    /// L5, the record of one peer. `false` when it is not synchronised.
    #[inline]
    pub(super) fn accepted(&mut self, from: NodeId, m: &Accepted) -> bool {
        let Some(peer) = self.peer_mut(from) else {
            return false;
        };
        let mut news = m.decided > peer.decided;
        match &mut peer.link {
            Link::Synced(flow) => news |= flow.confirm(m.len, m.gap),
            Link::Syncing => {
                let mut flow = Flow::after_sync(m.len, m.len, 0);
                news |= flow.confirm(m.len, m.gap);
                peer.link = Link::Synced(flow);
            }
            Link::Unpromised | Link::Refused => return false,
        }
        peer.decided = peer.decided.max(m.decided);
        peer.accepted = peer.accepted.max(Some(m.len));
        if news {
            peer.waited = 0;
        }
        true
    }

    /// L5: decides what an accept quorum has durably accepted in round `n`, this server among them
    /// or not. Its own acceptance counts once it is durable, like everybody's.
    #[inline]
    pub(super) fn decide<S: Sequence, P: PaxosState>(&self, r: &mut Replica<S, P>, n: Ballot) {
        let durable = r.storage.flushes().durable();
        let (own, mut by_all) = (durable.end, durable.decided);
        let decided = r.decided();
        let mut more: SmallVec<[u64; 16]> = SmallVec::new();
        if own > decided && durable.accepted_round == n {
            more.push(own);
        }
        for peer in &self.peers {
            by_all = by_all.min(peer.decided);
            if let Some(len) = peer.accepted
                && len > decided
                && peer.votes
            {
                more.push(len);
            }
        }
        let quorum = r.quorum.accept();
        if more.len() >= quorum {
            more.sort_unstable_by_key(|len| Reverse(*len));
            // As many servers as make a quorum have accepted this much.
            if let Some(chosen) = more.get(quorum.saturating_sub(1)) {
                r.decide(*chosen, n);
            }
        }
        r.decided_by_all = r.decided_by_all.max(by_all);
    }

    /// L4, L5: fills the windows, and tells the decided index where no Accept does.
    #[inline]
    pub(super) fn send<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        n: Ballot,
        sessions: &Sessions,
    ) -> Result<(), Fault> {
        let (end, decided, decided_by_all) = (r.storage.end_index(), r.decided(), r.decided_by_all);
        // Followers in step get the same frames: each is read once.
        let mut frames: SmallVec<[(u64, Records); 2]> = SmallVec::new();
        let mut left = self.peers.len();
        for peer in &mut self.peers {
            let to = peer.pid;
            left -= 1;
            let Link::Synced(flow) = &mut peer.link else {
                continue;
            };
            if flow.next() >= end && peer.told >= decided {
                continue;
            }
            let s = sessions.of(to);
            while flow.next() < end && flow.may_send(r.limits.window_bytes) {
                let start = flow.next();
                let known = frames.iter().position(|(at, _)| *at == start);
                let entries = match known {
                    Some(at) if left == 0 => frames.swap_remove(at).1,
                    Some(at) => frames[at].1.clone(),
                    None => {
                        let frame = r.storage.read(start, end, r.limits.accept_frame_bytes)?;
                        if left > 0 {
                            frames.push((start, frame.clone()));
                        }
                        frame
                    }
                };
                flow.sent(start + entries.len(), entries.cost());
                peer.told = decided;
                peer.quiet = 0;
                r.send_early_with(to, || {
                    Body::Accept(Accept { n, s, start, entries, decided, decided_by_all })
                });
            }
            if peer.told < decided {
                peer.told = decided;
                peer.quiet = 0;
                r.send_early_with(to, || {
                    Body::Decide(Decide { n, s, decided, decided_by_all, answer: false })
                });
            }
        }
        Ok(())
    }

    /// One tick. Returns the peers that are to be prepared again.
    pub(super) fn tick<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        n: Ballot,
        sessions: &Sessions,
    ) -> Vec<NodeId> {
        let (decided, decided_by_all) = (r.decided(), r.decided_by_all);
        // Once somebody has refused, the others are asked whether they still follow (P7).
        let asks = self.any_refused();
        let mut unpromised = Vec::new();
        for peer in &mut self.peers {
            let to = peer.pid;
            peer.waited = peer.waited.saturating_add(1);
            peer.quiet = peer.quiet.saturating_add(1);
            let due = peer.waited >= r.limits.resend_ticks;
            let answer = match &mut peer.link {
                Link::Unpromised if due => {
                    peer.waited = 0;
                    unpromised.push(to);
                    continue;
                }
                Link::Synced(flow) => {
                    let repair =
                        due && (flow.waits() || !flow.confirmed() || peer.decided < decided);
                    if repair {
                        // What was on its way is lost, or its Accepted is.
                        peer.waited = 0;
                        if flow.waits() {
                            flow.rewind();
                        }
                    }
                    repair
                }
                // A follower fetches the parts itself, but its Accepted may be lost.
                Link::Syncing if due => {
                    peer.waited = 0;
                    true
                }
                _ => continue,
            };
            if answer || peer.quiet >= r.limits.keepalive_ticks {
                peer.quiet = 0;
                let s = sessions.of(to);
                let answer = answer || asks;
                let decide = Decide { n, s, decided, decided_by_all, answer };
                r.send_early(to, Body::Decide(decide));
            }
        }
        unpromised
    }
}
