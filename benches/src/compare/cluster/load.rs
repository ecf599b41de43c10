//! Proposals through the public port, one by one, a window of them open.

use super::Outcome;
use bytes::Bytes;
use kompact::prelude::*;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::paxos::{ProposalOutcome, TrimError};
use omnipaxos_kompact::ports::{DecidedPort, ReplicaEvent, ReplicaRequest, TrimFailure};
use std::collections::VecDeque;
use std::time::Instant;

/// What a proposer is told.
#[derive(Debug)]
pub(super) enum Run {
    /// Propose so many, so many of them open at once.
    Propose { payload: usize, window: u64, count: u64, done: KPromise<Result<Outcome, String>> },
    /// Say when there is a leader.
    Leader(KPromise<NodeId>),
    /// Keep so many decided entries from now on, and trim what is older.
    Keep(u64),
    /// Say how often another leader was followed, or none.
    LeaderChanges(KPromise<u64>),
}

/// Proposes.
#[derive(ComponentDefinition)]
pub(super) struct Proposer {
    ctx: ComponentContext<Self>,
    pub(super) decided: RequiredPort<DecidedPort>,
    leader: Option<NodeId>,
    waits: Option<KPromise<NodeId>>,
    leader_changes: u64,
    keep: Option<u64>,
    trimmed: u64,
    trims: bool,
    payload: Bytes,
    window: u64,
    count: u64,
    proposed: u64,
    open: VecDeque<Instant>,
    took: Vec<u64>,
    start: Instant,
    done: Option<KPromise<Result<Outcome, String>>>,
}

impl Proposer {
    pub(super) fn new() -> Self {
        Self {
            ctx: ComponentContext::uninitialised(),
            decided: RequiredPort::uninitialised(),
            leader: None,
            waits: None,
            leader_changes: 0,
            keep: None,
            trimmed: 0,
            trims: false,
            payload: Bytes::new(),
            window: 0,
            count: 0,
            proposed: 0,
            open: VecDeque::new(),
            took: Vec::new(),
            start: Instant::now(),
            done: None,
        }
    }

    fn propose(&mut self) {
        while self.proposed < self.count && (self.open.len() as u64) < self.window {
            let data = self.payload.clone();
            self.open.push_back(Instant::now());
            self.decided.trigger(ReplicaRequest::Propose { token: self.proposed, data });
            self.proposed += 1;
        }
    }

    /// Trims in steps of as much as is kept, one at a time. The token says up to where.
    fn decided_up_to(&mut self, end: u64) {
        if let Some(keep) = self.keep
            && !self.trims
            && end - self.trimmed >= 2 * keep
        {
            self.trims = true;
            let to = end - keep;
            self.decided.trigger(ReplicaRequest::Trim { token: to, to });
        }
    }

    /// Not all members may have decided that much: then what they have.
    fn trimmed(&mut self, to: u64, result: Result<(), TrimFailure>) {
        self.trims = false;
        match result {
            Ok(()) => self.trimmed = to,
            Err(TrimFailure::Refused(TrimError::NotDecidedByAll { allowed }))
                if allowed > self.trimmed =>
            {
                self.trims = true;
                self.decided.trigger(ReplicaRequest::Trim { token: allowed, to: allowed });
            }
            // The next decided entries ask again.
            Err(_) => {}
        }
    }

    fn tell_leader(&mut self) {
        if let Some(leader) = self.leader
            && let Some(waits) = self.waits.take()
        {
            // Whoever waits may have given up.
            let _ = waits.fulfil(leader);
        }
    }

    fn end(&mut self, outcome: Result<Outcome, String>) {
        if let Some(done) = self.done.take() {
            let _ = done.fulfil(outcome);
        }
    }

    fn decided_one(&mut self) {
        if let Some(proposed) = self.open.pop_front() {
            self.took.push(proposed.elapsed().as_nanos() as u64);
        }
        if self.took.len() as u64 == self.count {
            let took = std::mem::take(&mut self.took);
            let outcome = Outcome::new(self.start.elapsed().as_secs_f64(), took);
            self.end(Ok(outcome));
        } else {
            self.propose();
        }
    }
}

impl ComponentLifecycle for Proposer {}

impl Actor for Proposer {
    type Message = Run;

    fn receive_local(&mut self, run: Run) -> HandlerResult {
        match run {
            Run::Leader(waits) => {
                self.waits = Some(waits);
                self.tell_leader();
            }
            Run::Keep(entries) => self.keep = Some(entries),
            Run::LeaderChanges(promise) => {
                let _ = promise.fulfil(self.leader_changes);
            }
            Run::Propose { payload, window, count, done } => {
                self.payload = Bytes::from(vec![7; payload]);
                (self.window, self.count, self.proposed) = (window, count, 0);
                self.took = Vec::with_capacity(count as usize);
                self.done = Some(done);
                self.start = Instant::now();
                self.propose();
            }
        }
        Handled::OK
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        Handled::OK
    }
}

impl Require<DecidedPort> for Proposer {
    fn handle(&mut self, event: ReplicaEvent) -> HandlerResult {
        match event {
            ReplicaEvent::LeaderChanged { leader, .. } => {
                self.leader = leader;
                self.leader_changes += 1;
                self.tell_leader();
            }
            ReplicaEvent::Decided(batch) => {
                self.decided_up_to(batch.first_index + batch.entries.len() as u64);
            }
            ReplicaEvent::Trimmed { token, result } => self.trimmed(token, result),
            ReplicaEvent::Proposed { result: Ok(ProposalOutcome::Decided(_)), .. } => {
                self.decided_one();
            }
            ReplicaEvent::Proposed { result, .. } => self.end(Err(format!("{result:?}"))),
            _ => {}
        }
        Handled::OK
    }
}
