//! Frames: how one flush lies in a segment.
//!
//! ```text
//! frame    header  items, each padded to a multiple of 4, all to one of 8  footer
//! header   magic u32, body length u32, sequence u64, items u32, CRC u32          (24 bytes)
//! item     length u32, CRC u32, kind u8, configuration u64, what the kind has
//! footer   magic u32, CRC u32, sequence u64, body length u32, end mark u32       (24 bytes)
//! ```
//!
//! All numbers are little endian. Each CRC-32C is bound to the storage, the segment and the offset,
//! so that a frame is valid in one place only; the footer's covers the header and the CRCs of the
//! items. The last four bytes are never 0: a frame that lacks them was never written to its end.

use crate::wire::stored;
use bytes::{Buf, Bytes};
use omnipaxos_core::storage::{ConfigId, Entry, Records, StorageError};
use serde::{Deserialize, Serialize};

pub(super) const HEADER_BYTES: usize = 24;
pub(super) const FOOTER_BYTES: usize = 24;
/// Frames begin at multiples of this.
pub(super) const ALIGN: u64 = 8;
/// Items begin at multiples of this, so that padding never looks like a length.
const ITEM_ALIGN: usize = 4;
/// Above any length of an item, so that the three can be told apart.
pub(super) const HEADER_MAGIC: u32 = 0xF5A1_0E01;
pub(super) const FOOTER_MAGIC: u32 = 0xF5A1_0E02;
pub(super) const END_MARK: u32 = 0xA5C3_96E7;
const ITEM_HEAD_BYTES: usize = 8;
/// The largest length of an item.
const MAX_ITEM: usize = 0xF000_0000;
/// Records of one append are cut into items of about this cost, each of which can be read alone.
const ITEM_COST: u64 = 32 << 10;

/// What the CRCs of one segment are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    seed: u32,
}

impl Place {
    pub(super) fn new(storage_id: u128, segment: u32) -> Self {
        let seed = crc32c::crc32c(&storage_id.to_le_bytes());
        Self { seed: crc32c::crc32c_append(seed, &segment.to_le_bytes()) }
    }

    fn crc(self, offset: u64, data: &[u8]) -> u32 {
        let bound = crc32c::crc32c_append(self.seed, &offset.to_le_bytes());
        crc32c::crc32c_append(bound, data)
    }
}

/// One change, without the payloads of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// Records at `[start, start + count)`; what the log held from `start` on is gone.
    Append {
        group: ConfigId,
        start: u64,
        count: u32,
    },
    Truncate {
        group: ConfigId,
        from: u64,
    },
    Trim {
        group: ConfigId,
        to: u64,
    },
    State {
        group: ConfigId,
        state: Bytes,
    },
    Remove {
        group: ConfigId,
    },
    /// What the segments before this one hold. The first item of each segment.
    Checkpoint(Checkpoint),
    /// The last item of a segment that has a successor.
    Continued {
        segment: u32,
    },
}

/// Everything that a segment needs to know of those before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// Bytes that the segment was given when it was created.
    pub(super) segment_bytes: u64,
    /// The earlier segments that hold something that is needed, and where their frames end.
    pub(super) segments: Vec<(u32, u64)>,
    pub(super) groups: Vec<GroupCheckpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GroupCheckpoint {
    pub(super) group: ConfigId,
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) state: Option<Vec<u8>>,
    /// Which part `[from, to)` of the log lies in which segment.
    pub(super) live: Vec<(u32, u64, u64)>,
}

/// Where an item lies in its segment: its offset and all its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) bytes: u32,
}

const APPEND: u8 = 1;
const TRUNCATE: u8 = 2;
const TRIM: u8 = 3;
const STATE: u8 = 4;
const REMOVE: u8 = 5;
const CHECKPOINT: u8 = 6;
const CONTINUED: u8 = 7;

/// Builds one frame for one place. Its buffer is used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Builder {
    frame: Vec<u8>,
    item_crcs: Vec<u8>,
    offset: u64,
}

impl Builder {
    /// Begins a frame at `offset`.
    pub(super) fn begin(&mut self, offset: u64) {
        self.frame.clear();
        self.item_crcs.clear();
        self.frame.resize(HEADER_BYTES, 0);
        self.offset = offset;
    }

    /// Adds an item that holds no records.
    pub(super) fn push(&mut self, place: Place, item: &Item) -> Result<(), StorageError> {
        self.item(place, |out| {
            match item {
                Item::Append { group, .. } => {
                    debug_assert!(false, "records of {group} without payloads");
                }
                Item::Truncate { group, from } => put(out, TRUNCATE, *group, &from.to_le_bytes()),
                Item::Trim { group, to } => put(out, TRIM, *group, &to.to_le_bytes()),
                Item::State { group, state } => put(out, STATE, *group, state),
                Item::Remove { group } => put(out, REMOVE, *group, &[]),
                Item::Checkpoint(checkpoint) => {
                    put(out, CHECKPOINT, 0, &[]);
                    stored::write_value(out, checkpoint).map_err(|e| too_large(&e))?;
                }
                Item::Continued { segment } => put(out, CONTINUED, 0, &segment.to_le_bytes()),
            }
            Ok(())
        })
        .map(|_| ())
    }

    /// Adds an append as one or more items; tells which part of the log lies where.
    pub(super) fn push_records(
        &mut self,
        place: Place,
        group: ConfigId,
        start: u64,
        records: &Records,
        mut located: impl FnMut(u64, u32, Span),
    ) -> Result<(), StorageError> {
        let mut at = 0;
        while at < records.entries().len() {
            let count = piece(&records.entries()[at..]);
            let part = at..at + count as usize;
            let first = start + at as u64;
            let span = self.item(place, |out| {
                put(out, APPEND, group, &first.to_le_bytes());
                out.extend_from_slice(&count.to_le_bytes());
                stored::write_records(out, records, part.clone()).map_err(|e| too_large(&e))
            })?;
            located(first, count, span);
            at = part.end;
        }
        Ok(())
    }

    fn item(
        &mut self,
        place: Place,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), StorageError>,
    ) -> Result<Span, StorageError> {
        let at = self.frame.len();
        self.frame.extend_from_slice(&[0; ITEM_HEAD_BYTES]);
        write(&mut self.frame)?;
        let content = at + ITEM_HEAD_BYTES;
        let length = self.frame.len() - content;
        if length >= MAX_ITEM {
            return Err(too_large(&format!("an item of {length} bytes")));
        }
        let offset = self.offset + at as u64;
        let crc = place.crc(offset, &self.frame[content..]).to_le_bytes();
        self.frame[at..at + 4].copy_from_slice(&(length as u32).to_le_bytes());
        self.frame[at + 4..content].copy_from_slice(&crc);
        self.item_crcs.extend_from_slice(&crc);
        let bytes = (self.frame.len() - at) as u32;
        self.frame.resize(self.frame.len().next_multiple_of(ITEM_ALIGN), 0);
        Ok(Span { offset, bytes })
    }

    /// Completes the frame and returns its bytes.
    pub(super) fn finish(&mut self, place: Place, sequence: u64) -> Result<&[u8], StorageError> {
        self.frame.resize(self.frame.len().next_multiple_of(ALIGN as usize), 0);
        let body = self.frame.len() - HEADER_BYTES;
        let body = u32::try_from(body).map_err(|_| too_large(&format!("{body} bytes")))?;
        let items = (self.item_crcs.len() / 4) as u32;
        let header = Header { body, sequence, items }.to_bytes(place, self.offset);
        self.frame[..HEADER_BYTES].copy_from_slice(&header);
        let footer = footer(place, self.offset, &header, &self.item_crcs, sequence, body);
        self.frame.extend_from_slice(&footer);
        Ok(&self.frame)
    }

    /// Bytes of the frame that was finished last.
    pub(super) fn frame_bytes(&self) -> u64 {
        self.frame.len() as u64
    }

    /// Gives memory of an unusually large frame back.
    pub(super) fn shrink(&mut self, to: usize) {
        self.frame.clear();
        self.frame.shrink_to(to);
    }
}

/// How many of these make one item.
fn piece(entries: &[Entry]) -> u32 {
    let (mut count, mut cost) = (0, 0);
    for entry in entries {
        cost += entry.cost();
        if count > 0 && cost > ITEM_COST {
            break;
        }
        count += 1;
    }
    count
}

fn put(out: &mut Vec<u8>, kind: u8, group: ConfigId, rest: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&group.to_le_bytes());
    out.extend_from_slice(rest);
}

fn too_large(what: &dyn std::fmt::Display) -> StorageError {
    StorageError::Io {
        operation: omnipaxos_core::storage::Operation::Flush,
        detail: format!("what is to be stored does not fit the format: {what}"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) body: u32,
    pub(super) sequence: u64,
    pub(super) items: u32,
}

impl Header {
    fn to_bytes(self, place: Place, offset: u64) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&HEADER_MAGIC.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.body.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.items.to_le_bytes());
        let crc = place.crc(offset, &bytes[..20]);
        bytes[20..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at `offset`, when there is a valid one.
    pub(super) fn read(place: Place, offset: u64, bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.get(..HEADER_BYTES)?;
        let magic = rest.get_u32_le();
        let header =
            Self { body: rest.get_u32_le(), sequence: rest.get_u64_le(), items: rest.get_u32_le() };
        let valid = magic == HEADER_MAGIC
            && u64::from(header.body) % ALIGN == 0
            && rest.get_u32_le() == place.crc(offset, &bytes[..20]);
        valid.then_some(header)
    }

    /// Bytes of the whole frame.
    pub(super) fn frame_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.body) + FOOTER_BYTES as u64
    }
}

fn footer(
    place: Place,
    offset: u64,
    header: &[u8],
    item_crcs: &[u8],
    sequence: u64,
    body: u32,
) -> [u8; FOOTER_BYTES] {
    let crc = crc32c::crc32c_append(place.crc(offset, header), item_crcs);
    let mut bytes = [0; FOOTER_BYTES];
    bytes[..4].copy_from_slice(&FOOTER_MAGIC.to_le_bytes());
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    bytes[8..16].copy_from_slice(&sequence.to_le_bytes());
    bytes[16..20].copy_from_slice(&body.to_le_bytes());
    bytes[20..].copy_from_slice(&END_MARK.to_le_bytes());
    bytes
}

/// Whether a footer for a frame of `sequence` that begins `before` bytes earlier stands in `bytes`,
/// whatever its CRC says.
pub(super) fn is_footer_of(bytes: &[u8], sequence: u64, before: u64) -> bool {
    let Some(mut rest) = bytes.get(4..FOOTER_BYTES) else {
        return false;
    };
    let _crc = rest.get_u32_le();
    rest.get_u64_le() == sequence
        && u64::from(rest.get_u32_le()) + HEADER_BYTES as u64 == before
        && rest.get_u32_le() == END_MARK
}

/// The items of a frame, and where each lies; `None` unless all of the frame is valid.
///
/// `frame` is the whole frame, of which `header` was read.
pub(super) fn read_frame(
    place: Place,
    offset: u64,
    header: Header,
    frame: &[u8],
) -> Option<Vec<(Item, Span)>> {
    let body_end = HEADER_BYTES + header.body as usize;
    let body = frame.get(..body_end)?;
    let mut items = Vec::new();
    let mut crcs = Vec::new();
    let mut at = HEADER_BYTES;
    for _ in 0..header.items {
        let (content, crc) = read_item(place, offset + at as u64, body.get(at..)?)?;
        let bytes = (ITEM_HEAD_BYTES + content.len()) as u32;
        items.push((decode(content)?, Span { offset: offset + at as u64, bytes }));
        crcs.extend_from_slice(&crc.to_le_bytes());
        at += (bytes as usize).next_multiple_of(ITEM_ALIGN);
    }
    let padding = body.get(at..)?;
    let expected =
        footer(place, offset, &frame[..HEADER_BYTES], &crcs, header.sequence, header.body);
    let whole = (padding.len() as u64) < ALIGN
        && padding.iter().all(|b| *b == 0)
        && frame.get(body_end..) == Some(&expected[..]);
    whole.then_some(items)
}

/// The content of the item that `bytes` begin with, and its CRC, when that is right.
fn read_item(place: Place, offset: u64, bytes: &[u8]) -> Option<(&[u8], u32)> {
    let mut head = bytes.get(..ITEM_HEAD_BYTES)?;
    let (length, crc) = (head.get_u32_le() as usize, head.get_u32_le());
    let content = bytes.get(ITEM_HEAD_BYTES..)?.get(..length)?;
    (place.crc(offset, content) == crc).then_some((content, crc))
}

fn decode(mut content: &[u8]) -> Option<Item> {
    let kind = content.try_get_u8().ok()?;
    let group = content.try_get_u64_le().ok()?;
    Some(match kind {
        APPEND => Item::Append {
            group,
            start: content.try_get_u64_le().ok()?,
            count: content.try_get_u32_le().ok()?,
        },
        TRUNCATE => Item::Truncate { group, from: content.try_get_u64_le().ok()? },
        TRIM => Item::Trim { group, to: content.try_get_u64_le().ok()? },
        STATE => Item::State { group, state: Bytes::copy_from_slice(content) },
        REMOVE => Item::Remove { group },
        CHECKPOINT => Item::Checkpoint(stored::read_value(content).ok()?),
        CONTINUED => Item::Continued { segment: content.try_get_u32_le().ok()? },
        _ => return None,
    })
}

/// What stands at one position between the items of neighbouring frames.
pub(super) enum Token {
    /// Records of a group, at `[start, ..)`.
    Records { group: ConfigId, start: u64, records: Records },
    /// Anything else.
    Other,
}

/// Reads what `bytes` begin with at `offset`; returns it and how far it is to the next. `None`
/// where it is damaged.
pub(super) fn read_token(place: Place, offset: u64, bytes: &Bytes) -> Option<(Token, usize)> {
    let first = u32::from_le_bytes(*bytes.first_chunk()?);
    match first {
        HEADER_MAGIC => Some((Token::Other, HEADER_BYTES)),
        FOOTER_MAGIC => Some((Token::Other, FOOTER_BYTES)),
        0 => Some((Token::Other, ITEM_ALIGN)),
        _ => {
            let (content, _) = read_item(place, offset, bytes)?;
            let length = ITEM_HEAD_BYTES + content.len();
            let padded = length.next_multiple_of(ITEM_ALIGN);
            let Item::Append { group, start, count } = decode(content)? else {
                return Some((Token::Other, padded));
            };
            // Kind, group, start and count come first.
            let payload = bytes.slice(ITEM_HEAD_BYTES + 21..length);
            let records = stored::read_records(payload).ok()?;
            (records.len() == u64::from(count))
                .then_some((Token::Records { group, start, records }, padded))
        }
    }
}
