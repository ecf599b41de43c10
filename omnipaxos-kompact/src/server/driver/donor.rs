//! Serving records to servers that lack them.

use super::logs::Place;
use crate::server::store::ServerStorage;
use omnipaxos_core::digest::Block;
use omnipaxos_core::migration::{DonorLog, IndexRange, Ranges};
use omnipaxos_core::storage::{Records, StorageError};

/// One log, as a donor.
pub(super) struct Donor<'a, E: ServerStorage> {
    pub(super) place: &'a Place<E>,
    pub(super) first: u64,
    /// The index after the last record that is decided and durable.
    pub(super) end: u64,
    pub(super) blocks: &'a [Block],
}

impl<E: ServerStorage> DonorLog for Donor<'_, E> {
    fn held(&self) -> Ranges {
        [IndexRange::new(self.first, self.end.max(self.first))].into_iter().collect()
    }

    fn first_index(&self) -> u64 {
        self.first
    }

    fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        self.place.read(from, to, max_cost)
    }

    fn blocks(&self) -> &[Block] {
        self.blocks
    }
}
