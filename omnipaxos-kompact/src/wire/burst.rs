//! Packets that go out together, of which several receivers get the same.

use super::records::RecordsHead;
use super::{
    ClusterId, EncodeError, Envelope, Frame, PROTOCOL_VERSION, Packet, Storages, encode_onto,
};
use crate::identity::StorageId;
use bytes::Bytes;
use omnipaxos_core::paxos::Body;
use omnipaxos_core::storage::Records;

/// Capacity for a head without entries; others grow.
const HEAD_GUESS: usize = 128;

/// Heads that are looked through for another receiver: as many frames as a large window has.
const MOST_HEADS: usize = 256;

/// Encodes packets that go out together, one after another. Followers in step get the same records
/// in the same words, each in a packet of its own: those share one head, and only their envelopes
/// differ. It holds the records that it has seen until it is dropped.
#[derive(Debug)]
pub struct Burst {
    cluster_id: ClusterId,
    heads: Vec<Head>,
    shared: u64,
}

/// An encoded head of a message between replicas that has records.
#[derive(Debug)]
struct Head {
    records: Records,
    /// The message without them.
    body: Body,
    bytes: Bytes,
    /// Where the head of the records begins.
    records_at: usize,
    /// Bytes of the records' payloads.
    blob_len: u64,
}

impl Burst {
    /// No packet yet; all will be for servers of this cluster.
    #[must_use]
    pub fn new(cluster_id: ClusterId) -> Self {
        Self { cluster_id, heads: Vec::new(), shared: 0 }
    }

    /// Packets so far whose records were not encoded again, since another one had the same ones.
    #[must_use]
    pub fn shared(&self) -> u64 {
        self.shared
    }

    /// Encodes `packet`, to go between `storages`.
    ///
    /// # Errors
    /// [`EncodeError`] where it does not fit a packet.
    pub fn encode(&mut self, storages: Storages, packet: Packet) -> Result<Frame, EncodeError> {
        let kind = packet.kind().to_byte();
        let cluster_id = self.cluster_id;
        let envelope = |config_id, from, to| Envelope {
            version: PROTOCOL_VERSION,
            kind,
            cluster_id,
            config_id,
            from,
            to,
            from_storage: storages.from.get(),
            to_storage: storages.to.map_or(0, StorageId::get),
            head_len: 0,
            blob_len: 0,
        };
        match packet {
            Packet::Paxos(mut message) => {
                let envelope = envelope(message.config_id, message.from, message.to);
                match message.take_records() {
                    Some(records) if !records.is_empty() => {
                        let (head, blob_len) = self.head_of(message.body, &records)?;
                        Frame::assemble(envelope, head, records, blob_len)
                    }
                    none => {
                        let mut head = head_of(&message.body)?;
                        encode_records(&mut head, none.as_ref())?;
                        Frame::assemble(envelope, head.into(), Records::default(), 0)
                    }
                }
            }
            Packet::Heartbeat(message) => {
                let envelope = envelope(message.config_id, message.from, message.to);
                let head = head_of(&message.body)?;
                Frame::assemble(envelope, head.into(), Records::default(), 0)
            }
            Packet::Identity(message) => {
                let envelope = envelope(message.config_id, message.from, message.to);
                let head = head_of(&message.body)?;
                Frame::assemble(envelope, head.into(), Records::default(), 0)
            }
            Packet::Server(mut packet) => {
                let envelope = envelope(0, packet.from, packet.to);
                let records = packet.talk.take_records();
                let mut head = head_of(&(packet.address, &packet.talk))?;
                let blob_len = encode_records(&mut head, records.as_ref())?;
                Frame::assemble(envelope, head.into(), records.unwrap_or_default(), blob_len)
            }
        }
    }

    /// The head of a message between replicas that has these records, without them in `body`; and
    /// the bytes of their payloads.
    fn head_of(&mut self, body: Body, records: &Records) -> Result<(Bytes, u64), EncodeError> {
        if let Some(known) = self.heads.iter().find(|head| head.records.is_shared_with(records)) {
            self.shared += 1;
            if known.body == body {
                return Ok((known.bytes.clone(), known.blob_len));
            }
            // For instance in another attempt to bring the receiver into the round.
            let mut head = head_of(&body)?;
            head.extend_from_slice(known.bytes.get(known.records_at..).unwrap_or_default());
            return Ok((head.into(), known.blob_len));
        }
        let mut head = head_of(&body)?;
        let records_at = head.len();
        let blob_len = encode_records(&mut head, Some(records))?;
        let (records, bytes) = (records.clone(), Bytes::from(head));
        if self.heads.len() < MOST_HEADS {
            self.heads.push(Head { records, body, bytes: bytes.clone(), records_at, blob_len });
        }
        Ok((bytes, blob_len))
    }
}

fn head_of<T: serde::Serialize>(body: &T) -> Result<Vec<u8>, EncodeError> {
    let mut head = Vec::with_capacity(HEAD_GUESS);
    encode_onto(&mut head, body)?;
    Ok(head)
}

/// Appends the head of a message's records, where it is of a kind that has some; returns the bytes
/// of their payloads.
fn encode_records(head: &mut Vec<u8>, records: Option<&Records>) -> Result<u64, EncodeError> {
    let Some(records) = records else {
        return Ok(0);
    };
    let (records_head, blob_len) =
        RecordsHead::of(records).ok_or(EncodeError::TooLong { bytes: u64::MAX })?;
    encode_onto(head, &records_head)?;
    Ok(blob_len)
}
