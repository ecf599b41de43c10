//! M5: a snapshot in chunks, from everyone who offers the same one.
//!
//! What a chunk is worth shows only when all are there, since the offer's digest covers them
//! together; their bytes are stored as they come, here is only the digest of each. Where the whole
//! is not what was offered and several have served, each is tried alone, so that it is clear whom
//! to blame.

use super::error::Blame;
use super::messages::{SnapshotChunk, SnapshotOffer};
use super::ranges::{IndexRange, Ranges};
use crate::ballot::NodeId;
use crate::digest::{Digest, SNAPSHOT_CHUNK, chunk_digest, snapshot_digest};
use std::collections::BTreeMap;

/// Timeouts without any news of a snapshot after which another one is looked for.
const STALLED: u64 = 40;

/// A snapshot in the making.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SnapshotFetch {
    pub(super) offer: SnapshotOffer,
    /// Numbers of the chunks that are here.
    have: Ranges,
    /// Of each of them.
    digests: BTreeMap<u64, Digest>,
    /// Who served any of them.
    served: Vec<NodeId>,
    /// The only one who may serve.
    solo: Option<NodeId>,
    /// The tick of the last news.
    news: u64,
}

/// What became of a snapshot that is complete.
pub(super) enum Complete {
    /// It is what was offered.
    Good,
    /// It is not, and this donor alone has served it.
    Bad(NodeId),
    /// It is not, and one of several is to blame.
    Unclear,
}

impl SnapshotFetch {
    pub(super) fn new(offer: SnapshotOffer, now: u64) -> Self {
        Self {
            offer,
            have: Ranges::new(),
            digests: BTreeMap::new(),
            served: Vec::new(),
            solo: None,
            news: now,
        }
    }

    /// How many bytes are here.
    pub(super) fn bytes(&self) -> u64 {
        self.have.len().saturating_mul(SNAPSHOT_CHUNK).min(self.offer.bytes)
    }

    /// Whether `donor` may serve.
    pub(super) fn is_server(&self, donor: NodeId) -> bool {
        self.solo.is_none_or(|solo| solo == donor)
    }

    pub(super) fn solo(&self) -> Option<NodeId> {
        self.solo
    }

    /// Whether nothing has come for long.
    pub(super) fn stalled(&self, now: u64, resend: u64) -> bool {
        now.saturating_sub(self.news) >= resend * STALLED
    }

    /// Starts again, from `donor` alone.
    pub(super) fn restart(&mut self, donor: NodeId, now: u64) {
        *self = Self { solo: Some(donor), ..Self::new(self.offer, now) };
    }

    /// The offset of the first chunk that is neither here nor `asked` for.
    pub(super) fn next(&self, asked: impl Fn(u64) -> bool) -> Option<u64> {
        let chunks = self.offer.bytes.div_ceil(SNAPSHOT_CHUNK);
        let missing = self.have.missing(IndexRange::new(0, chunks));
        let mut numbers = missing.iter().flat_map(|range| range.from..range.to);
        numbers.find_map(|number| {
            let offset = number.checked_mul(SNAPSHOT_CHUNK)?;
            (!asked(offset)).then_some(offset)
        })
    }

    /// Takes a chunk; whether it is news.
    pub(super) fn add(
        &mut self,
        donor: NodeId,
        chunk: &SnapshotChunk,
        now: u64,
    ) -> Result<bool, Blame> {
        let valid = chunk.offset < self.offer.bytes
            && chunk.offset.is_multiple_of(SNAPSHOT_CHUNK)
            && chunk.data.len() as u64 == SNAPSHOT_CHUNK.min(self.offer.bytes - chunk.offset);
        if !valid {
            return Err(Blame::Impossible("a chunk that is none of its snapshot"));
        }
        let number = chunk.offset / SNAPSHOT_CHUNK;
        let news = !self.digests.contains_key(&number);
        if news {
            self.news = now;
            self.digests.insert(number, chunk_digest(&chunk.data));
            self.have.insert(IndexRange::new(number, number + 1));
            if !self.served.contains(&donor) {
                self.served.push(donor);
            }
        }
        Ok(news)
    }

    /// What became of it; `None` while a chunk is missing.
    pub(super) fn complete(&self) -> Option<Complete> {
        if self.bytes() < self.offer.bytes {
            return None;
        }
        let digest = snapshot_digest(self.offer.bytes, self.digests.values().copied());
        Some(match self.served.as_slice() {
            _ if digest == self.offer.digest => Complete::Good,
            [donor] => Complete::Bad(*donor),
            _ => Complete::Unclear,
        })
    }
}
