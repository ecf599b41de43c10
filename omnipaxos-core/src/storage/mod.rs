//! The log and the state of one replica, and the two traits behind which they are kept.
//!
//! [`Storage`] is the only caller of [`Sequence`] and [`PaxosState`]. It keeps what the algorithm
//! asks all the time in memory, and turns everything written since the last flush into one atomic
//! commit.
//!
//! Architecture invariant: nothing here knows a message, a peer or a role.

mod adopt;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod entry;
mod error;
mod flush;
mod import;
mod memory;
mod next;
mod records;
mod sealed;
mod traits;

#[cfg(test)]
mod tests;

pub use crate::ballot::NodeId;
pub(crate) use adopt::AdoptError;
pub use entry::{ConfigId, ENTRY_OVERHEAD, Entry, ProposalId, StopSign};
pub use error::{Operation, StorageError};
pub use flush::{FinishFlushError, Flush, FlushId};
pub use import::{ImportError, Importer};
pub use memory::{MemoryCommit, MemorySequence, MemoryState};
pub use next::{NextProposal, NextProposals};
pub use records::{Records, RecordsBuilder, RecordsError, Run};
pub use sealed::SealedLog;
pub use traits::{Commit, PaxosState, Sequence, State};

use crate::ballot::Ballot;
use flush::{Flushes, Mark};
use std::collections::VecDeque;

/// A [`Sequence`] and a [`PaxosState`] that share their commits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Storage<S, P> {
    sequence: S,
    paxos_state: P,
    state: State,
    /// The runs of `[decided, end)`.
    tail: VecDeque<Part>,
    /// The sum of their costs.
    tail_cost: u64,
    /// What [`State::next`] will be once the whole log is decided.
    next_at_end: NextProposals,
    /// The StopSign at the end of the log.
    stop_sign: Option<StopSign>,
    /// The state in memory differs from the one that the backend was given.
    state_changed: bool,
    /// The operator vouches for what the next opening finds.
    trusted: bool,
    flushes: Flushes,
}

impl<S: Sequence, P: PaxosState> Storage<S, P> {
    /// Storage over the two halves of a backend. Nothing is read before a replica opens it.
    #[must_use]
    pub fn with(sequence: S, paxos_state: P) -> Self {
        Self {
            sequence,
            paxos_state,
            state: State::default(),
            tail: VecDeque::new(),
            tail_cost: 0,
            next_at_end: NextProposals::default(),
            stop_sign: None,
            state_changed: false,
            trusted: false,
            flushes: Flushes::default(),
        }
    }

    /// The operator's way out when a quorum of servers is suspect, or the only one: the replica
    /// that opens this storage votes on what it finds, now and after later restarts.
    ///
    /// **This can lose acknowledged entries**, and let two logs be decided: what a missing flush
    /// promised or accepted is forgotten for good. It is safe only where it is known that the
    /// damaged flush was never acknowledged. Without it such servers wait for ever
    /// ([`RecoveryStage::QuorumSuspect`](crate::paxos::RecoveryStage)).
    #[must_use]
    pub fn trust_suspect(mut self) -> Self {
        self.trusted = true;
        self
    }

    /// The two halves again.
    #[must_use]
    pub fn into_parts(self) -> (S, P) {
        (self.sequence, self.paxos_state)
    }

    /// Reads what an earlier opening left and begins a new session. Whether there was nothing: no
    /// opening has ever been flushed.
    pub(crate) fn open(&mut self) -> Result<bool, StorageError> {
        let stored = self.paxos_state.load()?;
        let empty = stored.is_none();
        self.state = stored.unwrap_or_default();
        self.flushes = Flushes::default();
        let (first, end) = (self.first_index(), self.end_index());
        let State { promised, accepted_round, decided, decided_round, session, .. } = self.state;
        let possible = first <= decided
            && decided <= end
            && accepted_round <= promised
            && decided_round <= promised
            && session < u64::MAX - 1;
        if !possible {
            return Err(StorageError::Corrupt {
                operation: Operation::Load,
                detail: format!(
                    "decided {decided} in {decided_round} with a log of [{first}, {end}), \
                     promised {promised}, accepted {accepted_round}, session {session}"
                ),
            });
        }
        self.next_at_end = self.state.next.clone();
        self.tail.clear();
        self.tail_cost = 0;
        self.stop_sign = None;
        let mut at = decided;
        while at < end {
            let records = self.read(at, end, LOAD_COST)?;
            self.note_appended(&records, at);
            at += records.len();
        }
        if self.stop_sign.is_none() && first < end {
            self.stop_sign = self.read(end - 1, end, 0)?.stop_sign().cloned();
        }
        self.flushes.loaded(self.mark());
        let suspect = self.paxos_state.suspect();
        // The missing flush may have begun a session: none is ever used twice.
        self.state.session += if suspect { 2 } else { 1 };
        let trusted = std::mem::take(&mut self.trusted);
        self.state.recovering = (self.state.recovering || suspect) && !trusted;
        if suspect {
            self.state.suspect_session = self.state.session;
            // Two flushes before anything leaves: if the last one goes missing again, the one
            // before still shows this session.
            self.paxos_state.store(&self.state)?;
            self.paxos_state.commit()?.run()?;
        }
        self.write_state();
        Ok(empty && !suspect && first == end)
    }

    /// Others have synchronised this replica: it votes again.
    pub(crate) fn recovered(&mut self) {
        if self.state.recovering {
            self.state.recovering = false;
            self.write_state();
        }
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn first_index(&self) -> u64 {
        self.sequence.first_index()
    }

    pub(crate) fn end_index(&self) -> u64 {
        self.sequence.end_index()
    }

    /// The StopSign that ends the log, decided or not.
    pub(crate) fn stop_sign(&self) -> Option<&StopSign> {
        self.stop_sign.as_ref()
    }

    /// The StopSign that sealed the log.
    pub(crate) fn sealed(&self) -> Option<&StopSign> {
        self.stop_sign().filter(|_| self.state.decided == self.end_index())
    }

    /// What the undecided tail costs. Counts an append that is decided or cut in part as a whole.
    pub(crate) fn tail_cost(&self) -> u64 {
        self.tail_cost
    }

    /// What comes next from `proposer` at the end of the log; session 0 when it has proposed
    /// nothing.
    pub(crate) fn next_of(&self, proposer: NodeId) -> NextProposal {
        let none = NextProposal { session: 0, number: 1 };
        self.next_at_end.get(proposer).unwrap_or(none)
    }

    /// The same after the decided entries.
    pub(crate) fn next_decided(&self, proposer: NodeId) -> NextProposal {
        let none = NextProposal { session: 0, number: 1 };
        self.state.next.get(proposer).unwrap_or(none)
    }

    pub(crate) fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        self.sequence.read(from, to, max_cost)
    }

    /// Raises the promise; lower ones change nothing.
    pub(crate) fn promise(&mut self, ballot: Ballot) {
        if ballot > self.state.promised {
            self.state.promised = ballot;
            self.write_state();
        }
    }

    /// Sets the round in which the whole log is accepted from now on.
    pub(crate) fn accept_round(&mut self, ballot: Ballot) {
        if ballot != self.state.accepted_round {
            self.state.accepted_round = ballot;
            self.write_state();
        }
    }

    /// Appends records. Nothing may follow a StopSign (SC3): the caller has checked that.
    #[inline]
    pub(crate) fn append(&mut self, records: Records) -> Result<(), StorageError> {
        debug_assert!(self.stop_sign.is_none() || records.is_empty());
        if records.is_empty() {
            return Ok(());
        }
        self.note_appended(&records, self.end_index());
        self.flushes.need();
        self.sequence.append(records)
    }

    /// Cuts the log at `from`, which is not below the decided index.
    pub(crate) fn truncate(&mut self, from: u64) -> Result<(), StorageError> {
        debug_assert!(from >= self.state.decided, "a decided entry is never cut");
        if from >= self.end_index() {
            return Ok(());
        }
        self.sequence.truncate(from)?;
        self.flushes.truncated(from);
        self.flushes.need();
        self.stop_sign = None;
        let mut cut = 0;
        while let Some(part) = self.tail.pop_back_if(|part| part.start >= from) {
            self.tail_cost -= part.cost;
            cut = if part.cost > 0 { part.cost } else { cut };
        }
        if let Some(part) = self.tail.back_mut() {
            part.run.count = part.run.count.min(from - part.start);
            if part.cost == 0 {
                // The last run of its append was cut off.
                part.cost = cut;
                self.tail_cost += cut;
            }
        }
        self.next_at_end.clone_from(&self.state.next);
        for part in &self.tail {
            note_run(&mut self.next_at_end, &part.run);
        }
        Ok(())
    }

    /// Raises the decided index to `index` (at most the end of the log), all entries below it being
    /// chosen in round `round` or earlier. Tells `each` run that is decided by it, and where it
    /// starts.
    ///
    /// The index alone needs no flush: it can be learned again.
    #[inline]
    pub(crate) fn decide(&mut self, index: u64, round: Ballot, mut each: impl FnMut(u64, &Run)) {
        let index = index.min(self.end_index());
        if index <= self.state.decided {
            return;
        }
        while let Some(part) = self.tail.front_mut() {
            if part.start >= index {
                break;
            }
            let count = part.run.count.min(index - part.start);
            let done = Run { first: part.run.first, count };
            note_run(&mut self.state.next, &done);
            each(part.start, &done);
            if let Some(rest) = part.run.skip(count) {
                (part.start, part.run) = (index, rest);
                break;
            }
            self.tail_cost -= part.cost;
            self.tail.pop_front();
        }
        self.state.decided = index;
        self.state.decided_round = self.state.decided_round.max(round);
        self.state_changed = true;
        if self.sealed().is_some() {
            // That the configuration is over decides what a restarted server does first.
            self.flushes.need();
        }
    }

    /// Removes the records below `to`, which are decided.
    pub(crate) fn trim(&mut self, to: u64) -> Result<(), StorageError> {
        debug_assert!(to <= self.state.decided, "only decided entries are trimmed");
        self.write_state();
        self.sequence.trim(to)
    }

    /// Makes the next flush write what so far would only have gone with another one.
    pub(crate) fn write_state(&mut self) {
        self.state_changed = true;
        self.flushes.need();
    }

    /// The decided index that is durable once the flush that covers everything so far has ended.
    pub(crate) fn decided_by_flush(&self) -> u64 {
        if self.flushes.needed() { self.state.decided } else { self.flushes.last_mark().decided }
    }

    /// Whether the state in memory is newer than the one that the backend was given.
    pub(crate) fn state_changed(&self) -> bool {
        self.state_changed
    }

    /// The flushes of this storage.
    pub(crate) fn flushes(&self) -> &Flushes {
        &self.flushes
    }

    /// Seals what was written since the last flush; `None` while nothing needs one or one is under
    /// way.
    #[inline]
    pub(crate) fn begin_flush(&mut self) -> Result<Option<Flush<P::Commit>>, StorageError> {
        if !self.flushes.may_begin() {
            return Ok(None);
        }
        let commit = self.seal()?;
        let id = self.flushes.begin(self.mark());
        Ok(Some(Flush::new(id, commit)))
    }

    /// Flushes in place; no flush is under way.
    #[inline]
    pub(crate) fn flush(&mut self) -> Result<(), StorageError> {
        self.seal()?.run()?;
        self.flushes.done(self.mark());
        Ok(())
    }

    #[inline]
    fn seal(&mut self) -> Result<P::Commit, StorageError> {
        if self.state_changed {
            self.paxos_state.store(&self.state)?;
            self.state_changed = false;
        }
        self.paxos_state.commit()
    }

    /// Takes note that flush `id` has ended well.
    pub(crate) fn finish_flush(&mut self, id: FlushId) -> Result<(), FinishFlushError> {
        self.flushes.finish(id)
    }

    #[inline]
    fn mark(&self) -> Mark {
        Mark {
            accepted_round: self.state.accepted_round,
            end: self.end_index(),
            decided: self.state.decided,
        }
    }

    #[inline]
    fn note_appended(&mut self, records: &Records, mut at: u64) {
        for run in records.runs() {
            note_run(&mut self.next_at_end, run);
            self.tail.push_back(Part { start: at, run: *run, cost: 0 });
            at += run.count;
        }
        if let Some(last) = self.tail.back_mut() {
            last.cost += records.cost();
            self.tail_cost += records.cost();
        }
        if let Some(ss) = records.stop_sign() {
            self.stop_sign = Some(ss.clone());
        }
    }
}

/// A run in the undecided tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Part {
    start: u64,
    run: Run,
    /// What its append costs, where it is the last run of that; 0 otherwise.
    cost: u64,
}

/// How much of an undecided tail is read at once when storage is opened.
const LOAD_COST: u64 = 1 << 20;

#[inline]
fn note_run(next: &mut NextProposals, run: &Run) {
    let following = NextProposal { session: run.first.session, number: run.next_number() };
    next.insert(run.first.proposer, following);
}
