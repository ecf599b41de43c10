//! Where the records of one configuration are: the latest in memory, the others on disk.

use super::files::RawFile;
use super::format::{Place, Span, Token, read_token};
use super::meta::read_exact;
use bytes::Bytes;
use omnipaxos_core::storage::{ConfigId, Entry, Operation, Records, Run, StorageError};
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Neighbouring items on disk share one extent up to this many bytes: one read brings them all.
const EXTENT_BYTES: u64 = 32 << 10;

/// What a block takes beside its records: itself, where it lies, and what holds them together.
const BLOCK_BYTES: u64 = 256;

/// A segment as readers see it.
#[derive(Debug)]
pub(super) struct SegmentFile {
    pub(super) path: PathBuf,
    pub(super) number: u32,
    pub(super) place: Place,
    pub(super) file: Box<dyn RawFile>,
}

/// Records `[start, end)` within a stretch of a segment.
#[derive(Clone, Debug)]
struct Extent {
    start: u64,
    end: u64,
    segment: Arc<SegmentFile>,
    offset: u64,
    bytes: u32,
    /// Nothing joins it any more: the log was cut at its end.
    closed: bool,
}

/// A part of the log, `count` records from `start` on, and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) count: u32,
    pub(super) span: Span,
}

/// An append that is still in memory.
#[derive(Debug)]
struct Block {
    id: u64,
    start: u64,
    records: Records,
    /// The log was cut within it or at its end: what lies behind it on disk is not what follows.
    cut: bool,
    /// Where it lies, once it is durable.
    pieces: Option<(Arc<SegmentFile>, Vec<Piece>)>,
}

impl Block {
    fn end(&self) -> u64 {
        self.start + self.records.len()
    }
}

/// The index of one configuration.
#[derive(Debug)]
pub(super) struct Index {
    group: ConfigId,
    first: u64,
    end: u64,
    extents: VecDeque<Extent>,
    /// Follow the extents without a gap.
    blocks: VecDeque<Block>,
    blocks_bytes: u64,
    cache_bytes: u64,
    next_id: u64,
    /// The extent that was read last, as the parts of the log in it.
    recent: Option<(u64, Vec<(u64, Records)>)>,
}

impl Index {
    pub(super) fn new(group: ConfigId, first: u64, cache_bytes: u64) -> Self {
        Self {
            group,
            first,
            end: first,
            extents: VecDeque::new(),
            blocks: VecDeque::new(),
            blocks_bytes: 0,
            cache_bytes,
            next_id: 0,
            recent: None,
        }
    }

    pub(super) fn bounds(&self) -> (u64, u64) {
        (self.first, self.end)
    }

    /// Appends records that are not on disk yet; returns the number by which
    /// [`located`](Self::located) tells of them.
    pub(super) fn append(&mut self, records: Records) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.blocks_bytes += memory(&records);
        let start = self.end;
        self.end += records.len();
        self.blocks.push_back(Block { id, start, records, cut: false, pieces: None });
        id
    }

    /// An append has become durable.
    pub(super) fn located(&mut self, id: u64, segment: &Arc<SegmentFile>, pieces: Vec<Piece>) {
        let at = self.blocks.partition_point(|block| block.id < id);
        if let Some(block) = self.blocks.get_mut(at).filter(|block| block.id == id) {
            block.pieces = Some((Arc::clone(segment), pieces));
        }
        self.evict();
    }

    /// Forgets blocks that are durable while there are too many.
    fn evict(&mut self) {
        while self.blocks_bytes > self.cache_bytes
            && let Some(block) = self.blocks.pop_front_if(|block| block.pieces.is_some())
        {
            self.blocks_bytes -= memory(&block.records);
            let (start, end) = (block.start, block.end());
            for (segment, piece) in block
                .pieces
                .iter()
                .flat_map(|(segment, pieces)| pieces.iter().map(move |piece| (segment, piece)))
            {
                self.push_extent(segment, *piece, start, end);
            }
            if block.cut {
                self.close();
            }
        }
    }

    /// Takes a piece that an earlier opening wrote, as far as it lies in `[from, to)`. Pieces come
    /// in the order in which they were written; a later one replaces what it overlaps.
    pub(super) fn replay(&mut self, segment: &Arc<SegmentFile>, piece: Piece, from: u64, to: u64) {
        let start = piece.start.max(from);
        // One that leaves a gap was replaced by a later one. It still lies between its neighbours.
        if start > self.end || start >= to {
            self.close();
            return;
        }
        if start < self.end {
            self.truncate(start);
        }
        self.push_extent(segment, piece, from, to);
        self.end = self.extents.back().map_or(self.end, |extent| extent.end);
    }

    fn push_extent(&mut self, segment: &Arc<SegmentFile>, piece: Piece, from: u64, to: u64) {
        let piece_end = piece.start + u64::from(piece.count);
        let (start, end) = (piece.start.max(from), piece_end.min(to));
        if start >= end {
            return;
        }
        let Span { offset, bytes } = piece.span;
        let piece_bytes_end = offset + u64::from(bytes);
        if let Some(last) = self.extents.back_mut()
            && !last.closed
            && last.end == start
            && start == piece.start
            && last.segment.number == segment.number
            && piece_bytes_end - last.offset <= EXTENT_BYTES
        {
            last.end = end;
            last.bytes = (piece_bytes_end - last.offset) as u32;
            last.closed = end < piece_end;
            if self.recent.as_ref().is_some_and(|(start, _)| *start == last.start) {
                self.recent = None;
            }
            return;
        }
        let closed = end < piece_end;
        let segment = Arc::clone(segment);
        self.extents.push_back(Extent { start, end, segment, offset, bytes, closed });
    }

    fn close(&mut self) {
        if let Some(last) = self.extents.back_mut() {
            last.closed = true;
        }
    }

    pub(super) fn truncate(&mut self, from: u64) {
        self.end = from;
        while let Some(block) = self.blocks.back_mut() {
            if block.end() <= from {
                block.cut = true;
                break;
            }
            self.blocks_bytes -= memory(&block.records);
            if block.start < from {
                block.records = block.records.slice(0, from - block.start);
                block.cut = true;
                self.blocks_bytes += memory(&block.records);
                break;
            }
            self.blocks.pop_back();
        }
        while let Some(last) = self.extents.back_mut() {
            if last.start < from {
                if last.end > from {
                    last.end = from;
                    self.recent = None;
                }
                last.closed = true;
                break;
            }
            self.extents.pop_back();
            self.recent = None;
        }
    }

    pub(super) fn trim(&mut self, to: u64) {
        self.first = to;
        while self.extents.pop_front_if(|extent| extent.end <= to).is_some() {}
        while let Some(block) = self.blocks.pop_front_if(|block| block.end() <= to) {
            self.blocks_bytes -= memory(&block.records);
        }
        if self.recent.as_ref().is_some_and(|(start, _)| *start < to) {
            self.recent = None;
        }
    }

    /// The records from `from` on, below `to` and within `max_cost`, at least one.
    pub(super) fn read(
        &mut self,
        from: u64,
        to: u64,
        max_cost: u64,
    ) -> Result<Records, StorageError> {
        let mut found = Found { to, max_cost, ..Found::default() };
        let mut at = from;
        while at < to && !found.full {
            let block = self.blocks.partition_point(|block| block.end() <= at);
            match self.blocks.get(block).filter(|block| block.start <= at) {
                Some(block) => at = found.take(at, block.start, &block.records),
                None => {
                    let before = at;
                    for (start, records) in self.extent(at)? {
                        let end = start + records.len();
                        if *start <= at && at < end && !found.full {
                            at = found.take(at, *start, records);
                        }
                    }
                    if at == before && !found.full {
                        return Err(self.hole(at));
                    }
                }
            }
        }
        found.records()
    }

    fn hole(&self, index: u64) -> StorageError {
        StorageError::Corrupt {
            operation: Operation::Read,
            detail: format!("configuration {}: nothing is stored at index {index}", self.group),
        }
    }

    /// The parts of the log in the extent that has index `at`.
    fn extent(&mut self, at: u64) -> Result<&[(u64, Records)], StorageError> {
        let extent = self.extents.partition_point(|extent| extent.end <= at);
        let Some(extent) = self.extents.get(extent).filter(|extent| extent.start <= at) else {
            return Err(self.hole(at));
        };
        if self.recent.as_ref().is_none_or(|(start, _)| *start != extent.start) {
            let parts = load(extent, self.group)?;
            self.recent = Some((extent.start, parts));
        }
        Ok(self.recent.as_ref().map_or(&[], |(_, parts)| parts))
    }
}

/// Bytes of memory that a block with these records takes, about.
fn memory(records: &Records) -> u64 {
    BLOCK_BYTES + records.cost() + records.len() * size_of::<Entry>() as u64
}

/// Reads an extent; each item is checked.
fn load(extent: &Extent, group: ConfigId) -> Result<Vec<(u64, Records)>, StorageError> {
    let SegmentFile { path, place, file, .. } = &*extent.segment;
    let corrupt = |what: &dyn std::fmt::Display| StorageError::Corrupt {
        operation: Operation::Read,
        detail: format!("{}: {what}; {}", path.display(), super::error::REPLACE),
    };
    let mut bytes = vec![0; extent.bytes as usize];
    read_exact(&**file, &mut bytes, extent.offset).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => corrupt(&"the file is shorter than it was"),
        _ => super::error::FileError::of(path, "reading")(e).storage(Operation::Read),
    })?;
    let mut rest = Bytes::from(bytes);
    let mut offset = extent.offset;
    let mut parts = Vec::new();
    let mut next = extent.start;
    while !rest.is_empty() {
        let (token, length) = read_token(*place, offset, &rest)
            .ok_or_else(|| corrupt(&format!("the records at offset {offset} are damaged")))?;
        if let Token::Records { group: of, start, records } = token
            && of == group
        {
            let (from, to) = (start.max(extent.start), (start + records.len()).min(extent.end));
            // An extent is closed where the log is cut, so nothing in it was replaced.
            if from < to && from == next {
                parts.push((from, records.slice(from - start, to - start)));
                next = to;
            }
        }
        // The last item may lack its padding.
        let length = length.min(rest.len());
        rest = rest.slice(length..);
        offset += length as u64;
    }
    if next == extent.end {
        Ok(parts)
    } else {
        Err(corrupt(&format!("the records at index {next} are not where they were")))
    }
}

/// Collects records that follow one another.
#[derive(Default)]
struct Found {
    to: u64,
    max_cost: u64,
    cost: u64,
    whole: Option<Records>,
    entries: Vec<Entry>,
    runs: Vec<Run>,
    full: bool,
}

impl Found {
    /// Takes what fits of `records`, which begin at `start`, from `at` on; returns how far it came.
    fn take(&mut self, at: u64, start: u64, records: &Records) -> u64 {
        let skip = (at - start) as usize;
        let most = (records.len().min(self.to - start) as usize).saturating_sub(skip);
        let mut count = 0;
        for entry in &records.entries()[skip..skip + most] {
            let first = self.cost == 0;
            if !first && self.cost + entry.cost() > self.max_cost {
                self.full = true;
                break;
            }
            self.cost += entry.cost();
            count += 1;
        }
        if count > 0 {
            let part = records.slice(skip as u64, (skip + count) as u64);
            match self.whole.take() {
                None if self.entries.is_empty() => self.whole = Some(part),
                first => {
                    first.into_iter().for_each(|first| self.push(first));
                    self.push(part);
                }
            }
        }
        at + count as u64
    }

    fn push(&mut self, part: Records) {
        let (entries, runs) = part.into_parts();
        self.entries.extend(entries);
        for run in runs {
            match self.runs.last_mut() {
                Some(last)
                    if last.first.proposer == run.first.proposer
                        && last.first.session == run.first.session
                        && last.next_number() == run.first.number =>
                {
                    last.count += run.count;
                }
                _ => self.runs.push(run),
            }
        }
    }

    fn records(self) -> Result<Records, StorageError> {
        match self.whole {
            Some(records) => Ok(records),
            None => Records::new(self.entries, self.runs).map_err(|e| StorageError::Corrupt {
                operation: Operation::Read,
                detail: e.to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use omnipaxos_core::storage::{ProposalId, RecordsBuilder};

    fn records(count: u64) -> Records {
        let mut records = RecordsBuilder::new();
        for number in 1..=count {
            let id = ProposalId { proposer: 1, session: 1, number };
            records.push(id, Entry::from(vec![7; 256]));
        }
        records.build()
    }

    /// Entries of 256 B in frames of `batch`, whose bytes do not matter here.
    fn index_of(entries: u64, batch: u64, frame_bytes: u32, cache_bytes: u64) -> Index {
        let file = Box::new(tempfile::tempfile().unwrap());
        let (path, place) = (PathBuf::from("segment"), Place::new(1, 1));
        let segment = Arc::new(SegmentFile { path, number: 1, place, file });
        let mut index = Index::new(1, 0, cache_bytes);
        let records = records(batch);
        for start in (0..entries).step_by(batch as usize) {
            let id = index.append(records.clone());
            let span = Span { offset: start / batch * u64::from(frame_bytes), bytes: frame_bytes };
            index.located(id, &segment, vec![Piece { start, count: batch as u32, span }]);
        }
        index
    }

    #[test]
    fn an_entry_on_disk_takes_less_than_a_byte_of_memory() {
        for (batch, frame_bytes) in [(1, 408), (64, 16_728)] {
            let index = index_of(100_000, batch, frame_bytes, 0);
            assert!(index.bounds().1 >= 100_000 && index.blocks.is_empty());
            let bytes = index.extents.len() * size_of::<Extent>();
            assert!(bytes < 100_000, "{bytes} bytes at batches of {batch}");
        }
    }

    #[test]
    fn the_cache_counts_what_single_records_take_and_not_their_payloads_alone() {
        let index = index_of(10_000, 1, 408, 1 << 20);
        let cached = index.blocks.len() as u64;
        assert!(index.blocks_bytes <= 1 << 20);
        assert!((1000..(1 << 20) / (256 + BLOCK_BYTES)).contains(&cached), "{cached}");
    }
}
