//! The classes of traffic. Each has a router component of its own, with its own queue and its own
//! buffers, so that heartbeats never wait behind a burst of entries.

use crate::config::OmniPaxosConfig;
use crate::identity::IdentityMessage;
use crate::wire::{ClusterId, Kind, Limits, Packet, ServerMail};
use omnipaxos_core::leader_election::{HeartbeatMessage, NodeId};
use omnipaxos_core::paxos::Message;
use omnipaxos_core::storage::ConfigId;
use std::fmt::Debug;
use std::net::SocketAddr;

/// A class of traffic between servers.
pub trait Lane: Send + 'static {
    /// The messages of this class.
    type Message: Clone + Debug + Send + 'static;
    /// The kind of its packets.
    const KIND: Kind;
    /// The last part of the alias under which its router is reached.
    const NAME: &'static str;
    /// Whether its messages come and go only between servers that know each other: in a
    /// configuration that is open, from and to the storages of its members.
    const GATED: bool;
    /// Whether its messages come from anyone in the cluster: from servers that this one has no
    /// address for, in no configuration, and without knowing this server's pid.
    const OPEN: bool = false;

    /// The configuration of a message.
    fn config_id(message: &Self::Message) -> ConfigId;

    /// Who shall receive a message.
    fn receiver(message: &Self::Message) -> NodeId;

    /// What its packets may hold.
    fn limits(config: &OmniPaxosConfig) -> Limits {
        config.limits()
    }

    /// Where a message goes that is for no known peer.
    fn address(message: &Self::Message) -> Option<SocketAddr> {
        let _ = message;
        None
    }

    /// The message as a packet.
    fn pack(message: Self::Message) -> Packet;

    /// The message in a packet; `None` for a packet of another kind.
    fn unpack(packet: Packet) -> Option<Self::Message>;
}

/// Messages between elections: few, small and urgent.
#[derive(Clone, Copy, Debug)]
pub enum HeartbeatLane {}

impl Lane for HeartbeatLane {
    type Message = HeartbeatMessage;
    const KIND: Kind = Kind::Heartbeat;
    const NAME: &'static str = "heartbeat";
    const GATED: bool = true;

    fn config_id(message: &HeartbeatMessage) -> ConfigId {
        message.config_id
    }

    fn receiver(message: &HeartbeatMessage) -> NodeId {
        message.to
    }

    fn pack(message: HeartbeatMessage) -> Packet {
        Packet::Heartbeat(message)
    }

    fn unpack(packet: Packet) -> Option<HeartbeatMessage> {
        match packet {
            Packet::Heartbeat(message) => Some(message),
            _ => None,
        }
    }
}

/// Messages between replicas: all the entries.
#[derive(Clone, Copy, Debug)]
pub enum PaxosLane {}

impl Lane for PaxosLane {
    type Message = Message;
    const KIND: Kind = Kind::Paxos;
    const NAME: &'static str = "paxos";
    const GATED: bool = true;

    fn config_id(message: &Message) -> ConfigId {
        message.config_id
    }

    fn receiver(message: &Message) -> NodeId {
        message.to
    }

    fn pack(message: Message) -> Packet {
        Packet::Paxos(message)
    }

    fn unpack(packet: Packet) -> Option<Message> {
        match packet {
            Packet::Paxos(message) => Some(message),
            _ => None,
        }
    }
}

/// Messages about who is who: a few when servers meet, before anything else is said.
#[derive(Clone, Copy, Debug)]
pub enum IdentityLane {}

impl Lane for IdentityLane {
    type Message = IdentityMessage;
    const KIND: Kind = Kind::Identity;
    const NAME: &'static str = "identity";
    const GATED: bool = false;

    fn config_id(message: &IdentityMessage) -> ConfigId {
        message.config_id
    }

    fn receiver(message: &IdentityMessage) -> NodeId {
        message.to
    }

    fn pack(message: IdentityMessage) -> Packet {
        Packet::Identity(message)
    }

    fn unpack(packet: Packet) -> Option<IdentityMessage> {
        match packet {
            Packet::Identity(message) => Some(message),
            _ => None,
        }
    }
}

/// Messages between servers, which may be strangers: joins, the history of configurations, and
/// migration.
#[derive(Clone, Copy, Debug)]
pub enum ServerLane {}

impl ServerLane {
    /// The alias under which the router of a server is reached by those that know its address only.
    #[must_use]
    pub fn anybody(cluster_id: ClusterId) -> Vec<String> {
        vec!["omnipaxos".to_owned(), cluster_id.to_string(), Self::NAME.to_owned()]
    }
}

impl Lane for ServerLane {
    type Message = ServerMail;
    const KIND: Kind = Kind::Server;
    const NAME: &'static str = "server";
    const GATED: bool = false;
    const OPEN: bool = true;

    /// None in particular.
    fn config_id(_: &ServerMail) -> ConfigId {
        0
    }

    fn limits(config: &OmniPaxosConfig) -> Limits {
        config.server_limits()
    }

    fn receiver(message: &ServerMail) -> NodeId {
        message.packet.to
    }

    fn address(message: &ServerMail) -> Option<SocketAddr> {
        message.at
    }

    fn pack(message: ServerMail) -> Packet {
        Packet::Server(message.packet)
    }

    fn unpack(packet: Packet) -> Option<ServerMail> {
        match packet {
            Packet::Server(packet) => Some(ServerMail { at: None, packet }),
            _ => None,
        }
    }
}
