//! The classes of traffic. Each has a router component of its own, with its own queue and its own
//! buffers, so that heartbeats never wait behind a burst of entries.

use crate::wire::{Kind, Packet};
use omnipaxos_core::leader_election::{HeartbeatMessage, NodeId};
use omnipaxos_core::paxos::Message;
use std::fmt::Debug;

/// A class of traffic between servers.
pub trait Lane: Send + 'static {
    /// The messages of this class.
    type Message: Clone + Debug + Send + 'static;
    /// The kind of its packets.
    const KIND: Kind;
    /// The last part of the alias under which its router is reached.
    const NAME: &'static str;

    /// Who shall receive a message.
    fn receiver(message: &Self::Message) -> NodeId;

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

    fn receiver(message: &HeartbeatMessage) -> NodeId {
        message.to
    }

    fn pack(message: HeartbeatMessage) -> Packet {
        Packet::Heartbeat(message)
    }

    fn unpack(packet: Packet) -> Option<HeartbeatMessage> {
        match packet {
            Packet::Heartbeat(message) => Some(message),
            Packet::Paxos(_) => None,
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

    fn receiver(message: &Message) -> NodeId {
        message.to
    }

    fn pack(message: Message) -> Packet {
        Packet::Paxos(message)
    }

    fn unpack(packet: Packet) -> Option<Message> {
        match packet {
            Packet::Paxos(message) => Some(message),
            Packet::Heartbeat(_) => None,
        }
    }
}
