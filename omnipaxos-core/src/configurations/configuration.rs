//! One configuration: its members and what they start with.

use super::error::ConfigurationError;
use crate::ballot::{Leader, NodeId};
use crate::storage::{ConfigId, StopSign};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What a member does in its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// It receives the log and may propose; it is part of no quorum.
    Learner,
    /// It votes.
    Voter,
}

/// The members of one configuration, and what they start with: a decided fact, except for the first
/// configuration, which its operator vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Configuration {
    /// Its number; never 0.
    pub config_id: ConfigId,
    /// Its voters.
    pub nodes: Vec<NodeId>,
    /// Its learners.
    pub learners: Vec<NodeId>,
    /// What the StopSign before it carried, for instance addresses.
    pub metadata: Option<Bytes>,
    /// The leader it starts with, without an election and a Prepare phase (C5).
    pub leader: Option<Leader>,
}

impl Configuration {
    /// A first configuration: these voters, no learners, no metadata.
    #[must_use]
    pub fn first(config_id: ConfigId, nodes: Vec<NodeId>) -> Self {
        Self { config_id, nodes, learners: Vec::new(), metadata: None, leader: None }
    }

    /// The configuration that `stop_sign` names.
    #[must_use]
    pub fn after(stop_sign: &StopSign) -> Self {
        Self {
            config_id: stop_sign.config_id,
            nodes: stop_sign.nodes.clone(),
            learners: stop_sign.learners.clone(),
            metadata: stop_sign.metadata.clone(),
            leader: stop_sign.skip_prepare_use_leader,
        }
    }

    /// The same with learners.
    #[must_use]
    pub fn with_learners(self, learners: Vec<NodeId>) -> Self {
        Self { learners, ..self }
    }

    /// The same with metadata.
    #[must_use]
    pub fn with_metadata(self, metadata: impl Into<Bytes>) -> Self {
        Self { metadata: Some(metadata.into()), ..self }
    }

    /// What `pid` does in it; `None` where it is no member.
    #[must_use]
    pub fn role(&self, pid: NodeId) -> Option<Role> {
        if self.nodes.contains(&pid) {
            Some(Role::Voter)
        } else {
            self.learners.contains(&pid).then_some(Role::Learner)
        }
    }

    /// Voters, then learners.
    pub fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().chain(&self.learners).copied()
    }

    /// All members but `pid`, voters first.
    #[must_use]
    pub fn peers(&self, pid: NodeId) -> Vec<NodeId> {
        self.members().filter(|member| *member != pid).collect()
    }

    /// Whether there can be such a configuration.
    ///
    /// # Errors
    /// [`ConfigurationError`] where there cannot.
    pub fn check(&self) -> Result<(), ConfigurationError> {
        if self.config_id == 0 {
            return Err(ConfigurationError::IdZero);
        }
        if self.nodes.is_empty() {
            return Err(ConfigurationError::NoVoters);
        }
        let mut members: Vec<NodeId> = self.members().collect();
        members.sort_unstable();
        if members[0] == 0 {
            return Err(ConfigurationError::PidZero);
        }
        if let Some(pair) = members.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ConfigurationError::DuplicatePid(pair[0]));
        }
        match self.leader {
            Some(leader) if self.role(leader.pid()) != Some(Role::Voter) => {
                Err(ConfigurationError::LeaderNotAVoter(leader.pid()))
            }
            _ => Ok(()),
        }
    }
}
