//! The leader's half of Sequence Paxos: L1-L5.
//!
//! Architecture invariant: nothing here knows the follower's half; the two meet in `paxos/mod.rs`
//! and `paxos/dispatch.rs`.

mod accept;
mod barrier;
mod early;
mod prepare;
mod sessions;

use super::messages::{Accepted, Body, Prepare, Promise, Propose, SyncRequest, SyncSession};
use super::replica::{Fault, Replica};
use crate::ballot::{Ballot, NodeId};
use crate::storage::{FlushId, PaxosState, Records, Sequence};
use accept::Progress;
use barrier::Barrier;
use early::Early;
use prepare::{Adopted, Promises};
use sessions::Sessions;
use std::collections::{BTreeMap, BTreeSet};

/// What a leader knows of its round. All of it is volatile: no ballot is led twice, because its
/// promise is durable before the first Prepare leaves, and L1 wants a ballot above the promise.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leading {
    n: Ballot,
    sessions: Sessions,
    /// The flush that makes this round durable here: no Accept leaves before.
    own: FlushId,
    /// The latest question of each suspect peer: what it said before is forgotten (S2).
    losses: BTreeMap<NodeId, u64>,
    phase: Phase,
    /// Proposals that wait for those before them.
    early: Early,
    /// A StopSign that waits for the digest of what lies before it.
    barrier: Option<Barrier>,
    /// Who has answered lately, and for how many ticks that was counted (P7).
    answered: BTreeSet<NodeId>,
    counted: u32,
    /// The highest round that a refusal named.
    refused_for: Ballot,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Prepare(Promises),
    Accept(Progress),
}

/// Whether this server leads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Leads {
    Yes,
    /// So many peers have promised higher rounds that nothing can be decided in this one any more.
    No,
}

/// What a peer promised.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Promised {
    accepted_round: Ballot,
    len: u64,
    decided: u64,
    decided_round: Ballot,
    start: u64,
    suffix: Records,
    /// It is in the prepare quorum: not that of a learner, or a suspect peer (S3).
    counts: bool,
}

impl Leading {
    /// L1: `n` is a ballot of this server above everything it has promised.
    pub(super) fn start<S: Sequence, P: PaxosState>(r: &mut Replica<S, P>, n: Ballot) -> Self {
        r.storage.promise(n);
        // A ballot whose promise was lost before anybody else gave one may come again (S4): answers
        // to its earlier attempts are told apart.
        let first = (r.storage.state().suspect_session << 32) + 1;
        let promises = Promises::new(r.storage.flushes().covering_now());
        let leading = Self::new(r, n, first, Phase::Prepare(promises));
        for at in 0..r.peers.len() {
            leading.send_prepare(r, r.peers[at], None);
        }
        leading
    }

    /// C5: the log is empty at each member, and all of them have promised and accepted `n`, which
    /// this server has never led before.
    pub(super) fn continued<S: Sequence, P: PaxosState>(
        r: &Replica<S, P>,
        n: Ballot,
        s: SyncSession,
    ) -> Self {
        let adopted = Adopted { round: n, len: 0 };
        Self::new(r, n, s, Phase::Accept(Progress::continued(r, adopted)))
    }

    fn new<S: Sequence, P: PaxosState>(
        r: &Replica<S, P>,
        n: Ballot,
        first: SyncSession,
        phase: Phase,
    ) -> Self {
        Self {
            n,
            sessions: Sessions::starting(&r.peers, first),
            own: r.storage.flushes().covering_now(),
            losses: BTreeMap::new(),
            phase,
            early: Early::default(),
            barrier: None,
            answered: BTreeSet::new(),
            counted: 0,
            refused_for: n,
        }
    }

    pub(super) fn ballot(&self) -> Ballot {
        self.n
    }

    /// Whether a prepare quorum has promised: proposals enter the log at once.
    pub(super) fn accepts(&self) -> bool {
        matches!(self.phase, Phase::Accept(_))
    }

    fn send_prepare<S: Sequence, P: PaxosState>(
        &self,
        r: &mut Replica<S, P>,
        to: NodeId,
        suffix_from: Option<u64>,
    ) {
        let prepare = Prepare {
            n: self.n,
            s: self.sessions.of(to),
            accepted_round: r.storage.state().accepted_round,
            len: r.storage.end_index(),
            decided: r.decided(),
            suffix_from,
        };
        r.send_durable(to, Body::Prepare(Box::new(prepare)));
    }

    /// A new attempt to bring `peer` into this round.
    fn prepare_again<S: Sequence, P: PaxosState>(&mut self, r: &mut Replica<S, P>, peer: NodeId) {
        self.begin_attempt(peer);
        self.prepare(r, peer);
    }

    /// Sends the Prepare of the present attempt.
    pub(super) fn prepare<S: Sequence, P: PaxosState>(&self, r: &mut Replica<S, P>, peer: NodeId) {
        self.send_prepare(r, peer, None);
    }

    fn begin_attempt(&mut self, peer: NodeId) {
        self.sessions.begin(peer);
        match &mut self.phase {
            Phase::Prepare(promises) => promises.forget(peer),
            Phase::Accept(progress) => progress.forget(peer),
        }
    }

    /// S2: an attempt that was begun after `peer` had lost a flush, and whether it is a new one.
    pub(super) fn attempt_after_loss(&mut self, peer: NodeId, nonce: u64) -> (SyncSession, bool) {
        let known = self.losses.get(&peer).copied();
        let new = known.is_none_or(|known| known < nonce);
        if new {
            self.losses.insert(peer, nonce);
            self.begin_attempt(peer);
        }
        (self.sessions.of(peer), new)
    }

    #[inline]
    fn is_current(&self, from: NodeId, n: Ballot, s: SyncSession) -> bool {
        n == self.n && self.sessions.of(from) == s
    }

    /// L2, L3.
    pub(super) fn on_promise<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        from: NodeId,
        m: &Promise,
    ) -> Result<(), Fault> {
        if !self.is_current(from, m.n, m.s) {
            return Ok(());
        }
        let consistent = m.decided <= m.len
            && m.accepted_round <= m.n
            && m.decided_round <= m.n
            && m.start.checked_add(m.suffix.len()).is_some_and(|to| to <= m.len);
        if !consistent {
            return Err(Fault::Impossible("a Promise that contradicts itself"));
        }
        let promised = Promised {
            accepted_round: m.accepted_round,
            len: m.len,
            decided: m.decided,
            decided_round: m.decided_round,
            start: m.start,
            suffix: m.suffix.clone(),
            counts: !m.recovering && r.is_voter(from),
        };
        let answered = promised.counts;
        let handled = match &mut self.phase {
            Phase::Prepare(promises) => {
                promises.insert(from, promised);
                self.adopt(r)
            }
            Phase::Accept(progress) => {
                if progress.is_late(from, &promised, self.n) {
                    return Ok(());
                }
                // It may have lost the attempt that it confirmed before. A new attempt for each
                // Promise would have no end where everything is delivered twice.
                progress.synchronise(r, self.n, m.s, from, &promised)
            }
        };
        if handled.is_ok() && answered {
            self.answered.insert(from);
        }
        handled
    }

    /// L2: adopts the best log that a prepare quorum shows, as soon as all of it is here.
    fn adopt<S: Sequence, P: PaxosState>(&mut self, r: &mut Replica<S, P>) -> Result<(), Fault> {
        let Phase::Prepare(promises) = &mut self.phase else {
            return Ok(());
        };
        if !promises.have_quorum(r) {
            return Ok(());
        }
        if let Some((peer, from)) = promises.fetch(r)? {
            self.send_prepare(r, peer, from);
            return Ok(());
        }
        if !promises.complete(r) {
            return Ok(());
        }
        let adopted = promises.adopt(r)?;
        let (promises, refused) = promises.take();
        r.storage.accept_round(self.n);
        let mut progress = Progress::new(r, adopted, &refused);
        for (peer, promised) in &promises {
            let s = self.sessions.of(*peer);
            progress.synchronise(r, self.n, s, *peer, promised)?;
        }
        self.phase = Phase::Accept(progress);
        Ok(())
    }

    pub(super) fn on_sync_request<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        from: NodeId,
        m: &SyncRequest,
    ) -> Result<(), Fault> {
        match &mut self.phase {
            Phase::Accept(progress) if self.sessions.of(from) == m.s && m.n == self.n => {
                progress.continue_sync(r, from, m)
            }
            _ => Ok(()),
        }
    }

    /// L5.
    #[inline]
    pub(super) fn on_accepted<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        from: NodeId,
        m: &Accepted,
    ) -> Result<(), Fault> {
        if !self.is_current(from, m.n, m.s) {
            return Ok(());
        }
        if m.len > r.storage.end_index() || m.decided > m.len {
            return Err(Fault::Impossible("an Accepted beyond the leader's log"));
        }
        if let Phase::Accept(progress) = &mut self.phase {
            if progress.accepted(from, m) && r.is_voter(from) {
                self.answered.insert(from);
            }
            progress.decide(r, self.n);
        }
        Ok(())
    }

    /// R4: `from` has promised a higher round. It is left alone from now on.
    pub(super) fn on_refused<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        from: NodeId,
        promised: Ballot,
    ) -> Leads {
        if r.is_voter(promised.pid) {
            self.refused_for = self.refused_for.max(promised);
        }
        match &mut self.phase {
            Phase::Prepare(promises) => promises.refused(from),
            Phase::Accept(progress) => progress.refused(from),
        }
        let refuses = |peer: &&NodeId| match &self.phase {
            Phase::Prepare(promises) => promises.has_refused(**peer),
            Phase::Accept(progress) => progress.has_refused(**peer),
        };
        let refused = r.peers.iter().filter(|peer| r.is_voter(**peer)).filter(refuses).count();
        let quorum = match self.phase {
            Phase::Prepare(_) => r.quorum.prepare(),
            Phase::Accept(_) => r.quorum.accept(),
        };
        let left = r.voters() - refused;
        if left < quorum { Leads::No } else { Leads::Yes }
    }

    /// R1, R2: a follower asks for a Prepare.
    pub(super) fn on_prepare_req<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        from: NodeId,
        promised: Ballot,
    ) -> Leads {
        if promised > self.n {
            return self.on_refused(r, from, promised);
        }
        self.prepare_again(r, from);
        Leads::Yes
    }

    /// R2: the link to `peer` was lost and is there again.
    pub(super) fn reconnected<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        peer: NodeId,
    ) {
        let synchronised = match &mut self.phase {
            Phase::Prepare(promises) => promises.contains(peer),
            Phase::Accept(progress) => progress.resume(peer),
        };
        if !synchronised {
            self.send_prepare(r, peer, None);
        }
    }

    /// L4 for the proposals of any server. What cannot be appended now is left to its proposer, who
    /// sends it again.
    pub(super) fn on_propose<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        m: &Propose,
    ) -> Result<(), Fault> {
        if !self.accepts() {
            return Ok(());
        }
        let mut at = 0;
        for run in m.proposals.runs() {
            let records = m.proposals.slice(at, at + run.count);
            at += run.count;
            self.early.put(run.first, records, r.limits.window_bytes);
            self.append_early(r, run.first.proposer)?;
        }
        Ok(())
    }

    /// Appends what is here of `proposer` and comes next in the log.
    fn append_early<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        proposer: NodeId,
    ) -> Result<(), Fault> {
        let has_room = |r: &Replica<S, P>| {
            r.storage.stop_sign().is_none() && r.storage.tail_cost() < r.limits.max_undecided_bytes
        };
        while self.barrier.is_none()
            && has_room(r)
            && let Some(records) = self.early.take(proposer, r.storage.next_of(proposer))
        {
            self.barrier = barrier::append(r, records)?;
        }
        Ok(())
    }

    /// A flush has ended, or the log was changed by D1.
    pub(super) fn advance<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
    ) -> Result<(), Fault> {
        match &mut self.phase {
            Phase::Prepare(_) => self.adopt(r),
            Phase::Accept(progress) => {
                progress.decide(r, self.n);
                Ok(())
            }
        }
    }

    /// L4, L5: what is due before output is handed out.
    #[inline]
    pub(super) fn drain<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
    ) -> Result<(), Fault> {
        let Phase::Accept(progress) = &mut self.phase else {
            return Ok(());
        };
        // C5: in this round two values for one index would be sent, if it were begun once more.
        if !r.storage.flushes().ended(self.own) {
            return Ok(());
        }
        if self.barrier.is_none()
            && let Some(barrier) = append_own(r)?
        {
            self.barrier = Some(barrier);
        }
        if let Some(barrier) = &mut self.barrier
            && barrier.advance(r, self.n)?
        {
            self.barrier = None;
        }
        progress.send(r, self.n, &self.sessions)
    }

    pub(super) fn tick<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
    ) -> Result<Leads, Fault> {
        if self.is_left(r) {
            // Promising the other round tells the election that this one is over: it would count on
            // this server for ever otherwise. (A promise may rise at any time.)
            r.storage.promise(self.refused_for);
            return Ok(Leads::No);
        }
        match &mut self.phase {
            Phase::Prepare(promises) => {
                if promises.tick(r.limits.resend_ticks) {
                    self.repeat_prepare(r)?;
                }
            }
            // C5: a round that was not begun durably is begun again, and leaves no trace before.
            Phase::Accept(_) if !r.storage.flushes().ended(self.own) => {}
            Phase::Accept(progress) => {
                for peer in progress.tick(r, self.n, &self.sessions) {
                    self.send_prepare(r, peer, None);
                }
            }
        }
        Ok(Leads::Yes)
    }

    /// P7, where the link to a peer that would refuse is lost: some peer has refused, and no quorum
    /// has answered for four keepalives.
    fn is_left<S: Sequence, P: PaxosState>(&mut self, r: &Replica<S, P>) -> bool {
        self.counted = self.counted.saturating_add(1);
        if self.counted < r.limits.keepalive_ticks.saturating_mul(4) {
            return false;
        }
        self.counted = 0;
        let answered = std::mem::take(&mut self.answered).len() + 1;
        match &self.phase {
            Phase::Prepare(promises) => promises.any_refused() && answered < r.quorum.prepare(),
            Phase::Accept(progress) => progress.any_refused() && answered < r.quorum.accept(),
        }
    }

    fn repeat_prepare<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
    ) -> Result<(), Fault> {
        let Phase::Prepare(promises) = &mut self.phase else {
            return Ok(());
        };
        promises.repeat(r);
        let missing: Vec<NodeId> =
            r.peers.iter().copied().filter(|peer| promises.is_missing(*peer)).collect();
        for peer in missing {
            self.send_prepare(r, peer, None);
        }
        self.adopt(r)
    }
}

/// Appends own proposals, in the frames in which they will be sent. A part of the cap stays free
/// for what other servers forward.
#[inline]
fn append_own<S: Sequence, P: PaxosState>(r: &mut Replica<S, P>) -> Result<Option<Barrier>, Fault> {
    if r.proposals.is_empty() {
        return Ok(None);
    }
    let cap = r.limits.max_undecided_bytes - r.limits.max_undecided_bytes / 4;
    while r.storage.stop_sign().is_none() {
        let room = cap.saturating_sub(r.storage.tail_cost()).min(r.limits.accept_frame_bytes);
        let next = r.storage.next_of(r.pid);
        if room == 0 || !r.proposals.lacks(next) {
            break;
        }
        let records = r.proposals.lacking(next, room);
        if let Some(barrier) = barrier::append(r, records)? {
            return Ok(Some(barrier));
        }
    }
    Ok(None)
}
