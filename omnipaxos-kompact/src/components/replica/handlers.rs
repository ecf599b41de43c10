//! What a replica does with each kind of input.

use super::flusher::{Flusher, NoThread};
use super::waiters::Waiter;
use super::{
    FlushMode, Proposal, Propose, Read, ReadRecords, Reconfigure, ReplicaComponent, ReplicaMessage,
    ReplicaStatus, Trim,
};
use crate::identity::Admission;
use crate::ports::{
    DecidedPort, ElectionRequest, LeaderElectionPort, LinkIndication, PaxosPort, ProposalFailure,
    ReadBatch, ReadFailure, ReplicaEvent, ReplicaRequest, Stopped, Token, TrimFailure,
};
use bytes::Bytes;
use kompact::prelude::*;
use omnipaxos_core::leader_election::{Ballot, Leader};
use omnipaxos_core::paxos::{Message, Paxos, ProposeError, Reconfiguration};
use omnipaxos_core::storage::{ConfigId, PaxosState, ProposalId, Records, Sequence};
use std::time::Instant;

impl<S, P> ReplicaComponent<S, P>
where
    S: Sequence + Send + 'static,
    P: PaxosState + Send + 'static,
    P::Commit: Send + 'static,
{
    /// Without a thread there is a slower way: correct, but it holds up a thread of Kompact's.
    pub(super) fn cannot_flush(&mut self, reason: &NoThread) {
        error!(
            self.log(), "no thread for flushes, they run inline";
            "pid" => self.pid, "config_id" => self.config_id, "reason" => %reason
        );
        let inline = Flusher::start(
            FlushMode::Inline,
            String::new(),
            self.ctx.actor_ref(),
            self.health.clone(),
        );
        self.flusher = inline.ok();
    }

    fn propose(&mut self, data: Bytes, waiter: Waiter) {
        let Some(paxos) = &mut self.paxos else {
            return self.answer(waiter, Stopped.into());
        };
        match paxos.propose_normal(data) {
            Ok(id) => self.proposed(id, waiter),
            Err(e) => self.answer(waiter, e.into()),
        }
    }

    fn reconfigure(&mut self, next: Reconfiguration, waiter: Waiter) {
        let Some(paxos) = &mut self.paxos else {
            return self.answer(waiter, Stopped.into());
        };
        match paxos.propose_reconfiguration(next) {
            Ok(id) => self.proposed(id, waiter),
            Err(e) => self.answer(waiter, e.into()),
        }
    }

    fn propose_with(&mut self, token: Token, attempt: u64, proposal: Proposal) {
        let Some(outcomes) = self.outcomes.clone() else {
            return;
        };
        let waiter = Waiter::Token(token, self.config_id, outcomes);
        let data = match proposal {
            Proposal::Normal(data) => data,
            Proposal::Reconfiguration(next) => return self.reconfigure(next, waiter),
        };
        if let Some((_, refusal)) = self.refused.as_ref().filter(|(of, _)| *of == attempt) {
            let refusal = refusal.clone();
            return self.answer(waiter, refusal);
        }
        let Some(paxos) = &mut self.paxos else {
            return self.answer(waiter, Stopped.into());
        };
        match paxos.propose_normal(data) {
            Ok(id) => self.proposed(id, waiter),
            Err(e) => {
                // One that is too large does not hold up those behind it.
                if !matches!(e, ProposeError::TooLarge { .. }) {
                    self.refused = Some((attempt, e.clone().into()));
                }
                self.answer(waiter, e.into());
            }
        }
    }

    fn proposed(&mut self, id: ProposalId, waiter: Waiter) {
        self.waiters.insert(id, waiter);
        self.mark_dirty();
    }

    fn answer(&mut self, waiter: Waiter, failure: ProposalFailure) {
        if let Some(event) = waiter.answer(Err(failure)) {
            self.decided.trigger(event);
        }
    }

    fn read(&mut self, read: Read) -> Result<ReadBatch, ReadFailure> {
        let paxos = self.paxos.as_mut().ok_or(Stopped)?;
        let entries = paxos.read_decided(read.from, read.to, self.options.batch_bytes)?;
        Ok(ReadBatch {
            config_id: self.config_id,
            first_index: entries.first_index,
            entries: entries.entries.into(),
        })
    }

    fn learn_decided(&mut self, start: u64, records: &Records, round: Ballot) {
        let Some(paxos) = &mut self.paxos else {
            return;
        };
        if let Err(e) = paxos.learn_decided(start, records, round)
            && let Some(suppressed) = self.refusals.admit(Instant::now())
        {
            warn!(
                self.log(), "decided records dropped";
                "pid" => self.pid, "config_id" => self.config_id, "start" => start,
                "reason" => %e, "suppressed" => suppressed
            );
        }
        self.mark_dirty();
    }

    fn read_records(&mut self, read: ReadRecords) -> Result<Records, ReadFailure> {
        let paxos = self.paxos.as_mut().ok_or(Stopped)?;
        Ok(paxos.read_records(read.from, read.to, read.max_cost)?)
    }

    fn trim(&mut self, to: u64) -> Result<(), TrimFailure> {
        let paxos = self.paxos.as_mut().ok_or(Stopped)?;
        paxos.trim(to)?;
        self.mark_dirty();
        Ok(())
    }

    fn status(&self) -> Result<ReplicaStatus, Stopped> {
        let paxos = self.paxos.as_ref().ok_or(Stopped)?;
        Ok(ReplicaStatus {
            config_id: self.config_id,
            pid: self.pid,
            leader: paxos.leader(),
            promised: paxos.promised(),
            first_index: paxos.first_index(),
            decided_index: paxos.decided_index(),
            log_len: paxos.log_len(),
            stop_sign: paxos.stop_sign().cloned(),
            halted: paxos.halted().cloned(),
            admission: self.admission.clone(),
            recovery: paxos.recovery(),
        })
    }

    fn admitted(&mut self, config_id: ConfigId, admission: Admission) {
        if config_id == self.config_id {
            self.admission = Some(admission.clone());
            self.decided.trigger(ReplicaEvent::AdmissionChanged { config_id, admission });
        }
    }

    fn message(&mut self, message: Message) {
        let Some(paxos) = &mut self.paxos else {
            return;
        };
        if message.config_id != self.config_id {
            return;
        }
        let (from, name) = (message.from, message.body.name());
        if let Err(e) = paxos.handle_message(message)
            && let Some(suppressed) = self.refusals.admit(Instant::now())
        {
            warn!(
                self.log(), "message dropped";
                "pid" => self.pid, "config_id" => self.config_id, "peer" => from,
                "message" => name, "reason" => %e, "suppressed" => suppressed
            );
        }
        self.mark_dirty();
    }
}

/// Whoever asked may have stopped waiting.
fn reply<T: Send>(promise: KPromise<T>, answer: T) {
    let _ = promise.fulfil(answer);
}

impl<S, P> Actor for ReplicaComponent<S, P>
where
    S: Sequence + Send + 'static,
    P: PaxosState + Send + 'static,
    P::Commit: Send + 'static,
{
    type Message = ReplicaMessage;

    fn receive_local(&mut self, message: ReplicaMessage) -> HandlerResult {
        match message {
            ReplicaMessage::Drain => {
                self.drain_is_scheduled = false;
                self.drain();
            }
            ReplicaMessage::Propose(ask) => {
                let (promise, Propose { data, permit }) = ask.take();
                self.propose(data, Waiter::Ask(promise, permit));
            }
            ReplicaMessage::Reconfigure(ask) => {
                let (promise, Reconfigure { next, permit }) = ask.take();
                self.reconfigure(next, Waiter::Ask(promise, permit));
            }
            ReplicaMessage::ProposeWith { token, attempt, proposal } => {
                self.propose_with(token, attempt, proposal);
            }
            ReplicaMessage::LearnDecided { start, records, round } => {
                self.learn_decided(start, &records, round);
            }
            ReplicaMessage::ReadRecords(ask) => {
                let (promise, read) = ask.take();
                reply(promise, self.read_records(read));
            }
            ReplicaMessage::Blocks(ask) => {
                let (promise, ()) = ask.take();
                let blocks = self.paxos.as_ref().map(Paxos::blocks);
                reply(promise, blocks.ok_or(Stopped));
            }
            ReplicaMessage::Read(ask) => {
                let (promise, read) = ask.take();
                reply(promise, self.read(read));
            }
            ReplicaMessage::Trim(ask) => {
                let (promise, Trim(to)) = ask.take();
                reply(promise, self.trim(to));
            }
            ReplicaMessage::Status(ask) => {
                let (promise, ()) = ask.take();
                reply(promise, self.status());
            }
            ReplicaMessage::SetPriority(priority) => {
                self.election.trigger(ElectionRequest::SetPriority(priority));
            }
            ReplicaMessage::TakeOver => self.election.trigger(ElectionRequest::TakeOver),
            ReplicaMessage::Flushed(id, result) => {
                self.flushed(id, result);
                self.mark_dirty();
            }
        }
        Handled::OK
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        // The router speaks to the network; this component has no path that others could know.
        Handled::OK
    }
}

impl<S, P> Require<LeaderElectionPort> for ReplicaComponent<S, P>
where
    S: Sequence + Send + 'static,
    P: PaxosState + Send + 'static,
    P::Commit: Send + 'static,
{
    fn handle(&mut self, leader: Leader) -> HandlerResult {
        if let Some(paxos) = &mut self.paxos {
            paxos.handle_leader(leader);
            self.mark_dirty();
        }
        Handled::OK
    }
}

impl<S, P> Require<PaxosPort> for ReplicaComponent<S, P>
where
    S: Sequence + Send + 'static,
    P: PaxosState + Send + 'static,
    P::Commit: Send + 'static,
{
    fn handle(&mut self, indication: LinkIndication<Message>) -> HandlerResult {
        match indication {
            LinkIndication::Message(message) => self.message(message),
            LinkIndication::Reconnected(peer) => {
                if let Some(paxos) = &mut self.paxos {
                    paxos.reconnected(peer);
                    self.mark_dirty();
                }
            }
            LinkIndication::Admission { config_id, admission } => {
                self.admitted(config_id, admission);
            }
        }
        Handled::OK
    }
}

impl<S, P> Provide<DecidedPort> for ReplicaComponent<S, P>
where
    S: Sequence + Send + 'static,
    P: PaxosState + Send + 'static,
    P::Commit: Send + 'static,
{
    fn handle(&mut self, request: ReplicaRequest) -> HandlerResult {
        match request {
            ReplicaRequest::Propose { token, data } => self.propose(data, Waiter::Port(token)),
            ReplicaRequest::Reconfigure { token, next } => {
                self.reconfigure(next, Waiter::Port(token));
            }
            ReplicaRequest::Read { token, from, to } => {
                let result = self.read(Read { from, to });
                self.decided.trigger(ReplicaEvent::Read { token, result });
            }
            ReplicaRequest::Trim { token, to } => {
                let result = self.trim(to);
                self.decided.trigger(ReplicaEvent::Trimmed { token, result });
            }
        }
        Handled::OK
    }
}
