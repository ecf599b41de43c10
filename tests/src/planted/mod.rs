//! Faults that are planted around the core, to show that the checker finds them.
//!
//! Each is built from outside: in the disk, on the way of a message, or in what runs the core. A
//! check that no planted fault can trip states nothing.

mod hunt;
mod tamper;

pub use hunt::{Find, hunt};
pub use tamper::{Tamper, tamper_server};

use crate::sim::{Fault, Lie, Plan};
use omnipaxos_core::Quorum;
use omnipaxos_core::configurations::Ended;

/// A planted fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plant {
    /// A disk that reports flushes before they happen.
    LyingFlush,
    /// A disk whose commits are not atomic: the log may survive without its state.
    TornCommit,
    /// A disk that returns an older promise.
    OldPromise,
    /// A disk that lost its last flush and does not say so: suspect storage taken for sound.
    UnsuspectedLoss,
    /// Promises arrive with a higher accepted round.
    RaisedRound,
    /// Prepares arrive with a higher ballot.
    RaisedPrepare,
    /// Promises arrive with a lower accepted round.
    LoweredRound,
    /// Promises arrive with the end of the log cut off.
    CutPromise,
    /// An AcceptSync of an earlier session is replayed in the current one.
    ReplayedAcceptSync,
    /// An Accepted of an earlier round is replayed in the current one.
    ReplayedAccepted,
    /// Accepted says more than was accepted.
    LongerAccepted,
    /// Decides arrive with a higher index.
    ForgedDecide,
    /// Two entries of an Accept change places.
    SwappedEntries,
    /// A proposal is sent a second time under another number.
    RenumberedProposal,
    /// Accepts arrive with identities taken from other proposals.
    LostIdentity,
    /// Promises claim that the leader's own round was accepted already.
    ForgedPromise,
    /// A server comes back with an empty disk under its old pid.
    Amnesia,
    /// Two servers with one pid: the disk was cloned.
    Twin,
    /// Servers disagree on quorum sizes, so that their quorums do not meet.
    DisjointQuorums,
    /// Messages of one configuration reach the next.
    LeakedMessage,
    /// Reads are answered from what one server has decided.
    StaleRead,
    /// An outcome never reaches its proposer.
    LostOutcome,
    /// A decided entry is not handed out.
    SkippedEntry,
    /// Links of the core stay cut when it is healed.
    DeafCore,
    /// A driver reports records of a migration as stored before they are.
    HastyImport,
    /// A driver reports the history as written before it is.
    HastyBook,
    /// Records are altered on their way from a donor, and nobody knows their digest.
    AlteredRecords,
    /// Servers that still fetch say that they have everything.
    BoastedStage,
    /// Donors answer nothing.
    DeafDonors,
    /// The leader that a configuration starts with (C5) forgets that it has started.
    SecondTerm,
    /// One learner of a configuration is taken for a voter.
    VotingLearner,
    /// A line is told that decided proposals were dropped.
    RepeatedLine,
}

impl Plant {
    /// All of them, each with the number of seeds within which it must be found.
    pub const ALL: [(Plant, u64); 32] = [
        (Plant::LyingFlush, 10),
        (Plant::TornCommit, 200),
        (Plant::OldPromise, 200),
        (Plant::UnsuspectedLoss, 20),
        (Plant::RaisedRound, 200),
        (Plant::RaisedPrepare, 10),
        (Plant::LoweredRound, 200),
        (Plant::CutPromise, 200),
        (Plant::ReplayedAcceptSync, 200),
        (Plant::ReplayedAccepted, 200),
        (Plant::LongerAccepted, 200),
        (Plant::ForgedDecide, 20),
        (Plant::SwappedEntries, 50),
        (Plant::RenumberedProposal, 50),
        (Plant::LostIdentity, 50),
        (Plant::ForgedPromise, 200),
        (Plant::Amnesia, 50),
        (Plant::Twin, 50),
        (Plant::DisjointQuorums, 50),
        (Plant::LeakedMessage, 200),
        (Plant::StaleRead, 200),
        (Plant::LostOutcome, 10),
        (Plant::SkippedEntry, 20),
        (Plant::DeafCore, 20),
        (Plant::HastyImport, 50),
        (Plant::HastyBook, 50),
        (Plant::AlteredRecords, 50),
        (Plant::BoastedStage, 50),
        (Plant::DeafDonors, 50),
        (Plant::SecondTerm, 200),
        (Plant::VotingLearner, 200),
        (Plant::RepeatedLine, 50),
    ];

    /// What the disks do.
    #[must_use]
    pub fn lie(self) -> Lie {
        match self {
            Plant::LyingFlush => Lie::Flush,
            Plant::TornCommit => Lie::Torn,
            Plant::OldPromise => Lie::OldPromise,
            Plant::UnsuspectedLoss => Lie::Unsuspecting,
            _ => Lie::None,
        }
    }

    /// Gives a seed's plan what this fault needs to matter; the rest stays as the seed has it.
    pub fn adapt(self, plan: &mut Plan) {
        let needs = match self {
            Plant::LyingFlush | Plant::TornCommit | Plant::OldPromise | Plant::Amnesia => {
                &[Fault::Crash][..]
            }
            // A round in between is needed.
            Plant::RaisedRound => {
                &[Fault::Crash, Fault::Partition, Fault::Heal, Fault::Spurious, Fault::Priority]
            }
            Plant::LoweredRound
            | Plant::CutPromise
            | Plant::ForgedPromise
            | Plant::ReplayedAcceptSync
            | Plant::ReplayedAccepted
            | Plant::LongerAccepted => &[Fault::Crash, Fault::Partition, Fault::Heal],
            Plant::UnsuspectedLoss => &[Fault::LostFlush],
            Plant::LeakedMessage
            | Plant::HastyImport
            | Plant::HastyBook
            | Plant::AlteredRecords
            | Plant::BoastedStage
            | Plant::DeafDonors => &[Fault::Reconfigure],
            Plant::SecondTerm => &[Fault::Reconfigure, Fault::Crash],
            Plant::VotingLearner => &[Fault::Reconfigure, Fault::Crash, Fault::Partition],
            Plant::StaleRead => &[Fault::Partition, Fault::Heal],
            _ => &[],
        };
        for fault in needs {
            if !plan.faults.contains(fault) {
                plan.faults.push(*fault);
            }
        }
        match self {
            Plant::LeakedMessage
            | Plant::HastyImport
            | Plant::HastyBook
            | Plant::AlteredRecords
            | Plant::BoastedStage
            | Plant::DeafDonors
            | Plant::SecondTerm
            | Plant::VotingLearner => plan.reconfigurations = plan.reconfigurations.max(2),
            Plant::StaleRead => plan.operations = 12,
            Plant::RepeatedLine => plan.lines = 100,
            _ => {}
        }
    }

    /// The quorums that a server is configured with.
    #[must_use]
    pub fn quorum(self, right: Option<Quorum>, slot: usize, servers: usize) -> Option<Quorum> {
        if self != Plant::DisjointQuorums {
            return right;
        }
        // Either pair meets within one server's view, across two servers they do not.
        let (prepare, accept) = if slot.is_multiple_of(2) { (servers, 1) } else { (1, servers) };
        Quorum::flexible(prepare, accept, servers).ok()
    }

    /// What a driver reports to its server's life as the end of a configuration.
    #[must_use]
    pub fn ended(self, ended: Ended) -> Ended {
        match self {
            Plant::AlteredRecords => Ended { anchor: None, ..ended },
            _ => ended,
        }
    }

    /// Whether the links between the servers of the core stay cut when they should heal.
    #[must_use]
    pub fn leaves_cut(self) -> bool {
        self == Plant::DeafCore
    }
}
