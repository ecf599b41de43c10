//! Packets on their way out and in.

use super::{
    Burst, ClusterId, ENVELOPE_BYTES, EncodeError, Envelope, Kind, Limits, MAX_PACKET_BYTES,
    PROTOCOL_VERSION, Packet, SERVER_LIMIT, ServerPacket, ServerTalk, Storages, WireError,
    decode_body, decode_records, decode_within, envelope_config, no_rest,
};
use crate::identity::IdentityMessage;
use bytes::{Buf, BufMut, Bytes};
use omnipaxos_core::leader_election::HeartbeatMessage;
use omnipaxos_core::paxos::Message;
use omnipaxos_core::storage::{Entry, Records};
use std::net::SocketAddr;

/// An encoded packet. Payloads are still those of the log: they are copied only once, into the
/// buffer that goes to the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    envelope: [u8; ENVELOPE_BYTES],
    head: Bytes,
    records: Records,
    blob_len: usize,
}

impl Frame {
    /// Encodes `packet` for a server of cluster `cluster_id`, to go between `storages`. Those that
    /// go out together are encoded by one [`Burst`].
    ///
    /// # Errors
    /// [`EncodeError`] where it does not fit a packet.
    pub fn encode(
        cluster_id: ClusterId,
        storages: Storages,
        packet: Packet,
    ) -> Result<Self, EncodeError> {
        Burst::new(cluster_id).encode(storages, packet)
    }

    /// Completes an envelope with the lengths of what it holds.
    pub(super) fn assemble(
        mut envelope: Envelope,
        head: Bytes,
        records: Records,
        blob_len: u64,
    ) -> Result<Self, EncodeError> {
        let bytes = (ENVELOPE_BYTES + head.len()) as u64 + blob_len;
        let too_long = EncodeError::TooLong { bytes };
        let (Ok(head_len), Ok(blob_len)) = (u32::try_from(head.len()), u32::try_from(blob_len))
        else {
            return Err(too_long);
        };
        if bytes > MAX_PACKET_BYTES as u64 {
            return Err(too_long);
        }
        (envelope.head_len, envelope.blob_len) = (head_len, blob_len);
        Ok(Self { envelope: envelope.to_bytes()?, head, records, blob_len: blob_len as usize })
    }

    /// Bytes of the packet, exactly.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        ENVELOPE_BYTES + self.head.len() + self.blob_len
    }

    /// Writes the packet.
    pub fn write(&self, buf: &mut dyn BufMut) {
        buf.put_slice(&self.envelope);
        buf.put_slice(&self.head);
        for entry in self.records.entries() {
            match entry {
                Entry::Normal(data) => buf.put_slice(data),
                Entry::StopSign(ss) => {
                    if let Some(metadata) = &ss.metadata {
                        buf.put_slice(metadata);
                    }
                }
            }
        }
    }
}

/// A packet that has arrived: its envelope is read, its body is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    envelope: Envelope,
    body: Bytes,
}

impl Incoming {
    /// Reads the envelope and copies the body once, unless length or version forbid it.
    ///
    /// # Errors
    /// [`WireError`] for a packet that is too long, of another length than it says, or of another
    /// version.
    pub fn read(buf: &mut dyn Buf) -> Result<Self, WireError> {
        let bytes = buf.remaining();
        if bytes > MAX_PACKET_BYTES {
            return Err(WireError::TooLong { bytes, limit: MAX_PACKET_BYTES });
        }
        if bytes < ENVELOPE_BYTES {
            return Err(WireError::Length { bytes, expected: ENVELOPE_BYTES as u64 });
        }
        let mut envelope = [0; ENVELOPE_BYTES];
        buf.copy_to_slice(&mut envelope);
        let envelope = Envelope::of_bytes(&envelope)?;
        if envelope.version != PROTOCOL_VERSION {
            return Err(WireError::Version { theirs: envelope.version });
        }
        let expected =
            ENVELOPE_BYTES as u64 + u64::from(envelope.head_len) + u64::from(envelope.blob_len);
        if bytes as u64 != expected {
            return Err(WireError::Length { bytes, expected });
        }
        let body = buf.copy_to_bytes(bytes - ENVELOPE_BYTES);
        Ok(Self { envelope, body })
    }

    /// Where the packet comes from and where it belongs.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The kind of the packet.
    ///
    /// # Errors
    /// [`WireError::Kind`] for one that this version does not know.
    pub fn kind(&self) -> Result<Kind, WireError> {
        Kind::of_byte(self.envelope.kind).ok_or(WireError::Kind(self.envelope.kind))
    }

    /// Refuses packets of other clusters and longer ones than `limits` allow.
    ///
    /// # Errors
    /// [`WireError::Cluster`] or [`WireError::TooLong`].
    pub fn check(&self, cluster_id: ClusterId, limits: &Limits) -> Result<(), WireError> {
        let bytes = ENVELOPE_BYTES + self.body.len();
        if bytes > limits.packet_bytes {
            return Err(WireError::TooLong { bytes, limit: limits.packet_bytes });
        }
        if self.envelope.cluster_id != cluster_id {
            return Err(WireError::Cluster { theirs: self.envelope.cluster_id, ours: cluster_id });
        }
        Ok(())
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// [`WireError`] where it exceeds `limits`, or is no message.
    pub fn decode(mut self, limits: &Limits) -> Result<Packet, WireError> {
        let kind = self.kind()?;
        let Envelope { config_id, from, to, .. } = self.envelope;
        let storages = self.envelope.storages()?;
        // `read` has checked that the body is as long as head and blob together.
        let head = self.body.split_to(self.envelope.head_len as usize);
        match kind {
            Kind::Paxos => {
                let (body, rest) = decode_body(&head)?;
                let mut message = Message { config_id, from, to, body };
                let in_head = message.take_records();
                if let Some(records) = join_records(in_head, rest, self.body, limits)? {
                    message.put_records(records);
                }
                Ok(Packet::Paxos(message))
            }
            Kind::Heartbeat => {
                let (body, rest) = decode_body(&head)?;
                no_rest(rest)?;
                no_rest(&self.body)?;
                Ok(Packet::Heartbeat(HeartbeatMessage { config_id, from, to, body }))
            }
            Kind::Identity => {
                let (body, rest) = decode_body(&head)?;
                no_rest(rest)?;
                no_rest(&self.body)?;
                let storage_id = storages.from;
                Ok(Packet::Identity(IdentityMessage { config_id, from, to, storage_id, body }))
            }
            Kind::Server => {
                let ((address, mut talk), rest) =
                    decode_within::<(SocketAddr, ServerTalk), SERVER_LIMIT>(&head)?;
                let in_head = talk.take_records();
                if let Some(records) = join_records(in_head, rest, self.body, limits)? {
                    talk.put_records(records);
                }
                let storage_id = storages.from;
                Ok(Packet::Server(ServerPacket { from, to, storage_id, address, talk }))
            }
        }
    }
}

/// The records of a message, of which `in_head` came with its head: none, where it is of a kind
/// that has some.
fn join_records(
    in_head: Option<Records>,
    rest: &[u8],
    blob: Bytes,
    limits: &Limits,
) -> Result<Option<Records>, WireError> {
    match in_head {
        Some(none) if none.is_empty() => decode_records(rest)?.join(blob, limits).map(Some),
        Some(_) => Err(WireError::Undecodable("entries in the head".to_owned())),
        None => {
            no_rest(rest)?;
            no_rest(&blob)?;
            Ok(None)
        }
    }
}

impl Envelope {
    fn to_bytes(self) -> Result<[u8; ENVELOPE_BYTES], EncodeError> {
        let mut bytes = [0; ENVELOPE_BYTES];
        bincode::serde::encode_into_slice(self, &mut bytes, envelope_config())
            .map_err(|e| EncodeError::Unencodable(e.to_string()))?;
        Ok(bytes)
    }

    fn of_bytes(bytes: &[u8; ENVELOPE_BYTES]) -> Result<Self, WireError> {
        bincode::serde::decode_from_slice(bytes, envelope_config())
            .map(|(envelope, _)| envelope)
            .map_err(|e| WireError::Undecodable(e.to_string()))
    }
}
