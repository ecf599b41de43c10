//! The leader election of one server in one configuration: Ballot Leader Election with a clock.

use super::health::ReplicaHealth;
use super::round_trips::{Clock, RoundTrips};
use crate::counters::LogGate;
use crate::ports::{ElectionRequest, HeartbeatPort, LeaderElectionPort, LinkIndication};
use kompact::prelude::*;
use omnipaxos_core::leader_election::{
    BallotLeaderElection, Heartbeat, HeartbeatMessage, Leader, NodeId,
};
use omnipaxos_core::storage::ConfigId;
use std::time::{Duration, Instant};

/// Runs a [`BallotLeaderElection`]: gives it ticks, carries its messages, and indicates the leaders
/// that it elects.
///
/// A component of its own, beside the replica: heartbeats never wait for entries or for a disk.
#[derive(ComponentDefinition)]
pub struct LeaderElectionComponent {
    ctx: ComponentContext<Self>,
    leaders: ProvidedPort<LeaderElectionPort>,
    network: RequiredPort<HeartbeatPort>,
    election: BallotLeaderElection,
    pid: NodeId,
    config_id: ConfigId,
    tick: Duration,
    /// The replica beside this election, and how long one of its flushes may take.
    watched: Option<(ReplicaHealth, Duration)>,
    fit: bool,
    votes: bool,
    clock: Clock,
    refusals: LogGate,
}

impl LeaderElectionComponent {
    /// The election of server `pid` in configuration `config_id`, with a tick each `tick`.
    #[must_use]
    pub fn new(
        config_id: ConfigId,
        pid: NodeId,
        election: BallotLeaderElection,
        tick: Duration,
    ) -> Self {
        Self {
            ctx: ComponentContext::uninitialised(),
            leaders: ProvidedPort::uninitialised(),
            network: RequiredPort::uninitialised(),
            election,
            pid,
            config_id,
            tick,
            watched: None,
            fit: true,
            votes: true,
            clock: Clock::default(),
            refusals: LogGate::default(),
        }
    }

    /// Watches a replica: while one of its flushes takes longer than `patience`, while it recovers
    /// from suspect storage, or once it has halted, this server says that it is not
    /// quorum-connected, and another one leads.
    #[must_use]
    pub fn watching(mut self, replica: ReplicaHealth, patience: Duration) -> Self {
        self.watched = Some((replica, patience));
        self
    }

    /// How long this election's heartbeats take.
    #[must_use]
    pub fn round_trips(&self) -> RoundTrips {
        self.clock.round_trips()
    }

    fn look_at_replica(&mut self) {
        let Some((replica, patience)) = &self.watched else {
            return;
        };
        let (fit, votes) = (replica.is_fit(Instant::now(), *patience), replica.votes());
        if (fit, votes) != (self.fit, self.votes) {
            (self.fit, self.votes) = (fit, votes);
            warn!(
                self.log(), "fitness to lead changed: see the replica's flushes, and its status";
                "pid" => self.pid, "config_id" => self.config_id, "fit" => fit, "votes" => votes
            );
            self.election.set_healthy(fit);
            self.election.set_voting(votes);
        }
    }

    /// Each tick asks for the next: after a stall there is one tick and then the messages that
    /// waited, not a burst of ticks that would take every peer for lost.
    fn schedule_tick(&mut self) {
        let tick = self.tick;
        self.schedule_once(tick, |this, _| {
            this.schedule_tick();
            this.look_at_replica();
            let leader = this.election.tick();
            this.emit(leader);
            Handled::OK
        });
    }

    fn emit(&mut self, leader: Option<Leader>) {
        let messages = self.election.get_outgoing_msgs();
        for message in &messages {
            if let Heartbeat::Request { round } = message.body {
                self.clock.request(round, Instant::now());
            }
        }
        if !messages.is_empty() {
            self.network.trigger(messages);
        }
        if let Some(leader) = leader {
            info!(
                self.log(), "leader elected";
                "pid" => self.pid, "config_id" => self.config_id,
                "ballot" => %leader.ballot, "leader" => leader.pid()
            );
            self.leaders.trigger(leader);
        }
    }

    fn set_priority(&mut self, priority: u32) {
        info!(
            self.log(), "priority set";
            "pid" => self.pid, "config_id" => self.config_id, "priority" => priority
        );
        self.election.set_priority(priority);
        self.emit(None);
    }
}

impl ComponentLifecycle for LeaderElectionComponent {
    fn on_start(&mut self) -> HandlerResult {
        self.schedule_tick();
        self.emit(None);
        Handled::OK
    }
}

impl Actor for LeaderElectionComponent {
    type Message = Never;

    fn receive_local(&mut self, message: Never) -> HandlerResult {
        match message {}
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        // The router speaks to the network; this component has no path that others could know.
        Handled::OK
    }
}

impl Provide<LeaderElectionPort> for LeaderElectionComponent {
    fn handle(&mut self, request: ElectionRequest) -> HandlerResult {
        match request {
            ElectionRequest::Promised(ballot) => {
                self.election.handle_promised(ballot);
                self.emit(None);
            }
            ElectionRequest::Prepared(ballot) => {
                self.election.handle_prepared(ballot);
                self.emit(None);
            }
            ElectionRequest::SetPriority(priority) => self.set_priority(priority),
            ElectionRequest::TakeOver => {
                let leader = self.election.take_over();
                self.emit(leader);
            }
        }
        Handled::OK
    }
}

impl Require<HeartbeatPort> for LeaderElectionComponent {
    fn handle(&mut self, indication: LinkIndication<HeartbeatMessage>) -> HandlerResult {
        let LinkIndication::Message(message) = indication else {
            return Handled::OK;
        };
        if message.config_id != self.config_id {
            return Handled::OK;
        }
        let answered = match message.body {
            Heartbeat::Reply { round, .. } => Some((message.from, round)),
            _ => None,
        };
        match self.election.handle_message(message) {
            Ok(leader) => {
                self.emit(leader);
                if let Some((from, round)) = answered {
                    self.clock.reply(from, round, Instant::now());
                }
            }
            Err(e) => {
                if let Some(suppressed) = self.refusals.admit(Instant::now()) {
                    debug!(
                        self.log(), "heartbeat dropped";
                        "pid" => self.pid, "config_id" => self.config_id,
                        "reason" => %e, "suppressed" => suppressed
                    );
                }
            }
        }
        Handled::OK
    }
}
