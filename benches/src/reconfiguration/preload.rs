//! A log that is there from the start, shared by all replicas.

use super::disk::Disk;
use bytes::Bytes;
use omnipaxos_core::leader_election::{Ballot, NodeId};
use omnipaxos_core::storage::{
    ConfigId, Entry, NextProposal, PaxosState, ProposalId, Records, RecordsBuilder, Sequence,
    State, StorageError,
};

/// Bytes of an entry, as in the paper.
pub const PAYLOAD: u64 = 8;

/// The configuration that has decided it.
pub const FIRST: ConfigId = 1;

/// Who proposed all of it, and leads.
pub const LEADER: NodeId = 1;

/// Records in one part. Storage in memory shares a part that is read as a whole.
const PART: u64 = 2048;

/// Decided entries: the numbers 0, 1, 2, ...
#[derive(Clone, Debug)]
pub struct Preload {
    parts: Vec<Records>,
    entries: u64,
}

impl Preload {
    /// So many entries.
    #[must_use]
    pub fn new(entries: u64) -> Self {
        let bytes: Vec<u8> = (0..entries).flat_map(u64::to_le_bytes).collect();
        let bytes = Bytes::from(bytes);
        let part = |from: u64| {
            let mut records = RecordsBuilder::new();
            records.extend((from..(from + PART).min(entries)).map(|number| {
                let at = (number * PAYLOAD) as usize;
                let id = ProposalId { proposer: LEADER, session: 1, number: number + 1 };
                (id, Entry::Normal(bytes.slice(at..at + PAYLOAD as usize)))
            }));
            records.build()
        };
        let parts: Vec<Records> = (0..entries).step_by(PART as usize).map(part).collect();
        Self { parts, entries }
    }

    /// How many entries.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The disk of a member that has it decided.
    ///
    /// # Errors
    /// [`StorageError`] of the storage.
    pub fn disk(&self) -> Result<Disk, StorageError> {
        let mut disk = Disk::new();
        self.fill(&mut disk.clone(), &mut disk)?;
        Ok(disk)
    }

    /// The same in any storage that is empty.
    ///
    /// # Errors
    /// [`StorageError`] of the storage.
    pub fn fill(
        &self,
        sequence: &mut impl Sequence,
        state: &mut impl PaxosState,
    ) -> Result<(), StorageError> {
        for records in &self.parts {
            sequence.append(records.clone())?;
        }
        let round = Ballot { n: 1, priority: 0, pid: LEADER };
        let next = NextProposal { session: 1, number: self.entries + 1 };
        state.store(&State {
            promised: round,
            accepted_round: round,
            decided: self.entries,
            decided_round: round,
            session: 1,
            next: [(LEADER, next)].into_iter().collect(),
            ..State::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{PART, Preload};
    use omnipaxos_core::storage::SealedLog;

    #[test]
    fn members_have_it_decided() {
        let preload = Preload::new(PART + 3);
        let log = SealedLog::open(preload.disk().unwrap().storage()).unwrap();
        assert_eq!((log.end(), log.is_sealed()), (PART + 3, false));
        let records = log.read(PART, PART + 1, u64::MAX).unwrap();
        let (id, entry) = records.iter().next().unwrap();
        assert_eq!(id.number, PART + 1);
        assert_eq!(*entry, PART.to_le_bytes().to_vec().into());
    }
}
