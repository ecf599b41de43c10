//! Proposals through the public port, one by one, a window of them open.

use super::Outcome;
use bytes::Bytes;
use kompact::prelude::*;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::paxos::ProposalOutcome;
use omnipaxos_kompact::ports::{DecidedPort, ReplicaEvent, ReplicaRequest};
use std::collections::VecDeque;
use std::time::Instant;

/// What a proposer is told.
#[derive(Debug)]
pub(super) enum Run {
    /// Propose so many, so many of them open at once.
    Propose { payload: usize, window: u64, count: u64, done: KPromise<Result<Outcome, String>> },
    /// Say when there is a leader.
    Leader(KPromise<NodeId>),
}

/// Proposes.
#[derive(ComponentDefinition)]
pub(super) struct Proposer {
    ctx: ComponentContext<Self>,
    pub(super) decided: RequiredPort<DecidedPort>,
    leader: Option<NodeId>,
    waits: Option<KPromise<NodeId>>,
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
                self.tell_leader();
            }
            ReplicaEvent::Proposed { result: Ok(ProposalOutcome::Decided(_)), .. } => {
                self.decided_one();
            }
            ReplicaEvent::Proposed { result, .. } => self.end(Err(format!("{result:?}"))),
            _ => {}
        }
        Handled::OK
    }
}
