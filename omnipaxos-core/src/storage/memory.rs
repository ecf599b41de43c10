//! Storage in memory: for tests, for examples, and where a restart is a new server.

use super::{
    Commit, Entry, Operation, PaxosState, ProposalId, Records, Sequence, State, StorageError,
};
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

/// A log in memory.
///
/// Keeps the records as they were appended: replicas that share an address space share them, and
/// reading them again copies nothing.
#[derive(Clone, Debug, Default)]
pub struct MemorySequence {
    first: u64,
    end: u64,
    /// Where each part starts. The first may start below `first`.
    parts: VecDeque<(u64, Records)>,
}

/// Parts below this length grow where that costs no copy.
const SHORT: u64 = 64;

impl MemorySequence {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[inline]
    fn check(&self, operation: Operation, from: u64, to: u64) -> Result<(), StorageError> {
        let (first, end) = (self.first, self.end);
        if first <= from && from <= to && to <= end {
            Ok(())
        } else {
            Err(StorageError::Range { operation, from, to, first, end })
        }
    }

    /// Position of the part that holds `index`.
    #[inline]
    fn part_at(&self, index: u64) -> usize {
        let last = self.parts.len().saturating_sub(1);
        match self.parts.get(last) {
            Some((start, _)) if *start <= index => last,
            _ => self.parts.partition_point(|(start, _)| *start <= index).saturating_sub(1),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (ProposalId, &Entry)> {
        let trimmed = self.parts.front().map_or(0, |(start, _)| self.first.saturating_sub(*start));
        self.parts.iter().flat_map(|(_, records)| records.iter()).skip(trimmed as usize)
    }
}

impl PartialEq for MemorySequence {
    fn eq(&self, other: &Self) -> bool {
        (self.first, self.end) == (other.first, other.end) && self.iter().eq(other.iter())
    }
}

impl Eq for MemorySequence {}

impl Hash for MemorySequence {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.first, self.end).hash(state);
        self.iter().for_each(|record| record.hash(state));
    }
}

impl Sequence for MemorySequence {
    #[inline]
    fn first_index(&self) -> u64 {
        self.first
    }

    #[inline]
    fn end_index(&self) -> u64 {
        self.end
    }

    #[inline]
    fn append(&mut self, records: Records) -> Result<(), StorageError> {
        let (start, len) = (self.end, records.len());
        if len == 0 {
            return Ok(());
        }
        let refused = match self.parts.back_mut() {
            Some((_, last)) if last.len() + len <= SHORT => last.absorb(records),
            _ => Some(records),
        };
        if let Some(records) = refused {
            self.parts.push_back((start, records));
        }
        self.end += len;
        Ok(())
    }

    fn truncate(&mut self, from: u64) -> Result<(), StorageError> {
        self.check(Operation::Truncate, from, from)?;
        self.end = from;
        while let Some((start, records)) = self.parts.back_mut() {
            if *start < from {
                *records = records.slice(0, from - *start);
                break;
            }
            self.parts.pop_back();
        }
        Ok(())
    }

    fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        self.check(Operation::Read, from, to)?;
        if let Some((start, last)) = self.parts.back()
            && (*start, self.end) == (from, to)
            && last.cost() <= max_cost
        {
            // Most reads are of what came last, and of all of it.
            return Ok(last.clone());
        }
        let mut read: Option<Records> = None;
        let (mut at, mut next, mut budget) = (self.part_at(from), from, max_cost);
        while let Some((start, records)) = self.parts.get(at)
            && next < to
        {
            let skip = next - *start;
            let rest = records.len().min(to - *start) - skip;
            let fits = records.fitting(skip, rest, budget, u64::from(read.is_none()));
            if fits > 0 {
                let part = records.slice(skip, skip + fits);
                budget = budget.saturating_sub(part.cost());
                next += fits;
                read = Some(match read {
                    Some(read) => read.followed_by(part),
                    None => part,
                });
            }
            if fits < rest {
                break;
            }
            at += 1;
        }
        Ok(read.unwrap_or_default())
    }

    fn trim(&mut self, to: u64) -> Result<(), StorageError> {
        self.check(Operation::Trim, to, to)?;
        self.first = to;
        while let Some((start, records)) = self.parts.front() {
            if *start + records.len() > to {
                break;
            }
            self.parts.pop_front();
        }
        Ok(())
    }
}

/// The state beside the log, in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemoryState {
    state: Option<State>,
}

impl MemoryState {
    /// No state yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl PaxosState for MemoryState {
    type Commit = MemoryCommit;

    fn load(&self) -> Result<Option<State>, StorageError> {
        Ok(self.state.clone())
    }

    #[inline]
    fn store(&mut self, state: &State) -> Result<(), StorageError> {
        match &mut self.state {
            Some(stored) => replace(stored, state),
            None => self.state = Some(state.clone()),
        }
        Ok(())
    }

    #[inline]
    fn commit(&mut self) -> Result<MemoryCommit, StorageError> {
        Ok(MemoryCommit)
    }
}

/// Makes `stored` equal to `state`, in place.
fn replace(stored: &mut State, state: &State) {
    // All fields, one by one: a whole struct would be put together first, and then moved.
    let State {
        promised,
        accepted_round,
        decided,
        decided_round,
        session,
        next,
        recovering,
        suspect_session,
    } = state;
    stored.promised = *promised;
    stored.accepted_round = *accepted_round;
    stored.decided = *decided;
    stored.decided_round = *decided_round;
    stored.session = *session;
    stored.next.clone_from(next);
    stored.recovering = *recovering;
    stored.suspect_session = *suspect_session;
}

/// Nothing to write: memory is as durable as it gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemoryCommit;

impl Commit for MemoryCommit {
    const WAITS: bool = false;

    #[inline]
    fn run(self) -> Result<(), StorageError> {
        Ok(())
    }
}
