//! What a reconfiguration asks for, and which ones are possible.

use super::error::ReconfigureError;
use crate::ballot::NodeId;
use crate::storage::{ConfigId, StopSign};
use bytes::Bytes;

/// The next configuration, as a caller asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reconfiguration {
    /// Its servers that vote.
    pub nodes: Vec<NodeId>,
    /// Its servers that get the log and do not vote.
    pub learners: Vec<NodeId>,
    /// Travels in the StopSign, for instance addresses.
    pub metadata: Option<Bytes>,
}

impl From<Vec<NodeId>> for Reconfiguration {
    fn from(nodes: Vec<NodeId>) -> Self {
        Self { nodes, learners: Vec::new(), metadata: None }
    }
}

impl Reconfiguration {
    /// The same with metadata.
    #[must_use]
    pub fn with_metadata(self, metadata: impl Into<Bytes>) -> Self {
        Self { metadata: Some(metadata.into()), ..self }
    }

    /// The same with servers that get the log and do not vote.
    #[must_use]
    pub fn with_learners(self, learners: impl Into<Vec<NodeId>>) -> Self {
        Self { learners: learners.into(), ..self }
    }

    pub(super) fn check(&self) -> Result<(), ReconfigureError> {
        check_servers(&self.nodes, &self.learners)
    }

    /// The StopSign that ends configuration `current`.
    pub(super) fn stop_sign(self, current: ConfigId) -> Result<StopSign, ReconfigureError> {
        Ok(StopSign {
            config_id: current.checked_add(1).ok_or(ReconfigureError::LastConfiguration)?,
            nodes: self.nodes,
            learners: self.learners,
            metadata: self.metadata,
            digest: None,
            skip_prepare_use_leader: None,
        })
    }
}

/// Whether `ss` is a possible end of configuration `current`.
pub(super) fn follows(ss: &StopSign, current: ConfigId) -> bool {
    Some(ss.config_id) == current.checked_add(1) && check_servers(&ss.nodes, &ss.learners).is_ok()
}

fn check_servers(nodes: &[NodeId], learners: &[NodeId]) -> Result<(), ReconfigureError> {
    if nodes.is_empty() {
        return Err(ReconfigureError::Empty);
    }
    let mut sorted = [nodes, learners].concat();
    sorted.sort_unstable();
    if sorted[0] == 0 {
        return Err(ReconfigureError::PidZero);
    }
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(ReconfigureError::DuplicatePid(pair[0])),
        None => Ok(()),
    }
}
