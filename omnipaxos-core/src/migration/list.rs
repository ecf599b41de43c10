//! M2: the blocks of the log, by which records are verified.

use super::error::Blame;
use super::messages::Blocks;
use super::ranges::{IndexRange, Ranges};
use crate::ballot::NodeId;
use crate::digest::{Anchor, Block, block_digest, chain_digest, check_blocks};
use crate::storage::{ConfigId, Records};

/// Blocks in a stripe.
const STRIPE_BLOCKS: usize = 8;

/// What is known of the blocks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum List {
    /// The log has no digests: donors are believed.
    Unverified,
    /// A donor is telling them. One donor at a time: so it is clear whom to blame.
    Fetching(Fetching),
    /// They are those of the log.
    Known(Vec<Block>),
}

/// A list in the making.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fetching {
    pub(super) anchor: Anchor,
    /// Who tells.
    pub(super) donor: Option<NodeId>,
    /// What it has told so far.
    pub(super) blocks: Vec<Block>,
}

impl Fetching {
    /// Takes what `donor` tells; the whole list once it is there and is the log's.
    pub(super) fn add(
        &mut self,
        config_id: ConfigId,
        part: Blocks,
    ) -> Result<Option<Vec<Block>>, Blame> {
        let start = self.blocks.last().map_or(0, |block| block.end);
        let end = match check_blocks(start, &part.blocks) {
            Ok(end) if start < end && end <= self.anchor.end => end,
            _ => return Err(Blame::Impossible("a list of blocks that no log has")),
        };
        self.blocks.extend(part.blocks);
        if end < self.anchor.end {
            return Ok(None);
        }
        if chain_digest(config_id, self.blocks.iter()) != self.anchor.digest {
            return Err(Blame::WrongBlocks);
        }
        Ok(Some(std::mem::take(&mut self.blocks)))
    }
}

impl List {
    fn known(&self) -> &[Block] {
        match self {
            List::Known(blocks) => blocks,
            List::Unverified | List::Fetching(_) => &[],
        }
    }

    /// `ranges` up to the bounds of the blocks that they touch: those are fetched as a whole.
    pub(super) fn widen(&self, ranges: Ranges) -> Ranges {
        let blocks = self.known();
        if blocks.is_empty() {
            return ranges;
        }
        let widened = ranges.iter().map(|range| {
            let first = blocks.partition_point(|block| block.end <= range.from);
            let last = blocks.partition_point(|block| block.end < range.to);
            let to = blocks.get(last).map_or(range.to, |block| block.end);
            IndexRange::new(start_of(blocks, first), to)
        });
        widened.collect()
    }

    /// Where the first request inside `part` ends and begins: whole blocks, `segment_bytes` and
    /// `entries` at the most, and at least one.
    pub(super) fn chunk(
        &self,
        part: IndexRange,
        segment_bytes: u64,
        entries: u64,
    ) -> Option<IndexRange> {
        let blocks = match self {
            List::Unverified => {
                let to = part.from.saturating_add(entries.max(1)).min(part.to);
                return Some(IndexRange::new(part.from, to));
            }
            List::Fetching(_) => return None,
            List::Known(blocks) => blocks,
        };
        let before = blocks.partition_point(|block| block.end < part.from);
        let first = if part.from == 0 { 0 } else { before + 1 };
        let from = start_of(blocks, first);
        let (mut to, mut cost) = (from, 0u64);
        for block in blocks.get(first..)?.iter().take_while(|block| block.end <= part.to) {
            cost = cost.saturating_add(block.cost);
            if to > from && (cost > segment_bytes || block.end - from > entries) {
                break;
            }
            to = block.end;
        }
        (from < to).then_some(IndexRange::new(from, to))
    }

    /// The number and the bounds of the stripe that holds `index`: a few blocks, about as much as
    /// one request asks for; `entries` records where blocks are not known.
    pub(super) fn stripe(&self, index: u64, entries: u64) -> (u64, IndexRange) {
        let blocks = self.known();
        if blocks.is_empty() {
            let number = index / entries;
            let from = number.saturating_mul(entries);
            return (number, IndexRange::new(from, from.saturating_add(entries)));
        }
        let number = blocks.partition_point(|block| block.end <= index) / STRIPE_BLOCKS;
        let first = number * STRIPE_BLOCKS;
        let to = blocks.get(first + STRIPE_BLOCKS - 1).map_or(u64::MAX, |block| block.end);
        (number as u64, IndexRange::new(start_of(blocks, first), to))
    }

    /// The end of the last block that ends at most `bytes` beyond `from`, and of one at least;
    /// `None` where blocks are not known.
    pub(super) fn reach(&self, from: u64, bytes: u64) -> Option<u64> {
        let List::Known(blocks) = self else { return None };
        let (mut end, mut cost) = (from, 0u64);
        for block in blocks.iter().skip(blocks.partition_point(|block| block.end <= from)) {
            cost = cost.saturating_add(block.cost);
            if end > from && cost > bytes {
                break;
            }
            end = block.end;
        }
        Some(end)
    }

    /// What the records of `range`, whole blocks, may cost.
    pub(super) fn max_cost(&self, range: IndexRange, segment_bytes: u64) -> u64 {
        self.cost(range).map_or(segment_bytes, |cost| cost.max(segment_bytes))
    }

    /// What the blocks that `range` touches cost, once that is known.
    pub(super) fn cost(&self, range: IndexRange) -> Option<u64> {
        let List::Known(blocks) = self else { return None };
        let first = blocks.partition_point(|block| block.end <= range.from);
        let last = blocks.partition_point(|block| block.end < range.to);
        let touched = blocks.iter().take(last + 1).skip(first);
        Some(touched.fold(0, |sum: u64, block| sum.saturating_add(block.cost)))
    }

    /// Whether `records` from `start` on can answer a request for `range`.
    pub(super) fn fits(
        &self,
        range: IndexRange,
        segment_bytes: u64,
        start: u64,
        records: &Records,
    ) -> bool {
        let end = start.checked_add(records.len()).filter(|end| *end <= range.to);
        let bounded = records.len() == 1 || records.cost() <= self.max_cost(range, segment_bytes);
        range.from <= start && end.is_some() && !records.is_empty() && bounded
    }

    /// How many of `records`, which begin at `start`, are whole blocks of the log, and whether the
    /// next block is another. What follows the last whole block is not looked at.
    pub(super) fn verify(
        &self,
        config_id: ConfigId,
        start: u64,
        records: &Records,
    ) -> (u64, Result<(), Blame>) {
        let blocks = match self {
            List::Unverified => return (records.len(), Ok(())),
            List::Fetching(_) => return (0, Ok(())),
            List::Known(blocks) => blocks,
        };
        let first = blocks.partition_point(|block| block.end <= start);
        let mut at = start_of(blocks, first);
        if at != start {
            return (0, Ok(()));
        }
        let mut iter = records.iter();
        for block in blocks.iter().skip(first) {
            if block.end - start > records.len() {
                break;
            }
            // Fits a usize: no more than a block's entries.
            let count = (block.end - at) as usize;
            if block_digest(config_id, at, iter.by_ref().take(count)) != block.digest {
                return (at - start, Err(Blame::WrongRecords(at)));
            }
            at = block.end;
        }
        (at - start, Ok(()))
    }
}

/// Where block number `at` starts.
fn start_of(blocks: &[Block], at: usize) -> u64 {
    at.checked_sub(1).and_then(|before| blocks.get(before)).map_or(0, |block| block.end)
}
