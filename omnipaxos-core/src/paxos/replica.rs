//! What leader and follower share: identity, limits, storage, the way out, and own proposals.

use super::config::PaxosConfig;
use super::digests::Digests;
use super::messages::{Body, Message};
use super::outbox::Outbox;
use super::proposals::Proposals;
use super::recovery::Recovery;
use crate::ballot::{Ballot, NodeId};
use crate::quorum::Quorum;
use crate::storage::{AdoptError, ConfigId, PaxosState, Records, Sequence, Storage, StorageError};

/// Why a handler gave up on a message.
#[derive(Debug)]
pub(super) enum Fault {
    /// Storage failed: the replica halts.
    Storage(StorageError),
    /// The message contradicts what is known for certain: it is dropped.
    Impossible(&'static str),
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Self {
        Fault::Storage(error)
    }
}

impl From<AdoptError> for Fault {
    fn from(error: AdoptError) -> Self {
        match error {
            AdoptError::Impossible(reason) => Fault::Impossible(reason),
            AdoptError::Storage(error) => Fault::Storage(error),
        }
    }
}

/// The part of a replica that does not depend on its role.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Replica<S, P> {
    pub(super) config_id: ConfigId,
    pub(super) pid: NodeId,
    /// The other servers of the configuration, in order.
    pub(super) peers: Vec<NodeId>,
    pub(super) quorum: Quorum,
    pub(super) limits: PaxosConfig,
    pub(super) storage: Storage<S, P>,
    pub(super) outbox: Outbox,
    pub(super) proposals: Proposals,
    /// What all members have decided durably, as far as is known here.
    pub(super) decided_by_all: u64,
    /// The next decided entry that is handed out.
    pub(super) read_from: u64,
    /// What a suspect replica has found out; `None` when this one votes.
    pub(super) recovery: Option<Recovery>,
    /// Of what is decided.
    pub(super) digests: Digests,
}

impl<S: Sequence, P: PaxosState> Replica<S, P> {
    /// Sends what promises, accepts or refuses: it leaves once everything written so far is
    /// durable.
    #[inline]
    pub(super) fn send_durable(&mut self, to: NodeId, body: Body) {
        self.send_durable_with(to, || body);
    }

    /// The same for what is sent with each entry: it is put together in its place in the outbox. A
    /// processor waits where words that it has just written are moved on in larger blocks.
    #[inline]
    pub(super) fn send_durable_with(&mut self, to: NodeId, body: impl FnOnce() -> Body) {
        let after = self.storage.flushes().covering_now();
        let (config_id, from) = (self.config_id, self.pid);
        self.outbox.send_after(after, || Message { config_id, from, to, body: body() });
    }

    /// Sends what holds whatever becomes of this server's disk: requests, what is decided, and,
    /// with the promise of its round durable, what a leader proposes (docs/PROTOCOL.md, "Early
    /// sends").
    #[inline]
    pub(super) fn send_early(&mut self, to: NodeId, body: Body) {
        self.send_early_with(to, || body);
    }

    /// The same, put together in its place, as with [`send_durable_with`](Self::send_durable_with).
    #[inline]
    pub(super) fn send_early_with(&mut self, to: NodeId, body: impl FnOnce() -> Body) {
        let (config_id, from) = (self.config_id, self.pid);
        self.outbox.send_free(|| Message { config_id, from, to, body: body() });
    }

    /// Sends proposals of this server, whose session must be durable.
    pub(super) fn send_proposals(&mut self, to: NodeId, body: Body) {
        if self.storage.flushes().ended(self.proposals.session_flush()) {
            self.send_early(to, body);
        } else {
            self.send_durable(to, body);
        }
    }

    #[inline]
    pub(super) fn promised(&self) -> Ballot {
        self.storage.state().promised
    }

    #[inline]
    pub(super) fn decided(&self) -> u64 {
        self.storage.state().decided
    }

    /// Raises the decided index; everything below it was chosen in `round` or before.
    pub(super) fn decide(&mut self, index: u64, round: Ballot) {
        let proposals = &mut self.proposals;
        self.storage.decide(index, round, |start, run| proposals.decided(start, run));
        if self.storage.sealed().is_some() {
            self.proposals.sealed();
        }
    }

    /// Appends records behind the whole log.
    #[inline]
    pub(super) fn append(&mut self, records: Records) -> Result<(), Fault> {
        if self.storage.stop_sign().is_some() && !records.is_empty() {
            return Err(Fault::Impossible("entries behind a StopSign"));
        }
        Ok(self.storage.append(records)?)
    }

    /// D1: makes the log hold the decided `records` at `from`, which is not below the decided
    /// index.
    pub(super) fn adopt_decided(
        &mut self,
        from: u64,
        records: &Records,
        round: Ballot,
    ) -> Result<(), Fault> {
        let chunk = self.limits.sync_chunk_bytes;
        Ok(self.storage.adopt_decided(from, records, round, chunk)?)
    }

    /// Another member than `pid`.
    #[inline]
    pub(super) fn is_peer(&self, pid: NodeId) -> bool {
        self.peers.contains(&pid)
    }

    /// A member that votes: only such servers own rounds and are in quorums.
    #[inline]
    pub(super) fn is_voter(&self, pid: NodeId) -> bool {
        (pid == self.pid || self.is_peer(pid)) && !self.limits.learners.contains(&pid)
    }

    /// How many servers vote.
    pub(super) fn voters(&self) -> usize {
        self.peers.len() + 1 - self.limits.learners.len()
    }

    /// How far decided entries are durable here, and so may be handed out.
    #[inline]
    pub(super) fn readable(&self) -> u64 {
        self.decided().min(self.storage.flushes().durable().end)
    }

    /// Checks the order of the cursors (debug builds, after every input).
    #[inline]
    pub(super) fn check(&self) {
        let state = self.storage.state();
        let (first, end) = (self.storage.first_index(), self.storage.end_index());
        debug_assert!(first <= state.decided && state.decided <= end, "trimmed, decided, end");
        debug_assert!(state.accepted_round <= state.promised, "accepted within the promise");
        debug_assert!(state.decided_round <= state.promised, "decided within the promise");
        debug_assert!(self.storage.flushes().durable().end <= end, "durable within the log");
        debug_assert!(self.recovery.is_some() == state.recovering, "recovering or not");
    }
}
