//! Durable storage that says on standard output which flush begins and which has ended.

use omnipaxos_core::storage::{
    Commit, ConfigId, Entry, PaxosState, ProposalId, Records, Sequence, State, StorageError,
};
use omnipaxos_kompact::durable::{DurableCommit, DurableSequence, DurableState};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A hash that is the same in every process.
#[must_use]
pub(super) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The digest of a log and the state beside it.
#[derive(Clone, Debug, Default)]
pub(super) struct Digest {
    first: u64,
    records: VecDeque<u64>,
    sum: u64,
    state: Option<u64>,
}

impl Digest {
    /// The digest of records at `[first, ..)` and a state.
    pub(super) fn of<'a>(
        first: u64,
        records: impl IntoIterator<Item = (ProposalId, &'a Entry)>,
        state: Option<&State>,
    ) -> Self {
        let mut digest = Self { first, state: state.map(hash), ..Self::default() };
        records.into_iter().for_each(|record| digest.push(record));
        digest
    }

    /// As a number.
    #[must_use]
    pub(super) fn value(&self) -> u64 {
        hash(&(self.first, self.records.len(), self.sum, self.state))
    }

    fn push(&mut self, record: (ProposalId, &Entry)) {
        let index = self.first + self.records.len() as u64;
        let hash = hash(&(index, record));
        self.sum = self.sum.wrapping_add(hash);
        self.records.push_back(hash);
    }

    fn truncate(&mut self, from: u64) {
        let keep = from.saturating_sub(self.first) as usize;
        while self.records.len() > keep {
            let hash = self.records.pop_back().unwrap_or_default();
            self.sum = self.sum.wrapping_sub(hash);
        }
    }

    fn trim(&mut self, to: u64) {
        while self.first < to {
            let hash = self.records.pop_front().unwrap_or_default();
            self.sum = self.sum.wrapping_sub(hash);
            self.first += 1;
        }
    }
}

/// What the two halves share.
#[derive(Debug)]
struct Shared {
    digest: Digest,
    server: u64,
    config_id: ConfigId,
    flushes: u64,
    stored_decided: u64,
    durable_decided: u64,
}

/// A handle on what is durable.
#[derive(Clone, Debug)]
pub(super) struct Durable(Arc<Mutex<Shared>>);

impl Durable {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The decided index in the durable state.
    #[must_use]
    pub(super) fn decided(&self) -> u64 {
        self.lock().durable_decided
    }
}

/// A [`DurableSequence`] that is reported on.
#[derive(Debug)]
pub(super) struct ReportedSequence {
    inner: DurableSequence,
    shared: Durable,
}

/// A [`DurableState`] that is reported on.
#[derive(Debug)]
pub(super) struct ReportedState {
    inner: DurableState,
    shared: Durable,
}

/// A flush that says when it begins and when it has ended.
#[derive(Debug)]
pub(super) struct ReportedCommit {
    inner: DurableCommit,
    shared: Durable,
    number: u64,
    digest: u64,
    decided: u64,
}

/// Wraps the storage of configuration `config_id` of a server.
///
/// # Errors
/// [`StorageError`] where it cannot be read.
pub(super) fn reported(
    server: u64,
    config_id: ConfigId,
    (sequence, state): (DurableSequence, DurableState),
) -> Result<(ReportedSequence, ReportedState, Durable), StorageError> {
    let (first, end) = (sequence.first_index(), sequence.end_index());
    let records = sequence.read(first, end, u64::MAX)?;
    let stored = state.load()?;
    let decided = stored.as_ref().map_or(0, |state| state.decided);
    let digest = Digest::of(first, records.iter(), stored.as_ref());
    let shared = Shared {
        digest,
        server,
        config_id,
        flushes: 0,
        stored_decided: decided,
        durable_decided: decided,
    };
    let shared = Durable(Arc::new(Mutex::new(shared)));
    let sequence = ReportedSequence { inner: sequence, shared: shared.clone() };
    Ok((sequence, ReportedState { inner: state, shared: shared.clone() }, shared))
}

impl Sequence for ReportedSequence {
    fn first_index(&self) -> u64 {
        self.inner.first_index()
    }

    fn end_index(&self) -> u64 {
        self.inner.end_index()
    }

    fn append(&mut self, records: Records) -> Result<(), StorageError> {
        let mut shared = self.shared.lock();
        records.iter().for_each(|record| shared.digest.push(record));
        self.inner.append(records)
    }

    fn truncate(&mut self, from: u64) -> Result<(), StorageError> {
        self.shared.lock().digest.truncate(from);
        self.inner.truncate(from)
    }

    fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        self.inner.read(from, to, max_cost)
    }

    fn trim(&mut self, to: u64) -> Result<(), StorageError> {
        self.shared.lock().digest.trim(to);
        self.inner.trim(to)
    }
}

impl PaxosState for ReportedState {
    type Commit = ReportedCommit;

    fn load(&self) -> Result<Option<State>, StorageError> {
        self.inner.load()
    }

    fn suspect(&self) -> bool {
        self.inner.suspect()
    }

    fn store(&mut self, state: &State) -> Result<(), StorageError> {
        let mut shared = self.shared.lock();
        shared.digest.state = Some(hash(state));
        shared.stored_decided = state.decided;
        self.inner.store(state)
    }

    fn commit(&mut self) -> Result<ReportedCommit, StorageError> {
        let inner = self.inner.commit()?;
        let mut shared = self.shared.lock();
        shared.flushes += 1;
        Ok(ReportedCommit {
            inner,
            shared: self.shared.clone(),
            number: shared.flushes,
            digest: shared.digest.value(),
            decided: shared.stored_decided,
        })
    }
}

impl Commit for ReportedCommit {
    fn run(self) -> Result<(), StorageError> {
        let (server, config_id) = {
            let shared = self.shared.lock();
            (shared.server, shared.config_id)
        };
        println!("begin {server} {config_id} {} {:x}", self.number, self.digest);
        self.inner.run()?;
        println!("end {server} {config_id} {}", self.number);
        self.shared.lock().durable_decided = self.decided;
        Ok(())
    }
}
