//! The log that the replicas of one configuration have agreed on.

use crate::ballot::Ballot;
use crate::configurations::{Configuration, Ended};
use crate::digest::{Block, BlockDigests, Digest};
use crate::storage::{Entry, NodeId, ProposalId, Records, RecordsBuilder, StopSign};
use bytes::Bytes;

#[derive(Clone, Debug)]
pub(super) struct Agreed {
    pub(super) configuration: Configuration,
    pub(super) records: Records,
    pub(super) round: Ballot,
    /// Once it is sealed.
    pub(super) blocks: Vec<Block>,
    digests: BlockDigests,
}

impl Agreed {
    pub(super) fn new(configuration: Configuration) -> Self {
        let round = Ballot::new(configuration.config_id + 5, 0, configuration.nodes[0]);
        let digests = BlockDigests::new(configuration.config_id);
        let records = Records::default();
        Self { configuration, records, round, blocks: Vec::new(), digests }
    }

    pub(super) fn len(&self) -> u64 {
        self.records.len()
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.records.stop_sign().is_some()
    }

    fn push(&mut self, entries: impl Iterator<Item = Entry>) {
        let mut records = RecordsBuilder::new();
        records.extend(self.records.iter().map(|(id, entry)| (id, entry.clone())));
        let mut new = RecordsBuilder::new();
        for (number, entry) in (self.len() + 1..).zip(entries) {
            let id = ProposalId { proposer: 1, session: 1, number };
            assert!(records.push(id, entry.clone()) && new.push(id, entry));
        }
        self.records = records.build();
        self.digests.push(&new.build());
    }

    /// `count` more records, no two of them equal.
    pub(super) fn append(&mut self, count: u64, size: u64) {
        assert!(!self.is_sealed());
        let (config_id, len) = (self.configuration.config_id, self.len());
        self.push((0..count).map(|at| {
            let mut data = vec![0; size.max(16) as usize];
            data[..8].copy_from_slice(&config_id.to_le_bytes());
            data[8..16].copy_from_slice(&(len + at).to_le_bytes());
            Entry::from(Bytes::from(data))
        }));
    }

    /// Ends it; returns the next configuration.
    pub(super) fn seal(&mut self, nodes: &[NodeId], learners: &[NodeId]) -> Configuration {
        assert!(!self.is_sealed());
        let stop_sign = StopSign {
            config_id: self.configuration.config_id + 1,
            nodes: nodes.to_vec(),
            learners: learners.to_vec(),
            metadata: None,
            digest: Some(Digest(self.digests.anchor().digest.0)),
            skip_prepare_use_leader: None,
        };
        let next = Configuration::after(&stop_sign);
        self.push(std::iter::once(Entry::StopSign(Box::new(stop_sign))));
        self.blocks = self.digests.blocks();
        next
    }

    pub(super) fn ended(&self, verified: bool) -> Ended {
        Ended {
            config_id: self.configuration.config_id,
            len: self.len(),
            stop_sign: self.records.stop_sign().expect("it is sealed").clone(),
            anchor: verified.then(|| self.digests.anchor()),
            round: self.round,
            forced: false,
        }
    }
}
