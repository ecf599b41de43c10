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

#[cfg(test)]
mod tests {
    use super::Library;
    use crate::dice::Dice;
    use crate::experiment::Run;
    use crate::scenario::{Scenario, Schedule};
    use crate::units::{SLOWEST_HOP, TIMEOUT};
    use clap::ValueEnum as _;

    fn run(library: Library, scenario: Scenario, servers: u64, seed: u64) -> Run {
        let schedule =
            Schedule { scenario, servers, dice: Dice::new(seed), slowest_hop: SLOWEST_HOP };
        library.run(&schedule, true).unwrap()
    }

    #[test]
    fn same_seed_same_run() {
        for library in Library::value_variants() {
            let [one, two] = [1, 1].map(|seed| run(*library, Scenario::Chained, 3, seed));
            assert_eq!(one.outcome, two.outcome, "{library:?}");
            assert_eq!(one.timeline, two.timeline, "{library:?}");
        }
    }

    #[test]
    fn same_schedule_for_each_library() {
        let faults = Library::value_variants()
            .iter()
            .map(|library| run(*library, Scenario::Crash, 3, 2).fault);
        let faults: Vec<u64> = faults.collect();
        assert!(faults.windows(2).all(|pair| pair[0] == pair[1]), "{faults:?}");
    }

    #[test]
    fn ours_decides_within_four_timeouts_and_rests() {
        for scenario in Scenario::value_variants() {
            for seed in 1..4 {
                let outcome = run(Library::OmnipaxosCore, *scenario, 5, seed).outcome;
                let message = format!("{scenario:?}, seed {seed}: {outcome:?}");
                assert!(outcome.took.is_some_and(|took| took <= 4 * TIMEOUT), "{message}");
                assert_eq!((outcome.changes_after, outcome.interruptions), (0, 0), "{message}");
            }
        }
    }

    #[test]
    fn raft_stalls_where_the_only_hub_is_behind() {
        let modes = [Library::Raft, Library::RaftPreVoteCheckQuorum];
        for outcome in modes.map(|library| run(library, Scenario::Constrained, 5, 1).outcome) {
            assert_eq!(outcome.took, None);
        }
    }
}
