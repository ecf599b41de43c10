//! What travels between servers, and how long it is there.

use super::RunError;
use omnipaxos_core::configurations::{ServerBody, ServerMessage};
use omnipaxos_core::leader_election::{HeartbeatMessage, NodeId};
use omnipaxos_core::migration::{MigrationBody, MigrationMessage, Segment};
use omnipaxos_core::paxos::Message;
use omnipaxos_core::storage::{Records, Sequence};
use omnipaxos_kompact::identity::StorageId;
use omnipaxos_kompact::wire::{EncodeError, Frame, Packet, ServerPacket, ServerTalk, Storages};
use std::net::{Ipv4Addr, SocketAddr};

/// A message of any kind.
#[derive(Clone, Debug)]
pub enum Wire {
    /// Between replicas.
    Paxos(Message),
    /// Between elections.
    Heartbeat(HeartbeatMessage),
    /// Between servers.
    Server(ServerMessage),
}

/// Like any other.
const CLUSTER: u64 = 1;
const PORT: u16 = 7000;

impl Wire {
    /// Sender and receiver.
    #[must_use]
    pub fn ends(&self) -> (NodeId, NodeId) {
        match self {
            Wire::Paxos(message) => (message.from, message.to),
            Wire::Heartbeat(message) => (message.from, message.to),
            Wire::Server(message) => (message.from, message.to),
        }
    }

    /// Bytes of the packet in which omnipaxos-kompact sends it.
    ///
    /// # Errors
    /// [`EncodeError`] where it fits none.
    pub fn bytes(&self) -> Result<u64, EncodeError> {
        let none = EncodeError::TooLong { bytes: 0 };
        let storage_id = StorageId::new(u128::MAX).ok_or(none)?;
        let storages = Storages { from: storage_id, to: Some(storage_id) };
        let packet = match self.clone() {
            Wire::Paxos(message) => Packet::Paxos(message),
            Wire::Heartbeat(message) => Packet::Heartbeat(message),
            Wire::Server(ServerMessage { from, to, body }) => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
                let talk = ServerTalk::Life(body);
                Packet::Server(ServerPacket { from, to, storage_id, address, talk })
            }
        };
        Ok(Frame::encode(CLUSTER, storages, packet)?.encoded_len() as u64)
    }
}

/// A segment with these records.
#[must_use]
pub fn segment(start: u64, records: Records) -> Wire {
    let (config_id, from, to) = (1, 1, 2);
    let body = MigrationBody::Segment(Segment { start, records });
    let body = ServerBody::Migration(MigrationMessage { config_id, from, to, body });
    Wire::Server(ServerMessage { from, to, body })
}

/// Bytes of the log below `end` as segments of so many bytes of entries.
///
/// # Errors
/// [`RunError`] where it cannot be read.
pub fn segments(log: &impl Sequence, end: u64, segment_bytes: u64) -> Result<u64, RunError> {
    let (mut at, mut bytes) = (0, 0);
    while at < end {
        let records = log.read(at, end, segment_bytes)?;
        let (start, len) = (at, records.len());
        bytes += segment(start, records).bytes()?;
        at += len;
    }
    Ok(bytes)
}
