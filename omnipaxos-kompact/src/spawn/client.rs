//! What a program asks of a replica.

use crate::components::{
    Gate, Propose, Read, ReadRecords, Reconfigure, ReplicaMessage, ReplicaStatus, Trim,
};
use crate::ports::{ProposalFailure, ReadBatch, ReadFailure, Stopped, TrimFailure};
use bytes::Bytes;
use kompact::prelude::{ActorRef, Ask, Fulfillable as _, KFuture, MessageBounds, promise};
use omnipaxos_core::digest::Block;
use omnipaxos_core::leader_election::{Ballot, NodeId};
use omnipaxos_core::paxos::{ProposalOutcome, Reconfiguration};
use omnipaxos_core::storage::Records;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Asks one replica. Cheap to clone, and to be used from any thread or component.
#[derive(Clone, Debug)]
pub struct ReplicaClient {
    replica: ActorRef<ReplicaMessage>,
    gate: Gate,
    /// Proposals that fill the other one must not keep an operator from changing anything.
    reconfigurations: Gate,
}

/// An answer that will come: to be awaited, or waited for with `kompact`'s `BlockingFutureExt`.
///
/// Where the replica's whole system was killed no answer comes: outside async code prefer
/// `wait_timeout`.
#[derive(Debug)]
#[must_use = "the answer tells whether the request succeeded"]
pub struct Answer<T, E>
where
    T: Send,
    E: Send,
{
    answer: KFuture<Result<T, E>>,
}

impl<T: Send, E: Send + From<Stopped>> Future for Answer<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer)
            .poll(cx)
            .map(|answer| answer.unwrap_or_else(|_| Err(Stopped.into())))
    }
}

impl<T: Send, E: Send> Answer<T, E> {
    /// Asks a component, wrapping the question as `message` does.
    pub(crate) fn of<M: MessageBounds, Q: MessageBounds>(
        component: &ActorRef<M>,
        message: fn(Ask<Q, Result<T, E>>) -> M,
        question: Q,
    ) -> Self {
        let answer = component.ask_with(|promise| message(Ask::new(promise, question)));
        Self { answer }
    }

    /// The answer that this will never happen.
    pub(crate) fn refused(error: impl Into<E>) -> Self {
        let (promise, answer) = promise();
        // The other half is in this function's hands.
        let _ = promise.fulfil(Err(error.into()));
        Self { answer }
    }
}

impl ReplicaClient {
    /// A client of a replica that was created by hand, for proposals without a
    /// [bound](Self::bounded).
    #[must_use]
    pub fn new(replica: ActorRef<ReplicaMessage>) -> Self {
        let unbounded = || Gate::new(u64::MAX);
        Self { replica, gate: unbounded(), reconfigurations: unbounded() }
    }

    /// Lets no more than `bytes` of proposals, of this client and its clones, be open at once;
    /// those beyond are refused as overloaded. A proposal counts for its payload and 512 bytes,
    /// until it is answered. Reconfigurations have as much for themselves.
    #[must_use]
    pub fn bounded(self, bytes: u64) -> Self {
        Self { gate: Gate::new(bytes), reconfigurations: Gate::new(bytes), ..self }
    }

    /// Replicates `data`. The answer comes when it is decided, and says where; or when the log was
    /// sealed without it, so that it can be proposed in the next configuration.
    ///
    /// Where more than `max-pending` bytes are open already, the answer is
    /// [`Overloaded`](omnipaxos_core::paxos::ProposeError::Overloaded): nothing was proposed.
    pub fn propose(&self, data: impl Into<Bytes>) -> Answer<ProposalOutcome, ProposalFailure> {
        let data = data.into();
        match self.gate.enter(data.len()) {
            Ok(permit) => self.ask(ReplicaMessage::Propose, Propose::admitted(data, permit)),
            Err(overloaded) => Answer::refused(overloaded),
        }
    }

    /// Ends the configuration with a StopSign that names the next one. Answered as a proposal.
    pub fn propose_reconfiguration(
        &self,
        next: impl Into<Reconfiguration>,
    ) -> Answer<ProposalOutcome, ProposalFailure> {
        let next = next.into();
        let ids = next.nodes.len() + next.learners.len();
        let len = size_of::<NodeId>() * ids + next.metadata.as_ref().map_or(0, Bytes::len);
        match self.reconfigurations.enter(len) {
            Ok(permit) => {
                self.ask(ReplicaMessage::Reconfigure, Reconfigure::admitted(next, permit))
            }
            Err(overloaded) => Answer::refused(overloaded),
        }
    }

    /// Reads decided entries from `from` on, below `to`: as many as one batch may hold. Ask again
    /// from where the answer ends.
    pub fn read_decided(&self, from: u64, to: u64) -> Answer<ReadBatch, ReadFailure> {
        self.ask(ReplicaMessage::Read, Read { from, to })
    }

    /// Forgets the decided entries below `to`.
    pub fn trim(&self, to: u64) -> Answer<(), TrimFailure> {
        self.ask(ReplicaMessage::Trim, Trim(to))
    }

    /// As [`read_decided`](Self::read_decided), with the identities of the proposals.
    pub fn read_records(&self, read: ReadRecords) -> Answer<Records, ReadFailure> {
        self.ask(ReplicaMessage::ReadRecords, read)
    }

    /// The blocks of the log, as far as they were digested: the last one may still grow. None where
    /// it was trimmed before.
    pub fn blocks(&self) -> Answer<Vec<Block>, Stopped> {
        self.ask(ReplicaMessage::Blocks, ())
    }

    /// The replica's state.
    pub fn status(&self) -> Answer<ReplicaStatus, Stopped> {
        self.ask(ReplicaMessage::Status, ())
    }

    /// Makes this server more or less preferred as leader: the highest priority wins.
    pub fn set_priority(&self, priority: u32) {
        self.replica.tell(ReplicaMessage::SetPriority(priority));
    }

    /// Hands leadership to this server: it stands for election at once, if it may. Where another
    /// one has a higher priority that takes over again.
    pub fn take_over(&self) {
        self.replica.tell(ReplicaMessage::TakeOver);
    }

    /// Hands decided records to the replica that it did not get from its leader; what it has
    /// already changes nothing. They start at or below its decided index, and were chosen in
    /// `round` or before.
    pub fn learn_decided(&self, start: u64, records: Records, round: Ballot) {
        self.replica.tell(ReplicaMessage::LearnDecided { start, records, round });
    }

    pub(crate) fn actor_ref(&self) -> ActorRef<ReplicaMessage> {
        self.replica.clone()
    }

    fn ask<Q, T, E>(
        &self,
        message: fn(Ask<Q, Result<T, E>>) -> ReplicaMessage,
        question: Q,
    ) -> Answer<T, E>
    where
        Q: MessageBounds,
        T: Send,
        E: Send,
    {
        Answer::of(&self.replica, message, question)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::{FlushMode, ReplicaComponent, ReplicaOptions};
    use crate::ports::LeaderElectionPort;
    use kompact::prelude::{
        ActorRefFactory as _, BlockingFutureExt as _, Component, KompactConfig, KompactSystem,
        Require,
    };
    use omnipaxos_core::leader_election::Leader;
    use omnipaxos_core::paxos::{Paxos, PaxosConfig, ProposeError};
    use omnipaxos_core::storage::{MemorySequence, MemoryState, Storage};
    use std::sync::Arc;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn is_refused(answer: Answer<ProposalOutcome, ProposalFailure>) -> bool {
        let refused = |result| {
            matches!(result, Err(ProposalFailure::Refused(ProposeError::Overloaded { .. })))
        };
        answer.wait_timeout(Duration::from_millis(1)).is_ok_and(refused)
    }

    type Replica = ReplicaComponent<MemorySequence, MemoryState>;

    /// The only server of its configuration, before it runs.
    fn replica(system: &KompactSystem) -> Arc<Component<Replica>> {
        let storage = Storage::with(MemorySequence::new(), MemoryState::new());
        let paxos = Paxos::try_with(1, 1, vec![], storage, PaxosConfig::default()).unwrap();
        let options = ReplicaOptions {
            tick: Duration::from_millis(10),
            batch_bytes: 1 << 20,
            flush: FlushMode::Auto,
        };
        system.create(move || ReplicaComponent::new(paxos, None, options))
    }

    fn lead(replica: &Component<Replica>) {
        let leader = Leader { ballot: Ballot::new(1, 0, 1) };
        replica.on_definition(|replica| {
            let _ = Require::<LeaderElectionPort>::handle(replica, leader).unwrap();
        });
    }

    #[test]
    fn a_queue_that_is_never_empty_is_worked_off_in_parts() {
        let system = KompactConfig::default().build().wait_timeout(PATIENCE).unwrap().unwrap();
        let replica = replica(&system);
        lead(&replica);
        let client = ReplicaClient::new(replica.actor_ref());
        let propose = |count: u64| -> Vec<_> { (0..count).map(|_| client.propose("a")).collect() };
        let before = propose(20_000);
        let status = client.status();
        let behind = propose(20_000);
        system.start_notify(&replica).wait_timeout(PATIENCE).unwrap();
        let status = status.wait_timeout(PATIENCE).unwrap().unwrap();
        assert!((10_000..=20_000).contains(&status.decided_index), "{status:?}");
        for answer in before.into_iter().chain(behind) {
            assert!(matches!(answer.wait_timeout(PATIENCE), Ok(Ok(ProposalOutcome::Decided(_)))));
        }
        system.kill_system().unwrap();
    }

    #[test]
    fn what_is_open_is_bounded_and_there_is_room_again_once_it_is_answered() {
        let system = KompactConfig::default().build().wait_timeout(PATIENCE).unwrap().unwrap();
        let replica = replica(&system);
        let client = ReplicaClient::new(replica.actor_ref()).bounded(10_000);
        let unbounded = ReplicaClient::new(replica.actor_ref());
        let payload = vec![7; 4000];
        let open = [client.propose(payload.clone()), client.clone().propose(payload.clone())];
        let refuses = || {
            is_refused(client.propose(payload.clone()))
                && is_refused(client.clone().propose(payload.clone()))
                && !is_refused(unbounded.propose(payload.clone()))
        };
        assert!(refuses());
        // Reconfigurations have room of their own.
        let next = || Reconfiguration::from(vec![1]).with_metadata(payload.clone());
        let changes = [0, 1].map(|_| client.propose_reconfiguration(next()));
        assert!(is_refused(client.propose_reconfiguration(next())));
        // Taken, but nobody leads.
        system.start_notify(&replica).wait_timeout(PATIENCE).unwrap();
        client.status().wait_timeout(PATIENCE).unwrap().unwrap();
        assert!(refuses());
        lead(&replica);
        for answer in open {
            assert!(matches!(answer.wait_timeout(PATIENCE), Ok(Ok(ProposalOutcome::Decided(_)))));
        }
        assert!(changes.into_iter().all(|answer| answer.wait_timeout(PATIENCE).is_ok()));
        assert!(!is_refused(client.propose(payload.clone())));
        system.kill_system().unwrap();
    }
}
