//! The user of one server: proposes, and is told the log.

use crate::compare::group::GroupError;
use bytes::Bytes;
use kompact::prelude::*;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::migration::Progress;
use omnipaxos_kompact::server::{LogPort, LogRequest, ServerEvent};
use std::sync::Arc;
use std::time::Duration;

/// What a reader is asked.
#[derive(Debug)]
pub(super) enum Question {
    /// Say when there is a leader.
    Leader(KPromise<NodeId>),
    /// Propose so many entries of so many bytes; say what global index follows the last one, once
    /// all are decided.
    Propose { count: u64, payload: usize, done: KPromise<Result<u64, GroupError>> },
    /// Say when everything below this global index was processed, and what a migration has brought.
    Read { to: u64, done: KPromise<Option<Arc<Progress>>> },
}

/// Proposals that are open at once.
const WINDOW: u64 = 16_384;

#[derive(ComponentDefinition)]
pub(super) struct Reader {
    ctx: ComponentContext<Self>,
    pub(super) log: RequiredPort<LogPort>,
    /// How long it works on each batch that it is told.
    work: Duration,
    leader: Option<NodeId>,
    waits: Option<KPromise<NodeId>>,
    /// The index after the last entry that was told.
    next: u64,
    reads: Option<(u64, KPromise<Option<Arc<Progress>>>)>,
    migrated: Option<Arc<Progress>>,
    payload: Bytes,
    count: u64,
    proposed: u64,
    decided: u64,
    end: u64,
    done: Option<KPromise<Result<u64, GroupError>>>,
}

impl Reader {
    pub(super) fn new(work: Duration) -> Self {
        Self {
            ctx: ComponentContext::uninitialised(),
            log: RequiredPort::uninitialised(),
            work,
            leader: None,
            waits: None,
            next: 0,
            reads: None,
            migrated: None,
            payload: Bytes::new(),
            count: 0,
            proposed: 0,
            decided: 0,
            end: 0,
            done: None,
        }
    }

    fn propose(&mut self) {
        while self.proposed < self.count && self.proposed - self.decided < WINDOW {
            let (token, data) = (self.proposed, self.payload.clone());
            self.log.trigger(LogRequest::Propose { token, data });
            self.proposed += 1;
        }
        if self.decided == self.count {
            self.end_proposing(Ok(self.end));
        }
    }

    fn end_proposing(&mut self, result: Result<u64, GroupError>) {
        // Whoever asks may have given up; so below.
        if let Some(done) = self.done.take() {
            let _ = done.fulfil(result);
        }
    }

    fn told(&mut self, next: u64) {
        if !self.work.is_zero() {
            std::thread::sleep(self.work);
        }
        self.next = next;
        self.log.trigger(LogRequest::Confirm { index: next });
        self.tell();
    }

    fn tell(&mut self) {
        if let Some(leader) = self.leader
            && let Some(waits) = self.waits.take()
        {
            let _ = waits.fulfil(leader);
        }
        if let Some((_, done)) = self.reads.take_if(|(to, _)| *to <= self.next) {
            let _ = done.fulfil(self.migrated.clone());
        }
    }
}

impl ComponentLifecycle for Reader {}

impl Actor for Reader {
    type Message = Question;

    fn receive_local(&mut self, question: Question) -> HandlerResult {
        match question {
            Question::Leader(waits) => self.waits = Some(waits),
            Question::Propose { count, payload, done } => {
                self.payload = Bytes::from(vec![7; payload]);
                (self.count, self.proposed, self.decided) = (count, 0, 0);
                self.done = Some(done);
                self.propose();
            }
            Question::Read { to, done } => self.reads = Some((to, done)),
        }
        self.tell();
        Handled::OK
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        Handled::OK
    }
}

impl Require<LogPort> for Reader {
    fn handle(&mut self, event: ServerEvent) -> HandlerResult {
        match event {
            ServerEvent::Decided(batch) => self.told(batch.index + batch.entries.len() as u64),
            ServerEvent::StopSign { index, .. } => self.told(index + 1),
            ServerEvent::LeaderChanged { leader, .. } => {
                self.leader = leader;
                self.tell();
            }
            ServerEvent::Migrating { progress, .. } => self.migrated = Some(progress),
            ServerEvent::Proposed { result: Ok(index), .. } => {
                self.decided += 1;
                self.end = self.end.max(index + 1);
                self.propose();
            }
            ServerEvent::Proposed { result: Err(error), .. } => {
                self.end_proposing(Err(GroupError::new(error)));
            }
            _ => {}
        }
        Handled::OK
    }
}
