//! What a server serves to others of the log of one configuration.

use super::disk::Disk;
use super::image::Image;
use omnipaxos_core::digest::{Block, BlockDigests};
use omnipaxos_core::migration::{DonorLog, IndexRange, Ranges};
use omnipaxos_core::storage::{ConfigId, Records, StorageError};
use std::cell::Ref;
use std::collections::BTreeMap;

/// The blocks of complete logs, by configuration: computed once.
pub(super) type KnownBlocks = BTreeMap<ConfigId, Vec<Block>>;

/// What is decided and durable of one log.
pub(super) struct Shelf<'a> {
    image: Ref<'a, Image>,
    blocks: &'a [Block],
}

/// The digests of a log of which nothing was trimmed.
pub(super) fn digests(config_id: ConfigId, image: &Image) -> Option<BlockDigests> {
    let mut digests = BlockDigests::new(config_id);
    digests.push(&image.read(0, image.end(), u64::MAX).ok()?);
    Some(digests)
}

impl<'a> Shelf<'a> {
    pub(super) fn new(config_id: ConfigId, disk: &'a Disk, known: &'a mut KnownBlocks) -> Self {
        let image = disk.medium();
        if !known.contains_key(&config_id)
            && image.is_sealed()
            && let Some(digests) = digests(config_id, &image)
        {
            known.insert(config_id, digests.blocks());
        }
        let blocks = known.get(&config_id).map_or(&[][..], Vec::as_slice);
        Self { image, blocks }
    }
}

impl DonorLog for Shelf<'_> {
    fn held(&self) -> Ranges {
        let all = IndexRange::new(self.image.first(), self.image.decided());
        [all].into_iter().filter(|range| !range.is_empty()).collect()
    }

    fn first_index(&self) -> u64 {
        self.image.first()
    }

    fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        self.image.read(from, to, max_cost)
    }

    fn blocks(&self) -> &[Block] {
        self.blocks
    }
}
