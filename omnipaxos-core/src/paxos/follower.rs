//! The follower's half of Sequence Paxos: F1-F4, R1-R3, and what it does when it hears no leader.
//!
//! Architecture invariant: nothing here knows the leader's half; they meet in `paxos/dispatch.rs`.

mod lag;
mod proposals;
mod sync;

use super::messages::{
    Accept, AcceptSync, Accepted, Body, Decide, LearnRequest, Prepare, PrepareReq, Promise,
    SyncRequest, SyncSession,
};
use super::replica::{Fault, Replica};
use crate::ballot::{Ballot, NodeId};
use crate::storage::{PaxosState, Records, Sequence};
use lag::Lag;
use sync::Sync;

pub use lag::CatchUp;
pub(super) use lag::Sample;

/// What a follower knows of its leader. All of it is volatile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Follower {
    phase: Phase,
    /// The server that the election named, until it prepares this one.
    elected: Option<NodeId>,
    /// Ticks since the leader of the promised round was heard.
    silence: u32,
    /// The highest decided index that the leader told.
    told: u64,
    /// Ticks since this server has been behind, or out of sync, without deciding anything: it may
    /// hear a leader that does not hear it.
    behind: u32,
    /// The decided index at the last tick.
    decided_at: u64,
    /// Ticks since something was sent again.
    waited: u32,
    /// Ticks since a peer was asked for decided entries.
    sought: u32,
    /// Ticks since own proposals were forwarded without any of them entering the log.
    stuck: u32,
    /// What came next of them in the log at the last tick.
    stuck_at: u64,
    /// Which peer is asked next for decided entries.
    donor: Turn,
    /// Which peer is asked next to pass proposals on. A turn of its own: with one for both, each
    /// use could meet the same peers for ever.
    relay: Turn,
    /// Decided entries that are fetched elsewhere: the leader is not asked for them.
    lag: Option<Lag>,
    /// They did not come: in this attempt the leader brings them.
    gave_up: bool,
    /// A Prepare or a resync was asked for since the last tick: once is enough.
    asked: bool,
    /// An Accepted is due, with or without a gap.
    due: Option<Due>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum Phase {
    /// The promised round has not prepared this server since it started, or lost it.
    #[default]
    Unsynced,
    /// Attempt `s` of the promised round was answered with a Promise.
    Promised { s: SyncSession, sync: Option<Sync> },
    /// Attempt `s` was completed: the log is a prefix of the leader's log.
    Synced { s: SyncSession },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Due {
    gap: bool,
}

/// Goes round the peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Turn(usize);

impl Turn {
    fn next(&mut self, peers: &[NodeId]) -> Option<NodeId> {
        let at = self.0.checked_rem(peers.len())?;
        self.0 = at + 1;
        Some(peers[at])
    }
}

impl Follower {
    /// A follower that expects `elected` to lead.
    pub(super) fn expecting(elected: Option<NodeId>) -> Self {
        Self { elected, ..Self::default() }
    }

    /// C5: a follower that is in sync with its leader from the start, in attempt `s`. What the
    /// leader sent before it was there is lost: it says where it is.
    pub(super) fn continued(s: SyncSession) -> Self {
        let due = Some(Due { gap: true });
        Self { phase: Phase::Synced { s }, due, ..Self::default() }
    }

    /// The leader that this server is in sync with.
    pub(super) fn leader(&self, promised: Ballot) -> Option<NodeId> {
        matches!(self.phase, Phase::Synced { .. }).then_some(promised.pid)
    }

    /// The election named another leader.
    pub(super) fn expect(&mut self, elected: NodeId) {
        self.elected = Some(elected);
    }

    /// R1, R2, and S1: asks `peer` for a Prepare, in case it leads.
    pub(super) fn request_prepare<S: Sequence, P: PaxosState>(
        &self,
        r: &mut Replica<S, P>,
        peer: NodeId,
    ) {
        if r.ask_to_recover(peer) {
            return;
        }
        let promised = r.promised();
        r.send_early(peer, Body::PrepareReq(PrepareReq { promised }));
    }

    /// R2: the link to `peer` was lost and is there again.
    pub(super) fn reconnected<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        peer: NodeId,
    ) {
        if peer == r.promised().pid || Some(peer) == self.elected {
            self.request_prepare(r, peer);
            self.stuck = r.limits.resend_ticks;
        }
    }

    /// F1. The caller has refused rounds below the promised one.
    pub(super) fn on_prepare<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        m: &Prepare,
    ) -> Result<(), Fault> {
        self.told = self.told.max(m.decided);
        if r.recovery.as_ref().is_some_and(|recovery| !recovery.accepts(m.n, m.s)) {
            // S3: an attempt from before the loss may show less than was accepted then.
            if !std::mem::replace(&mut self.asked, true) {
                self.request_prepare(r, m.n.pid);
            }
            return Ok(());
        }
        if m.n == r.promised() {
            match self.phase {
                Phase::Promised { s, .. } | Phase::Synced { s } if m.s < s => return Ok(()),
                Phase::Synced { s } if m.s == s => {
                    self.heard();
                    self.answer(false);
                    return Ok(());
                }
                Phase::Promised { s, .. } if m.s == s => {
                    // The leader repeats itself: it may have trimmed what this server lacks.
                    if m.decided > r.decided() && m.suffix_from.is_none() {
                        self.request_learning(r);
                    }
                }
                _ => self.begin_attempt(m.s),
            }
        } else {
            r.storage.promise(m.n);
            self.begin_attempt(m.s);
        }
        self.heard();
        self.due = None;
        let (decided, len) = (r.decided(), r.storage.end_index());
        let accepted_round = r.storage.state().accepted_round;
        let start = match m.suffix_from {
            Some(from) => from,
            None if accepted_round > m.accepted_round => m.decided,
            None if accepted_round == m.accepted_round => m.len,
            None => len,
        };
        let start = start.clamp(r.storage.first_index(), len);
        let suffix = r.storage.read(start, len, r.limits.sync_chunk_bytes)?;
        let decided_round = r.storage.state().decided_round;
        let promise = Promise {
            n: m.n,
            s: m.s,
            accepted_round,
            len,
            decided,
            decided_round,
            start,
            suffix,
            recovering: r.recovery.is_some(),
        };
        r.send_durable(m.n.pid, Body::Promise(Box::new(promise)));
        Ok(())
    }

    fn begin_attempt(&mut self, s: SyncSession) {
        self.phase = Phase::Promised { s, sync: None };
        self.gave_up = false;
    }

    /// F2, in parts: what is decided enters the log at once (D1), the undecided rest all together
    /// with the accepted round.
    pub(super) fn on_accept_sync<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        m: &AcceptSync,
    ) -> Result<(), Fault> {
        if m.start.checked_add(m.suffix.len()).is_none_or(|to| to > m.end) {
            return Err(Fault::Impossible("an AcceptSync beyond its end"));
        }
        let sync = match &mut self.phase {
            _ if m.n != r.promised() => return Ok(()),
            Phase::Synced { s } if *s == m.s => {
                self.heard();
                self.answer(false);
                return Ok(());
            }
            Phase::Promised { s, sync } if *s == m.s => sync,
            _ => return Ok(()),
        };
        self.silence = 0;
        // Invariant: while round n is accepted, the log is a prefix of its leader's and never
        // shrinks. A duplicate of an earlier AcceptSync must not cut what was counted since.
        let accepted = r.storage.state().accepted_round == m.n;
        let trusted = if accepted { r.storage.end_index() } else { r.decided() };
        let known = sync.as_ref().map(|part| part.next);
        let mut part = match sync.take() {
            Some(part) if m.start <= part.next => part,
            // A part before this one was lost: it is asked for again by a tick.
            Some(part) => {
                *sync = Some(part);
                return Ok(());
            }
            None if m.first && m.start <= r.storage.end_index() => {
                Sync::new(m.start.max(trusted), m.end)
            }
            None => return Ok(()),
        };
        part.take_in(r, m)?;
        if part.next < part.end {
            let request = SyncRequest { n: m.n, s: m.s, from: part.next };
            // After a duplicate, asking once more would double all that follows.
            let asks = known != Some(part.next);
            *sync = Some(part);
            self.has_caught_up(r);
            if asks && !self.is_far_behind(r, m.decided, m.n, Sample::of(&m.suffix)) {
                self.waited = 0;
                r.send_early(m.n.pid, Body::SyncRequest(request));
            }
            return Ok(());
        }
        part.apply(r)?;
        r.storage.accept_round(m.n);
        r.recovered();
        r.decide(m.decided, m.n);
        self.phase = Phase::Synced { s: m.s };
        self.lag = None;
        self.heard();
        self.answer(false);
        // Whatever was forwarded to an earlier leader may be lost.
        let next = r.storage.next_of(r.pid);
        r.proposals.rewind(next);
        self.stuck = 0;
        Ok(())
    }

    /// F3.
    #[inline]
    pub(super) fn on_accept<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        m: &mut Accept,
    ) -> Result<(), Fault> {
        if m.start.checked_add(m.entries.len()).is_none() {
            return Err(Fault::Impossible("an index beyond u64"));
        }
        if !self.in_sync(r, m.n, m.s) {
            return self.ask_for_sync(r, m.n, m.s);
        }
        self.heard();
        self.told = self.told.max(m.decided);
        let end = r.storage.end_index();
        if m.start > end {
            self.is_far_behind(r, m.decided, m.n, Sample::of(&m.entries));
            self.answer(true);
            return Ok(());
        }
        // A duplicate overlaps: in round n the log is a prefix of the leader's.
        let sample = Sample::of(&m.entries);
        r.append(std::mem::take(&mut m.entries).into_skipped(end - m.start))?;
        r.decide(m.decided, m.n);
        r.decided_by_all = r.decided_by_all.max(m.decided_by_all);
        self.has_caught_up(r);
        self.is_far_behind(r, m.decided, m.n, sample);
        self.answer(false);
        Ok(())
    }

    /// F4.
    #[inline]
    pub(super) fn on_decide<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        m: &Decide,
    ) -> Result<(), Fault> {
        if !self.in_sync(r, m.n, m.s) {
            return self.ask_for_sync(r, m.n, m.s);
        }
        self.heard();
        self.told = self.told.max(m.decided);
        r.decide(m.decided, m.n);
        r.decided_by_all = r.decided_by_all.max(m.decided_by_all);
        self.has_caught_up(r);
        self.is_far_behind(r, m.decided, m.n, Sample::default());
        if m.answer {
            if r.storage.flushes().durable().decided < r.decided() {
                r.storage.write_state();
            }
            self.answer(m.decided > r.storage.end_index());
        }
        Ok(())
    }

    /// Something of the promised round arrived although its AcceptSync has not.
    fn ask_for_sync<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        n: Ballot,
        s: SyncSession,
    ) -> Result<(), Fault> {
        if self.asked {
            return Ok(());
        }
        match &self.phase {
            // A late message of an earlier attempt.
            Phase::Promised { s: ours, .. } | Phase::Synced { s: ours }
                if n == r.promised() && s < *ours => {}
            Phase::Promised { s: ours, .. } if n == r.promised() && s == *ours => {
                self.asked = true;
                self.repeat_promise(r)?;
            }
            _ => {
                self.asked = true;
                self.request_prepare(r, n.pid);
            }
        }
        Ok(())
    }

    /// D1 changed the log.
    pub(super) fn learned<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        promised_before: Ballot,
    ) {
        if r.promised() > promised_before {
            self.phase = Phase::Unsynced;
        }
        if let Phase::Promised { sync: Some(part), .. } = &mut self.phase {
            part.learned(r.decided());
        }
        if matches!(self.phase, Phase::Synced { .. }) {
            self.answer(false);
        }
        if self.has_caught_up(r) {
            self.ask_leader_on(r);
        }
    }

    /// What is due before output is handed out.
    #[inline]
    pub(super) fn drain<S: Sequence, P: PaxosState>(&mut self, r: &mut Replica<S, P>) {
        // A laggard is sent nothing more than what is on its way: its acceptance helps nobody yet.
        let due = self.due.take_if(|_| self.lag.is_none());
        if let (Some(due), Phase::Synced { s }) = (due, &self.phase) {
            let (n, s, len) = (r.promised(), *s, r.storage.end_index());
            let decided = r.storage.decided_by_flush();
            r.send_durable_with(n.pid, || {
                Body::Accepted(Accepted { n, s, len, decided, gap: due.gap })
            });
        }
        self.forward(r);
    }

    pub(super) fn tick<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
    ) -> Result<(), Fault> {
        self.asked = false;
        self.silence = self.silence.saturating_add(1);
        let moved = std::mem::replace(&mut self.decided_at, r.decided()) != r.decided();
        let synced = matches!(self.phase, Phase::Synced { .. });
        let lags = self.told > r.decided() || !synced || !r.proposals.is_empty();
        // Once it looks for decided entries elsewhere it goes on until it is no longer behind.
        let patience = patience(r);
        let counts = lags && (self.behind > patience || !moved);
        self.behind = if counts { self.behind.saturating_add(1) } else { 0 };
        let silent = self.is_silent(r);
        self.waited += 1;
        if self.waited >= r.limits.resend_ticks {
            self.waited = 0;
            self.repair(r, silent)?;
        }
        // On a clock of its own: a leader that is heard but does not hear starts the other one
        // over.
        self.sought = self.sought.saturating_add(1);
        let unsynced = self.phase == Phase::Unsynced;
        if (silent || unsynced || self.behind > patience) && self.sought >= r.limits.resend_ticks {
            self.request_learning(r);
        }
        self.tick_lag(r);
        self.tick_proposals(r);
        Ok(())
    }

    /// Sends again what may have been lost.
    fn repair<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        silent: bool,
    ) -> Result<(), Fault> {
        match &self.phase {
            Phase::Unsynced => {
                for at in 0..r.peers.len() {
                    self.request_prepare(r, r.peers[at]);
                }
            }
            Phase::Promised { .. } => self.repeat_promise(r)?,
            Phase::Synced { .. } if silent => {
                self.request_prepare(r, r.promised().pid);
            }
            Phase::Synced { .. } => {}
        }
        Ok(())
    }

    /// Asks the next peer in turn for decided entries (D1).
    fn request_learning<S: Sequence, P: PaxosState>(&mut self, r: &mut Replica<S, P>) {
        self.sought = 0;
        if self.lag.is_none()
            && let Some(peer) = self.donor.next(&r.peers)
        {
            r.send_early(peer, Body::LearnRequest(LearnRequest { from: r.decided() }));
        }
    }

    /// The promise, or the next part of the AcceptSync that answers it, was lost.
    fn repeat_promise<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
    ) -> Result<(), Fault> {
        let Phase::Promised { s, sync } = &self.phase else {
            return Ok(());
        };
        let (n, s) = (r.promised(), *s);
        if let Some(part) = sync {
            if self.lag.is_none() {
                let request = SyncRequest { n, s, from: part.next };
                r.send_early(n.pid, Body::SyncRequest(request));
            }
            return Ok(());
        }
        let state = r.storage.state();
        let len = r.storage.end_index();
        let promise = Promise {
            n,
            s,
            accepted_round: state.accepted_round,
            len,
            decided: state.decided,
            decided_round: state.decided_round,
            start: len,
            suffix: Records::default(),
            recovering: r.recovery.is_some(),
        };
        r.send_durable(n.pid, Body::Promise(Box::new(promise)));
        Ok(())
    }

    fn in_sync<S: Sequence, P: PaxosState>(
        &self,
        r: &Replica<S, P>,
        n: Ballot,
        session: SyncSession,
    ) -> bool {
        n == r.promised() && matches!(self.phase, Phase::Synced { s } if s == session)
    }

    /// Whether a leader that is alive would have shown itself since it was heard last.
    fn is_silent<S: Sequence, P: PaxosState>(&self, r: &Replica<S, P>) -> bool {
        self.silence > patience(r)
    }

    fn heard(&mut self) {
        self.silence = 0;
        self.waited = 0;
        self.elected = None;
    }

    fn answer(&mut self, gap: bool) {
        let gap = gap || self.due.is_some_and(|due| due.gap);
        self.due = Some(Due { gap });
    }
}

/// Ticks without news after which something else is tried.
fn patience<S: Sequence, P: PaxosState>(r: &Replica<S, P>) -> u32 {
    r.limits.keepalive_ticks.saturating_mul(2)
}
