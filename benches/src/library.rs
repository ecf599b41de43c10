//! The libraries that are compared.

use crate::cluster::RunError;
use crate::experiment::{self, Run};
use crate::peers::{OmniPaxosPeer, OurPeer, RaftMode, RaftPeer};
use crate::scenario::Schedule;
use clap::ValueEnum;
use serde::Serialize;

/// A library and how it is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Library {
    /// This repository's core.
    OmnipaxosCore,
    /// The crate `omnipaxos` 0.2.4.
    Omnipaxos,
    /// The crate `raft` 0.7 with its defaults.
    Raft,
    /// The crate `raft` 0.7 with pre-vote and check-quorum.
    RaftPreVoteCheckQuorum,
}

impl Library {
    /// How it is named in a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OmnipaxosCore => "omnipaxos-core",
            Self::Omnipaxos => "omnipaxos",
            Self::Raft => "raft",
            Self::RaftPreVoteCheckQuorum => "raft-pre-vote-check-quorum",
        }
    }

    /// Runs `schedule` with servers of this library.
    ///
    /// # Errors
    /// [`RunError`] when the library fails.
    pub fn run(self, schedule: &Schedule, traced: bool) -> Result<Run, RunError> {
        let (servers, dice) = (schedule.servers, schedule.dice);
        let raft = |mode| {
            let start = move |pid| RaftPeer::start(pid, servers, mode, dice);
            experiment::run(schedule, traced, start)
        };
        match self {
            Self::OmnipaxosCore => {
                experiment::run(schedule, traced, |pid| OurPeer::start(pid, servers))
            }
            Self::Omnipaxos => {
                experiment::run(schedule, traced, |pid| OmniPaxosPeer::start(pid, servers))
            }
            Self::Raft => raft(RaftMode::Plain),
            Self::RaftPreVoteCheckQuorum => raft(RaftMode::PreVoteCheckQuorum),
        }
    }
}
