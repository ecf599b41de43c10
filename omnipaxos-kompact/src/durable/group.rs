//! The log and the state of one configuration, as a replica sees them.

use super::engine::Core;
use super::format::Item;
use super::index::Index;
use crate::wire::stored;
use bytes::Bytes;
use omnipaxos_core::storage::{
    Commit, ConfigId, Operation, PaxosState, Records, Sequence, State, StorageError,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A change that is not durable yet.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Append { id: u64, start: u64, records: Records },
    Truncate { from: u64 },
    Trim { to: u64 },
    State { state: Bytes },
    Remove,
}

impl Op {
    /// What a frame says of it, payloads aside.
    pub(super) fn item(&self, group: ConfigId) -> Item {
        match self {
            Op::Append { start, records, .. } => {
                // A log of more than 2^32 records in one append does not fit any memory.
                let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
                Item::Append { group, start: *start, count }
            }
            Op::Truncate { from } => Item::Truncate { group, from: *from },
            Op::Trim { to } => Item::Trim { group, to: *to },
            Op::State { state } => Item::State { group, state: state.clone() },
            Op::Remove => Item::Remove { group },
        }
    }
}

/// What one flush of one configuration writes.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) group: ConfigId,
    pub(super) shared: Shared,
    pub(super) ops: Vec<Op>,
}

/// What the two halves of a configuration's storage, and the writer, share.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) index: Index,
    pending: Vec<Op>,
}

/// A shared [`Group`].
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Mutex<Group>>);

impl Shared {
    pub(super) fn new(index: Index) -> Self {
        Self(Arc::new(Mutex::new(Group { index, pending: Vec::new() })))
    }

    /// No code panics while it holds the lock half way through a change.
    pub(super) fn lock(&self) -> MutexGuard<'_, Group> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by both halves; the configuration's storage is in use while it lives.
#[derive(Debug)]
pub(super) struct Lease {
    core: Arc<Core>,
    group: ConfigId,
}

impl Lease {
    pub(super) fn new(core: Arc<Core>, group: ConfigId) -> Arc<Self> {
        Arc::new(Self { core, group })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.core.release(self.group);
    }
}

/// The log of one configuration, in an [`Engine`](super::Engine).
#[derive(Debug)]
pub struct DurableSequence {
    shared: Shared,
    first: u64,
    end: u64,
    _lease: Arc<Lease>,
}

/// The state beside a [`DurableSequence`].
#[derive(Debug)]
pub struct DurableState {
    shared: Shared,
    lease: Arc<Lease>,
}

/// The two halves over one index.
pub(super) fn halves(shared: Shared, lease: Arc<Lease>) -> (DurableSequence, DurableState) {
    let (first, end) = shared.lock().index.bounds();
    let sequence =
        DurableSequence { shared: shared.clone(), first, end, _lease: Arc::clone(&lease) };
    (sequence, DurableState { shared, lease })
}

impl DurableSequence {
    fn check(&self, operation: Operation, from: u64, to: u64) -> Result<(), StorageError> {
        if self.first <= from && from <= to && to <= self.end {
            return Ok(());
        }
        Err(StorageError::Range { operation, from, to, first: self.first, end: self.end })
    }
}

impl Sequence for DurableSequence {
    fn first_index(&self) -> u64 {
        self.first
    }

    fn end_index(&self) -> u64 {
        self.end
    }

    fn append(&mut self, records: Records) -> Result<(), StorageError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut group = self.shared.lock();
        let id = group.index.append(records.clone());
        group.pending.push(Op::Append { id, start: self.end, records });
        self.end = group.index.bounds().1;
        Ok(())
    }

    fn truncate(&mut self, from: u64) -> Result<(), StorageError> {
        self.check(Operation::Truncate, from, from)?;
        if from < self.end {
            let mut group = self.shared.lock();
            group.index.truncate(from);
            group.pending.push(Op::Truncate { from });
            self.end = from;
        }
        Ok(())
    }

    fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        self.check(Operation::Read, from, to)?;
        self.shared.lock().index.read(from, to, max_cost)
    }

    fn trim(&mut self, to: u64) -> Result<(), StorageError> {
        self.check(Operation::Trim, to, to)?;
        if to > self.first {
            let mut group = self.shared.lock();
            group.index.trim(to);
            group.pending.push(Op::Trim { to });
            self.first = to;
        }
        Ok(())
    }
}

impl DurableState {
    /// The end of this configuration's storage.
    pub(super) fn removal(&self) -> Batch {
        let ops = vec![Op::Remove];
        Batch { group: self.lease.group, shared: self.shared.clone(), ops }
    }
}

impl PaxosState for DurableState {
    type Commit = DurableCommit;

    fn load(&self) -> Result<Option<State>, StorageError> {
        self.lease.core.state(self.lease.group)
    }

    fn suspect(&self) -> bool {
        self.lease.core.is_suspect(self.lease.group)
    }

    fn store(&mut self, state: &State) -> Result<(), StorageError> {
        let mut bytes = Vec::with_capacity(128);
        stored::write_value(&mut bytes, state)
            .map_err(|e| StorageError::Io { operation: Operation::Store, detail: e.to_string() })?;
        let state = Bytes::from(bytes);
        self.shared.lock().pending.push(Op::State { state });
        Ok(())
    }

    fn commit(&mut self) -> Result<DurableCommit, StorageError> {
        let ops = std::mem::take(&mut self.shared.lock().pending);
        let batch = Batch { group: self.lease.group, shared: self.shared.clone(), ops };
        Ok(DurableCommit { lease: Arc::clone(&self.lease), batch })
    }
}

/// One flush on its way to the disk.
#[derive(Debug)]
pub struct DurableCommit {
    lease: Arc<Lease>,
    batch: Batch,
}

impl Commit for DurableCommit {
    fn run(self) -> Result<(), StorageError> {
        self.lease.core.commit(self.batch)
    }
}
