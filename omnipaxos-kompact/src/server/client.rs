//! What a program asks of a server.

use super::change::{Change, Seat};
use super::error::{ChangeError, LogReadError, ProposalError};
use super::messages::{Changed, LogSlice, ProposeData, ReadLog, ServerRequest, ServerStatus};
use crate::components::Gate;
use crate::ports::Stopped;
use crate::spawn::Answer;
use bytes::Bytes;
use kompact::prelude::{ActorRef, Ask, MessageBounds};
use omnipaxos_core::configurations::Role;
use omnipaxos_core::leader_election::NodeId;
use std::net::SocketAddr;

/// Asks one server. Cheap to clone, and to be used from any thread or component.
///
/// Changes of membership are answered once the new configuration can decide, or with the reason why
/// not. They can be asked of any member.
#[derive(Clone, Debug)]
pub struct ServerClient {
    server: ActorRef<ServerRequest>,
    gate: Gate,
}

impl ServerClient {
    /// Of all clients that share `gate`.
    pub(super) fn new(server: ActorRef<ServerRequest>, gate: Gate) -> Self {
        Self { server, gate }
    }

    /// Replicates `data`. The answer is its global index, once it is decided, in whichever
    /// configuration.
    ///
    /// Where more than `max-pending` bytes are open already, the answer is
    /// [`Overloaded`](omnipaxos_core::paxos::ProposeError::Overloaded): nothing was proposed.
    pub fn propose(&self, data: impl Into<Bytes>) -> Answer<u64, ProposalError> {
        let data = data.into();
        match self.gate.enter(data.len()) {
            Ok(permit) => self.ask(ServerRequest::Propose, ProposeData::admitted(data, permit)),
            Err(overloaded) => Answer::refused(overloaded),
        }
    }

    /// Reads decided entries from the global index `from` on, as many as one batch may hold. Ask
    /// again from where the answer ends.
    pub fn read(&self, from: u64) -> Answer<LogSlice, LogReadError> {
        self.ask(ServerRequest::Read, ReadLog { from })
    }

    /// The server's state.
    pub fn status(&self) -> Answer<ServerStatus, Stopped> {
        self.ask(ServerRequest::Status, ())
    }

    /// Makes a change.
    pub fn change(&self, change: Change) -> Answer<Changed, ChangeError> {
        self.ask(ServerRequest::Change, change)
    }

    /// From now on the members are these.
    pub fn reconfigure(&self, seats: Vec<Seat>) -> Answer<Changed, ChangeError> {
        self.change(Change::Reconfigure(seats))
    }

    /// Adds a voter that runs at `address`.
    pub fn add(&self, pid: NodeId, address: SocketAddr) -> Answer<Changed, ChangeError> {
        self.change(Change::Add(Seat::voter(pid, Some(address))))
    }

    /// Adds a learner that runs at `address`.
    pub fn add_learner(&self, pid: NodeId, address: SocketAddr) -> Answer<Changed, ChangeError> {
        self.change(Change::Add(Seat::learner(pid, Some(address))))
    }

    /// Removes a member.
    pub fn remove(&self, pid: NodeId) -> Answer<Changed, ChangeError> {
        self.change(Change::Remove(pid))
    }

    /// Puts server `new`, which runs at `address`, in the place of member `old`.
    pub fn replace(
        &self,
        old: NodeId,
        new: NodeId,
        address: SocketAddr,
    ) -> Answer<Changed, ChangeError> {
        self.change(Change::Replace { old, new, address: Some(address) })
    }

    /// Lets a learner vote.
    pub fn promote(&self, pid: NodeId) -> Answer<Changed, ChangeError> {
        self.change(Change::SetRole { pid, role: Role::Voter })
    }

    /// Makes a voter a learner.
    pub fn demote(&self, pid: NodeId) -> Answer<Changed, ChangeError> {
        self.change(Change::SetRole { pid, role: Role::Learner })
    }

    /// Lets a voter lead.
    pub fn transfer_leadership(&self, to: NodeId) -> Answer<Changed, ChangeError> {
        self.change(Change::TransferLeadership(to))
    }

    fn ask<Q, T, E>(
        &self,
        message: fn(Ask<Q, Result<T, E>>) -> ServerRequest,
        question: Q,
    ) -> Answer<T, E>
    where
        Q: MessageBounds,
        T: Send,
        E: Send,
    {
        Answer::of(&self.server, message, question)
    }
}
