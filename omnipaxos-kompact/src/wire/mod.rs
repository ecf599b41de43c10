//! What travels between two servers, and what a receiver believes of it.
//!
//! A packet is a fixed [`Envelope`], a bincode head, and the payloads of all entries as one blob:
//!
//! ```text
//! envelope (75 bytes, little endian)     head                      blob
//! version u16, kind u8,                  bincode: the message      payloads, one after another,
//! cluster u64, configuration u64,        without its entries; if   as long as the head says
//! sender u64, receiver u64,              it has some: their runs,
//! their storages, u128 each,             lengths, StopSign
//! head length u32, blob length u32
//! ```
//!
//! The envelope comes first and never moves, so that a receiver can refuse a packet by its length,
//! version and cluster before it allocates anything for it.
//!
//! Architecture invariant: no other module names bincode, and no input makes this one panic.

mod burst;
mod codec;
mod frame;
mod members;
mod records;
mod server;
#[cfg(feature = "durable")]
pub(crate) mod stored;

#[cfg(test)]
mod tests;

pub use burst::Burst;
pub use codec::WireCodec;
pub use frame::{Frame, Incoming};
pub use members::{Member, decode_members, encode_members};
pub(crate) use members::{decode_notes, encode_notes};
pub use server::{JoinRefusal, ServerMail, ServerPacket, ServerTalk};

use crate::identity::{IdentityMessage, StorageId};
use omnipaxos_core::leader_election::{HeartbeatMessage, NodeId};
use omnipaxos_core::paxos::Message;
use omnipaxos_core::storage::{ConfigId, ENTRY_OVERHEAD};
use records::RecordsHead;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use server::SERVER_LIMIT;
use thiserror::Error;

/// Tells clusters apart: a packet of another cluster is dropped.
pub type ClusterId = u64;

/// The version of this format. A packet of any other version is dropped.
pub const PROTOCOL_VERSION: u16 = 4;

/// Bytes of an encoded [`Envelope`].
pub const ENVELOPE_BYTES: usize = 75;

/// Bytes of the largest packet that any configuration allows; longer ones are dropped unread.
pub const MAX_PACKET_BYTES: usize = 64 << 20;

/// What bincode may claim for a message without its entries.
const BODY_LIMIT: usize = 4 << 10;

/// What bincode may claim for the runs and lengths of a frame: enough for the largest legal one.
const RECORDS_LIMIT: usize = 16 << 20;

/// Kinds of packets. A number is never used again for another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A message between two replicas.
    Paxos,
    /// A message between two elections.
    Heartbeat,
    /// A message about who is who.
    Identity,
    /// A message about the lives of servers.
    Server,
}

impl Kind {
    fn to_byte(self) -> u8 {
        match self {
            Kind::Paxos => 1,
            Kind::Heartbeat => 2,
            Kind::Identity => 3,
            Kind::Server => 4,
        }
    }

    fn of_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Kind::Paxos),
            2 => Some(Kind::Heartbeat),
            3 => Some(Kind::Identity),
            4 => Some(Kind::Server),
            _ => None,
        }
    }
}

/// Where a packet comes from and where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Envelope {
    version: u16,
    kind: u8,
    /// The cluster of both servers.
    pub cluster_id: ClusterId,
    /// The configuration that the message belongs to.
    pub config_id: ConfigId,
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    from_storage: u128,
    to_storage: u128,
    head_len: u32,
    blob_len: u32,
}

/// The storages of the servers that a packet goes between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Storages {
    /// The sender's.
    pub from: StorageId,
    /// The receiver's, where the sender knows it.
    pub to: Option<StorageId>,
}

impl Envelope {
    /// The storages of sender and receiver.
    ///
    /// # Errors
    /// [`WireError::NoStorage`] where the sender names none.
    pub fn storages(&self) -> Result<Storages, WireError> {
        let from = StorageId::new(self.from_storage).ok_or(WireError::NoStorage)?;
        Ok(Storages { from, to: StorageId::new(self.to_storage) })
    }
}

/// A message that can travel between two servers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Packet {
    /// From replica to replica.
    Paxos(Message),
    /// From election to election.
    Heartbeat(HeartbeatMessage),
    /// From server to server: who is who.
    Identity(IdentityMessage),
    /// From server to server: everything else.
    Server(ServerPacket),
}

impl Packet {
    /// Which kind of packet this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Packet::Paxos(_) => Kind::Paxos,
            Packet::Heartbeat(_) => Kind::Heartbeat,
            Packet::Identity(_) => Kind::Identity,
            Packet::Server(_) => Kind::Server,
        }
    }
}

/// What a receiver accepts of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Bytes of the whole packet.
    pub packet_bytes: usize,
    /// Entries in it.
    pub entries: usize,
    /// Bytes of one entry's payload.
    pub entry_bytes: u64,
}

impl Limits {
    /// Limits that let through whatever servers send whose frames and chunks carry at most
    /// `frame_bytes`, and whose entries have at most `entry_bytes`.
    #[must_use]
    pub fn for_frames(frame_bytes: u64, entry_bytes: u64) -> Self {
        let entries = (frame_bytes / ENTRY_OVERHEAD).max(1);
        // A frame holds payloads, or runs and lengths of at most 64 bytes an entry, or one entry.
        let head = ENVELOPE_BYTES as u64 + 4096 + 64 * entries;
        let bytes = head.saturating_add(frame_bytes.max(entry_bytes));
        Self {
            packet_bytes: usize::try_from(bytes)
                .map_or(MAX_PACKET_BYTES, |b| b.min(MAX_PACKET_BYTES)),
            entries: usize::try_from(entries).unwrap_or(usize::MAX),
            entry_bytes,
        }
    }
}

/// Why a packet was refused by its form alone.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WireError {
    /// Not one of our packets at all.
    #[error("serialisation id {0} is not ours")]
    SerialisationId(u64),
    /// Longer than the receiver accepts.
    #[error("a packet of {bytes} bytes exceeds the limit of {limit}")]
    TooLong {
        /// Bytes of the packet.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Shorter than its envelope, or than the envelope says.
    #[error("a packet of {bytes} bytes where {expected} were announced")]
    Length {
        /// Bytes of the packet.
        bytes: usize,
        /// Bytes that it should have.
        expected: u64,
    },
    /// Of another version of this format.
    #[error("protocol version {theirs}, this server speaks {PROTOCOL_VERSION}")]
    Version {
        /// The packet's version.
        theirs: u16,
    },
    /// From another cluster.
    #[error("a packet of cluster {theirs} in cluster {ours}")]
    Cluster {
        /// The packet's cluster.
        theirs: ClusterId,
        /// This server's cluster.
        ours: ClusterId,
    },
    /// The sender says nothing of its storage.
    #[error("a packet from no storage")]
    NoStorage,
    /// Of a kind that this version does not know, or that does not belong on this path.
    #[error("a packet of kind {0}")]
    Kind(u8),
    /// More entries than a frame may hold.
    #[error("{entries} entries exceed the limit of {limit}")]
    TooManyEntries {
        /// Entries of the packet.
        entries: usize,
        /// The limit.
        limit: usize,
    },
    /// An entry larger than allowed.
    #[error("an entry of {bytes} bytes exceeds the limit of {limit}")]
    EntryTooLarge {
        /// Bytes of the entry.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The head is not what bincode expects, or contradicts itself.
    #[error("undecodable: {0}")]
    Undecodable(String),
}

/// Why a message cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It does not fit a packet.
    #[error("a message of {bytes} bytes does not fit a packet of {MAX_PACKET_BYTES}")]
    TooLong {
        /// Bytes of the message.
        bytes: u64,
    },
    /// bincode failed.
    #[error("unencodable: {0}")]
    Unencodable(String),
}

fn envelope_config() -> impl bincode::config::Config {
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<128>()
}

/// Reads a message without its entries from the front of a head; returns it and the rest.
fn decode_body<T: DeserializeOwned>(head: &[u8]) -> Result<(T, &[u8]), WireError> {
    decode_within::<T, BODY_LIMIT>(head)
}

/// Reads a value from the front of `bytes`, for which bincode may claim at most `LIMIT` bytes;
/// returns it and the rest.
fn decode_within<T: DeserializeOwned, const LIMIT: usize>(
    bytes: &[u8],
) -> Result<(T, &[u8]), WireError> {
    let config = bincode::config::standard().with_limit::<LIMIT>();
    let (value, used) = bincode::serde::decode_from_slice(bytes, config).map_err(undecodable)?;
    Ok((value, bytes.get(used..).unwrap_or_default()))
}

/// Reads the rest of a head, all of it.
fn decode_records(head: &[u8]) -> Result<RecordsHead, WireError> {
    let config = bincode::config::standard().with_limit::<RECORDS_LIMIT>();
    let (records, used) = bincode::serde::decode_from_slice(head, config).map_err(undecodable)?;
    no_rest(head.get(used..).unwrap_or_default())?;
    Ok(records)
}

fn no_rest(rest: &[u8]) -> Result<(), WireError> {
    if rest.is_empty() {
        return Ok(());
    }
    Err(WireError::Undecodable(format!("{} bytes too many", rest.len())))
}

fn undecodable(error: bincode::error::DecodeError) -> WireError {
    WireError::Undecodable(error.to_string())
}

/// Appends `value` to a head.
fn encode_onto<T: Serialize>(head: &mut Vec<u8>, value: &T) -> Result<(), EncodeError> {
    bincode::serde::encode_into_std_write(value, head, bincode::config::standard())
        .map(|_| ())
        .map_err(|e| EncodeError::Unencodable(e.to_string()))
}
