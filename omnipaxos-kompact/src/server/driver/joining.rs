//! A server that is not in a cluster yet.

use super::{Driver, RETRY};
use crate::server::error::ServerHalted;
use crate::server::port::ServerEvent;
use crate::server::store::ServerStorage;
use crate::wire::{JoinRefusal, Member, ServerTalk};
use omnipaxos_core::configurations::{History, Role};
use omnipaxos_core::leader_election::NodeId;
use std::net::SocketAddr;
use std::time::Instant;

/// How a server tries to become a member.
#[derive(Clone, Debug)]
pub(super) struct Joining {
    /// Where the server is that the operator has named.
    contact: SocketAddr,
    role: Option<Role>,
    /// Servers to ask instead, as the last answer has said, the next one last.
    ask: Vec<SocketAddr>,
    next: Instant,
}

impl Joining {
    pub(super) fn new(contact: SocketAddr, role: Option<Role>) -> Self {
        Self { contact, role, ask: Vec::new(), next: Instant::now() }
    }
}

impl<E: ServerStorage> Driver<E> {
    /// Asks to be made a member, as long as this server is none.
    pub(super) fn join(&mut self, now: Instant) {
        let Some(joining) = &mut self.joining else {
            return;
        };
        let newest = self.life.history().map(History::newest);
        if newest.is_some_and(|newest| newest.role(self.pid).is_some()) {
            self.joining = None;
            return;
        }
        if now < joining.next {
            return;
        }
        joining.next = now + RETRY;
        let at = joining.ask.pop().unwrap_or(joining.contact);
        let talk = match joining.role {
            Some(role) => ServerTalk::Join { role },
            None => ServerTalk::Identify,
        };
        self.mail(Some(at), 0, talk);
    }

    /// Somebody has refused to make this server a member.
    pub(super) fn on_join_refused(&mut self, reason: JoinRefusal, ask: &[Member]) {
        let Some(joining) = &mut self.joining else {
            return;
        };
        joining.ask = ask.iter().map(|member| member.address).collect();
        if let JoinRefusal::OtherStorage { bound } = reason {
            return self.halt(ServerHalted::OtherStorage { pid: self.pid, bound });
        }
        if reason != JoinRefusal::Busy && joining.ask.is_empty() {
            self.indicate(ServerEvent::JoinRefused { reason });
        }
    }

    /// Somebody wants to be a member.
    pub(super) fn on_join(&mut self, pid: NodeId, role: Role) {
        let Some(newest) = self.newest() else {
            return self.refuse_join(pid, JoinRefusal::NotMember);
        };
        if newest.role(pid).is_some_and(|has| has >= role) {
            // It is one already: it does not know yet.
            return self.tell_history(pid);
        }
        if newest.role(self.pid).is_none() {
            return self.refuse_join(pid, JoinRefusal::NotMember);
        }
        self.change_for(pid, role);
    }

    pub(super) fn refuse_join(&mut self, pid: NodeId, reason: JoinRefusal) {
        let mut ask = Vec::new();
        if let (JoinRefusal::NotMember, Some(newest)) = (reason, self.newest()) {
            let members = self.book.members();
            ask.extend(members.filter(|m| newest.role(m.pid).is_some()));
        }
        self.send(pid, ServerTalk::JoinRefused { reason, ask });
    }
}
