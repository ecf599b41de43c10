//! The donor's side: each request is answered from what is held, and nothing is remembered.

use super::error::AnswerError;
use super::messages::{
    Asked, Blocks, BlocksRequest, Inventory, MAX_INVENTORY_RANGES, MAX_LISTED_BLOCKS,
    MigrationBody, MigrationMessage, Segment, SegmentRequest, SnapshotChunk, SnapshotOffer,
    SnapshotRequest, Trimmed, Unknown,
};
use super::ranges::{IndexRange, Ranges};
use crate::ballot::NodeId;
use crate::digest::{BLOCK_COST, Block, SNAPSHOT_CHUNK};
use crate::storage::{ConfigId, Records, StorageError};
use bytes::Bytes;

/// What a donor holds of the log of one configuration. A member has all of it that is decided and
/// not trimmed; a newcomer that still migrates has what arrived so far.
pub trait DonorLog {
    /// Which records can be served: decided and durable here, in whole blocks where the log has
    /// digests.
    fn held(&self) -> Ranges;

    /// Everything below was trimmed.
    fn first_index(&self) -> u64;

    /// The records from `from` on, which are held up to `to`: as many as cost at most `max_cost`
    /// bytes together, and at least one.
    ///
    /// # Errors
    /// [`StorageError`] when the backend failed.
    fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError>;

    /// The blocks of the log, from index 0, trimmed ones included. Empty where it has no digests.
    fn blocks(&self) -> &[Block];

    /// A snapshot that can be served, if any.
    fn snapshot(&self) -> Option<SnapshotOffer> {
        None
    }

    /// The bytes `[offset, offset + len)` of the snapshot that is offered.
    ///
    /// # Errors
    /// [`StorageError`] when the backend failed.
    fn read_snapshot(&self, offset: u64, len: u64) -> Result<Bytes, StorageError> {
        let _ = (offset, len);
        Ok(Bytes::new())
    }
}

/// Answers `request`, which was sent to server `pid`, from the log of configuration `config_id`
/// with at most `max_cost` bytes of records (or one block, or one record, where those are larger).
///
/// Stateless, so a repeated request is answered again.
///
/// # Errors
/// [`AnswerError`] when the message is none for this donor, or the log cannot be read: nothing is
/// answered then.
pub fn answer(
    config_id: ConfigId,
    pid: NodeId,
    log: &impl DonorLog,
    request: &MigrationMessage,
    max_cost: u64,
) -> Result<MigrationMessage, AnswerError> {
    if request.config_id != config_id {
        let theirs = request.config_id;
        return Err(AnswerError::OtherConfiguration { theirs, ours: config_id });
    }
    if request.to != pid {
        return Err(AnswerError::OtherReceiver(request.to));
    }
    let body = match &request.body {
        MigrationBody::InventoryRequest => MigrationBody::Inventory(inventory(log)),
        MigrationBody::BlocksRequest(m) => blocks(log, m),
        MigrationBody::SegmentRequest(m) => segment(log, m, max_cost)?,
        MigrationBody::SnapshotRequest(m) => snapshot_chunk(log, m)?,
        _ => return Err(AnswerError::NotARequest(request.body.name())),
    };
    Ok(reply(request, body))
}

/// Refuses `request`: the donor serves nothing for now, and wants to be asked later or not at all.
#[must_use]
pub fn refuse(request: &MigrationMessage) -> MigrationMessage {
    reply(request, MigrationBody::Refused)
}

fn reply(request: &MigrationMessage, body: MigrationBody) -> MigrationMessage {
    let MigrationMessage { config_id, from, to, .. } = *request;
    MigrationMessage { config_id, from: to, to: from, body }
}

fn inventory(log: &impl DonorLog) -> Inventory {
    Inventory {
        held: log.held().iter().take(MAX_INVENTORY_RANGES).collect(),
        first: log.first_index(),
        blocks_end: log.blocks().last().map_or(0, |block| block.end),
        snapshot: log.snapshot(),
    }
}

fn unknown(asked: Asked) -> MigrationBody {
    MigrationBody::Unknown(Unknown { asked })
}

fn blocks(log: &impl DonorLog, m: &BlocksRequest) -> MigrationBody {
    let ends_there = log.blocks().binary_search_by_key(&m.end, |block| block.end);
    let first = usize::try_from(m.first);
    match (first, ends_there) {
        (Ok(first), Ok(last)) if first <= last => {
            let count = (last - first + 1).min(MAX_LISTED_BLOCKS);
            let blocks = log.blocks()[first..first + count].to_vec();
            MigrationBody::Blocks(Blocks { first: m.first, end: m.end, blocks })
        }
        _ => unknown(Asked::Blocks(m.first)),
    }
}

fn segment(
    log: &impl DonorLog,
    m: &SegmentRequest,
    max_cost: u64,
) -> Result<MigrationBody, StorageError> {
    let from = m.range.from;
    if from < log.first_index() {
        return Ok(MigrationBody::Trimmed(Trimmed { from, first: log.first_index() }));
    }
    let held = log.held().parts(m.range).next().filter(|held| held.from == from);
    let Some(IndexRange { to, .. }) = held else {
        return Ok(unknown(Asked::Segment(m.range)));
    };
    let records = log.read(from, to, m.max_cost.min(max_cost.max(BLOCK_COST)))?;
    Ok(MigrationBody::Segment(Segment { start: from, records }))
}

fn snapshot_chunk(log: &impl DonorLog, m: &SnapshotRequest) -> Result<MigrationBody, StorageError> {
    let valid = m.offset < m.offer.bytes && m.offset.is_multiple_of(SNAPSHOT_CHUNK);
    if !valid || log.snapshot() != Some(m.offer) {
        return Ok(unknown(Asked::Snapshot(m.offer, m.offset)));
    }
    let len = SNAPSHOT_CHUNK.min(m.offer.bytes - m.offset);
    let data = log.read_snapshot(m.offset, len)?;
    Ok(MigrationBody::SnapshotChunk(SnapshotChunk { offer: m.offer, offset: m.offset, data }))
}
