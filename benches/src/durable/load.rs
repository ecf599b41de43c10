//! What one commit writes.

use crate::dice::{Dice, Use};
use bytes::Bytes;
use omnipaxos_core::storage::{Entry, ProposalId, Records, RecordsBuilder};

/// Entries of one size, and as many of them as one commit takes.
#[derive(Clone, Debug)]
pub struct Load {
    /// Bytes of an entry.
    pub payload: usize,
    /// Entries of a commit.
    pub batch: u64,
    blob: Bytes,
}

impl Load {
    /// A load of random bytes, the same each time.
    #[must_use]
    pub fn new(payload: usize, batch: u64) -> Self {
        let dice = Dice::new(payload as u64);
        let bytes = payload * batch as usize;
        let words = (0..bytes.div_ceil(4) as u64).flat_map(|at| {
            (dice.below(1 << 32, Use::Payload, [batch, at, 0]) as u32).to_le_bytes()
        });
        let blob: Vec<u8> = words.take(bytes).collect();
        Self { payload, batch, blob: blob.into() }
    }

    /// The payloads, one after another.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The same as records: proposals `number`, `number + 1`, ... of one session of server 1.
    #[must_use]
    pub fn records(&self, number: u64) -> Records {
        let mut records = RecordsBuilder::new();
        records.extend((0..self.batch).map(|at| {
            let from = at as usize * self.payload;
            let id = ProposalId { proposer: 1, session: 1, number: number + at };
            (id, Entry::Normal(self.blob.slice(from..from + self.payload)))
        }));
        records.build()
    }
}

#[cfg(test)]
mod tests {
    use super::Load;

    #[test]
    fn records_and_blob_hold_the_same_bytes() {
        let load = Load::new(10, 3);
        let records = load.records(5);
        assert_eq!(records.len(), 3);
        let ids: Vec<u64> = records.iter().map(|(id, _)| id.number).collect();
        assert_eq!(ids, [5, 6, 7]);
        // Each entry costs 16 bytes beside its payload.
        assert_eq!(records.cost(), load.blob().len() as u64 + 3 * 16);
        assert_eq!(load.blob().len(), 30);
        assert_ne!(load.blob()[..10], load.blob()[10..20]);
    }
}
