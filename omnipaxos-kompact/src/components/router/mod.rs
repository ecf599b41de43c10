//! The router: the only component that turns bytes into messages and pids into paths.

mod lane;
mod peers;

pub use lane::{HeartbeatLane, Lane, PaxosLane};

use crate::config::OmniPaxosConfig;
use crate::counters::{Counters, DropLog, DropReason};
use crate::network::buffer_config;
use crate::ports::{LinkIndication, LinkPort, RouterEvent, RouterEventPort};
use crate::wire::{ClusterId, EncodeError, Envelope, Frame, Incoming, WireCodec, WireError};
use kompact::prelude::*;
use kompact_net::{NetworkStatus, NetworkStatusPort};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::ConfigId;
use peers::Peers;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What a router needs to know from the start.
#[derive(Clone, Debug)]
pub struct RouterOptions {
    /// This server.
    pub pid: NodeId,
    /// Settings of the cluster.
    pub config: OmniPaxosConfig,
}

impl RouterOptions {
    /// The alias under which the router of lane `L` of server `pid` is reached.
    #[must_use]
    pub fn alias<L: Lane>(cluster_id: ClusterId, pid: NodeId) -> Vec<String> {
        vec!["omnipaxos".to_owned(), cluster_id.to_string(), pid.to_string(), L::NAME.to_owned()]
    }
}

/// What a router is told.
#[derive(Debug)]
#[non_exhaustive]
pub enum RouterMessage {
    /// Where a server is; replaces an earlier address.
    SetPeer {
        /// The server.
        pid: NodeId,
        /// The address at which its Kompact system listens.
        address: SocketAddr,
    },
    /// A server is no longer to be reached.
    RemovePeer {
        /// The server.
        pid: NodeId,
    },
    /// A configuration runs here from now on: let its messages in.
    Register {
        /// The configuration.
        config_id: ConfigId,
        /// Its servers.
        nodes: Vec<NodeId>,
        /// Fulfilled once it is done.
        done: KPromise<()>,
    },
    /// A configuration no longer runs here.
    Unregister {
        /// The configuration.
        config_id: ConfigId,
    },
}

/// How often one sender's messages of a configuration that does not run here are indicated.
const EVENT_INTERVAL: Duration = Duration::from_secs(1);

/// Moves the messages of one [`Lane`] between the network and the components of all configurations
/// of one server.
#[derive(ComponentDefinition)]
pub struct Router<L: Lane> {
    ctx: ComponentContext<Self>,
    port: ProvidedPort<LinkPort<L::Message>>,
    events: ProvidedPort<RouterEventPort>,
    network: RequiredPort<NetworkStatusPort>,
    options: RouterOptions,
    peers: Peers,
    configurations: BTreeMap<ConfigId, BTreeSet<NodeId>>,
    retry_is_scheduled: bool,
    counters: Counters,
    drops: DropLog,
    indicated: BTreeMap<NodeId, Instant>,
}

impl<L: Lane> Router<L> {
    /// A router without peers and configurations.
    #[must_use]
    pub fn new(options: RouterOptions, counters: Counters) -> Self {
        Self {
            ctx: ComponentContext::uninitialised(),
            port: ProvidedPort::uninitialised(),
            events: ProvidedPort::uninitialised(),
            network: RequiredPort::uninitialised(),
            options,
            peers: Peers::default(),
            configurations: BTreeMap::new(),
            retry_is_scheduled: false,
            counters,
            drops: DropLog::default(),
            indicated: BTreeMap::new(),
        }
    }

    /// The port over which the network reports links.
    pub(crate) fn network_port(&mut self) -> &mut RequiredPort<NetworkStatusPort> {
        &mut self.network
    }

    fn drop_packet(&mut self, reason: DropReason, peer: NodeId, detail: &dyn std::fmt::Display) {
        self.counters.count_dropped(reason);
        if let Some(suppressed) = self.drops.admit(reason, Instant::now()) {
            warn!(
                self.log(), "packet dropped";
                "pid" => self.options.pid, "lane" => L::NAME, "peer" => peer,
                "reason" => reason.name(), "detail" => %detail, "suppressed" => suppressed
            );
        }
    }

    fn send(&mut self, message: L::Message) {
        let to = L::receiver(&message);
        if !self.peers.knows(to) {
            self.drop_packet(DropReason::NoAddress, to, &"this server has no address");
            return;
        }
        match Frame::encode(self.options.config.cluster_id, L::pack(message)) {
            Ok(frame) => self.send_frame(to, frame),
            Err(e @ (EncodeError::TooLong { .. } | EncodeError::Unencodable(_))) => {
                self.drop_packet(DropReason::Unencodable, to, &e);
            }
        }
    }

    fn send_frame(&mut self, to: NodeId, frame: Frame) {
        let held = self.peers.get_mut(to).is_some_and(|peer| peer.has_held());
        if held || !self.try_send(to, &frame) {
            self.hold(to, frame);
        }
    }

    /// Hands a frame to the network; `false` where there is no buffer for it now.
    fn try_send(&mut self, to: NodeId, frame: &Frame) -> bool {
        let Some(path) = self.peers.get_mut(to).map(|peer| peer.path.clone()) else {
            return true;
        };
        match path.tell_serialised(frame.clone(), self) {
            Ok(()) => {
                self.counters.count_sent();
                true
            }
            Err(e) if e.kind() == SerErrorKind::NoBuffersAvailable => false,
            Err(e) => {
                self.drop_packet(DropReason::Unencodable, to, &e);
                true
            }
        }
    }

    fn hold(&mut self, to: NodeId, frame: Frame) {
        let limit = self.options.config.send_queue;
        let dropped = match self.peers.get_mut(to) {
            Some(peer) => peer.hold(frame, limit),
            None => 0,
        };
        for _ in 0..dropped {
            self.drop_packet(DropReason::Overflow, to, &"no buffer is free");
        }
        self.schedule_retry();
    }

    fn schedule_retry(&mut self) {
        if self.retry_is_scheduled {
            return;
        }
        self.retry_is_scheduled = true;
        let pause = self.options.config.send_retry;
        self.schedule_once(pause, |router, _| {
            router.retry_is_scheduled = false;
            router.retry();
            Handled::OK
        });
    }

    /// Sends what was held back, as far as there are buffers.
    fn retry(&mut self) {
        for pid in self.peers.holding() {
            while let Some(frame) = self.peers.get_mut(pid).and_then(|p| p.first_held().cloned()) {
                if !self.try_send(pid, &frame) {
                    self.schedule_retry();
                    return;
                }
                if let Some(peer) = self.peers.get_mut(pid) {
                    peer.release();
                }
            }
        }
    }

    /// Checks in this order: the form, whom it is for, who speaks, of which configuration. Only
    /// then is the body decoded.
    fn receive(&mut self, incoming: Incoming) {
        let Envelope { config_id, from, to, .. } = *incoming.envelope();
        let limits = self.options.config.limits();
        if let Err(e) = incoming.check(self.options.config.cluster_id, &limits) {
            return self.refuse(from, &e);
        }
        if to != self.options.pid {
            return self.drop_packet(DropReason::Receiver, from, &format_args!("it is for {to}"));
        }
        if from == self.options.pid || !self.peers.knows(from) {
            return self.drop_packet(DropReason::Sender, from, &"unknown server");
        }
        match self.configurations.get(&config_id) {
            None => return self.refuse_configuration(config_id, from),
            Some(nodes) if !nodes.contains(&from) => {
                let why = format_args!("no member of configuration {config_id}");
                return self.drop_packet(DropReason::Sender, from, &why);
            }
            Some(_) => {}
        }
        match incoming.decode(&limits).map(L::unpack) {
            Ok(Some(message)) => {
                self.counters.count_received();
                self.port.trigger(LinkIndication::Message(message));
            }
            Ok(None) => self.drop_packet(DropReason::Undecodable, from, &"of another lane"),
            Err(e) => self.refuse(from, &e),
        }
    }

    fn refuse(&mut self, from: NodeId, error: &WireError) {
        let reason = match error {
            WireError::TooLong { .. } | WireError::Length { .. } => DropReason::Length,
            WireError::Version { .. } => DropReason::Version,
            WireError::Cluster { .. } => DropReason::Cluster,
            WireError::SerialisationId(_)
            | WireError::Kind(_)
            | WireError::TooManyEntries { .. }
            | WireError::EntryTooLarge { .. }
            | WireError::Undecodable(_) => DropReason::Undecodable,
        };
        self.drop_packet(reason, from, error);
    }

    fn refuse_configuration(&mut self, config_id: ConfigId, from: NodeId) {
        let why = format_args!("configuration {config_id} does not run here");
        self.drop_packet(DropReason::Configuration, from, &why);
        let now = Instant::now();
        let recent = self.indicated.get(&from);
        if recent.is_none_or(|last| now.duration_since(*last) >= EVENT_INTERVAL) {
            self.indicated.insert(from, now);
            let event = RouterEvent::UnregisteredConfiguration { config_id, from };
            self.events.trigger(event);
        }
    }
}

impl<L: Lane> ComponentLifecycle for Router<L> {
    fn on_start(&mut self) -> HandlerResult {
        let buffers = buffer_config(&self.options.config);
        self.ctx.init_buffers(Some(buffers), None);
        debug!(self.log(), "router started"; "pid" => self.options.pid, "lane" => L::NAME);
        Handled::OK
    }
}

impl<L: Lane> Actor for Router<L> {
    type Message = RouterMessage;

    fn receive_local(&mut self, message: RouterMessage) -> HandlerResult {
        match message {
            RouterMessage::SetPeer { pid, address } => {
                let alias = RouterOptions::alias::<L>(self.options.config.cluster_id, pid);
                self.peers.set(pid, address, alias);
            }
            RouterMessage::RemovePeer { pid } => {
                self.peers.remove(pid);
                self.indicated.remove(&pid);
            }
            RouterMessage::Register { config_id, nodes, done } => {
                self.configurations.insert(config_id, nodes.into_iter().collect());
                // Whoever waits may have given up meanwhile.
                let _ = done.fulfil(());
            }
            RouterMessage::Unregister { config_id } => {
                self.configurations.remove(&config_id);
            }
        }
        Handled::OK
    }

    fn receive_network(&mut self, message: NetMessage) -> HandlerResult {
        // Anyone may have sent this: whatever is wrong with it is counted, and no handler error.
        match message.try_deserialise::<Result<Incoming, WireError>, WireCodec>() {
            Ok(Ok(incoming)) => self.receive(incoming),
            Ok(Err(e)) => self.refuse(0, &e),
            Err(UnpackError::NoIdMatch(m)) => {
                self.refuse(0, &WireError::SerialisationId(*m.ser_id()));
            }
            Err(UnpackError::DeserError(e)) => {
                self.refuse(0, &WireError::Undecodable(e.to_string()));
            }
            Err(UnpackError::NoCast(_)) => {
                self.refuse(0, &WireError::Undecodable("an object".to_owned()));
            }
        }
        Handled::OK
    }
}

impl<L: Lane> Provide<LinkPort<L::Message>> for Router<L> {
    fn handle(&mut self, message: L::Message) -> HandlerResult {
        self.send(message);
        Handled::OK
    }
}

impl<L: Lane> Provide<RouterEventPort> for Router<L> {
    fn handle(&mut self, event: Never) -> HandlerResult {
        match event {}
    }
}

impl<L: Lane> Require<NetworkStatusPort> for Router<L> {
    fn handle(&mut self, status: NetworkStatus) -> HandlerResult {
        if let NetworkStatus::ConnectionEstablished(path, session) = status {
            for pid in self.peers.established(path.socket_address(), session) {
                info!(
                    self.log(), "link is there again";
                    "pid" => self.options.pid, "lane" => L::NAME, "peer" => pid
                );
                self.port.trigger(LinkIndication::Reconnected(pid));
            }
        }
        Handled::OK
    }
}
