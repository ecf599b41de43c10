//! The replica of one server in one configuration: a [`Paxos`] with a clock, a network and a disk.
//!
//! Whatever arrives is handled at once and marks the replica dirty; a message to itself, which
//! lands behind everything that is queued already, then works it all off together: one flush, one
//! round of outgoing messages, one batch of decided entries for a whole burst of input. Bursts
//! without an end are worked off in parts.

mod flusher;
mod handlers;
mod messages;
mod waiters;

pub use flusher::FlushMode;
pub use messages::{
    Outcome, Proposal, Propose, Read, ReadRecords, Reconfigure, ReplicaMessage, ReplicaStatus, Trim,
};

use super::health::ReplicaHealth;
use crate::counters::LogGate;
use crate::identity::Admission;
use crate::ports::{
    DecidedBatch, DecidedPort, ElectionRequest, LeaderElectionPort, PaxosPort, ProposalFailure,
    ReplicaEvent, Stopped,
};
use bytes::Bytes;
use flusher::Flusher;
use kompact::prelude::*;
use omnipaxos_core::leader_election::{Ballot, NodeId};
use omnipaxos_core::paxos::{CatchUp, DecidedRecords, Halted, Paxos, RecoveryStage};
use omnipaxos_core::storage::{
    ConfigId, Entry, FlushId, PaxosState, Records, Sequence, StopSign, Storage, StorageError,
};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};
use waiters::Waiters;

/// Batches of decided entries that are indicated before others get their turn; as many again for
/// each of so many inputs, so that what is decided under load does not pile up.
const BATCHES_PER_DRAIN: u32 = 8;
const INPUTS_PER_BATCHES: u32 = 256;

/// Inputs that are handled before they are worked off, however many wait behind them: under a
/// load that fills the queue peers and followers must not wait for all of it.
const INPUTS_PER_DRAIN: u32 = 4096;

/// Flushes that may follow one another within one drain.
const FLUSHES_PER_DRAIN: u32 = 8;

/// Bytes of the log that are hashed in one tick: at least, and at most while that is not enough to
/// keep up with what is decided.
const DIGEST_BYTES: RangeInclusive<u64> = 256 << 10..=2 << 20;

/// How long that may hold up a replica: after a restart all of the log is read from disk again.
const DIGEST_TIME: Duration = Duration::from_millis(2);

/// How a replica component runs its replica.
#[derive(Clone, Debug)]
pub struct ReplicaOptions {
    /// How often the replica gets a tick.
    pub tick: Duration,
    /// Bytes of entries in one indication or one answer; one entry always fits.
    pub batch_bytes: u64,
    /// Where flushes run.
    pub flush: FlushMode,
}

/// Runs a [`Paxos`].
#[derive(ComponentDefinition)]
pub struct ReplicaComponent<S, P>
where
    S: Sequence + Send + 'static,
    P: PaxosState + Send + 'static,
    P::Commit: Send + 'static,
{
    ctx: ComponentContext<Self>,
    election: RequiredPort<LeaderElectionPort>,
    network: RequiredPort<PaxosPort>,
    decided: ProvidedPort<DecidedPort>,
    /// `None` once the replica was stopped and its storage taken.
    paxos: Option<Paxos<S, P>>,
    flusher: Option<Flusher<P::Commit>>,
    health: ReplicaHealth,
    options: ReplicaOptions,
    pid: NodeId,
    config_id: ConfigId,
    waiters: Waiters,
    /// Who wants to know what becomes of proposals that come with a token.
    outcomes: Option<Recipient<Outcome>>,
    /// The attempt in which a proposal was refused last, and why.
    refused: Option<(u64, ProposalFailure)>,
    drain_is_scheduled: bool,
    /// How much of the log is hashed in the next tick.
    digest_bytes: u64,
    /// Inputs that were handled and not worked off yet.
    inputs: u32,
    /// Where the indications of decided entries have come to.
    next_index: u64,
    promised: Ballot,
    /// The ballot of which the election knows that this server leads in it.
    prepared: Ballot,
    leader: Option<NodeId>,
    halted: bool,
    admission: Option<Admission>,
    /// How its recovery from suspect storage stood when it was looked at last.
    recovery: Option<RecoveryStage>,
    /// What it was too far behind for when it was looked at last.
    catch_up: Option<CatchUp>,
    refusals: LogGate,
}

impl<S, P> ReplicaComponent<S, P>
where
    S: Sequence + Send + 'static,
    P: PaxosState + Send + 'static,
    P::Commit: Send + 'static,
{
    /// A component that runs `paxos`, whose indications begin at `read_from` (the value that the
    /// replica's own configuration has; its first retained index when `None`).
    #[must_use]
    pub fn new(paxos: Paxos<S, P>, read_from: Option<u64>, options: ReplicaOptions) -> Self {
        let health = ReplicaHealth::default();
        health.recovering(paxos.is_recovering());
        Self {
            ctx: ComponentContext::uninitialised(),
            election: RequiredPort::uninitialised(),
            network: RequiredPort::uninitialised(),
            decided: ProvidedPort::uninitialised(),
            flusher: None,
            health,
            options,
            pid: paxos.pid(),
            config_id: paxos.config_id(),
            waiters: Waiters::default(),
            outcomes: None,
            refused: None,
            drain_is_scheduled: false,
            digest_bytes: *DIGEST_BYTES.start(),
            inputs: 0,
            next_index: read_from.unwrap_or_else(|| paxos.first_index()),
            promised: paxos.promised(),
            prepared: Ballot::default(),
            leader: None,
            halted: false,
            admission: None,
            recovery: None,
            catch_up: None,
            refusals: LogGate::default(),
            paxos: Some(paxos),
        }
    }

    /// Tells `recipient` what becomes of proposals that come with a token. Without a recipient they
    /// are dropped.
    #[must_use]
    pub fn outcomes_to(mut self, recipient: Option<Recipient<Outcome>>) -> Self {
        self.outcomes = recipient;
        self
    }

    /// Whether the replica leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.paxos.as_ref().is_some_and(Paxos::is_leader)
    }

    /// Whether the replica is fit to lead, for its election.
    #[must_use]
    pub fn health(&self) -> ReplicaHealth {
        self.health.clone()
    }

    /// Connects a subscriber; returns the index from which on its indications will start.
    pub fn subscribe(&mut self, subscriber: RequiredRef<DecidedPort>) -> u64 {
        self.decided.connect(subscriber);
        self.next_index
    }

    /// Ends the replica and gives its storage back; `None` when that was done before. The component
    /// ignores everything from then on.
    pub fn take_storage(&mut self) -> Option<Storage<S, P>> {
        let last = self.flusher.take().and_then(Flusher::stop);
        self.answer_all_stopped();
        let mut paxos = self.paxos.take()?;
        if let Some((id, result)) = last {
            // An error says that the replica was told before.
            let _ = paxos.finish_flush(id, result);
        }
        // The log has what was handled last, the state only after a flush: they must go together.
        // What would be sent is lost, as in a crash.
        drop(paxos.get_outgoing_msgs());
        Some(paxos.into_storage())
    }

    fn answer_all_stopped(&mut self) {
        for (_, waiter) in self.waiters.take_all() {
            if let Some(event) = waiter.answer(Err(Stopped.into())) {
                self.decided.trigger(event);
            }
        }
    }

    /// As in the election: a stall must not end in a burst of ticks.
    fn schedule_tick(&mut self) {
        let tick = self.options.tick;
        self.schedule_once(tick, |this, _| {
            if let Some(paxos) = &mut this.paxos {
                paxos.tick();
                // So that a reconfiguration does not wait for it.
                let start = Instant::now();
                let done = paxos.digest(this.digest_bytes);
                let bytes = match done || start.elapsed() > DIGEST_TIME {
                    true => this.digest_bytes / 2,
                    false => this.digest_bytes * 2,
                };
                this.digest_bytes = bytes.clamp(*DIGEST_BYTES.start(), *DIGEST_BYTES.end());
                this.schedule_tick();
                this.mark_dirty();
            }
            Handled::OK
        });
    }

    fn mark_dirty(&mut self) {
        self.inputs += 1;
        if self.inputs >= INPUTS_PER_DRAIN {
            self.drain();
        }
        if !self.drain_is_scheduled {
            self.drain_is_scheduled = true;
            self.ctx.actor_ref().tell(ReplicaMessage::Drain);
        }
    }

    /// Works off what was handled since the last time.
    fn drain(&mut self) {
        let inputs = std::mem::take(&mut self.inputs);
        self.flush();
        self.send();
        self.report_outcomes();
        self.indicate_decided(BATCHES_PER_DRAIN * (1 + inputs / INPUTS_PER_BATCHES));
        self.report_state();
    }

    /// Begins flushes. What may leave before one ends is sent first: handing over a flush wakes a
    /// thread, which costs as much as all the rest, or waits for the medium.
    fn flush(&mut self) {
        for _ in 0..FLUSHES_PER_DRAIN {
            let Some(flush) = self.paxos.as_mut().and_then(Paxos::begin_flush) else {
                return;
            };
            self.send();
            let Some(flusher) = &self.flusher else {
                return;
            };
            let id = flush.id();
            match flusher.flush(flush) {
                Some(result) => self.flushed(id, result),
                None => return,
            }
        }
        self.mark_dirty();
    }

    fn flushed(&mut self, id: FlushId, result: Result<(), StorageError>) {
        let Some(paxos) = &mut self.paxos else {
            return;
        };
        if let Err(e) = paxos.finish_flush(id, result) {
            error!(
                self.log(), "flush out of order";
                "pid" => self.pid, "config_id" => self.config_id, "reason" => %e
            );
        }
    }

    fn send(&mut self) {
        if let Some(paxos) = &mut self.paxos {
            let messages = paxos.take_sendable();
            if !messages.is_empty() {
                self.network.trigger(messages);
            }
        }
    }

    fn report_outcomes(&mut self) {
        let Some(paxos) = &mut self.paxos else {
            return;
        };
        for (id, outcome) in paxos.drain_outcomes() {
            let answer = self.waiters.remove(id).and_then(|w| w.answer(Ok(outcome)));
            if let Some(event) = answer {
                self.decided.trigger(event);
            }
        }
    }

    fn indicate_decided(&mut self, batches: u32) {
        for _ in 0..batches {
            let Some(paxos) = &mut self.paxos else {
                return;
            };
            let DecidedRecords { first_index, records } =
                paxos.take_decided_records(self.options.batch_bytes);
            if records.is_empty() {
                return;
            }
            self.next_index = first_index + records.len();
            self.indicate(first_index, &records);
        }
        self.mark_dirty();
    }

    fn indicate(&mut self, first_index: u64, records: &Records) {
        let config_id = self.config_id;
        let payload = |entry: &Entry| match entry {
            Entry::Normal(data) => Some(data.clone()),
            Entry::StopSign(_) => None,
        };
        let payloads: Arc<[Bytes]> = records.entries().iter().filter_map(payload).collect();
        let index = first_index + payloads.len() as u64;
        if !payloads.is_empty() {
            self.decided.trigger(ReplicaEvent::Decided(DecidedBatch {
                config_id,
                first_index,
                entries: payloads,
            }));
        }
        if let Some(stop_sign) = records.stop_sign() {
            self.indicate_stop_sign(index, stop_sign.clone());
        }
    }

    fn indicate_stop_sign(&mut self, index: u64, stop_sign: StopSign) {
        info!(
            self.log(), "configuration over";
            "pid" => self.pid, "config_id" => self.config_id, "index" => index,
            "next" => stop_sign.config_id, "nodes" => ?stop_sign.nodes
        );
        self.decided.trigger(ReplicaEvent::StopSign {
            config_id: self.config_id,
            index,
            stop_sign: Arc::new(stop_sign),
        });
    }

    /// Tells the election and the user what has changed.
    fn report_state(&mut self) {
        let Some(paxos) = &self.paxos else {
            return;
        };
        let (promised, leader) = (paxos.promised(), paxos.leader());
        let halted = paxos.halted().filter(|_| !self.halted).cloned();
        let (recovery, catch_up) = (paxos.recovery(), paxos.catch_up());
        if catch_up != self.catch_up {
            self.catch_up = catch_up;
            let config_id = self.config_id;
            self.decided.trigger(ReplicaEvent::Behind { config_id, catch_up });
        }
        if recovery != self.recovery {
            self.report_recovery(recovery);
        }
        if promised > self.promised {
            self.promised = promised;
            self.election.trigger(ElectionRequest::Promised(promised));
        }
        if leader == Some(self.pid) && promised != self.prepared {
            self.prepared = promised;
            self.election.trigger(ElectionRequest::Prepared(promised));
        }
        if leader != self.leader {
            self.leader = leader;
            info!(
                self.log(), "leader changed";
                "pid" => self.pid, "config_id" => self.config_id,
                "leader" => leader, "ballot" => %promised
            );
            let config_id = self.config_id;
            self.decided.trigger(ReplicaEvent::LeaderChanged { config_id, leader });
        }
        if let Some(reason) = halted {
            self.report_halt(&reason);
        }
    }

    fn report_recovery(&mut self, recovery: Option<RecoveryStage>) {
        self.health.recovering(recovery.is_some());
        match &recovery {
            Some(stage @ RecoveryStage::QuorumSuspect { .. }) => error!(
                self.log(), "a quorum is suspect, nobody votes: see docs/OPERATIONS.md";
                "pid" => self.pid, "config_id" => self.config_id, "stage" => ?stage
            ),
            Some(stage) => warn!(
                self.log(), "storage is suspect: no vote before others have synchronised it";
                "pid" => self.pid, "config_id" => self.config_id, "stage" => ?stage
            ),
            None => info!(
                self.log(), "synchronised by others: votes again";
                "pid" => self.pid, "config_id" => self.config_id
            ),
        }
        self.recovery = recovery;
    }

    fn report_halt(&mut self, reason: &Halted) {
        self.halted = true;
        self.health.halt();
        error!(
            self.log(), "replica halted for good";
            "pid" => self.pid, "config_id" => self.config_id, "reason" => %reason
        );
        for (id, waiter) in self.waiters.take_all() {
            let reason = reason.clone();
            let answer = waiter.answer(Err(ProposalFailure::Halted { id, reason }));
            if let Some(event) = answer {
                self.decided.trigger(event);
            }
        }
        self.decided.trigger(ReplicaEvent::Halted {
            config_id: self.config_id,
            reason: Arc::new(reason.clone()),
        });
    }
}

impl<S, P> ComponentLifecycle for ReplicaComponent<S, P>
where
    S: Sequence + Send + 'static,
    P: PaxosState + Send + 'static,
    P::Commit: Send + 'static,
{
    fn on_start(&mut self) -> HandlerResult {
        if self.flusher.is_none() && self.paxos.is_some() {
            let name = format!("flush-{}-{}", self.pid, self.config_id);
            let health = self.health.clone();
            match Flusher::start(self.options.flush, name, self.ctx.actor_ref(), health) {
                Ok(flusher) => self.flusher = Some(flusher),
                Err(e) => self.cannot_flush(&e),
            }
        }
        self.schedule_tick();
        self.mark_dirty();
        Handled::OK
    }

    fn on_kill(&mut self) -> HandlerResult {
        self.answer_all_stopped();
        Handled::OK
    }
}
