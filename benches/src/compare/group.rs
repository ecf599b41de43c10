//! A group of servers that replicate a log among themselves.

use super::omnipaxos_crate::{OmniPaxosGroup, Owned, Shared};
use super::ours::OurGroup;
use super::raft_crate::RaftGroup;
use super::workload::Workload;
use bytes::Bytes;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a group cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct GroupError(pub String);

impl GroupError {
    /// From whatever a library says.
    pub fn new(error: impl ToString) -> Self {
        Self(error.to_string())
    }
}

/// Servers with a leader, in one thread.
pub trait Group {
    /// Proposes an entry at the leader, or at a follower.
    ///
    /// # Errors
    /// [`GroupError`] where the library refuses.
    fn propose(&mut self, at: Place, payload: Bytes) -> Result<(), GroupError>;

    /// Delivers messages until there are none.
    ///
    /// # Errors
    /// [`GroupError`] where the library refuses something.
    fn exchange(&mut self) -> Result<(), GroupError>;

    /// A tick at each server.
    ///
    /// # Errors
    /// [`GroupError`] where the library refuses something.
    fn tick(&mut self) -> Result<(), GroupError>;

    /// How many entries every server has decided and handed out.
    fn decided(&self) -> u64;
}

/// Where an entry is proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// At the leader.
    Leader,
    /// At a follower, which passes it on.
    Follower,
}

impl Place {
    /// Its name, as in an argument of the program `workload`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Place::Leader => "leader",
            Place::Follower => "follower",
        }
    }
}

/// Whose group it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Library {
    /// omnipaxos-core.
    Ours,
    /// The crate `omnipaxos` with entries that own their bytes.
    Omnipaxos,
    /// The crate `omnipaxos` with entries that share them, as ours do.
    OmnipaxosShared,
    /// The crate `raft`.
    Raft,
}

impl Library {
    /// Its name, as in tables and as an argument of the program `workload`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Library::Ours => "ours",
            Library::Omnipaxos => "omnipaxos",
            Library::OmnipaxosShared => "omnipaxos-shared",
            Library::Raft => "raft",
        }
    }

    /// Lets a group of this library decide `entries` entries of `workload`.
    ///
    /// # Errors
    /// [`GroupError`] where it does not.
    pub fn run(
        self,
        workload: &Workload,
        entries: u64,
    ) -> Result<super::workload::Took, GroupError> {
        let servers = workload.servers;
        match self {
            Library::Ours => workload.run(&mut OurGroup::start(servers)?, entries),
            Library::Omnipaxos => {
                workload.run(&mut OmniPaxosGroup::<Owned>::start(servers)?, entries)
            }
            Library::OmnipaxosShared => {
                workload.run(&mut OmniPaxosGroup::<Shared>::start(servers)?, entries)
            }
            Library::Raft => workload.run(&mut RaftGroup::start(servers)?, entries),
        }
    }
}
