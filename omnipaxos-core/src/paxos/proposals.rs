//! This server's own proposals, from `propose` until their outcome is known.
//!
//! Proposal identity (docs/PROTOCOL.md): proposals are numbered 1, 2, 3, ... within a session, and
//! a leader appends only the number that its own log lacks next. So they may be sent again to any
//! leader, are decided at most once, and in order. A proposal stays here until it is decided, or
//! until the sealed log is known to lack it.

use crate::ballot::NodeId;
use crate::storage::{
    Entry, FlushId, NextProposal, ProposalId, Records, RecordsBuilder, Run, StopSign,
};
use std::collections::VecDeque;
use std::vec::Drain;

/// What became of a proposal of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProposalOutcome {
    /// Decided at this index of the configuration's log.
    Decided(u64),
    /// The log was sealed without it. It can be proposed again in the next configuration.
    Dropped,
}

/// The undecided proposals of one session of one server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Proposals {
    proposer: NodeId,
    session: u64,
    /// The flush that makes the session durable: no proposal leaves before it has ended.
    session_flush: FlushId,
    /// Number of the first element of `queue`.
    first: u64,
    queue: VecDeque<Entry>,
    cost: u64,
    /// Number of the first proposal that was not forwarded to the current leader.
    unsent: u64,
    /// Cost of the proposals in `queue` below `unsent`.
    sent_cost: u64,
    outcomes: Vec<(ProposalId, ProposalOutcome)>,
}

impl Proposals {
    pub(super) fn new(proposer: NodeId, session: u64, session_flush: FlushId) -> Self {
        Self {
            proposer,
            session,
            session_flush,
            first: 1,
            queue: VecDeque::new(),
            cost: 0,
            unsent: 1,
            sent_cost: 0,
            outcomes: Vec::new(),
        }
    }

    /// Takes a proposal in.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry) -> ProposalId {
        let id = self.id(self.first + self.queue.len() as u64);
        self.cost += entry.cost();
        self.queue.push_back(entry);
        id
    }

    #[inline]
    pub(super) fn session_flush(&self) -> FlushId {
        self.session_flush
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What the undecided proposals cost.
    #[inline]
    pub(super) fn cost(&self) -> u64 {
        self.cost
    }

    /// The StopSign among the undecided proposals: always the last of them.
    #[inline]
    pub(super) fn stop_sign(&self) -> Option<&StopSign> {
        match self.queue.back() {
            Some(Entry::StopSign(ss)) => Some(ss),
            _ => None,
        }
    }

    /// The proposals that a log lacks in which `next` comes next, up to `max_cost`, but one at
    /// least.
    pub(super) fn lacking(&self, next: NextProposal, max_cost: u64) -> Records {
        self.collect(self.number_in(next), max_cost)
    }

    /// Whether a log in which `next` comes next lacks proposals.
    #[inline]
    pub(super) fn lacks(&self, next: NextProposal) -> bool {
        self.number_in(next) < self.end()
    }

    /// Forgets what was forwarded: the log of the leader now ends where `next` comes next.
    pub(super) fn rewind(&mut self, next: NextProposal) {
        self.unsent = self.number_in(next);
        let sent = self.queue.len().min((self.unsent - self.first) as usize);
        self.sent_cost = self.queue.range(..sent).map(Entry::cost).sum();
    }

    /// The next frame to forward, as long as the window has room.
    #[inline]
    pub(super) fn forward(&mut self, frame: u64, window: u64) -> Option<Records> {
        if self.unsent >= self.end() || self.sent_cost >= window {
            return None;
        }
        let records = self.collect(self.unsent, frame);
        self.unsent += records.len();
        self.sent_cost += records.cost();
        Some(records)
    }

    /// Takes note that `run`, which starts at log index `start`, was decided.
    #[inline]
    pub(super) fn decided(&mut self, start: u64, run: &Run) {
        if run.first.proposer != self.proposer || run.first.session != self.session {
            return;
        }
        for offset in 0..run.count {
            let number = run.first.number + offset;
            // A number below `first` was decided before; one above it has not been proposed.
            if number == self.first && self.pop() {
                self.outcomes.push((self.id(number), ProposalOutcome::Decided(start + offset)));
            }
        }
    }

    /// The log was sealed: what is still here is not in it and never will be.
    pub(super) fn sealed(&mut self) {
        while !self.queue.is_empty() {
            let id = self.id(self.first);
            self.pop();
            self.outcomes.push((id, ProposalOutcome::Dropped));
        }
    }

    #[inline]
    pub(super) fn drain_outcomes(&mut self) -> Drain<'_, (ProposalId, ProposalOutcome)> {
        self.outcomes.drain(..)
    }

    #[inline]
    fn id(&self, number: u64) -> ProposalId {
        ProposalId { proposer: self.proposer, session: self.session, number }
    }

    #[inline]
    fn end(&self) -> u64 {
        self.first + self.queue.len() as u64
    }

    #[inline]
    fn number_in(&self, next: NextProposal) -> u64 {
        let number = if next.session == self.session { next.number } else { 1 };
        number.clamp(self.first, self.end())
    }

    #[inline]
    fn pop(&mut self) -> bool {
        let Some(entry) = self.queue.pop_front() else {
            return false;
        };
        self.cost -= entry.cost();
        if self.first < self.unsent {
            self.sent_cost -= entry.cost();
        }
        self.first += 1;
        self.unsent = self.unsent.max(self.first);
        true
    }

    fn collect(&self, from: u64, max_cost: u64) -> Records {
        let skip = (from - self.first) as usize;
        let lacking = self.queue.range(skip.min(self.queue.len())..);
        if let (1, Some(entry)) = (lacking.len(), self.queue.back()) {
            return Records::one(self.id(from), entry.clone());
        }
        let mut builder = RecordsBuilder::new();
        for (number, entry) in (from..).zip(lacking) {
            if !builder.is_empty() && builder.cost() + entry.cost() > max_cost {
                break;
            }
            if !builder.push(self.id(number), entry.clone()) {
                break;
            }
        }
        builder.build()
    }
}
