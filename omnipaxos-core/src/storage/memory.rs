//! Storage in memory: for tests, for examples, and where a restart is a new server.

use super::records::Run;
use super::{Commit, Entry, Operation, PaxosState, Records, Sequence, State, StorageError};
use std::collections::VecDeque;

/// A log in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemorySequence {
    first: u64,
    entries: VecDeque<Entry>,
    /// Where each run starts. The first may start below `first`, the last ends at the end.
    runs: VecDeque<(u64, Run)>,
}

impl MemorySequence {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn check(&self, operation: Operation, from: u64, to: u64) -> Result<(), StorageError> {
        let (first, end) = (self.first, self.end_index());
        if first <= from && from <= to && to <= end {
            Ok(())
        } else {
            Err(StorageError::Range { operation, from, to, first, end })
        }
    }

    /// Position of the run that holds `index`.
    fn run_at(&self, index: u64) -> usize {
        self.runs.partition_point(|(start, _)| *start <= index).saturating_sub(1)
    }
}

impl Sequence for MemorySequence {
    fn first_index(&self) -> u64 {
        self.first
    }

    fn end_index(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn append(&mut self, records: Records) -> Result<(), StorageError> {
        let mut at = self.end_index();
        let (entries, runs) = records.into_parts();
        self.entries.extend(entries);
        for run in runs {
            match self.runs.back_mut() {
                Some((_, last)) if last.continues_with(&run) => last.count += run.count,
                _ => self.runs.push_back((at, run)),
            }
            at += run.count;
        }
        Ok(())
    }

    fn truncate(&mut self, from: u64) -> Result<(), StorageError> {
        self.check(Operation::Truncate, from, from)?;
        self.entries.truncate((from - self.first) as usize);
        while let Some((start, run)) = self.runs.back_mut() {
            if *start < from {
                run.count = run.count.min(from - *start);
                break;
            }
            self.runs.pop_back();
        }
        Ok(())
    }

    fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        self.check(Operation::Read, from, to)?;
        let (lo, hi) = ((from - self.first) as usize, (to - self.first) as usize);
        let (mut count, mut cost) = (0, 0);
        for entry in self.entries.range(lo..hi) {
            if count > 0 && cost + entry.cost() > max_cost {
                break;
            }
            cost += entry.cost();
            count += 1;
        }
        if count == 0 {
            return Ok(Records::default());
        }
        let entries = self.entries.range(lo..lo + count).cloned().collect();
        let end = from + count as u64;
        let mut runs = Vec::new();
        for (start, run) in self.runs.range(self.run_at(from)..) {
            if *start >= end {
                break;
            }
            let skip = from.saturating_sub(*start);
            let part = run.skip(skip).and_then(|r| r.take(end - start - skip));
            runs.extend(part);
        }
        Ok(Records::of_parts(entries, runs, cost))
    }

    fn trim(&mut self, to: u64) -> Result<(), StorageError> {
        self.check(Operation::Trim, to, to)?;
        self.entries.drain(..(to - self.first) as usize);
        self.first = to;
        while let Some((start, run)) = self.runs.front() {
            if *start + run.count > to {
                break;
            }
            self.runs.pop_front();
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

    fn store(&mut self, state: &State) -> Result<(), StorageError> {
        match &mut self.state {
            Some(stored) => stored.clone_from(state),
            None => self.state = Some(state.clone()),
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<MemoryCommit, StorageError> {
        Ok(MemoryCommit)
    }
}

/// Nothing to write: memory is as durable as it gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemoryCommit;

impl Commit for MemoryCommit {
    const WAITS: bool = false;

    fn run(self) -> Result<(), StorageError> {
        Ok(())
    }
}
