//! The router: the only component that turns bytes into messages and pids into paths.

mod lane;
mod peers;

pub use lane::{HeartbeatLane, IdentityLane, Lane, PaxosLane, ServerLane};

use crate::config::OmniPaxosConfig;
use crate::counters::{Counters, DropLog, DropReason};
use crate::identity::{Admission, StorageId};
use crate::network::buffer_config;
use crate::ports::{LinkIndication, LinkPort, RouterEvent, RouterEventPort};
use crate::wire::{
    Burst, ClusterId, EncodeError, Envelope, Frame, Incoming, Storages, WireCodec, WireError,
};
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
    /// Its storage.
    pub storage_id: StorageId,
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
    /// A configuration runs here from now on. In a [gated](Lane::GATED) lane nothing comes or goes
    /// until it is open.
    Register {
        /// The configuration.
        config_id: ConfigId,
        /// Its servers.
        nodes: Vec<NodeId>,
        /// Fulfilled once it is done.
        done: KPromise<()>,
    },
    /// Where this server stands in a configuration has changed.
    Admit {
        /// The configuration.
        config_id: ConfigId,
        /// Where it stands now.
        admission: Admission,
        /// The storages of all members, once it is open.
        members: BTreeMap<NodeId, StorageId>,
    },
    /// A configuration no longer runs here.
    Unregister {
        /// The configuration.
        config_id: ConfigId,
    },
}

/// How often an event of one kind and one sender is indicated.
const EVENT_INTERVAL: Duration = Duration::from_secs(1);

/// A configuration that runs here.
#[derive(Debug)]
struct Registered {
    nodes: BTreeSet<NodeId>,
    /// The storages of its members, once this server takes part in it.
    open: Option<BTreeMap<NodeId, StorageId>>,
}

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
    configurations: BTreeMap<ConfigId, Registered>,
    retry_is_scheduled: bool,
    counters: Counters,
    drops: DropLog,
    unregistered: BTreeMap<NodeId, Instant>,
    foreign: BTreeMap<NodeId, Instant>,
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
            unregistered: BTreeMap::new(),
            foreign: BTreeMap::new(),
        }
    }

    /// The port over which the network reports links.
    pub(crate) fn network_port(&mut self) -> &mut RequiredPort<NetworkStatusPort> {
        &mut self.network
    }

    fn drop_packet(&mut self, reason: DropReason, peer: NodeId, detail: &dyn std::fmt::Display) {
        self.counters.count_dropped(reason);
        let Some(suppressed) = self.drops.admit(reason, Instant::now()) else {
            return;
        };
        // At each start of a configuration something is dropped while its servers get to know each
        // other; what keeps them from it is told elsewhere.
        if reason == DropReason::Closed {
            debug!(
                self.log(), "packet dropped";
                "pid" => self.options.pid, "lane" => L::NAME, "peer" => peer,
                "reason" => reason.name(), "detail" => %detail, "suppressed" => suppressed
            );
        } else {
            warn!(
                self.log(), "packet dropped";
                "pid" => self.options.pid, "lane" => L::NAME, "peer" => peer,
                "reason" => reason.name(), "detail" => %detail, "suppressed" => suppressed
            );
        }
    }

    /// Between which storages a message to `to` goes; `None` where it must not go.
    fn storages(&self, config_id: ConfigId, to: NodeId) -> Option<Storages> {
        let from = self.options.storage_id;
        if !L::GATED {
            return Some(Storages { from, to: None });
        }
        let open = self.configurations.get(&config_id)?.open.as_ref()?;
        Some(Storages { from, to: Some(*open.get(&to)?) })
    }

    fn send(&mut self, message: L::Message, burst: &mut Burst) {
        let (config_id, to) = (L::config_id(&message), L::receiver(&message));
        let address = L::address(&message);
        if address.is_none() && !self.peers.knows(to) {
            self.drop_packet(DropReason::NoAddress, to, &"this server has no address");
            return;
        }
        let Some(storages) = self.storages(config_id, to) else {
            let why = format_args!("configuration {config_id} is not open");
            self.drop_packet(DropReason::Closed, to, &why);
            return;
        };
        match burst.encode(storages, L::pack(message)) {
            Ok(frame) => match address {
                None => self.send_frame(to, frame),
                Some(address) => self.send_to_stranger(address, to, frame),
            },
            Err(e @ (EncodeError::TooLong { .. } | EncodeError::Unencodable(_))) => {
                self.drop_packet(DropReason::Unencodable, to, &e);
            }
        }
    }

    /// Nothing is held back for an address that may be anybody's.
    fn send_to_stranger(&mut self, address: SocketAddr, to: NodeId, frame: Frame) {
        let alias = ServerLane::anybody(self.options.config.cluster_id);
        let path: ActorPath = NamedPath::with_socket(Transport::Tcp, address, alias).into();
        let bytes = frame.encoded_len();
        match path.tell_serialised(frame, self) {
            Ok(()) => self.counters.count_sent(bytes),
            Err(e) if e.kind() == SerErrorKind::NoBuffersAvailable => {
                self.drop_packet(DropReason::Overflow, to, &"no buffer is free");
            }
            Err(e) => self.drop_packet(DropReason::Unencodable, to, &e),
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
                self.counters.count_sent(frame.encoded_len());
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

    /// Checks in this order: the form, whom it is for, who speaks, of which configuration, from
    /// which storage. Only then is the body decoded.
    fn receive(&mut self, incoming: Incoming) {
        let Envelope { config_id, from, to, .. } = *incoming.envelope();
        let limits = L::limits(&self.options.config);
        if let Err(e) = incoming.check(self.options.config.cluster_id, &limits) {
            return self.refuse(from, &e);
        }
        let storages = match incoming.envelope().storages() {
            Ok(storages) => storages,
            Err(e) => return self.refuse(from, &e),
        };
        if to != self.options.pid && !(L::OPEN && to == 0) {
            return self.drop_packet(DropReason::Receiver, from, &format_args!("it is for {to}"));
        }
        if let Some(other) = storages.to.filter(|to| *to != self.options.storage_id) {
            let why = format_args!("it is for storage {other}");
            return self.drop_packet(DropReason::Receiver, from, &why);
        }
        if from == 0 || from == self.options.pid || !(L::OPEN || self.peers.knows(from)) {
            return self.drop_packet(DropReason::Sender, from, &"unknown server");
        }
        match self.configurations.get(&config_id) {
            None if L::GATED => return self.refuse_configuration(config_id, from),
            None if L::OPEN => {}
            None => self.indicate_unregistered(config_id, from),
            Some(registered) if !registered.nodes.contains(&from) => {
                let why = format_args!("no member of configuration {config_id}");
                return self.drop_packet(DropReason::Sender, from, &why);
            }
            Some(Registered { open: None, .. }) if L::GATED => {
                let why = format_args!("configuration {config_id} is not open");
                return self.drop_packet(DropReason::Closed, from, &why);
            }
            Some(Registered { open: Some(members), .. })
                if members.get(&from) != Some(&storages.from) =>
            {
                return self.refuse_storage(config_id, from, storages.from);
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
            | WireError::NoStorage
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
        self.indicate_unregistered(config_id, from);
    }

    fn indicate_unregistered(&mut self, config_id: ConfigId, from: NodeId) {
        if is_due(&mut self.unregistered, from) {
            self.events.trigger(RouterEvent::UnregisteredConfiguration { config_id, from });
        }
    }

    fn refuse_storage(&mut self, config_id: ConfigId, from: NodeId, presented: StorageId) {
        let why = format_args!("from storage {presented}");
        self.drop_packet(DropReason::Storage, from, &why);
        if is_due(&mut self.foreign, from) {
            self.events.trigger(RouterEvent::ForeignStorage { config_id, from, presented });
        }
    }

    fn admit(
        &mut self,
        config_id: ConfigId,
        admission: Admission,
        members: BTreeMap<NodeId, StorageId>,
    ) {
        if let Some(registered) = self.configurations.get_mut(&config_id) {
            registered.open = (admission == Admission::Open).then_some(members);
            self.port.trigger(LinkIndication::Admission { config_id, admission });
        }
    }
}

/// Whether an event of this sender was not indicated lately.
fn is_due(indicated: &mut BTreeMap<NodeId, Instant>, from: NodeId) -> bool {
    let now = Instant::now();
    let recent = indicated.get(&from);
    let due = recent.is_none_or(|last| now.duration_since(*last) >= EVENT_INTERVAL);
    if due {
        indicated.insert(from, now);
    }
    due
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
                self.unregistered.remove(&pid);
                self.foreign.remove(&pid);
            }
            RouterMessage::Register { config_id, nodes, done } => {
                let nodes = nodes.into_iter().collect();
                self.configurations.insert(config_id, Registered { nodes, open: None });
                // Whoever waits may have given up meanwhile.
                let _ = done.fulfil(());
            }
            RouterMessage::Admit { config_id, admission, members } => {
                self.admit(config_id, admission, members);
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
    fn handle(&mut self, messages: Vec<L::Message>) -> HandlerResult {
        let mut burst = Burst::new(self.options.config.cluster_id);
        for message in messages {
            self.send(message, &mut burst);
        }
        self.counters.count_shared(burst.shared());
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
