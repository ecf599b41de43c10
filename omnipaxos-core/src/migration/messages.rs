//! What a migrating server and its donors say to each other. docs/PROTOCOL.md has the table.

use super::ranges::IndexRange;
use crate::ballot::NodeId;
use crate::digest::{Block, Digest};
use crate::storage::{ConfigId, Records};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The most ranges that one [`Inventory`] names.
pub const MAX_INVENTORY_RANGES: usize = 64;

/// The most blocks that one [`Blocks`] lists.
pub const MAX_LISTED_BLOCKS: usize = 4096;

/// A message of a migration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MigrationMessage {
    /// The configuration whose log it is about; sender and receiver need not be its members.
    pub config_id: ConfigId,
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// What it says.
    pub body: MigrationBody,
}

/// What a message of a migration says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MigrationBody {
    /// To a donor: what do you hold?
    InventoryRequest,
    /// From a donor: what it holds.
    Inventory(Inventory),
    /// To a donor: the blocks of the log, please.
    BlocksRequest(BlocksRequest),
    /// From a donor: some of the blocks.
    Blocks(Blocks),
    /// To a donor: these records, please.
    SegmentRequest(SegmentRequest),
    /// From a donor: records.
    Segment(Segment),
    /// To a donor: this part of a snapshot, please.
    SnapshotRequest(SnapshotRequest),
    /// From a donor: a part of a snapshot.
    SnapshotChunk(SnapshotChunk),
    /// From a donor: it has trimmed what was asked for.
    Trimmed(Trimmed),
    /// From a donor: it does not hold what was asked for.
    Unknown(Unknown),
    /// From a donor: it serves nothing for now.
    Refused,
}

/// What a donor holds of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Inventory {
    /// What it can serve, ascending, at most [`MAX_INVENTORY_RANGES`].
    pub held: Vec<IndexRange>,
    /// Everything below was trimmed.
    pub first: u64,
    /// The end of the last block that it can list.
    pub blocks_end: u64,
    /// A snapshot that it can serve.
    pub snapshot: Option<SnapshotOffer>,
}

/// A snapshot of the state after a prefix of the log: bytes that nobody here looks into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SnapshotOffer {
    /// It stands for the records `[0, end)`.
    pub end: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its digest: see [`snapshot_digest`](crate::digest::snapshot_digest).
    pub digest: Digest,
}

/// Asks for the blocks from number `first` on, of which the last ends at `end`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlocksRequest {
    /// The number of the first block.
    pub first: u64,
    /// Where the last block ends.
    pub end: u64,
}

/// Blocks of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blocks {
    /// The number of the first one.
    pub first: u64,
    /// Where the list ends, as it was asked.
    pub end: u64,
    /// At most [`MAX_LISTED_BLOCKS`].
    pub blocks: Vec<Block>,
}

/// Asks for the records from `range.from` on: as many below `range.to` as cost at most `max_cost`
/// bytes together, and at least one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SegmentRequest {
    /// The records.
    pub range: IndexRange,
    /// The limit in bytes.
    pub max_cost: u64,
}

/// Decided records.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Segment {
    /// The index of the first one.
    pub start: u64,
    /// The records; never none.
    pub records: Records,
}

/// Asks for the chunk of a snapshot that begins at byte `offset`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotRequest {
    /// Which snapshot.
    pub offer: SnapshotOffer,
    /// A multiple of [`SNAPSHOT_CHUNK`](crate::digest::SNAPSHOT_CHUNK).
    pub offset: u64,
}

/// One chunk of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotChunk {
    /// Which snapshot.
    pub offer: SnapshotOffer,
    /// Where the chunk begins.
    pub offset: u64,
    /// [`SNAPSHOT_CHUNK`](crate::digest::SNAPSHOT_CHUNK) bytes, or what is left of the snapshot.
    pub data: Bytes,
}

/// Everything below `first` was trimmed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Trimmed {
    /// Where the range that was asked for begins.
    pub from: u64,
    /// The first index that was not trimmed.
    pub first: u64,
}

/// What was asked for is not held; a newcomer may hold it later.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Unknown {
    /// What was asked.
    pub asked: Asked,
}

/// What a request asks for. At most one request for the same is on its way to one donor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Asked {
    /// An Inventory.
    Inventory,
    /// Blocks from this number on.
    Blocks(u64),
    /// Records.
    Segment(IndexRange),
    /// A chunk of a snapshot.
    Snapshot(SnapshotOffer, u64),
}

impl MigrationMessage {
    /// Moves the records out of this message and leaves none: a codec can then write the payloads
    /// as one blob, and give them back with [`put_records`](Self::put_records).
    pub fn take_records(&mut self) -> Option<Records> {
        match &mut self.body {
            MigrationBody::Segment(segment) => Some(std::mem::take(&mut segment.records)),
            _ => None,
        }
    }

    /// Puts records back into a message of a kind that has some; `false` where it has none.
    pub fn put_records(&mut self, records: Records) -> bool {
        match &mut self.body {
            MigrationBody::Segment(segment) => {
                segment.records = records;
                true
            }
            _ => false,
        }
    }
}

impl MigrationBody {
    /// What a request asks for: [`answer`](super::answer) handles it. `None` for an answer, which
    /// is for [`Migration::handle_message`](super::Migration::handle_message).
    #[must_use]
    pub fn asked(&self) -> Option<Asked> {
        match self {
            Self::InventoryRequest => Some(Asked::Inventory),
            Self::BlocksRequest(m) => Some(Asked::Blocks(m.first)),
            Self::SegmentRequest(m) => Some(Asked::Segment(m.range)),
            Self::SnapshotRequest(m) => Some(Asked::Snapshot(m.offer, m.offset)),
            Self::Inventory(_)
            | Self::Blocks(_)
            | Self::Segment(_)
            | Self::SnapshotChunk(_)
            | Self::Trimmed(_)
            | Self::Unknown(_)
            | Self::Refused => None,
        }
    }

    /// The message's name, as in docs/PROTOCOL.md, logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::InventoryRequest => "InventoryRequest",
            Self::Inventory(_) => "Inventory",
            Self::BlocksRequest(_) => "BlocksRequest",
            Self::Blocks(_) => "Blocks",
            Self::SegmentRequest(_) => "SegmentRequest",
            Self::Segment(_) => "Segment",
            Self::SnapshotRequest(_) => "SnapshotRequest",
            Self::SnapshotChunk(_) => "SnapshotChunk",
            Self::Trimmed(_) => "Trimmed",
            Self::Unknown(_) => "Unknown",
            Self::Refused => "Refused",
        }
    }
}
