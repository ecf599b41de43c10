//! Everything that an engine has stored, to compare.

use omnipaxos_core::storage::{ConfigId, Entry, PaxosState, ProposalId, Sequence, State};
use omnipaxos_kompact::durable::Engine;
use std::collections::{BTreeMap, BTreeSet};

/// The log and the state of one configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupImage {
    /// The first index.
    pub first: u64,
    /// The records from there on.
    pub records: Vec<(ProposalId, Entry)>,
    /// The state beside them.
    pub state: Option<State>,
}

impl GroupImage {
    /// The index behind the last record.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first + self.records.len() as u64
    }
}

/// All configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// By configuration.
    pub groups: BTreeMap<ConfigId, GroupImage>,
}

impl Image {
    /// What an engine has, and which configurations are suspect. Nothing of it may be in use.
    ///
    /// # Errors
    /// What the engine reports, as text.
    pub fn of(engine: &Engine) -> Result<(Self, BTreeSet<ConfigId>), String> {
        let (mut image, mut suspects) = (Self::default(), BTreeSet::new());
        for config_id in engine.configurations() {
            let (sequence, state) = engine.parts(config_id).map_err(|e| e.to_string())?;
            if state.suspect() {
                suspects.insert(config_id);
            }
            let (first, end) = (sequence.first_index(), sequence.end_index());
            let mut records = Vec::new();
            let mut at = first;
            while at < end {
                let part = sequence.read(at, end, 10_000).map_err(|e| e.to_string())?;
                records.extend(part.iter().map(|(id, entry)| (id, entry.clone())));
                at += part.len();
            }
            let state = state.load().map_err(|e| e.to_string())?;
            image.groups.insert(config_id, GroupImage { first, records, state });
        }
        Ok((image, suspects))
    }
}
