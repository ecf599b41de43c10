//! Phase Prepare: promises, and the log that is adopted from them (L2).

use super::Promised;
use crate::ballot::{Ballot, NodeId};
use crate::paxos::messages::{Body, LearnRequest};
use crate::paxos::replica::{Fault, Replica};
use crate::storage::{FlushId, PaxosState, Records, Sequence};
use std::collections::{BTreeMap, BTreeSet};

/// What a leader without a prepare quorum knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Promises {
    promises: BTreeMap<NodeId, Promised>,
    refused: BTreeSet<NodeId>,
    /// The leader's own promise counts once this flush has ended.
    own: FlushId,
    source: Option<Source>,
    /// Who was a source and did not answer. Their logs are left aside where a quorum is there
    /// without them: any prepare quorum shows what may be chosen.
    avoided: BTreeSet<NodeId>,
    /// Who was asked last for decided entries, and from where.
    learning: Option<(NodeId, u64)>,
    waited: u32,
    /// Decided index and position in the source's log when something was last sent again.
    seen: (u64, u64),
    /// How often something was sent again without progress since.
    repeats: u32,
    /// How often that may be before another source is tried. It grows: over a slow link a long log
    /// takes longer than the first try.
    patience: u32,
}

/// The peer whose log is adopted, and what of its undecided tail is here. Only a complete one is
/// used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Source {
    peer: NodeId,
    accepted_round: Ballot,
    len: u64,
    start: u64,
    parts: Vec<Records>,
    next: u64,
    /// The part that was asked for last.
    asked: Option<u64>,
}

/// The log with which a round begins: how far, and from which round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Adopted {
    pub(super) round: Ballot,
    pub(super) len: u64,
}

/// How often a source is asked for the same part before another one is tried; twice as often each
/// time that all of them were.
const SOURCE_REPEATS: u32 = 3;

impl Promises {
    pub(super) fn new(own: FlushId) -> Self {
        Self {
            promises: BTreeMap::new(),
            refused: BTreeSet::new(),
            own,
            source: None,
            avoided: BTreeSet::new(),
            learning: None,
            waited: 0,
            seen: (0, 0),
            repeats: 0,
            patience: SOURCE_REPEATS,
        }
    }

    /// Records a promise, or the next part of the source's log.
    pub(super) fn insert(&mut self, from: NodeId, promised: Promised) {
        self.refused.remove(&from);
        if let Some(source) = self.source.as_mut().filter(|source| source.peer == from) {
            let same =
                source.accepted_round == promised.accepted_round && source.len == promised.len;
            if !same {
                self.source = None;
            } else if promised.start == source.next
                && !promised.suffix.is_empty()
                && source.parts.last().is_none_or(|part| part.stop_sign().is_none())
            {
                source.next += promised.suffix.len();
                source.parts.push(promised.suffix);
                return;
            }
        }
        // A repeated promise comes without the suffix of the first one.
        if let Some(known) = self.promises.get_mut(&from)
            && known.counts == promised.counts
            && known.accepted_round == promised.accepted_round
            && known.len == promised.len
            && promised.suffix.is_empty()
        {
            known.decided = known.decided.max(promised.decided);
            known.decided_round = known.decided_round.max(promised.decided_round);
            return;
        }
        self.promises.insert(from, promised);
    }

    pub(super) fn forget(&mut self, peer: NodeId) {
        self.promises.remove(&peer);
        self.refused.remove(&peer);
        self.source.take_if(|source| source.peer == peer);
    }

    pub(super) fn contains(&self, peer: NodeId) -> bool {
        self.promises.contains_key(&peer)
    }

    pub(super) fn is_missing(&self, peer: NodeId) -> bool {
        !self.promises.contains_key(&peer) && !self.refused.contains(&peer)
    }

    /// Whether some peer has promised a higher round.
    pub(super) fn any_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Whether `peer` has promised a higher round.
    pub(super) fn has_refused(&self, peer: NodeId) -> bool {
        self.refused.contains(&peer)
    }

    /// Records a refusal.
    pub(super) fn refused(&mut self, peer: NodeId) {
        self.forget(peer);
        self.refused.insert(peer);
    }

    /// Whether a prepare quorum has promised, this server durably among them.
    pub(super) fn have_quorum<S: Sequence, P: PaxosState>(&self, r: &Replica<S, P>) -> bool {
        r.storage.flushes().ended(self.own) && self.votes().count() + 1 >= r.quorum.prepare()
    }

    /// The promises that count: not those of learners and of suspect peers (S3). What is chosen is
    /// in the logs of those that do.
    fn votes(&self) -> impl Iterator<Item = (&NodeId, &Promised)> {
        self.promises.iter().filter(|(_, promised)| promised.counts)
    }

    /// Works toward the complete log of the best promise. Returns the peer that is to be asked for
    /// the next part of its undecided tail, if one is to be asked now. What it has decided is
    /// fetched first, by D1, chunk by chunk, so that only the capped undecided tail is held in
    /// memory.
    pub(super) fn fetch<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
    ) -> Result<Option<(NodeId, Option<u64>)>, Fault> {
        let mine = (r.storage.state().accepted_round, r.storage.end_index());
        let best = self.best(r).filter(|(_, p)| (p.accepted_round, p.len) > mine);
        let Some((peer, best)) = best.map(|(peer, p)| (peer, p.clone())) else {
            self.source = None;
            return Ok(None);
        };
        let current = self.source.as_mut().filter(|source| {
            (source.peer, source.accepted_round, source.len)
                == (peer, best.accepted_round, best.len)
        });
        if let Some(source) = current {
            return Ok(source.request());
        }
        self.source = None;
        let higher = best.accepted_round > mine.0;
        let base = |r: &Replica<S, P>| {
            if higher { r.decided() } else { r.storage.end_index() }
        };
        if !best.covers(base(r)) && best.decided > r.decided() {
            best.learn(r)?;
            if best.decided > r.decided() {
                let from = r.decided();
                if self.learning.replace((peer, from)) != Some((peer, from)) {
                    r.send_early(peer, Body::LearnRequest(LearnRequest { from }));
                }
                return Ok(None);
            }
            // What was learned may have changed which log is the best.
            return self.fetch(r);
        }
        let start = base(r);
        let mut source = Source {
            peer,
            accepted_round: best.accepted_round,
            len: best.len,
            start,
            parts: Vec::new(),
            next: start,
            asked: None,
        };
        if best.start <= start {
            let part = best.suffix.skip(start - best.start);
            source.next += part.len();
            source.parts.push(part);
        }
        let request = source.request();
        self.source = Some(source);
        Ok(request)
    }

    /// Whether the log to adopt is here.
    pub(super) fn complete<S: Sequence, P: PaxosState>(&self, r: &Replica<S, P>) -> bool {
        let mine = (r.storage.state().accepted_round, r.storage.end_index());
        match &self.source {
            Some(source) => source.next >= source.len && source.start <= mine.1,
            None => self.best(r).is_none_or(|(_, p)| (p.accepted_round, p.len) <= mine),
        }
    }

    /// Replaces the undecided tail by the source's.
    pub(super) fn adopt<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
    ) -> Result<Adopted, Fault> {
        let mut round = r.storage.state().accepted_round;
        if let Some(source) = self.source.take() {
            round = source.accepted_round;
            // D1 may have moved the decided index since; what it wrote is in the source's log too.
            let cut = source.start.max(r.decided());
            r.storage.truncate(cut)?;
            let mut at = source.start;
            for records in source.parts {
                let known = cut.saturating_sub(at).min(records.len());
                at += records.len();
                r.append(records.skip(known))?;
            }
        }
        Ok(Adopted { round, len: r.storage.end_index() })
    }

    pub(super) fn take(&mut self) -> (BTreeMap<NodeId, Promised>, BTreeSet<NodeId>) {
        (std::mem::take(&mut self.promises), std::mem::take(&mut self.refused))
    }

    /// Something is about to be sent again: a source that does not answer is given up for another
    /// one.
    pub(super) fn repeat<S: Sequence, P: PaxosState>(&mut self, r: &Replica<S, P>) {
        let seen = (r.decided(), self.source.as_ref().map_or(0, |source| source.next));
        if std::mem::replace(&mut self.seen, seen) != seen {
            self.repeats = 0;
        }
        if !self.have_quorum(r) {
            return;
        }
        self.repeats += 1;
        self.learning = None;
        if let Some(source) = &mut self.source {
            source.asked = None;
        }
        if self.repeats > self.patience {
            self.repeats = 0;
            self.try_another(r);
        }
    }

    /// Leaves the source aside, and takes those back that were left aside before once no quorum is
    /// there without them: which links work may have changed since.
    fn try_another<S: Sequence, P: PaxosState>(&mut self, r: &Replica<S, P>) {
        let Some(slow) = self.best(r).map(|(peer, _)| peer) else {
            return;
        };
        let others = |avoided: &BTreeSet<NodeId>| {
            let votes = self.votes().map(|(peer, _)| peer);
            votes.filter(|peer| **peer != slow && !avoided.contains(peer)).count()
        };
        if others(&self.avoided) + 1 < r.quorum.prepare() {
            // Without another quorum there is nothing else to do than to ask on.
            if others(&BTreeSet::new()) + 1 < r.quorum.prepare() {
                return;
            }
            self.avoided.clear();
            self.patience = self.patience.saturating_mul(2);
        }
        self.avoided.insert(slow);
        self.source = None;
    }

    /// The promise with the best log, of a prepare quorum.
    fn best<S: Sequence, P: PaxosState>(&self, r: &Replica<S, P>) -> Option<(NodeId, &Promised)> {
        let others = self.votes().filter(|(peer, _)| !self.avoided.contains(peer)).count();
        let enough = others + 1 >= r.quorum.prepare();
        let usable = self.votes().filter(|(p, _)| !enough || !self.avoided.contains(p));
        usable.max_by_key(|(_, p)| (p.accepted_round, p.len)).map(|(peer, p)| (*peer, p))
    }

    /// One tick; `true` when it is time to send again.
    pub(super) fn tick(&mut self, resend_ticks: u32) -> bool {
        self.waited += 1;
        let due = self.waited >= resend_ticks;
        if due {
            self.waited = 0;
        }
        due
    }
}

impl Source {
    /// The part to ask for, unless it was asked for already.
    fn request(&mut self) -> Option<(NodeId, Option<u64>)> {
        if self.next >= self.len || self.asked == Some(self.next) {
            return None;
        }
        self.asked = Some(self.next);
        Some((self.peer, self.asked))
    }
}

impl Promised {
    /// Whether the promise itself shows everything from `base` on.
    fn covers(&self, base: u64) -> bool {
        self.start <= base && self.start + self.suffix.len() >= self.len
    }

    /// D1 from what the promise itself shows.
    fn learn<S: Sequence, P: PaxosState>(&self, r: &mut Replica<S, P>) -> Result<(), Fault> {
        let from = r.decided();
        let to = self.decided.min(self.start + self.suffix.len());
        if self.start <= from && from < to {
            let records = self.suffix.slice(from - self.start, to - self.start);
            r.adopt_decided(from, &records, self.decided_round)?;
            r.decide(to, self.decided_round);
        }
        Ok(())
    }
}
