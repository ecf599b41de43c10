//! What a program asks of a replica.

use crate::components::{
    Propose, Read, ReadRecords, Reconfigure, ReplicaMessage, ReplicaStatus, Trim,
};
use crate::ports::{ProposalFailure, ReadBatch, ReadFailure, Stopped, TrimFailure};
use bytes::Bytes;
use kompact::prelude::{ActorRef, Ask, KFuture, MessageBounds};
use omnipaxos_core::digest::Block;
use omnipaxos_core::leader_election::Ballot;
use omnipaxos_core::paxos::{ProposalOutcome, Reconfiguration};
use omnipaxos_core::storage::Records;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Asks one replica. Cheap to clone, and to be used from any thread or component.
#[derive(Clone, Debug)]
pub struct ReplicaClient {
    replica: ActorRef<ReplicaMessage>,
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
}

impl ReplicaClient {
    /// A client of a replica that was created by hand.
    #[must_use]
    pub fn new(replica: ActorRef<ReplicaMessage>) -> Self {
        Self { replica }
    }

    /// Replicates `data`. The answer comes when it is decided, and says where; or when the log was
    /// sealed without it, so that it can be proposed in the next configuration.
    pub fn propose(&self, data: impl Into<Bytes>) -> Answer<ProposalOutcome, ProposalFailure> {
        self.ask(ReplicaMessage::Propose, Propose(data.into()))
    }

    /// Ends the configuration with a StopSign that names the next one.
    pub fn propose_reconfiguration(
        &self,
        next: impl Into<Reconfiguration>,
    ) -> Answer<ProposalOutcome, ProposalFailure> {
        self.ask(ReplicaMessage::Reconfigure, Reconfigure(next.into()))
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
