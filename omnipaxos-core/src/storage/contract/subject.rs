//! One pair of halves under test, with the model beside it: each call goes to both.

use super::model::{Image, Model, Record, difference, listed};
use super::{Backend, CommitOf};
use crate::ballot::Ballot;
use crate::storage::{
    Commit, Entry, NextProposal, Operation, PaxosState, ProposalId, Records, RecordsBuilder, Run,
    Sequence, State, StorageError,
};
use std::collections::VecDeque;
use std::fmt::Display;

/// Where a check is, for whoever reads that it failed.
#[derive(Debug)]
pub(super) struct Trail {
    clause: &'static str,
    /// What chance decides, and how far it got.
    seed: Option<(u64, u32)>,
    last: String,
}

impl Trail {
    #[track_caller]
    pub(super) fn fail(&self, detail: impl Display) -> ! {
        panic!("{}: {detail}", self.place());
    }

    #[track_caller]
    fn expect<T, E: Display>(&self, result: Result<T, E>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => self.fail(error),
        }
    }

    fn place(&self) -> String {
        let seed = self.seed.map(|(seed, step)| format!(" (seed {seed}, step {step})"));
        format!("contract clause {}{}, {}", self.clause, seed.unwrap_or_default(), self.last)
    }
}

impl Drop for Trail {
    /// A backend that panics does not know the seed.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed in {}", self.place());
        }
    }
}

pub(super) struct Subject<'b, B: Backend> {
    backend: &'b mut B,
    sequence: B::Sequence,
    paxos_state: B::PaxosState,
    commits: VecDeque<CommitOf<B>>,
    model: Model,
    trail: Trail,
    appends: u64,
    /// Counts the records and states made by `some` and `some_state`.
    made: u64,
}

impl<'b, B: Backend> Subject<'b, B> {
    /// A new pair for `clause`.
    pub(super) fn open(backend: &'b mut B, clause: &'static str) -> Self {
        Self::seeded(backend, clause, None)
    }

    /// A new pair for a run that `seed` decides.
    pub(super) fn seeded(backend: &'b mut B, clause: &'static str, seed: Option<u64>) -> Self {
        let trail = Trail { clause, seed: seed.map(|seed| (seed, 0)), last: "create".to_owned() };
        let (sequence, paxos_state) = backend.create();
        let commits = VecDeque::new();
        let model = Model::default();
        let subject =
            Self { backend, sequence, paxos_state, commits, model, trail, appends: 0, made: 0 };
        subject.check();
        subject
    }

    pub(super) fn step(&mut self, step: u32) {
        if let Some((_, at)) = &mut self.trail.seed {
            *at = step;
        }
    }

    /// What reads must see.
    pub(super) fn now(&self) -> &Image {
        &self.model.now
    }

    pub(super) fn first(&self) -> u64 {
        self.model.now.first
    }

    pub(super) fn end(&self) -> u64 {
        self.model.now.end()
    }

    /// How many commits are sealed and were not run.
    pub(super) fn sealed(&self) -> usize {
        self.commits.len()
    }

    pub(super) fn append(&mut self, records: Vec<Record>) {
        self.trail.last = format!("append of {} at {}", records.len(), self.end());
        self.appends += 1;
        let built = if self.appends.is_multiple_of(2) {
            // Runs may be shorter than they could be.
            let runs = records.iter().map(|(id, _)| Run { first: *id, count: 1 }).collect();
            let entries = records.iter().map(|(_, entry)| entry.clone()).collect();
            self.trail.expect(Records::new(entries, runs))
        } else {
            let mut builder = RecordsBuilder::new();
            builder.extend(records.iter().cloned());
            builder.build()
        };
        self.trail.expect(self.sequence.append(built));
        self.model.now.records.extend(records);
        self.check_ends();
    }

    /// Appends `count` records from several proposers and sessions, unlike all before.
    pub(super) fn append_some(&mut self, count: u64) {
        let records = self.some(count);
        self.append(records);
    }

    /// `count` records in runs of up to 3, unlike all before.
    pub(super) fn some(&mut self, count: u64) -> Vec<Record> {
        let start = self.made;
        self.made += count;
        let record = |n: u64| {
            let id = ProposalId { proposer: 1 + n / 3 % 3, session: 1 + n / 30, number: 1 + n };
            (id, Entry::from(vec![n as u8; (n * 7 % 41) as usize]))
        };
        (start..self.made).map(record).collect()
    }

    pub(super) fn truncate(&mut self, from: u64) {
        self.trail.last = format!("truncate({from})");
        self.trail.expect(self.sequence.truncate(from));
        self.model.now.truncate(from);
        self.check_ends();
    }

    pub(super) fn trim(&mut self, to: u64) {
        self.trail.last = format!("trim({to})");
        self.trail.expect(self.sequence.trim(to));
        self.model.now.trim(to);
        self.check_ends();
    }

    pub(super) fn read(&self, from: u64, to: u64, max_cost: u64) {
        let read = self.trail.expect(self.sequence.read(from, to, max_cost));
        let right = self.model.now.read(from, to, max_cost);
        let cost = right.iter().map(|(_, entry)| entry.cost()).sum::<u64>();
        if let Some(difference) = difference(from, right, &listed(&read)) {
            self.trail.fail(format!("read({from}, {to}, {max_cost}): {difference}"));
        }
        if read.cost() != cost {
            self.trail.fail(format!("read({from}, {to}, {max_cost}) costs {}", read.cost()));
        }
    }

    /// Reads all ranges of the log, with costs that just fit and just do not.
    pub(super) fn read_all_ranges(&self) {
        for from in self.first()..=self.end() {
            let mut cost = 0;
            self.read(from, from, 0);
            self.read(from, from, u64::MAX);
            for to in from + 1..=self.end() {
                cost += self.now().records[(to - 1 - self.first()) as usize].1.cost();
                for max_cost in [0, 1, cost - 1, cost, cost + 1, u64::MAX] {
                    self.read(from, to, max_cost);
                    self.read(from, self.end(), max_cost);
                }
            }
        }
    }

    pub(super) fn store(&mut self, state: State) {
        self.trail.last = "store".to_owned();
        self.trail.expect(self.paxos_state.store(&state));
        self.model.now.state = Some(state);
    }

    /// Stores a state unlike all before.
    pub(super) fn store_some(&mut self) {
        self.made += 1;
        self.store(state(self.made));
    }

    /// Seals what was written since the last call.
    pub(super) fn seal(&mut self) {
        self.trail.last = "commit".to_owned();
        let commit = self.trail.expect(self.paxos_state.commit());
        self.commits.push_back(commit);
        self.model.seal();
    }

    /// Runs the commit that was sealed first.
    pub(super) fn run_next(&mut self) {
        if let Some(commit) = self.next_commit() {
            let ended = commit.run();
            self.ran(ended);
        }
    }

    /// The commit that was sealed first, for whoever runs it and tells by [`ran`](Self::ran).
    pub(super) fn next_commit(&mut self) -> Option<CommitOf<B>> {
        self.trail.last = "run of a commit".to_owned();
        self.commits.pop_front()
    }

    pub(super) fn ran(&mut self, ended: Result<(), StorageError>) {
        self.trail.expect(ended);
        self.model.complete();
    }

    /// Seals, and runs everything that is sealed.
    pub(super) fn flush(&mut self) {
        self.seal();
        while self.sealed() > 0 {
            self.run_next();
        }
    }

    /// Crashes, opens what is there, and checks that it may be there.
    pub(super) fn reopen(self) -> Self {
        let Self { backend, sequence, paxos_state, commits, model, mut trail, appends, made } =
            self;
        trail.last = format!("reopen after {}", trail.last);
        // Nobody runs these any more.
        drop(commits);
        let (sequence, paxos_state) = backend.reopen(sequence, paxos_state);
        let commits = VecDeque::new();
        let mut subject =
            Self { backend, sequence, paxos_state, commits, model, trail, appends, made };
        let found = subject.found();
        if let Err(difference) = subject.model.crash(B::UNFLUSHED, &found) {
            subject.trail.fail(difference);
        }
        subject
    }

    /// Everything equals the model.
    pub(super) fn check(&self) {
        let found = self.found();
        let log = self.model.now.log_difference(&found);
        let state = || self.model.state_difference(found.state.as_ref());
        if let Some(difference) = log.or_else(state) {
            self.trail.fail(difference);
        }
    }

    fn check_ends(&self) {
        let found = (self.sequence.first_index(), self.sequence.end_index());
        let right = (self.first(), self.end());
        if found != right {
            self.trail.fail(format!("first and end index are {found:?} where {right:?} are right"));
        }
    }

    fn found(&self) -> Image {
        let (first, end) = (self.sequence.first_index(), self.sequence.end_index());
        let records = self.trail.expect(self.sequence.read(first, end, u64::MAX));
        let state = self.trail.expect(self.paxos_state.load());
        if records.len() != end.saturating_sub(first) {
            let count = records.len();
            self.trail.fail(format!("the log is [{first}, {end}) but a read gives {count}"));
        }
        Image { first, records: listed(&records), state }
    }

    /// Each impossible range is refused as such, and changes nothing.
    pub(super) fn refuses_all_impossible(&mut self) {
        let (first, end) = (self.first(), self.end());
        let mut edges = vec![0, first.saturating_sub(1), first, first + 1];
        edges.extend([end.saturating_sub(1), end, end + 1, u64::MAX - 1, u64::MAX]);
        for from in edges.iter().copied() {
            for to in edges.iter().copied().filter(|to| !self.now().has(from, *to)) {
                for max_cost in [0, u64::MAX] {
                    let read = self.sequence.read(from, to, max_cost).map(drop);
                    self.is_refused(Operation::Read, from, Some(to), read);
                }
            }
            if !self.now().has(from, from) {
                let cut = self.sequence.truncate(from);
                self.is_refused(Operation::Truncate, from, None, cut);
                let trimmed = self.sequence.trim(from);
                self.is_refused(Operation::Trim, from, None, trimmed);
            }
        }
        self.check();
    }

    /// `to` where `asked` has one.
    fn is_refused(
        &self,
        asked: Operation,
        low: u64,
        high: Option<u64>,
        result: Result<(), StorageError>,
    ) {
        let log = (self.first(), self.end());
        let refused = match &result {
            Err(StorageError::Range { operation, from, to, first, end }) => {
                let named = high.is_none_or(|high| (*from, *to) == (low, high));
                *operation == asked && named && (*first, *end) == log
            }
            _ => false,
        };
        if !refused {
            let to = high.map(|high| format!(", {high}")).unwrap_or_default();
            self.trail.fail(format!(
                "{asked:?}({low}{to}) with a log of [{}, {}) gives {result:?} where \
                 StorageError::Range that says so is right",
                log.0, log.1
            ));
        }
        self.check_ends();
    }
}

/// A state that differs from that of every other `n`.
pub(super) fn state(n: u64) -> State {
    let next = |proposer| (proposer, NextProposal { session: n, number: 1 + n });
    let mut state = State { next: (1..=n % 4).map(next).collect(), ..State::default() };
    state.promised = Ballot::new(n + 2, 1, 3);
    state.accepted_round = Ballot::new(n + 1, 0, 2);
    state.decided_round = Ballot::new(n, 2, 1);
    state.session = n;
    state
}
