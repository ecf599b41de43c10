//! The component that speaks for a server: proposals in, the one stream of all configurations out.
//! Whatever may block is done by the server's thread.

use super::error::ProposalError;
use super::held::{Fate, Final, Held};
use super::messages::{FromDriver, Input, ProposeData, ServerRequest};
use super::port::{LogPort, LogRequest, ServerEvent};
use super::stream::{Delivery, Stream};
use crate::components::{Outcome, Permit, Proposal, ReplicaMessage};
use crate::ports::{
    DecidedPort, LinkIndication, ProposalFailure, ReplicaEvent, RouterEvent, RouterEventPort,
    ServerPort, Stopped, Token,
};
use crate::wire::ServerMail;
use bytes::Bytes;
use kompact::prelude::*;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::paxos::ProposeError;
use omnipaxos_core::storage::ConfigId;
use std::collections::BTreeMap;
use std::sync::mpsc::Sender;

/// The token of reconfigurations at the replica; proposals have their numbers.
const RECONFIGURATION: Token = 0;

/// Speaks for one server: see the [module](super).
#[derive(ComponentDefinition)]
pub struct ServerComponent {
    ctx: ComponentContext<Self>,
    log: ProvidedPort<LogPort>,
    network: RequiredPort<ServerPort>,
    events: RequiredPort<RouterEventPort>,
    replicas: RequiredPort<DecidedPort>,
    pid: NodeId,
    driver: Sender<Input>,
    stream: Stream,
    held: Held<Waiter>,
    /// The newest replica, which takes proposals.
    active: Option<(ConfigId, ActorRef<ReplicaMessage>)>,
    bases: BTreeMap<ConfigId, u64>,
    /// This server is not in this configuration, the newest one.
    left_out: Option<ConfigId>,
    over: bool,
}

/// How the answer to a proposal gets back.
#[derive(Debug)]
enum Waiter {
    /// Its place is free once it is answered.
    Ask(KPromise<Result<u64, ProposalError>>, Option<Permit>),
    Port(Token),
}

impl ServerComponent {
    /// The component of server `pid`, whose thread takes its inputs from `driver`.
    pub(super) fn new(pid: NodeId, driver: Sender<Input>, pending: u64, pace: Option<u64>) -> Self {
        Self {
            ctx: ComponentContext::uninitialised(),
            log: ProvidedPort::uninitialised(),
            network: RequiredPort::uninitialised(),
            events: RequiredPort::uninitialised(),
            replicas: RequiredPort::uninitialised(),
            pid,
            driver,
            stream: Stream::new(pace),
            held: Held::new(pending),
            active: None,
            bases: BTreeMap::new(),
            left_out: None,
            over: false,
        }
    }

    /// Connects a subscriber; returns the global index from which on its indications start.
    pub(super) fn subscribe(&mut self, subscriber: RequiredRef<LogPort>) -> u64 {
        self.log.connect(subscriber);
        self.stream.cursor().map_or(0, |cursor| cursor.global)
    }

    /// Tells the server's thread. It is gone only when nothing matters any more.
    fn tell(&self, input: Input) {
        let _ = self.driver.send(input);
    }

    fn propose(&mut self, data: Bytes, waiter: Waiter) {
        if self.over {
            return self.answer(waiter, Err(ProposalError::Halted));
        }
        if let Some(config_id) = self.left_out {
            return self.answer(waiter, Err(ProposalError::NotMember { config_id }));
        }
        match self.held.submit(data, waiter) {
            Ok(()) => self.hand_out(),
            Err((waiter, e)) => self.answer(waiter, Err(e.into())),
        }
    }

    fn hand_out(&mut self) {
        let Some((_, replica)) = &self.active else {
            return;
        };
        while let Some(next) = self.held.hand_out() {
            replica.tell(ReplicaMessage::ProposeWith {
                token: next.number,
                attempt: next.attempt,
                proposal: Proposal::Normal(next.data),
            });
        }
    }

    fn outcome(&mut self, outcome: Outcome) {
        if outcome.token == RECONFIGURATION {
            return self.tell(Input::Outcome(outcome));
        }
        let Outcome { config_id, token, result } = outcome;
        let fate = match result {
            Ok(outcome) => Fate::Outcome(outcome),
            Err(ProposalFailure::Refused(ProposeError::Halted(_)))
            | Err(ProposalFailure::Halted { .. } | ProposalFailure::Stopped(_)) => return,
            Err(ProposalFailure::Refused(e)) => Fate::Refused(e),
            Err(ProposalFailure::ReconfigurationRefused(_)) => return,
        };
        if let Some((waiter, end)) = self.held.outcome(config_id, token, fate) {
            let result = match end {
                Final::Decided(config_id, index) => {
                    Ok(self.bases.get(&config_id).copied().unwrap_or_default() + index)
                }
                Final::Refused(e) => Err(e.into()),
            };
            self.answer(waiter, result);
        }
        self.give_up_where_left_out();
        self.hand_out();
    }

    fn answer(&mut self, waiter: Waiter, result: Result<u64, ProposalError>) {
        match waiter {
            Waiter::Ask(promise, permit) => {
                // Whoever is told so may propose again.
                drop(permit);
                // Whoever asked may have stopped waiting.
                let _ = promise.fulfil(result);
            }
            Waiter::Port(token) => self.log.trigger(ServerEvent::Proposed { token, result }),
        }
    }

    fn give_up_where_left_out(&mut self) {
        let Some(config_id) = self.left_out else {
            return;
        };
        for waiter in self.held.give_up_waiting() {
            self.answer(waiter, Err(ProposalError::NotMember { config_id }));
        }
    }

    fn give_up(&mut self, error: &ProposalError) {
        for waiter in self.held.give_up() {
            self.answer(waiter, Err(error.clone()));
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        self.log.trigger(match delivery {
            Delivery::Batch(batch) => ServerEvent::Decided(batch),
            Delivery::StopSign { index, config_id, stop_sign } => {
                ServerEvent::StopSign { index, config_id, stop_sign }
            }
        });
    }

    /// Asks for what comes next where it does not come by itself.
    fn pull(&mut self) {
        if let Some((config_id, from)) = self.stream.wanted() {
            self.tell(Input::Wanted { config_id, from });
        }
    }

    fn handle_driver(&mut self, message: FromDriver) {
        match message {
            FromDriver::Send(mail) => self.network.trigger(vec![mail]),
            FromDriver::Indicate(event) => self.log.trigger(event),
            FromDriver::Begin(cursor) => {
                self.stream.begin(cursor);
                self.pull();
            }
            FromDriver::Log { config_id, end, len } => {
                self.stream.known(config_id, end, len);
                self.pull();
            }
            FromDriver::Entries { config_id, first_index, entries } => {
                for delivery in self.stream.read(config_id, first_index, entries) {
                    self.deliver(delivery);
                }
                self.pull();
            }
            FromDriver::Started { config_id, base, replica } => {
                self.bases.insert(config_id, base);
                self.active = Some((config_id, replica));
                self.left_out = None;
                self.held.activate(Some(config_id));
                self.hand_out();
            }
            FromDriver::Reconfigure { config_id, next } => self.reconfigure(config_id, next),
            FromDriver::LeftOut { config_id } => {
                self.left_out = Some(config_id);
                self.held.activate(None);
                self.give_up_where_left_out();
            }
            FromDriver::Over => {
                self.over = true;
                self.active = None;
                self.held.activate(None);
                self.give_up(&ProposalError::Halted);
            }
            FromDriver::Tick => {
                self.held.retry();
                self.hand_out();
            }
        }
    }

    fn reconfigure(&mut self, config_id: ConfigId, next: omnipaxos_core::paxos::Reconfiguration) {
        match &self.active {
            Some((active, replica)) if *active == config_id => {
                replica.tell(ReplicaMessage::ProposeWith {
                    token: RECONFIGURATION,
                    attempt: 0,
                    proposal: Proposal::Reconfiguration(next),
                });
            }
            _ => {
                let result = Err(Stopped.into());
                self.tell(Input::Outcome(Outcome { config_id, token: RECONFIGURATION, result }));
            }
        }
    }
}

impl ComponentLifecycle for ServerComponent {
    fn on_start(&mut self) -> HandlerResult {
        debug!(self.log(), "server component started"; "pid" => self.pid);
        Handled::OK
    }

    fn on_kill(&mut self) -> HandlerResult {
        self.over = true;
        self.give_up(&Stopped.into());
        self.tell(Input::Release);
        Handled::OK
    }
}

impl Actor for ServerComponent {
    type Message = ServerRequest;

    fn receive_local(&mut self, request: ServerRequest) -> HandlerResult {
        match request {
            ServerRequest::Propose(ask) => {
                let (promise, ProposeData { data, permit }) = ask.take();
                self.propose(data, Waiter::Ask(promise, permit));
            }
            ServerRequest::Change(ask) => {
                let (promise, change) = ask.take();
                self.tell(Input::Change(change, promise));
            }
            ServerRequest::Read(ask) => {
                let (promise, read) = ask.take();
                self.tell(Input::Read(read, promise));
            }
            ServerRequest::Status(ask) => {
                let (promise, ()) = ask.take();
                self.tell(Input::Status(promise));
            }
            ServerRequest::Outcome(outcome) => self.outcome(outcome),
            ServerRequest::Driver(message) => self.handle_driver(message),
        }
        Handled::OK
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        // The router speaks to the network; this component has no path that others could know.
        Handled::OK
    }
}

impl Provide<LogPort> for ServerComponent {
    fn handle(&mut self, request: LogRequest) -> HandlerResult {
        match request {
            LogRequest::Propose { token, data } => self.propose(data, Waiter::Port(token)),
            LogRequest::Confirm { index } => {
                self.stream.confirm(index);
                self.pull();
            }
        }
        Handled::OK
    }
}

impl Require<ServerPort> for ServerComponent {
    fn handle(&mut self, indication: LinkIndication<ServerMail>) -> HandlerResult {
        if let LinkIndication::Message(mail) = indication {
            self.tell(Input::Packet(mail.packet));
        }
        Handled::OK
    }
}

impl Require<RouterEventPort> for ServerComponent {
    fn handle(&mut self, event: RouterEvent) -> HandlerResult {
        if let RouterEvent::UnregisteredConfiguration { config_id, from } = event {
            self.tell(Input::Unregistered { config_id, from });
        }
        Handled::OK
    }
}

impl Require<DecidedPort> for ServerComponent {
    fn handle(&mut self, event: ReplicaEvent) -> HandlerResult {
        match event {
            ReplicaEvent::Decided(batch) => {
                let (config_id, first) = (batch.config_id, batch.first_index);
                let end = first + batch.entries.len() as u64;
                self.tell(Input::Decided { config_id, end });
                if let Some(delivery) = self.stream.live(config_id, first, &batch.entries) {
                    self.deliver(delivery);
                }
                self.pull();
            }
            ReplicaEvent::StopSign { config_id, index, stop_sign } => {
                if let Some(next) = self.stream.live_stop_sign(config_id, index, &stop_sign) {
                    self.deliver(next);
                }
                self.pull();
                self.tell(Input::StopSign { config_id, index, stop_sign });
            }
            ReplicaEvent::LeaderChanged { config_id, leader } => {
                self.tell(Input::Following { config_id, leader });
            }
            ReplicaEvent::AdmissionChanged { config_id, admission } => {
                self.tell(Input::Admission { config_id, admission });
            }
            ReplicaEvent::Behind { config_id, catch_up } => {
                self.tell(Input::Behind { config_id, catch_up });
            }
            ReplicaEvent::Halted { config_id, reason } => {
                self.tell(Input::ReplicaHalted { config_id, reason });
            }
            // Answers to requests over the port; this component makes none.
            ReplicaEvent::Proposed { .. }
            | ReplicaEvent::Read { .. }
            | ReplicaEvent::Trimmed { .. } => {}
        }
        Handled::OK
    }
}
