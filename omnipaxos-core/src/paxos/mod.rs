//! Sequence Paxos: one replicated log in one configuration, as a plain struct.
//!
//! [`Paxos`] is one replica. It takes [`Leader`] events from any leader election. The roles are in
//! `leader` and `follower`, which know nothing of each other; what they share is in `replica`.

mod config;
mod digests;
mod dirty;
mod dispatch;
mod error;
mod flow;
mod follower;
mod leader;
mod learn;
mod log;
mod messages;
mod outbox;
mod proposals;
mod reconfiguration;
mod recovery;
mod replica;

#[cfg(test)]
mod tests;

pub use crate::ballot::{Ballot, Leader, NodeId};
pub use config::{CatchUpLimit, PaxosConfig};
pub use error::{
    Halted, LearnError, MessageError, ProposeError, ReadError, ReconfigureError, StartError,
    TrimError,
};
pub use follower::CatchUp;
pub use log::{DecidedEntries, DecidedRecords};
pub use messages::{
    Accept, AcceptSync, Accepted, Body, Decide, Learn, LearnRequest, Message, Prepare, PrepareReq,
    Promise, Propose, RecoverReply, RecoverRequest, Refuse, SyncRequest, SyncSession,
};
pub use proposals::ProposalOutcome;
pub use reconfiguration::Reconfiguration;
pub use recovery::RecoveryStage;

use crate::quorum::Quorum;
use crate::storage::{
    ConfigId, Entry, FinishFlushError, Flush, FlushId, PaxosState, ProposalId, Sequence, Storage,
    StorageError,
};
use bytes::Bytes;
use digests::Digests;
use dirty::Dirty;
use follower::{Follower, Sample};
use leader::{Leading, Leads};
use outbox::Outbox;
use proposals::Proposals;
use recovery::Recovery;
use replica::{Fault, Replica};

/// One replica: this server in one configuration.
///
/// # How to call it
/// Give it inputs in any order and as they come: [`handle_message`](Self::handle_message),
/// [`handle_leader`](Self::handle_leader), [`tick`](Self::tick) at a steady pace, and proposals.
/// Then take the outputs, in one of two ways:
///
/// * simple: [`get_outgoing_msgs`](Self::get_outgoing_msgs) flushes storage and returns all
///   messages;
/// * pipelined: [`begin_flush`](Self::begin_flush), then [`take_sendable`](Self::take_sendable) for
///   what need not wait; run the flush anywhere, report it with
///   [`finish_flush`](Self::finish_flush), and `take_sendable` again for what has waited. One flush
///   covers everything handled since the last.
///
/// After either, [`get_decided_entries`](Self::get_decided_entries) (or
/// [`take_decided`](Self::take_decided)) and [`take_outcomes`](Self::take_outcomes) return what is
/// new. A driver that does this all the time saves allocations and copies with
/// [`append_outgoing_msgs`](Self::append_outgoing_msgs) or
/// [`append_sendable`](Self::append_sendable),
/// [`take_decided_records`](Self::take_decided_records) and
/// [`drain_outcomes`](Self::drain_outcomes).
///
/// The same inputs give the same outputs, to the byte: there is no clock, no randomness and no I/O
/// beyond the storage in here. The first storage error halts the replica for good
/// ([`halted`](Self::halted)).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Paxos<S, P> {
    replica: Replica<S, P>,
    role: Role,
    /// Something came in since the last drain.
    dirty: Dirty,
    /// Ticks since the decided index rose without being written.
    unwritten: u32,
    halted: Option<Halted>,
}

/// The attempt in which all members are in sync with a continued leader from their start.
const CONTINUED_SESSION: SyncSession = 1;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Role {
    Follower(Follower),
    Leader(Box<Leading>),
}

impl<S: Sequence, P: PaxosState> Paxos<S, P> {
    /// A replica of configuration `config_id` on server `pid`, the other servers being `peers`.
    /// Recovers what an earlier one left in `storage` (R1).
    ///
    /// Never fails: what [`try_with`](Self::try_with) would report halts the replica at once.
    #[must_use]
    pub fn with(
        config_id: ConfigId,
        pid: NodeId,
        peers: Vec<NodeId>,
        storage: Storage<S, P>,
        config: PaxosConfig,
    ) -> Self {
        let (mut paxos, started) = Self::start(config_id, pid, peers, storage, config);
        if let Err(error) = started {
            paxos.halt(Halted::Start(error));
        }
        paxos
    }

    /// Like [`with`](Self::with).
    ///
    /// # Errors
    /// [`StartError`] for impossible pids, quorums or limits, and when storage cannot be opened.
    pub fn try_with(
        config_id: ConfigId,
        pid: NodeId,
        peers: Vec<NodeId>,
        storage: Storage<S, P>,
        config: PaxosConfig,
    ) -> Result<Self, StartError> {
        let (paxos, started) = Self::start(config_id, pid, peers, storage, config);
        started.map(|()| paxos)
    }

    fn start(
        config_id: ConfigId,
        pid: NodeId,
        mut peers: Vec<NodeId>,
        mut storage: Storage<S, P>,
        config: PaxosConfig,
    ) -> (Self, Result<(), StartError>) {
        peers.sort_unstable();
        let checked = config.check(pid, &peers);
        // Any will do where none is possible: such a replica halts before it counts.
        let quorum = *checked.as_ref().unwrap_or(&Quorum::majority(1));
        let opened = checked.and_then(|_| Ok(storage.open()?));
        let fresh = opened == Ok(true);
        let first = storage.first_index();
        let read_from = config.read_from.unwrap_or(first);
        let trimmed = StartError::Trimmed { from: read_from, first };
        let opened = opened.map(drop).and(if read_from < first { Err(trimmed) } else { Ok(()) });
        let session = storage.state().session;
        let recovery = storage.state().recovering.then(|| Recovery::new(session));
        let proposals = Proposals::new(pid, session, storage.flushes().covering_now());
        let replica = Replica {
            config_id,
            pid,
            peers,
            quorum,
            limits: config,
            storage,
            outbox: Outbox::default(),
            proposals,
            decided_by_all: 0,
            read_from,
            recovery,
            digests: Digests::default(),
        };
        let follower = Follower::expecting(None);
        let mut paxos = Self {
            replica,
            role: Role::Follower(follower),
            dirty: Dirty::YES,
            unwritten: 0,
            halted: None,
        };
        if opened.is_ok() && !paxos.begin_continued(fresh) {
            for at in 0..paxos.replica.peers.len() {
                let peer = paxos.replica.peers[at];
                if let Role::Follower(follower) = &paxos.role {
                    follower.request_prepare(&mut paxos.replica, peer);
                }
            }
        }
        (paxos, opened)
    }

    /// C5: enters the round of the continued leader. Whether this replica is in sync with it from
    /// its start, or leads it.
    fn begin_continued(&mut self, fresh: bool) -> bool {
        let r = &mut self.replica;
        let named = r.limits.continued.filter(|leader| r.is_voter(leader.pid()));
        let Some(n) = named.map(|leader| leader.ballot) else {
            return false;
        };
        // Whatever else is stored: no round below may ever reach phase Accept.
        r.storage.promise(n);
        if !fresh {
            return false;
        }
        r.storage.accept_round(n);
        self.role = if n.pid == r.pid {
            Role::Leader(Box::new(Leading::continued(r, n, CONTINUED_SESSION)))
        } else {
            Role::Follower(Follower::continued(CONTINUED_SESSION))
        };
        true
    }

    /// Takes a leader event from this server's leader election, ours or any other. Stale and
    /// repeated ones change nothing; those that name no voting member of the configuration neither
    /// (L1), nor this server while it [recovers](Self::is_recovering).
    pub fn handle_leader(&mut self, leader: Leader) {
        let r = &mut self.replica;
        let possible = leader.ballot > r.promised() && r.is_voter(leader.pid());
        if self.halted.is_some() || !possible {
            return;
        }
        if leader.pid() == r.pid {
            if r.recovery.is_some() {
                return;
            }
            self.role = Role::Leader(Box::new(Leading::start(r, leader.ballot)));
            let advanced = self.advance();
            self.after(advanced);
        } else {
            match &mut self.role {
                Role::Follower(follower) => follower.expect(leader.pid()),
                Role::Leader(_) => self.follow(Some(leader.pid())),
            }
        }
    }

    /// Takes a message from a peer.
    ///
    /// # Errors
    /// [`MessageError`] when the message was dropped because it is not for this replica,
    /// contradicts what is known for certain, or the replica has halted. Late and repeated messages
    /// are no errors.
    #[inline]
    pub fn handle_message(&mut self, mut message: Message) -> Result<(), MessageError> {
        self.handle(&mut message)
    }

    fn handle(&mut self, message: &mut Message) -> Result<(), MessageError> {
        if let Some(halted) = &self.halted {
            return Err(halted.clone().into());
        }
        let r = &self.replica;
        if message.config_id != r.config_id {
            let (theirs, ours) = (message.config_id, r.config_id);
            return Err(MessageError::OtherConfiguration { theirs, ours });
        }
        if message.to != r.pid {
            return Err(MessageError::OtherReceiver(message.to));
        }
        if !r.is_peer(message.from) {
            return Err(MessageError::UnknownSender(message.from));
        }
        let from = message.from;
        let handled = self.dispatch(from, &mut message.body);
        match self.after(handled) {
            Some(reason) => {
                let message = message.body.name();
                Err(MessageError::Impossible { message, from, reason })
            }
            None => match &self.halted {
                Some(halted) => Err(halted.clone().into()),
                None => Ok(()),
            },
        }
    }

    /// One step of virtual time. Everything that a lost message can hold up is repaired by ticks.
    pub fn tick(&mut self) {
        if self.halted.is_some() {
            return;
        }
        let r = &mut self.replica;
        let ticked = match &mut self.role {
            Role::Follower(follower) => follower.tick(r),
            Role::Leader(leading) => match leading.tick(r) {
                Ok(Leads::No) => {
                    self.follow(None);
                    Ok(())
                }
                Ok(Leads::Yes) => Ok(()),
                Err(fault) => Err(fault),
            },
        };
        let r = &mut self.replica;
        // A decided index that goes with no other write is written once things are quiet.
        if r.storage.state_changed() && !r.storage.flushes().needed() {
            self.unwritten += 1;
            if self.unwritten >= r.limits.resend_ticks {
                r.storage.write_state();
            }
        } else {
            self.unwritten = 0;
        }
        self.after(ticked);
    }

    /// The link to `peer` was lost and is there again (R2): what was on its way is gone. Not needed
    /// for correctness, ticks repair it too; this is faster.
    pub fn reconnected(&mut self, peer: NodeId) {
        let r = &mut self.replica;
        if self.halted.is_some() || !r.is_peer(peer) {
            return;
        }
        match &mut self.role {
            Role::Follower(follower) => follower.reconnected(r, peer),
            Role::Leader(leading) => leading.reconnected(r, peer),
        }
        self.dirty = Dirty::YES;
    }

    /// Proposes an entry at any replica. Its outcome comes with
    /// [`take_outcomes`](Self::take_outcomes).
    ///
    /// # Errors
    /// [`ProposeError`]; the entry was not recorded then.
    pub fn propose_normal(&mut self, data: impl Into<Bytes>) -> Result<ProposalId, ProposeError> {
        let data = data.into();
        self.may_propose()?;
        let (size, limit) = (data.len() as u64, self.replica.limits.max_entry_bytes);
        if size > limit {
            return Err(ProposeError::TooLarge { size, limit });
        }
        let entry = Entry::Normal(data);
        let r = &mut self.replica;
        let (pending, limit) = (r.proposals.cost(), r.limits.max_pending_bytes);
        if pending > 0 && pending + entry.cost() > limit {
            return Err(ProposeError::Overloaded { pending, limit });
        }
        self.dirty = Dirty::YES;
        Ok(r.proposals.push(entry))
    }

    /// Proposes to end this configuration and to go on in the next one (C1). From now on this
    /// replica refuses normal proposals.
    ///
    /// # Errors
    /// [`ReconfigureError`] for an impossible configuration, or as for any proposal.
    pub fn propose_reconfiguration(
        &mut self,
        next: impl Into<Reconfiguration>,
    ) -> Result<ProposalId, ReconfigureError> {
        let next = next.into();
        next.check()?;
        self.may_propose()?;
        let next = next.stop_sign(self.replica.config_id)?;
        let entry = Entry::stop_sign(next);
        let (size, limit) = (entry.cost(), self.replica.limits.max_entry_bytes);
        if size > limit {
            return Err(ProposeError::TooLarge { size, limit }.into());
        }
        self.dirty = Dirty::YES;
        Ok(self.replica.proposals.push(entry))
    }

    fn may_propose(&self) -> Result<(), ProposeError> {
        if let Some(halted) = &self.halted {
            return Err(halted.clone().into());
        }
        let r = &self.replica;
        if let Some(ss) = r.storage.sealed() {
            return Err(ProposeError::Sealed { config_id: ss.config_id });
        }
        match r.storage.stop_sign().or(r.proposals.stop_sign()) {
            Some(ss) => Err(ProposeError::Reconfiguring { config_id: ss.config_id }),
            None => Ok(()),
        }
    }

    /// Flushes storage and returns all messages.
    pub fn get_outgoing_msgs(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        self.append_outgoing_msgs(&mut messages);
        messages
    }

    /// Like [`get_outgoing_msgs`](Self::get_outgoing_msgs), but puts them behind `messages`: one
    /// that is emptied and handed in again and again saves an allocation each time.
    pub fn append_outgoing_msgs(&mut self, messages: &mut Vec<Message>) {
        while self.flush() {}
        self.append_sendable(messages);
    }

    /// Flushes in place; `false` where nothing has to be written, or a flush is under way.
    fn flush(&mut self) -> bool {
        self.drain();
        if self.halted.is_some() || !self.replica.storage.flushes().may_begin() {
            return false;
        }
        let flushed = self.replica.storage.flush();
        self.flushed(flushed);
        true
    }

    /// Returns the messages that may go now: those that wait for no flush, or for one that has
    /// ended.
    pub fn take_sendable(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        self.append_sendable(&mut messages);
        messages
    }

    /// Like [`take_sendable`](Self::take_sendable), but puts them behind `messages`, as
    /// [`append_outgoing_msgs`](Self::append_outgoing_msgs) does.
    pub fn append_sendable(&mut self, messages: &mut Vec<Message>) {
        self.drain();
        let flushes = self.replica.storage.flushes();
        self.replica.outbox.take(|id| flushes.ended(id), messages);
    }

    /// Seals what was written since the last flush. `None` when nothing has to be written, or a
    /// flush is under way already.
    pub fn begin_flush(&mut self) -> Option<Flush<P::Commit>> {
        self.drain();
        if self.halted.is_some() {
            return None;
        }
        match self.replica.storage.begin_flush() {
            Ok(flush) => flush,
            Err(error) => {
                self.halt(Halted::Storage(error));
                None
            }
        }
    }

    /// Reports how a flush has ended.
    ///
    /// # Errors
    /// [`FinishFlushError`] when that flush is not under way; nothing was changed then.
    pub fn finish_flush(
        &mut self,
        id: FlushId,
        result: Result<(), StorageError>,
    ) -> Result<(), FinishFlushError> {
        if self.halted.is_some() {
            return Ok(());
        }
        self.replica.storage.finish_flush(id)?;
        self.flushed(result);
        Ok(())
    }

    /// What follows each flush.
    fn flushed(&mut self, result: Result<(), StorageError>) {
        let advanced = match (result, &self.role) {
            // What waited for it is in the outbox.
            (Ok(()), Role::Follower(_)) => return,
            (Ok(()), Role::Leader(_)) => self.advance(),
            (Err(error), _) => Err(Fault::Storage(error)),
        };
        self.after(advanced);
    }

    /// Why this replica has stopped for good, if it has.
    #[must_use]
    pub fn halted(&self) -> Option<&Halted> {
        self.halted.as_ref()
    }

    /// This server.
    #[must_use]
    pub fn pid(&self) -> NodeId {
        self.replica.pid
    }

    /// This replica's configuration.
    #[must_use]
    pub fn config_id(&self) -> ConfigId {
        self.replica.config_id
    }

    /// The highest round that this replica promised. To be reported to its leader election whenever
    /// it rises (B5).
    #[must_use]
    pub fn promised(&self) -> Ballot {
        self.replica.promised()
    }

    /// The leader that this replica is in sync with, or is.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Follower(follower) => follower.leader(self.replica.promised()),
            Role::Leader(leading) => leading.accepts().then_some(self.replica.pid),
        }
    }

    /// Whether this replica leads, with the promises of a prepare quorum.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leader() == Some(self.replica.pid)
    }

    /// Gives the storage back. Flush before ([`get_outgoing_msgs`](Self::get_outgoing_msgs), or a
    /// flush that ended) if it is to be opened again without reading its medium: the log has all
    /// that was handled, the state what was flushed.
    #[must_use]
    pub fn into_storage(self) -> Storage<S, P> {
        self.replica.storage
    }

    fn follow(&mut self, leader: Option<NodeId>) {
        self.dirty = Dirty::YES;
        self.role = Role::Follower(Follower::expecting(leader));
    }

    fn advance(&mut self) -> Result<(), Fault> {
        match &mut self.role {
            Role::Leader(leading) => leading.advance(&mut self.replica),
            Role::Follower(_) => Ok(()),
        }
    }

    #[inline]
    fn drain(&mut self) {
        if self.dirty.is_set() && self.halted.is_none() {
            self.drain_role();
        }
    }

    fn drain_role(&mut self) {
        let drained = match &mut self.role {
            Role::Leader(leading) => leading.drain(&mut self.replica),
            Role::Follower(follower) => {
                follower.drain(&mut self.replica);
                Ok(())
            }
        };
        self.after(drained);
        self.dirty = Dirty::NO;
    }

    /// What follows each input: a storage error halts, the cursors are checked. Returns why a
    /// message was impossible.
    #[inline]
    fn after(&mut self, result: Result<(), Fault>) -> Option<&'static str> {
        let impossible = match result {
            Ok(()) => None,
            Err(Fault::Impossible(reason)) => Some(reason),
            Err(Fault::Storage(error)) => {
                self.halt(Halted::Storage(error));
                None
            }
        };
        self.dirty = Dirty::YES;
        if self.halted.is_none() {
            self.replica.check();
        }
        impossible
    }

    /// Invariant: nothing leaves a halted replica.
    fn halt(&mut self, halted: Halted) {
        self.replica.outbox.clear();
        self.halted.get_or_insert(halted);
    }
}
