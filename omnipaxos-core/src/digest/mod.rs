//! Digests of a log: what lets a server believe a donor that it has no reason to trust.
//!
//! A log is cut into blocks. A block ends after [`BLOCK_ENTRIES`] records, or before the record
//! with which it would cost more than [`BLOCK_COST`] bytes, and a StopSign is a block of its own.
//! So the blocks are a function of the log, each fits one segment, and each can be checked alone,
//! in any order, with nothing held back. The digest of a block covers its configuration, its first
//! index, and the identity and the bytes of each record. The digests are chained over the ends and
//! costs of the blocks: one digest stands for the whole log, and whoever has it can check a list of
//! blocks that a stranger sent.
//!
//! The hash is BLAKE3 in its key derivation mode, with a context for each use. Numbers are hashed
//! as 8 bytes, little-endian; whatever has no fixed length is preceded by its length.

#[cfg(test)]
mod tests;

pub use crate::hash::Digest;

use crate::storage::{ConfigId, Entry, ProposalId, Records, StopSign};
use serde::{Deserialize, Serialize};
use std::hash::{Hash, Hasher};
use thiserror::Error;

/// The most records in one block.
pub const BLOCK_ENTRIES: u64 = 2048;

/// The most that a block costs (see [`Entry::cost`]), in bytes, unless it is a single record.
pub const BLOCK_COST: u64 = 32 << 10;

/// Bytes in each chunk of a snapshot but the last one.
pub const SNAPSHOT_CHUNK: u64 = 256 << 10;

/// One block of a log. It starts where the one before it ends, the first at index 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Block {
    /// The index after its last record.
    pub end: u64,
    /// What its records cost together, in bytes.
    pub cost: u64,
    /// The digest of its records.
    pub digest: Digest,
}

/// What a log must be, up to an index: the root of trust of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Anchor {
    /// How many records it covers, from index 0.
    pub end: u64,
    /// The chained digest of their blocks, the last of which ends at `end`.
    pub digest: Digest,
}

impl Anchor {
    /// The anchor of a whole sealed log, from its StopSign: `self` is what the StopSign carries,
    /// the digest of everything before it; `stop_sign` is the record of the StopSign. `None` when
    /// that is something else than one StopSign.
    #[must_use]
    pub fn sealed(self, config_id: ConfigId, stop_sign: &Records) -> Option<Anchor> {
        if stop_sign.len() != 1 || stop_sign.stop_sign().is_none() {
            return None;
        }
        let digest = block_digest(config_id, self.end, stop_sign.iter());
        let block = Block { end: self.end.checked_add(1)?, cost: stop_sign.cost(), digest };
        Some(Anchor { end: block.end, digest: link(self.digest, &block) })
    }
}

/// The digest of the block that starts at `start` and has these records.
pub fn block_digest<'a>(
    config_id: ConfigId,
    start: u64,
    records: impl Iterator<Item = (ProposalId, &'a Entry)>,
) -> Digest {
    let mut open = Open::new(config_id, start);
    records.for_each(|(id, entry)| open.add(id, entry));
    open.digest()
}

/// The chained digest of a whole list of blocks, from the first one of the log.
pub fn chain_digest<'a>(config_id: ConfigId, blocks: impl Iterator<Item = &'a Block>) -> Digest {
    blocks.fold(chain_start(config_id), link)
}

/// The digest of one chunk of a snapshot.
#[must_use]
pub fn chunk_digest(chunk: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("omnipaxos 1 snapshot chunk");
    hasher.update(chunk);
    Digest(*hasher.finalize().as_bytes())
}

/// The digest of a snapshot of `bytes` bytes whose chunks of [`SNAPSHOT_CHUNK`] have these digests,
/// in order.
pub fn snapshot_digest(bytes: u64, chunks: impl Iterator<Item = Digest>) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("omnipaxos 1 snapshot");
    hasher.update(&bytes.to_le_bytes());
    for chunk in chunks {
        hasher.update(&chunk.0);
    }
    Digest(*hasher.finalize().as_bytes())
}

fn chain_start(config_id: ConfigId) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("omnipaxos 1 log");
    hasher.update(&config_id.to_le_bytes());
    Digest(*hasher.finalize().as_bytes())
}

fn link(chain: Digest, block: &Block) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("omnipaxos 1 chain");
    hasher.update(&chain.0);
    hasher.update(&block.end.to_le_bytes());
    hasher.update(&block.cost.to_le_bytes());
    hasher.update(&block.digest.0);
    Digest(*hasher.finalize().as_bytes())
}

/// Bytes that are hashed together: so many that the hash works on several chunks of them at once.
const GATHERED: usize = 16 << 10;

/// A block that may still grow.
#[derive(Clone, Debug)]
struct Open {
    hasher: blake3::Hasher,
    /// What `hasher` has not seen yet. Small pieces one by one would take four times as long.
    gathered: Vec<u8>,
    count: u64,
    cost: u64,
}

impl Open {
    fn new(config_id: ConfigId, start: u64) -> Self {
        Self::with(Vec::new(), config_id, start)
    }

    /// As `new`, in the memory of `gathered`, which is empty.
    fn with(gathered: Vec<u8>, config_id: ConfigId, start: u64) -> Self {
        let hasher = blake3::Hasher::new_derive_key("omnipaxos 1 block");
        let mut open = Self { hasher, gathered, count: 0, cost: 0 };
        open.numbers(&[config_id, start]);
        open
    }

    /// The block that follows, which starts at `start`; takes over the memory.
    fn next(&mut self, config_id: ConfigId, start: u64) {
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.clear();
        *self = Self::with(gathered, config_id, start);
    }

    fn add(&mut self, id: ProposalId, entry: &Entry) {
        self.count += 1;
        self.cost += entry.cost();
        let ProposalId { proposer, session, number } = id;
        match entry {
            Entry::Normal(data) => {
                self.numbers(&[proposer, session, number, 0]);
                self.bytes(data);
            }
            Entry::StopSign(stop_sign) => {
                let StopSign {
                    config_id,
                    nodes,
                    learners,
                    metadata,
                    digest,
                    skip_prepare_use_leader,
                } = &**stop_sign;
                self.numbers(&[proposer, session, number, 1, *config_id]);
                for pids in [nodes, learners] {
                    self.numbers(&[pids.len() as u64]);
                    self.numbers(pids);
                }
                match metadata {
                    Some(metadata) => {
                        self.numbers(&[1]);
                        self.bytes(metadata);
                    }
                    None => self.numbers(&[0]),
                }
                match digest {
                    Some(digest) => {
                        self.numbers(&[1]);
                        self.gather(&digest.0);
                    }
                    None => self.numbers(&[0]),
                }
                match skip_prepare_use_leader.map(|leader| leader.ballot) {
                    Some(n) => self.numbers(&[1, n.n, u64::from(n.priority), n.pid]),
                    None => self.numbers(&[0]),
                }
            }
        }
    }

    fn numbers(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.gathered.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.numbers(&[bytes.len() as u64]);
        self.gather(bytes);
    }

    fn gather(&mut self, mut bytes: &[u8]) {
        while self.gathered.len() + bytes.len() >= GATHERED {
            if self.gathered.is_empty() {
                let (whole, rest) = bytes.split_at(bytes.len() / GATHERED * GATHERED);
                self.hasher.update(whole);
                bytes = rest;
            } else {
                let (fill, rest) = bytes.split_at(GATHERED.saturating_sub(self.gathered.len()));
                self.gathered.extend_from_slice(fill);
                self.hasher.update(&self.gathered);
                self.gathered.clear();
                bytes = rest;
            }
        }
        self.gathered.extend_from_slice(bytes);
    }

    fn digest(&self) -> Digest {
        let mut hasher = self.hasher.clone();
        hasher.update(&self.gathered);
        Digest(*hasher.finalize().as_bytes())
    }
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.cost, self.digest()) == (other.count, other.cost, other.digest())
    }
}

impl Eq for Open {}

impl Hash for Open {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.count, self.cost, self.digest()).hash(state);
    }
}

/// The blocks of one log, kept up with it: [`push`](Self::push) whatever was decided, in order.
///
/// ```
/// use omnipaxos_core::digest::{Anchor, BlockDigests};
/// use omnipaxos_core::storage::{Entry, ProposalId, RecordsBuilder};
/// let mut records = RecordsBuilder::new();
/// records.push(ProposalId { proposer: 1, session: 1, number: 1 }, Entry::from("hello"));
/// let mut digests = BlockDigests::new(7);
/// digests.push(&records.build());
/// let anchor: Anchor = digests.anchor(); // what a StopSign that follows now would carry
/// assert_eq!(anchor.end, 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlockDigests {
    config_id: ConfigId,
    closed: Vec<Block>,
    /// The chain over `closed`.
    chain: Digest,
    open: Open,
}

/// Why a list of blocks is none: one of them is empty, too long, too large, or the list is too long
/// for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error("the block that ends at {end} cannot be a block of a log")]
pub struct ImpossibleBlock {
    /// Where it ends.
    pub end: u64,
}

impl BlockDigests {
    /// The digests of an empty log of configuration `config_id`.
    #[must_use]
    pub fn new(config_id: ConfigId) -> Self {
        let chain = chain_start(config_id);
        Self { config_id, closed: Vec::new(), chain, open: Open::new(config_id, 0) }
    }

    /// The digests of a log from the blocks that were [`closed`](Self::closed) before a restart;
    /// goes on with the record at [`end`](Self::end).
    ///
    /// # Errors
    /// [`ImpossibleBlock`] when this is no list of blocks.
    pub fn resume(config_id: ConfigId, closed: Vec<Block>) -> Result<Self, ImpossibleBlock> {
        let end = check_blocks(0, &closed)?;
        let chain = chain_digest(config_id, closed.iter());
        Ok(Self { config_id, closed, chain, open: Open::new(config_id, end) })
    }

    /// The records that follow. Takes time proportional to their bytes; reads nothing again.
    pub fn push(&mut self, records: &Records) {
        for (id, entry) in records.iter() {
            let full = self.open.count == BLOCK_ENTRIES
                || self.open.cost.saturating_add(entry.cost()) > BLOCK_COST
                || entry.is_stop_sign();
            if full && self.open.count > 0 {
                self.close();
            }
            self.open.add(id, entry);
            if entry.is_stop_sign() {
                self.close();
            }
        }
    }

    /// How many records were pushed.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.closed_end() + self.open.count
    }

    /// The blocks that can no longer grow.
    #[must_use]
    pub fn closed(&self) -> &[Block] {
        &self.closed
    }

    /// What everything pushed so far must be: what a StopSign that follows carries.
    #[must_use]
    pub fn anchor(&self) -> Anchor {
        let digest = match self.open_block() {
            Some(block) => link(self.chain, &block),
            None => self.chain,
        };
        Anchor { end: self.end(), digest }
    }

    /// All blocks, those that may still grow included: what is behind [`anchor`](Self::anchor).
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        self.closed.iter().copied().chain(self.open_block()).collect()
    }

    /// The highest end of a closed block at or below `index`. Whoever trims below it keeps whole
    /// blocks only, so that what is left can be verified by others.
    #[must_use]
    pub fn boundary(&self, index: u64) -> u64 {
        let blocks = self.closed.partition_point(|block| block.end <= index);
        self.closed[..blocks].last().map_or(0, |block| block.end)
    }

    fn closed_end(&self) -> u64 {
        self.closed.last().map_or(0, |block| block.end)
    }

    fn open_block(&self) -> Option<Block> {
        let Open { count, cost, .. } = self.open;
        let block = Block { end: self.end(), cost, digest: self.open.digest() };
        (count > 0).then_some(block)
    }

    fn close(&mut self) {
        if let Some(block) = self.open_block() {
            self.chain = link(self.chain, &block);
            self.closed.push(block);
            self.open.next(self.config_id, block.end);
        }
    }
}

/// Checks that `blocks` can follow one that ends at `start`; returns where they end.
pub(crate) fn check_blocks(start: u64, blocks: &[Block]) -> Result<u64, ImpossibleBlock> {
    blocks.iter().try_fold(start, |start, block| {
        let count = block.end.checked_sub(start).filter(|count| *count > 0);
        match count {
            Some(1) => Ok(block.end),
            Some(count) if count <= BLOCK_ENTRIES && block.cost <= BLOCK_COST => Ok(block.end),
            _ => Err(ImpossibleBlock { end: block.end }),
        }
    })
}
