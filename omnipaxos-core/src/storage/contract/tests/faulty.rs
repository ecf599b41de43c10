//! A disk in memory that loses what was not committed, and can be told to break one clause.

use super::super::{Backend, Unflushed};
use crate::storage::{
    Commit, Entry, MemorySequence, MemoryState, Operation, PaxosState, ProposalId, Records,
    RecordsBuilder, Sequence, State, StorageError,
};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, ThreadId};

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident,)*) => {
        /// What is wrong with a disk.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Fault {
            $($(#[$doc])* $fault,)*
        }

        impl Fault {
            pub(super) const ALL: &[Fault] = &[$(Fault::$fault,)*];
        }
    };
}

faults! {
    // The log's positions.
    TrimsOneTooFew,
    TrimsOneTooMany,
    TruncatesOneTooFew,
    TruncatesOneTooMany,
    TrimIsForgotten,
    TruncateIsForgotten,
    EmptyLogBeginsAnew,
    TrimToTheEndEmptiesIndexes,
    TruncateToTheFirstForgetsIt,
    EmptyAppendAddsOne,
    // What is refused.
    ImpossibleReadIsEmpty,
    ImpossibleReadIsClamped,
    ImpossibleTruncateIsFine,
    ImpossibleTrimIsFine,
    RefusedTrimTrims,
    RefusalIsAnIoError,
    RefusalNamesAnotherOperation,
    // What reads give.
    ReadIgnoresMaxCost,
    ReadGivesNothingThatIsTooDear,
    ReadStopsBeforeItIsFull,
    ReadCountsPayloadsOnly,
    ReadIgnoresTo,
    ReadsSeeOnlyWhatIsDurable,
    ReadsSeeOnlyWhatIsSealed,
    // What records and states contain.
    EmptyPayloadsGetAByte,
    LongPayloadsAreCut,
    AMebibyteIsTooLong,
    ManyRecordsAreForgotten,
    MetadataIsForgotten,
    EmptyMetadataIsNone,
    StopSignsForgetTheirLeader,
    StopSignsForgetTheirLearners,
    StopSignsForgetTheirDigest,
    SessionsAreForgotten,
    GapsInNumbersAreClosed,
    LargeNumbersAreCut,
    StateIsMergedWithTheLast,
    FirstStateOfACommitCounts,
    DecidedIsCutTo32Bits,
    WideStatesAreCut,
    AcceptedRoundIsPromised,
    // What is durable.
    FirstLoadIsDefault,
    LoadGivesTheStateBefore,
    CommitsForgetTheState,
    CommitsForgetTheLog,
    StateNeedsNoCommit,
    LogNeedsNoCommit,
    SealedIsDurable,
    RunTakesOpenWritesAlong,
    RunTakesAllThatIsSealed,
    RunDoesNothing,
    RunsInReverse,
    RunElsewhereDoesNothing,
    SealedOutlivesACrash,
    EmptyCommitsForget,
    EmptyCommitsFail,
    OpenWritesLeaveHoles,
    ThirdOpeningForgets,
}

#[derive(Clone, Default, PartialEq)]
struct Content {
    log: MemorySequence,
    state: Option<State>,
}

struct Store {
    fault: Option<Fault>,
    now: Content,
    sealed: VecDeque<Content>,
    medium: Content,
    /// The state before the one on the medium.
    before: Option<State>,
    stores: u32,
    openings: u32,
    thread: ThreadId,
}

impl Store {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// A commit reaches the medium.
    fn write(&mut self, mut content: Content) {
        let log = &mut content.log;
        let old = &self.medium.log;
        if self.has(Fault::TruncateIsForgotten) && log.end_index() < old.end_index() {
            let from = log.end_index().max(old.first_index());
            log.append(old.read(from, old.end_index(), u64::MAX).unwrap()).unwrap();
        }
        if self.has(Fault::TrimIsForgotten) && !old.entries_before(log).is_empty() {
            let mut longer = old.clone();
            longer.truncate(log.first_index().min(old.end_index())).unwrap();
            if longer.end_index() == log.first_index() {
                longer.append(log.read_all()).unwrap();
                *log = longer;
            }
        }
        if self.has(Fault::CommitsForgetTheState) {
            content.state.clone_from(&self.medium.state);
        }
        if self.has(Fault::CommitsForgetTheLog) {
            content.log = self.medium.log.clone();
        }
        self.before = self.medium.state.take();
        self.medium = content;
    }

    fn crash(&mut self) {
        self.openings += 1;
        if !self.has(Fault::SealedOutlivesACrash) {
            self.sealed.clear();
        }
        let log = &mut self.medium.log;
        let (first, end) = (log.first_index(), log.end_index());
        match self.fault {
            Some(Fault::EmptyLogBeginsAnew) if first == end => *log = MemorySequence::new(),
            Some(Fault::ManyRecordsAreForgotten) if end - first > 65_536 => {
                log.truncate(first + 65_536).unwrap();
            }
            Some(Fault::ThirdOpeningForgets) if self.openings >= 3 && first < end => {
                log.truncate(end - 1).unwrap();
            }
            Some(Fault::OpenWritesLeaveHoles) if self.now.log.end_index() > end => {
                let missing = self.now.log.read(end, end + 1, 0);
                log.append(missing.unwrap_or_default()).unwrap();
            }
            Some(Fault::GapsInNumbersAreClosed) => {
                let mut last = ProposalId { proposer: 0, session: 0, number: 0 };
                let closed = rewritten(log, |id| {
                    let same = (id.proposer, id.session) == (last.proposer, last.session);
                    let number = if same { last.number + 1 } else { id.number };
                    last = ProposalId { number, ..id };
                    last
                });
                *log = closed;
            }
            _ => {}
        }
        self.now = self.medium.clone();
    }

    fn written(&self, records: &Records) -> Records {
        let mut builder = RecordsBuilder::new();
        for (mut id, entry) in records.iter() {
            let mut entry = entry.clone();
            match (self.fault, &mut entry) {
                (Some(Fault::SessionsAreForgotten), _) => id.session = 1,
                (Some(Fault::LargeNumbersAreCut), _) => id.number &= u64::MAX >> 1,
                (Some(Fault::EmptyPayloadsGetAByte), Entry::Normal(data)) if data.is_empty() => {
                    *data = vec![0].into();
                }
                (Some(Fault::LongPayloadsAreCut), Entry::Normal(data)) => data.truncate(65_535),
                (Some(Fault::AMebibyteIsTooLong), Entry::Normal(data)) => {
                    data.truncate((1 << 20) - 1);
                }
                (Some(Fault::MetadataIsForgotten), Entry::StopSign(ss)) => ss.metadata = None,
                (Some(Fault::EmptyMetadataIsNone), Entry::StopSign(ss)) => {
                    ss.metadata = ss.metadata.take().filter(|data| !data.is_empty());
                }
                (Some(Fault::StopSignsForgetTheirLearners), Entry::StopSign(ss)) => {
                    ss.learners.clear();
                }
                (Some(Fault::StopSignsForgetTheirDigest), Entry::StopSign(ss)) => ss.digest = None,
                (Some(Fault::StopSignsForgetTheirLeader), Entry::StopSign(ss)) => {
                    ss.skip_prepare_use_leader = None;
                }
                _ => {}
            }
            builder.push(id, entry);
        }
        if records.is_empty() && self.has(Fault::EmptyAppendAddsOne) {
            builder.push(ProposalId { proposer: 1, session: 1, number: 1 }, Entry::from(vec![]));
        }
        builder.build()
    }

    fn log_changed(&mut self) {
        if self.has(Fault::LogNeedsNoCommit) {
            self.medium.log = self.now.log.clone();
        }
    }

    fn refusal(&self, error: StorageError) -> StorageError {
        match (self.fault, error) {
            (Some(Fault::RefusalIsAnIoError), error) => {
                StorageError::Io { operation: Operation::Read, detail: error.to_string() }
            }
            (
                Some(Fault::RefusalNamesAnotherOperation),
                StorageError::Range { from, to, first, end, .. },
            ) => StorageError::Range { operation: Operation::Load, from, to, first, end },
            (_, error) => error,
        }
    }
}

impl MemorySequence {
    fn read_all(&self) -> Records {
        self.read(self.first_index(), self.end_index(), u64::MAX).unwrap()
    }

    /// What lies below the first index of `other`.
    fn entries_before(&self, other: &MemorySequence) -> Records {
        let to = other.first_index().clamp(self.first_index(), self.end_index());
        self.read(self.first_index(), to, u64::MAX).unwrap()
    }
}

/// An empty log that begins at `first`.
fn log_at(first: u64) -> MemorySequence {
    let mut log = MemorySequence::new();
    let mut builder = RecordsBuilder::new();
    let id = |number| ProposalId { proposer: 1, session: 1, number };
    builder.extend((1..=first).map(|number| (id(number), Entry::from(vec![]))));
    log.append(builder.build()).unwrap();
    log.trim(first).unwrap();
    log
}

fn rewritten(
    log: &MemorySequence,
    mut id_of: impl FnMut(ProposalId) -> ProposalId,
) -> MemorySequence {
    let mut builder = RecordsBuilder::new();
    builder.extend(log.read_all().iter().map(|(id, entry)| (id_of(id), entry.clone())));
    let mut copy = log_at(log.first_index());
    copy.append(builder.build()).unwrap();
    copy
}

type Shared = Arc<Mutex<Store>>;

fn lock(store: &Shared) -> MutexGuard<'_, Store> {
    store.lock().unwrap()
}

pub(super) struct DiskLog(Shared);

pub(super) struct DiskState(Shared);

pub(super) struct DiskCommit(Shared);

impl Sequence for DiskLog {
    fn first_index(&self) -> u64 {
        lock(&self.0).now.log.first_index()
    }

    fn end_index(&self) -> u64 {
        lock(&self.0).now.log.end_index()
    }

    fn append(&mut self, records: Records) -> Result<(), StorageError> {
        let store = &mut *lock(&self.0);
        store.now.log.append(store.written(&records))?;
        store.log_changed();
        Ok(())
    }

    fn truncate(&mut self, from: u64) -> Result<(), StorageError> {
        let store = &mut *lock(&self.0);
        let (first, end) = (store.now.log.first_index(), store.now.log.end_index());
        let at = match store.fault {
            Some(Fault::TruncatesOneTooFew) if from < end => from + 1,
            Some(Fault::TruncatesOneTooMany) if first < from && from < end => from - 1,
            Some(Fault::ImpossibleTruncateIsFine) => from.clamp(first, end),
            _ => from,
        };
        store.now.log.truncate(at).map_err(|error| store.refusal(error))?;
        if store.has(Fault::TruncateToTheFirstForgetsIt) && from == first {
            store.now.log = MemorySequence::new();
        }
        store.log_changed();
        Ok(())
    }

    fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        let store = &*lock(&self.0);
        let log = match store.fault {
            Some(Fault::ReadsSeeOnlyWhatIsDurable) => &store.medium.log,
            Some(Fault::ReadsSeeOnlyWhatIsSealed) => {
                &store.sealed.back().unwrap_or(&store.medium).log
            }
            _ => &store.now.log,
        };
        let (first, end) = (log.first_index(), log.end_index());
        let possible = first <= from && from <= to && to <= end;
        match store.fault {
            Some(Fault::ImpossibleReadIsEmpty) if !possible => return Ok(Records::default()),
            Some(Fault::ImpossibleReadIsClamped) if !possible => {
                let from = from.clamp(first, end);
                return log.read(from, to.clamp(from, end), max_cost);
            }
            _ => {}
        }
        let read = log.read(from, to, max_cost).map_err(|error| store.refusal(error))?;
        match store.fault {
            Some(Fault::ReadIgnoresMaxCost) => log.read(from, to, u64::MAX),
            Some(Fault::ReadIgnoresTo) if from < to => log.read(from, end, max_cost),
            Some(Fault::ReadGivesNothingThatIsTooDear) if read.cost() > max_cost => {
                Ok(Records::default())
            }
            Some(Fault::ReadStopsBeforeItIsFull) if read.cost() == max_cost && read.len() > 1 => {
                Ok(read.slice(0, read.len() - 1))
            }
            Some(Fault::ReadCountsPayloadsOnly) if read.len() < to - from => {
                let more = log.read(from, from + read.len() + 1, u64::MAX)?;
                let payloads = more.cost() - 16 * more.len();
                Ok(if payloads <= max_cost { more } else { read })
            }
            _ => Ok(read),
        }
    }

    fn trim(&mut self, to: u64) -> Result<(), StorageError> {
        let store = &mut *lock(&self.0);
        let (first, end) = (store.now.log.first_index(), store.now.log.end_index());
        let at = match store.fault {
            Some(Fault::TrimsOneTooFew) if first < to && to <= end => to - 1,
            Some(Fault::TrimsOneTooMany) if to < end => to + 1,
            Some(Fault::ImpossibleTrimIsFine) => to.clamp(first, end),
            _ => to,
        };
        let trimmed = store.now.log.trim(at);
        if trimmed.is_err() && store.has(Fault::RefusedTrimTrims) {
            store.now.log.trim(at.clamp(first, end))?;
        }
        trimmed.map_err(|error| store.refusal(error))?;
        if store.has(Fault::TrimToTheEndEmptiesIndexes) && to == end {
            store.now.log = MemorySequence::new();
        }
        store.log_changed();
        Ok(())
    }
}

impl PaxosState for DiskState {
    type Commit = DiskCommit;

    fn load(&self) -> Result<Option<State>, StorageError> {
        let store = lock(&self.0);
        Ok(match store.fault {
            Some(Fault::FirstLoadIsDefault) => Some(store.medium.state.clone().unwrap_or_default()),
            Some(Fault::LoadGivesTheStateBefore) => store.before.clone(),
            _ => store.medium.state.clone(),
        })
    }

    fn store(&mut self, state: &State) -> Result<(), StorageError> {
        let store = &mut *lock(&self.0);
        let mut state = state.clone();
        store.stores += 1;
        match store.fault {
            Some(Fault::StateIsMergedWithTheLast) => {
                let last = store.now.state.clone().unwrap_or_default();
                state.next.extend(last.next.iter());
            }
            Some(Fault::FirstStateOfACommitCounts) if store.stores > 1 => return Ok(()),
            Some(Fault::DecidedIsCutTo32Bits) => state.decided &= u64::from(u32::MAX),
            Some(Fault::WideStatesAreCut) => {
                state.next = state.next.iter().take(256).collect();
            }
            Some(Fault::AcceptedRoundIsPromised) => state.accepted_round = state.promised,
            _ => {}
        }
        store.now.state = Some(state);
        if store.has(Fault::StateNeedsNoCommit) {
            store.medium.state.clone_from(&store.now.state);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<DiskCommit, StorageError> {
        let store = &mut *lock(&self.0);
        store.stores = 0;
        let last = store.sealed.back().unwrap_or(&store.medium);
        let mut content = store.now.clone();
        if content == *last && store.has(Fault::EmptyCommitsForget) {
            content = Content::default();
        }
        if content == *last && store.has(Fault::EmptyCommitsFail) {
            return Err(StorageError::Io { operation: Operation::Flush, detail: "empty".into() });
        }
        store.sealed.push_back(content.clone());
        if store.has(Fault::SealedIsDurable) {
            store.write(content);
        }
        Ok(DiskCommit(self.0.clone()))
    }
}

impl Commit for DiskCommit {
    fn run(self) -> Result<(), StorageError> {
        let store = &mut *lock(&self.0);
        let elsewhere = thread::current().id() != store.thread;
        let mut next = match store.fault {
            Some(Fault::RunsInReverse) => store.sealed.pop_back(),
            _ => store.sealed.pop_front(),
        };
        match store.fault {
            Some(Fault::RunDoesNothing) => return Ok(()),
            Some(Fault::RunElsewhereDoesNothing) if elsewhere => return Ok(()),
            Some(Fault::RunTakesOpenWritesAlong) => next = Some(store.now.clone()),
            Some(Fault::RunTakesAllThatIsSealed) => next = store.sealed.back().cloned().or(next),
            _ => {}
        }
        if let Some(content) = next {
            store.write(content);
        }
        Ok(())
    }
}

/// A backend with a fault, or without one.
pub(super) struct Faulty {
    fault: Option<Fault>,
}

impl Faulty {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        Self { fault }
    }
}

impl Backend for Faulty {
    type Sequence = DiskLog;
    type PaxosState = DiskState;

    fn create(&mut self) -> (DiskLog, DiskState) {
        let disk = Arc::new(Mutex::new(Store {
            fault: self.fault,
            now: Content::default(),
            sealed: VecDeque::new(),
            medium: Content::default(),
            before: None,
            stores: 0,
            openings: 0,
            thread: thread::current().id(),
        }));
        (DiskLog(disk.clone()), DiskState(disk))
    }

    fn reopen(&mut self, log: DiskLog, state: DiskState) -> (DiskLog, DiskState) {
        lock(&log.0).crash();
        (log, state)
    }
}

/// The same without a fault; the first commits that are sealed survive a crash.
pub(super) struct Eager;

impl Backend for Eager {
    type Sequence = DiskLog;
    type PaxosState = DiskState;
    const UNFLUSHED: Unflushed = Unflushed::SealedMaySurvive;

    fn create(&mut self) -> (DiskLog, DiskState) {
        Faulty::new(None).create()
    }

    fn reopen(&mut self, log: DiskLog, state: DiskState) -> (DiskLog, DiskState) {
        {
            let store = &mut *lock(&log.0);
            for _ in 0..store.sealed.len().div_ceil(2) {
                let content = store.sealed.pop_front().unwrap();
                store.write(content);
            }
            store.crash();
        }
        (log, state)
    }
}

/// The state as memory has it, the log as if it had lost all.
pub(super) struct Forgetful;

impl Backend for Forgetful {
    type Sequence = MemorySequence;
    type PaxosState = MemoryState;
    const UNFLUSHED: Unflushed = Unflushed::Kept;

    fn create(&mut self) -> (MemorySequence, MemoryState) {
        (MemorySequence::new(), MemoryState::new())
    }

    fn reopen(&mut self, _: MemorySequence, state: MemoryState) -> (MemorySequence, MemoryState) {
        (MemorySequence::new(), state)
    }
}
