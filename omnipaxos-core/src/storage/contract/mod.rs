//! What every backend must do, as tests: run them against yours. Only with the feature `contract`.
//!
//! Each sentence of the documentation of [`Sequence`], [`PaxosState`] and
//! [`Commit`](super::Commit) is a clause, a
//! public function that panics with its name and with what it found. [`check_all`] calls all of
//! them and some seeds of [`random`], which does random things to the backend and to a naive model.
//! A backend whose commits are [`Send`] calls [`commits_run_on_another_thread`] as well.
//!
//! ```toml
//! [dev-dependencies]
//! omnipaxos-core = { version = "0.1", features = ["contract"] }
//! ```
//!
//! What a backend must tell is how it is created, and how it is opened again after a crash:
//!
//! ```
//! use omnipaxos_core::storage::contract::{self, Backend, Unflushed};
//! use omnipaxos_core::storage::{MemorySequence, MemoryState};
//!
//! struct Memory;
//!
//! impl Backend for Memory {
//!     type Sequence = MemorySequence;
//!     type PaxosState = MemoryState;
//!     // Nothing is ever lost that is in these halves. A backend on a disk leaves this line out.
//!     const UNFLUSHED: Unflushed = Unflushed::Kept;
//!
//!     fn create(&mut self) -> (MemorySequence, MemoryState) {
//!         // On a disk: in a new directory, the path of which `self` remembers.
//!         (MemorySequence::new(), MemoryState::new())
//!     }
//!
//!     fn reopen(
//!         &mut self,
//!         sequence: MemorySequence,
//!         paxos_state: MemoryState,
//!     ) -> (MemorySequence, MemoryState) {
//!         // On a disk: drop both, then open the directory again.
//!         (sequence, paxos_state)
//!     }
//! }
//!
//! contract::check_all(&mut Memory);
//! contract::commits_run_on_another_thread(&mut Memory);
//! for seed in 100..110 {
//!     contract::random(&mut Memory, seed, 500);
//! }
//! ```
//!
//! Not covered, because only the backend's author can cause it: media that fail, fill up, tear a
//! write or return other bytes than were written, and a process that dies while it writes.

mod commits;
mod content;
mod log;
mod model;
mod random;
mod reads;
mod subject;
mod threads;

#[cfg(test)]
mod tests;

pub use commits::{
    a_commit_covers_log_and_state, a_commit_that_was_not_run_is_absent,
    commits_become_durable_in_order, empty_commits_change_nothing, load_gives_what_is_durable,
    open_writes_are_lost_together, opening_changes_nothing,
    writes_after_sealing_belong_to_the_next_commit,
};
pub use content::{
    identities_survive, many_records_survive, payloads_survive, states_survive, stop_signs_survive,
    store_replaces_the_state,
};
pub use log::{
    a_new_pair_is_empty, append_goes_to_the_end, append_of_nothing_changes_nothing,
    cut_records_never_return, durable_records_can_be_replaced, impossible_ranges_are_refused,
    trim_and_truncate_meet, trim_removes_the_beginning, trim_to_the_end_keeps_the_position,
    truncate_removes_the_end,
};
pub use random::random;
pub use reads::{
    read_gives_as_many_as_fit, reads_cross_all_borders, reads_see_what_is_not_durable,
};
pub use threads::commits_run_on_another_thread;

use super::{PaxosState, Sequence};

/// A backend under test: makes pairs of halves, and crashes them.
///
/// The clauses have one pair at a time, and drop it when they are done with it.
pub trait Backend {
    /// The log's half.
    type Sequence: Sequence;
    /// The state's half.
    type PaxosState: PaxosState;

    /// What becomes of writes whose commit was not run; on a medium, that they are lost.
    const UNFLUSHED: Unflushed = Unflushed::Lost;

    /// A new pair, in a place where nothing was stored before.
    fn create(&mut self) -> (Self::Sequence, Self::PaxosState);

    /// Ends a pair, the one that was created or opened last, as a crash of its process would, and
    /// opens what its medium holds.
    ///
    /// Sealed commits that nobody ran were dropped before this call.
    fn reopen(
        &mut self,
        sequence: Self::Sequence,
        paxos_state: Self::PaxosState,
    ) -> (Self::Sequence, Self::PaxosState);
}

/// What a [`Backend`] makes durable.
pub type CommitOf<B> = <<B as Backend>::PaxosState as PaxosState>::Commit;

/// What [`Backend::reopen`] shows of writes whose commit was not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unflushed {
    /// Nothing.
    #[default]
    Lost,
    /// The sealed commits up to any one of them, each as a whole. For a backend that hands a commit
    /// to the operating system before it is run, and is reopened without a loss of power.
    SealedMaySurvive,
    /// Everything. For a backend that loses nothing but all of it at once, as memory does.
    Kept,
}

/// How many seeds of [`random`] [`check_all`] runs, and how many steps of each.
const SEEDS: (u64, u32) = (8, 250);

/// The name of a clause, and the function that checks it.
pub type Clause<B> = (&'static str, fn(&mut B));

/// All clauses. [`commits_run_on_another_thread`] is not among them.
#[must_use]
pub fn clauses<B: Backend>() -> Vec<Clause<B>> {
    macro_rules! named {
        ($($clause:ident),* $(,)?) => {
            vec![$((stringify!($clause), $clause::<B> as fn(&mut B))),*]
        };
    }
    named![
        a_new_pair_is_empty,
        append_goes_to_the_end,
        append_of_nothing_changes_nothing,
        truncate_removes_the_end,
        durable_records_can_be_replaced,
        cut_records_never_return,
        trim_removes_the_beginning,
        trim_to_the_end_keeps_the_position,
        trim_and_truncate_meet,
        impossible_ranges_are_refused,
        read_gives_as_many_as_fit,
        reads_see_what_is_not_durable,
        reads_cross_all_borders,
        payloads_survive,
        many_records_survive,
        stop_signs_survive,
        identities_survive,
        states_survive,
        store_replaces_the_state,
        load_gives_what_is_durable,
        open_writes_are_lost_together,
        a_commit_covers_log_and_state,
        a_commit_that_was_not_run_is_absent,
        commits_become_durable_in_order,
        writes_after_sealing_belong_to_the_next_commit,
        empty_commits_change_nothing,
        opening_changes_nothing,
    ]
}

/// Checks every clause, each with a pair of its own, and 8 seeds of [`random`].
///
/// # Panics
/// When the backend breaks a clause: the message names it and says what was found.
pub fn check_all<B: Backend>(backend: &mut B) {
    for (_, clause) in clauses::<B>() {
        clause(backend);
    }
    let (seeds, steps) = SEEDS;
    for seed in 0..seeds {
        random(backend, seed, steps);
    }
}
