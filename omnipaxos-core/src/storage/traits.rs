//! What a storage backend provides.

use super::{NextProposals, Records, StorageError};
use crate::ballot::Ballot;
use serde::{Deserialize, Serialize};

/// The log of one replica.
///
/// Indexes are positions in the log of the configuration, from 0; they survive trimming, also a log
/// that was trimmed to its end and opened again. Reads and both indexes see what was appended and
/// removed before, durable or not. Nothing is durable before the [`Commit`] that
/// [`PaxosState::commit`] returned afterwards was run; a crash undoes what is not, removals too.
///
/// A record comes back with its entry and its identity; how identities are split into runs may
/// differ. What was refused with [`StorageError::Range`] has changed nothing, and the backend goes
/// on.
///
/// The suite in `storage::contract` (feature `contract`) checks a backend against these sentences.
pub trait Sequence {
    /// The first index that was not trimmed; 0 when nothing was.
    fn first_index(&self) -> u64;

    /// The index after the last record; equals [`first_index`](Self::first_index) when none is
    /// held.
    fn end_index(&self) -> u64;

    /// Appends records at [`end_index`](Self::end_index). Without records, changes nothing.
    ///
    /// # Errors
    /// [`StorageError`] when the backend failed; the replica then halts.
    fn append(&mut self, records: Records) -> Result<(), StorageError>;

    /// Removes all records at `from` and above, durable ones too: others may take their indexes.
    ///
    /// # Errors
    /// [`StorageError::Range`] unless `first_index <= from <= end_index`, others when the backend
    /// failed.
    fn truncate(&mut self, from: u64) -> Result<(), StorageError>;

    /// The records from `from` on: as many below `to` as cost at most `max_cost` bytes together
    /// (see [`Entry::cost`](super::Entry::cost)), and at least one where `from < to`.
    ///
    /// # Errors
    /// [`StorageError::Range`] unless `first_index <= from <= to <= end_index`, others when the
    /// backend failed.
    fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError>;

    /// Removes all records below `to`, which becomes the first index.
    ///
    /// # Errors
    /// [`StorageError::Range`] unless `first_index <= to <= end_index`, others when the backend
    /// failed.
    fn trim(&mut self, to: u64) -> Result<(), StorageError>;
}

/// What a replica remembers beside its log.
pub trait PaxosState {
    /// Makes durable what [`commit`](Self::commit) sealed. Where it is [`Send`] it may be run on
    /// another thread, while both halves are read and written.
    type Commit: Commit;

    /// The state that was last made durable; `None` before the first one.
    ///
    /// A replica asks once, when it opens its storage. Between a [`store`](Self::store) and the end
    /// of its commit a backend may also give the state that was stored.
    ///
    /// # Errors
    /// [`StorageError`] when it cannot be read.
    fn load(&self) -> Result<Option<State>, StorageError>;

    /// Whether the flush that was acknowledged last may be missing: what would be found in its
    /// place is damaged, so this opening shows an older state, as of some earlier flush. The
    /// replica then does not vote until others have synchronised it.
    ///
    /// Asked at each opening, and to be answered with `true` until a [`Commit`] of that opening was
    /// run: a crash before it must not hide the loss. More than the last flush must never be
    /// missing; a backend that finds that out fails to [`load`](Self::load).
    fn suspect(&self) -> bool {
        false
    }

    /// Replaces the whole state. What it says is not looked into: it may speak of a log that is not
    /// there yet.
    ///
    /// # Errors
    /// [`StorageError`] when the backend failed.
    fn store(&mut self, state: &State) -> Result<(), StorageError>;

    /// Seals everything that was done to this and to the [`Sequence`] beside it since the last
    /// call, as one atomic unit: after a crash all of it is there or nothing. What is done later
    /// belongs to the next unit, also before this one was run. A unit may be empty.
    ///
    /// Commits are run in the order in which they were sealed, each one or, after a crash, none any
    /// more. Several may be sealed at a time.
    ///
    /// # Errors
    /// [`StorageError`] when the backend failed.
    fn commit(&mut self) -> Result<Self::Commit, StorageError>;
}

/// A sealed unit of changes on its way to the medium.
pub trait Commit {
    /// Whether [`run`](Self::run) waits for a medium, so that it belongs on a thread that may wait.
    const WAITS: bool = true;

    /// Writes the unit and waits until it is durable.
    ///
    /// # Errors
    /// [`StorageError`]; nothing is known then about what is on the medium, and nothing is tried
    /// again.
    fn run(self) -> Result<(), StorageError>;
}

/// The persistent variables of Sequence Paxos, without the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct State {
    /// No round below this one is answered any more.
    pub promised: Ballot,
    /// The round in which the log was last accepted.
    pub accepted_round: Ballot,
    /// How many entries are known to be decided. May lag behind what was decided in memory.
    pub decided: u64,
    /// A round in which all entries below `decided` were already chosen (departure P3).
    pub decided_round: Ballot,
    /// Counts the openings of this storage; the session of this server's proposals.
    pub session: u64,
    /// Which proposal of each proposer comes next after the decided entries.
    pub next: NextProposals,
    /// The storage was suspect, and others have not synchronised this replica since: it does not
    /// vote.
    pub recovering: bool,
    /// The session that began when this storage was last found suspect; 0 when it never was.
    pub suspect_session: u64,
}
