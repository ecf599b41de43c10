//! Changes of membership, one at a time: who the new servers are, the StopSign, and whether the
//! next configuration is ready.

use super::{Driver, RETRY};
use crate::components::Outcome;
use crate::identity::StorageId;
use crate::ports::{ProposalFailure, Stopped};
use crate::server::change::{Change, Seat, Target};
use crate::server::error::ChangeError;
use crate::server::messages::{Changed, FromDriver};
use crate::server::store::ServerStorage;
use crate::wire::{JoinRefusal, Member, ServerTalk, encode_members};
use kompact::prelude::*;
use omnipaxos_core::configurations::{Configuration, History, Role, Stage};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::paxos::{ProposalOutcome, ProposeError, Reconfiguration, ReconfigureError};
use omnipaxos_core::storage::ConfigId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The change that is under way.
#[derive(Debug, Default)]
pub(super) struct Changes {
    current: Option<Current>,
    /// A user's change that waits until a server has joined.
    next: Option<(Change, Promise)>,
}

type Promise = KPromise<Result<Changed, ChangeError>>;

#[derive(Debug)]
struct Current {
    change: Change,
    asker: Asker,
    step: Step,
    /// What servers have said of themselves since the change was asked for.
    said: BTreeMap<NodeId, (StorageId, SocketAddr)>,
    started: Instant,
    next: Instant,
}

/// Who wants to know what became of it.
#[derive(Debug)]
enum Asker {
    User(Promise),
    /// A server that wants to be a member.
    Server(NodeId),
}

#[derive(Debug)]
enum Step {
    /// The new servers are being asked who they are; the newest configuration starts here.
    Asking,
    /// The StopSign of this configuration was proposed.
    Deciding(ConfigId),
    /// Another StopSign of this configuration came first.
    Lost(ConfigId),
    /// The configuration behind this one gets ready.
    Settling(ConfigId),
    /// A server is asked to lead this configuration.
    Leading(NodeId, ConfigId),
}

impl Changes {
    /// Nothing comes of what is under way.
    pub(super) fn give_up(&mut self) {
        let current = self.current.take().and_then(|current| match current.asker {
            Asker::User(promise) => Some(promise),
            Asker::Server(_) => None,
        });
        let next = self.next.take().map(|(_, promise)| promise);
        for promise in current.into_iter().chain(next) {
            let _ = promise.fulfil(Err(Stopped.into()));
        }
    }
}

impl<E: ServerStorage> Driver<E> {
    pub(super) fn on_change(&mut self, change: Change, promise: Promise) {
        if self.halted {
            let _ = promise.fulfil(Err(Stopped.into()));
            return;
        }
        match &self.changes.current {
            None => self.begin_change(change, Asker::User(promise)),
            Some(Current { asker: Asker::Server(_), .. }) if self.changes.next.is_none() => {
                self.changes.next = Some((change, promise));
            }
            Some(_) => {
                let _ = promise.fulfil(Err(ChangeError::UnderWay));
            }
        }
    }

    /// A server wants to be a member.
    pub(super) fn change_for(&mut self, pid: NodeId, role: Role) {
        match &self.changes.current {
            Some(Current { asker: Asker::Server(asker), .. }) if *asker == pid => {}
            Some(_) => self.refuse_join(pid, JoinRefusal::Busy),
            None => {
                let address = self.book.address(pid);
                let change = Change::Add(Seat { pid, address, role });
                self.begin_change(change, Asker::Server(pid));
            }
        }
    }

    fn begin_change(&mut self, change: Change, asker: Asker) {
        let now = Instant::now();
        let (step, said) = (Step::Asking, BTreeMap::new());
        self.changes.current = Some(Current { change, asker, step, said, started: now, next: now });
        self.change(now);
    }

    /// A server has said who it is.
    pub(super) fn identified(&mut self, pid: NodeId, id: StorageId, address: SocketAddr) {
        if let Some(current) = &mut self.changes.current {
            current.said.insert(pid, (id, address));
            self.change(Instant::now());
        }
    }

    /// What became of the StopSign.
    pub(super) fn reconfigured(&mut self, outcome: &Outcome) {
        let Some(current) = &mut self.changes.current else {
            return;
        };
        if !matches!(current.step, Step::Deciding(config_id) if config_id == outcome.config_id) {
            return;
        }
        let config_id = outcome.config_id;
        current.step = match &outcome.result {
            Ok(ProposalOutcome::Decided(_)) => Step::Settling(config_id),
            Ok(ProposalOutcome::Dropped) => Step::Lost(config_id),
            Err(ProposalFailure::ReconfigurationRefused(ReconfigureError::Propose(
                ProposeError::Sealed { .. } | ProposeError::Reconfiguring { .. },
            ))) => Step::Lost(config_id),
            Err(ProposalFailure::ReconfigurationRefused(e)) => {
                let error = e.clone().into();
                return self.end_change(Err(error));
            }
            Err(failure) => {
                let error = failure.clone().into();
                return self.end_change(Err(error));
            }
        };
        self.change(Instant::now());
    }

    /// Takes the change that is under way as far as it goes.
    pub(super) fn change(&mut self, now: Instant) {
        let Some(current) = &self.changes.current else {
            return;
        };
        let (waited, patience) =
            (now.duration_since(current.started), self.router.config().change_timeout);
        let late = waited >= patience;
        match current.step {
            Step::Asking => self.ask_new_servers(now, waited),
            Step::Deciding(_) if late => self.end_change(Err(ChangeError::Undecided(patience))),
            Step::Deciding(_) => {}
            Step::Lost(config_id) => match self.configuration_after(config_id) {
                Some(Configuration { config_id, nodes, .. }) => {
                    self.end_change(Err(ChangeError::Lost { config_id, nodes }));
                }
                None if late => self.end_change(Err(ChangeError::Undecided(patience))),
                None => {}
            },
            Step::Settling(config_id) => match self.ready_after(config_id) {
                Some(changed) => self.end_change(Ok(changed)),
                None if late => {
                    let config_id = config_id + 1;
                    self.end_change(Err(ChangeError::NotReady { config_id, patience }));
                }
                None => {}
            },
            Step::Leading(to, config_id) => self.await_leader(to, config_id, now, late),
        }
    }

    /// Asks the servers that are not known who they are, and proposes the StopSign once they have
    /// said so.
    fn ask_new_servers(&mut self, now: Instant, waited: Duration) {
        let Some(newest) = self.newest().filter(|newest| newest.role(self.pid).is_some()) else {
            return self.end_change(Err(ChangeError::NotMember));
        };
        // It may be as new as this very burst of inputs.
        self.note_members(&newest);
        let Some(current) = &self.changes.current else {
            return;
        };
        if let Change::TransferLeadership(to) = current.change {
            return self.begin_transfer(to, &newest);
        }
        let target = match Target::of(&current.change, &newest) {
            Ok(target) => target,
            Err(error) => return self.end_change(Err(error)),
        };
        let (members, unknown) = match self.seats(&target) {
            Ok(found) => found,
            Err(error) => return self.end_change(Err(error)),
        };
        let patience = self.router.config().change_timeout;
        if let Some((pid, _)) = unknown.first() {
            if waited >= patience / 4 {
                return self.end_change(Err(ChangeError::NoAnswer(*pid)));
            }
            if self.is_time(now) {
                for (pid, address) in unknown {
                    self.mail(Some(address), pid, ServerTalk::Identify);
                }
            }
            return;
        }
        match self.runs_newest() {
            Some(config_id) => self.propose(config_id, target, &members),
            None if waited >= patience => {
                self.end_change(Err(ChangeError::Undecided(patience)));
            }
            None => {}
        }
    }

    /// The members of a target with their storages and addresses, and those of which the storage is
    /// not known.
    #[allow(clippy::type_complexity)]
    fn seats(
        &self,
        target: &Target,
    ) -> Result<(Vec<Member>, Vec<(NodeId, SocketAddr)>), ChangeError> {
        let (mut members, mut unknown) = (Vec::new(), Vec::new());
        let bound = self.router.bindings();
        for pid in target.members() {
            if pid == self.pid {
                members.push(self.myself());
                continue;
            }
            let said = self.changes.current.as_ref().and_then(|c| c.said.get(&pid).copied());
            let known = self.book.storage_id(pid).or(bound.get(&pid).map(|b| b.storage_id));
            if let (Some(bound), Some((presented, _))) = (known, said)
                && bound != presented
            {
                return Err(ChangeError::OtherStorage { pid, bound, presented });
            }
            let told = target.addresses.get(&pid).copied();
            let address = said
                .map(|(_, address)| address)
                .or(self.book.address(pid).filter(|_| self.book.knows(pid)))
                .or(told)
                .ok_or(ChangeError::NoAddress(pid))?;
            match known.or(said.map(|(id, _)| id)) {
                Some(id) => members.push(Member { pid, storage_id: Some(id), address }),
                None => unknown.push((pid, told.unwrap_or(address))),
            }
        }
        Ok((members, unknown))
    }

    fn propose(&mut self, config_id: ConfigId, target: Target, members: &[Member]) {
        let metadata = match encode_members(members) {
            Ok(metadata) => metadata,
            Err(_) => return self.end_change(Err(ReconfigureError::Empty.into())),
        };
        let next = Reconfiguration::from(target.nodes)
            .with_learners(target.learners)
            .with_metadata(metadata);
        if let Some(current) = &mut self.changes.current {
            current.step = Step::Deciding(config_id);
        }
        self.tell(FromDriver::Reconfigure { config_id, next });
    }

    fn configuration_after(&self, config_id: ConfigId) -> Option<Configuration> {
        self.life.history()?.configuration(config_id.checked_add(1)?)
    }

    /// Whether the configuration behind `config_id` can decide: a quorum of its voters has been in
    /// sync with a leader, or it is over already.
    fn ready_after(&self, config_id: ConfigId) -> Option<Changed> {
        let newest = self.life.history().map(History::newest)?;
        if newest.config_id <= config_id {
            return None;
        }
        let ours = (self.pid, self.life.stage());
        let stages = self.life.stages().iter().map(|(pid, stage)| (*pid, *stage)).chain([ours]);
        let mut leaders = Vec::new();
        for (pid, stage) in stages {
            if let (Some(Role::Voter), Stage::Synced { leader }) = (newest.role(pid), stage) {
                leaders.push(leader);
            }
        }
        let over = newest.config_id > config_id + 1 || self.life.is_retired();
        let ready = over || leaders.len() > newest.nodes.len() / 2;
        let leader = leaders.into_iter().flatten().next_back();
        ready.then_some(Changed { config_id: newest.config_id, leader })
    }

    fn begin_transfer(&mut self, to: NodeId, newest: &Configuration) {
        match newest.role(to) {
            None => self.end_change(Err(ChangeError::NoSuchMember(to))),
            Some(Role::Learner) => self.end_change(Err(ChangeError::NotVoter(to))),
            Some(Role::Voter) => {
                if let Some(current) = &mut self.changes.current {
                    current.step = Step::Leading(to, newest.config_id);
                }
                self.change(Instant::now());
            }
        }
    }

    fn await_leader(&mut self, to: NodeId, config_id: ConfigId, now: Instant, late: bool) {
        if self.leaders.get(&config_id).copied().flatten() == Some(to) {
            return self.end_change(Ok(Changed { config_id, leader: Some(to) }));
        }
        if let Some(Configuration { config_id, nodes, .. }) = self.configuration_after(config_id) {
            return self.end_change(Err(ChangeError::Lost { config_id, nodes }));
        }
        if late {
            let patience = self.router.config().change_timeout;
            return self.end_change(Err(ChangeError::Undecided(patience)));
        }
        if self.is_time(now) {
            self.ask_to_lead(to, config_id);
        }
    }

    /// Whether something that may have been lost is to be said again.
    fn is_time(&mut self, now: Instant) -> bool {
        let Some(current) = &mut self.changes.current else {
            return false;
        };
        let due = now >= current.next;
        if due {
            current.next = now + RETRY;
        }
        due
    }

    fn end_change(&mut self, result: Result<Changed, ChangeError>) {
        let Some(current) = self.changes.current.take() else {
            return;
        };
        match (current.asker, result) {
            (Asker::User(promise), result) => {
                // Whoever asked may have stopped waiting.
                let _ = promise.fulfil(result);
            }
            (Asker::Server(pid), Ok(_) | Err(ChangeError::NotReady { .. })) => {
                self.tell_history(pid);
            }
            (Asker::Server(pid), Err(error)) => {
                debug!(
                    self.system.logger(), "join not done";
                    "pid" => self.pid, "peer" => pid, "reason" => %error
                );
                let reason = match error {
                    ChangeError::OtherStorage { bound, .. } => JoinRefusal::OtherStorage { bound },
                    ChangeError::NotMember => JoinRefusal::NotMember,
                    _ => JoinRefusal::Busy,
                };
                self.refuse_join(pid, reason);
            }
        }
        if let Some((change, promise)) = self.changes.next.take() {
            self.begin_change(change, Asker::User(promise));
        }
    }
}
