//! One server's storage: a directory with a log that all its configurations share.

use super::error::{CreateError, FileError, GroupError, OpenError, RemoveError, TrustError};
use super::group::{Batch, DurableSequence, DurableState, Lease, Op, Shared, halves};
use super::history;
use super::index::Index;
use super::members::{self, DurableMembers};
use super::model::Model;
use super::open;
use super::options::{Options, Owner};
use super::suspicion::Suspicion;
use super::writer::Writer;
use crate::identity::StorageId;
use crate::wire::stored;
use bytes::Bytes;
use omnipaxos_core::paxos::{Paxos, PaxosConfig};
use omnipaxos_core::storage::{
    ConfigId, Operation, PaxosState, Sequence, State, StopSign, Storage, StorageError,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The storage of one server: one directory, one log of flushes that all its configurations share.
/// Cheap to clone; the directory stays locked until the last clone, and the last storage that came
/// from it, is dropped.
#[derive(Clone, Debug)]
pub struct Engine {
    core: Arc<Core>,
}

/// What an engine shares with the storage that it hands out.
#[derive(Debug)]
pub(super) struct Core {
    dir: PathBuf,
    options: Options,
    owner: Owner,
    storage_id: StorageId,
    groups: Mutex<Groups>,
    suspicion: Mutex<Suspicion>,
    members_in_use: AtomicBool,
    waiting: Mutex<Vec<Waiting>>,
    writer: Mutex<Writer>,
}

/// Who uses what.
#[derive(Debug)]
struct Groups {
    /// What opening has read and nobody has asked for yet.
    ready: BTreeMap<ConfigId, Index>,
    in_use: BTreeSet<ConfigId>,
}

/// A flush that waits for the writer.
#[derive(Debug)]
struct Waiting {
    batch: Batch,
    done: Arc<OnceLock<Result<(), StorageError>>>,
}

/// What a directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineStatus {
    /// The directory.
    pub dir: PathBuf,
    /// The configurations that have something stored.
    pub configurations: Vec<ConfigId>,
    /// Segments on disk.
    pub segments: usize,
    /// Bytes of frames in the segments, without the room that is still free in the latest.
    pub bytes: u64,
    /// The failure after which nothing is written any more.
    pub failed: Option<StorageError>,
}

/// A poisoned lock means a panic in the middle of something; what follows checks for itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Creates the storage of a new server: a random storage id, an empty log.
    ///
    /// Only for a server that never had any. One that lost its storage has forgotten its promises:
    /// it is replaced under a new pid.
    ///
    /// # Errors
    /// [`CreateError`], for instance where the directory has storage already.
    pub fn create(dir: &Path, owner: Owner, options: Options) -> Result<Self, CreateError> {
        let parts = open::create(dir, owner, options)?;
        Ok(Self::of(parts))
    }

    /// Opens what [`create`](Self::create) once made, and checks every byte of it.
    ///
    /// # Errors
    /// [`OpenError`], for instance where there is no storage, or that of another server, or
    /// something acknowledged is missing from it.
    pub fn open(dir: &Path, owner: Owner, options: Options) -> Result<Self, OpenError> {
        let parts = open::open(dir, owner, options)?;
        Ok(Self::of(parts))
    }

    /// Whose storage a directory is, for tools that are given nothing else.
    ///
    /// # Errors
    /// [`OpenError`] as for [`open`](Self::open).
    pub fn owner_of(dir: &Path, options: &Options) -> Result<Owner, OpenError> {
        open::owner_of(&*options.files, dir)
    }

    fn of(parts: open::Parts) -> Self {
        let open::Parts { writer, owner, storage_id, indexes, suspicion } = parts;
        let core = Core {
            dir: writer.dir.clone(),
            options: writer.options.clone(),
            owner,
            storage_id,
            groups: Mutex::new(Groups { ready: indexes, in_use: BTreeSet::new() }),
            suspicion: Mutex::new(suspicion),
            members_in_use: AtomicBool::new(false),
            waiting: Mutex::default(),
            writer: Mutex::new(writer),
        };
        Self { core: Arc::new(core) }
    }

    /// The random id that this storage was born with.
    #[must_use]
    pub fn storage_id(&self) -> StorageId {
        self.core.storage_id
    }

    /// Whose storage it is.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.core.owner
    }

    /// What this server knows of the others' storage, for its router.
    ///
    /// # Errors
    /// [`OpenError`] where that cannot be read, or while it is in use.
    pub fn members(&self) -> Result<DurableMembers, OpenError> {
        let core = &self.core;
        if core.members_in_use.swap(true, Ordering::AcqRel) {
            return Err(OpenError::InUse { path: core.dir.join(members::NAME) });
        }
        let files = Arc::clone(&core.options.files);
        DurableMembers::open(Arc::clone(core), files, core.dir.clone(), core.storage_id)
            .inspect_err(|_| core.release_members())
    }

    /// What was stored last with [`set_history`](Self::set_history); `None` where nothing was.
    ///
    /// # Errors
    /// [`OpenError`] where it cannot be read, or is not what was written.
    pub fn history(&self) -> Result<Option<Bytes>, OpenError> {
        history::read(&*self.core.options.files, &self.core.dir)
    }

    /// Stores what this server knows of the configurations, in the place of what it knew before,
    /// and returns once that is durable.
    ///
    /// # Errors
    /// [`StorageError`]: the old value or the new one is there then.
    pub fn set_history(&self, value: &[u8]) -> Result<(), StorageError> {
        let written = history::write(&*self.core.options.files, &self.core.dir, value);
        written.map_err(|e| e.storage(Operation::Store))
    }

    /// The configurations that have something stored, in ascending order.
    #[must_use]
    pub fn configurations(&self) -> Vec<ConfigId> {
        lock(&self.core.writer).model.groups.keys().copied().collect()
    }

    /// The storage of a configuration, for its replica: what is stored of it, or empty.
    ///
    /// # Errors
    /// [`GroupError`] while the storage of that configuration is in use elsewhere, or after the
    /// engine failed.
    pub fn storage(
        &self,
        config_id: ConfigId,
    ) -> Result<Storage<DurableSequence, DurableState>, GroupError> {
        let (sequence, state) = self.parts(config_id)?;
        Ok(Storage::with(sequence, state))
    }

    /// As [`storage`](Self::storage), the two halves alone.
    ///
    /// # Errors
    /// As [`storage`](Self::storage).
    pub fn parts(
        &self,
        config_id: ConfigId,
    ) -> Result<(DurableSequence, DurableState), GroupError> {
        let core = &self.core;
        let mut groups = lock(&core.groups);
        if groups.in_use.contains(&config_id) {
            return Err(GroupError::InUse(config_id));
        }
        let (model, ends) = {
            let writer = lock(&core.writer);
            if let Some(error) = &writer.failed {
                return Err(error.clone().into());
            }
            (writer.model.clone(), writer.ends.clone())
        };
        groups.in_use.insert(config_id);
        let ready = groups.ready.remove(&config_id);
        drop(groups);
        // From here on it is in use: nobody else takes it, and none of its segments goes.
        let lease = Lease::new(Arc::clone(core), config_id);
        let index = match ready {
            Some(index) => index,
            // Used before: what was not flushed then is forgotten, as in a crash.
            None => core.read_again(&model, &ends, config_id)?,
        };
        Ok(halves(Shared::new(index), lease))
    }

    /// The StopSign that sealed the log of a configuration, where that is durable here.
    ///
    /// # Errors
    /// As [`storage`](Self::storage): not while a replica uses it.
    pub fn sealed(&self, config_id: ConfigId) -> Result<Option<StopSign>, GroupError> {
        let (sequence, state) = self.parts(config_id)?;
        Ok(stop_sign(&sequence, &state)?)
    }

    /// Removes a configuration whose log is sealed and that no migration needs any more: gives its
    /// space back. Blocks until that is durable.
    ///
    /// # Errors
    /// [`RemoveError`]; nothing is removed then, unless the engine failed.
    pub fn remove(&self, config_id: ConfigId) -> Result<(), RemoveError> {
        if self.configurations().last() == Some(&config_id) {
            return Err(RemoveError::Latest(config_id));
        }
        if !self.configurations().contains(&config_id) {
            return Err(RemoveError::Unknown(config_id));
        }
        let (sequence, state) = self.parts(config_id).map_err(|e| match e {
            GroupError::InUse(group) => RemoveError::InUse(group),
            GroupError::Open(error) => RemoveError::Open(error),
            GroupError::Storage(error) => RemoveError::Storage(error),
        })?;
        if stop_sign(&sequence, &state)?.is_none() {
            return Err(RemoveError::NotSealed(config_id));
        }
        Ok(self.core.commit(state.removal())?)
    }

    /// The configurations that may have lost their last flush and have not got their vote back from
    /// the others yet.
    ///
    /// # Errors
    /// [`GroupError`] where that cannot be read.
    pub fn suspects(&self) -> Result<Vec<ConfigId>, GroupError> {
        let suspicion = lock(&self.core.suspicion).clone();
        let mut suspects = Vec::new();
        for config_id in self.configurations() {
            let state = self.core.state(config_id)?;
            if suspicion.concerns(config_id) || state.is_some_and(|state| state.recovering) {
                suspects.push(config_id);
            }
        }
        Ok(suspects)
    }

    /// The operator's last resort where so many servers are suspect that no quorum is left: makes
    /// the replicas vote on what this storage holds. **Can lose acknowledged entries**: see
    /// [`Storage::trust_suspect`]. Returns the configurations that were suspect. Not while replicas
    /// use the storage.
    ///
    /// # Errors
    /// [`TrustError`]; what was trusted before it stays so.
    pub fn trust_suspect(&self) -> Result<Vec<ConfigId>, TrustError> {
        let suspects = self.suspects()?;
        for config_id in &suspects {
            let storage = self.storage(*config_id)?.trust_suspect();
            // A replica that is alone for the moment of its opening: it has nobody to speak to.
            let pid = self.core.owner.pid;
            let opened = Paxos::try_with(*config_id, pid, vec![], storage, PaxosConfig::default());
            if let Some(flush) = opened?.begin_flush() {
                flush.run()?;
            }
        }
        let mut suspicion = lock(&self.core.suspicion);
        let cleared = suspicion.clear(&*self.core.options.files, &self.core.dir);
        cleared.map_err(|e| e.storage(Operation::Store))?;
        Ok(suspects)
    }

    /// The state of a configuration as the last flush left it; `None` where nothing is stored.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] where it cannot be understood.
    pub fn state(&self, config_id: ConfigId) -> Result<Option<State>, StorageError> {
        self.core.state(config_id)
    }

    /// What the directory holds.
    #[must_use]
    pub fn status(&self) -> EngineStatus {
        let writer = lock(&self.core.writer);
        EngineStatus {
            dir: self.core.dir.clone(),
            configurations: writer.model.groups.keys().copied().collect(),
            segments: writer.ends.len(),
            bytes: writer.ends.values().sum(),
            failed: writer.failed.clone(),
        }
    }
}

/// Whether a flush shows that no configuration behind its own had begun when the storage became
/// suspect: a replica that others have synchronised since then has every StopSign that was chosen.
fn shows_no_successor(batch: &Batch) -> Result<bool, StorageError> {
    let state = batch.ops.iter().rev().find_map(|op| match op {
        Op::State { state } => Some(state),
        _ => None,
    });
    let Some(state) = state else {
        return Ok(false);
    };
    let state: State = stored::read_value(state).map_err(|e| StorageError::Corrupt {
        operation: Operation::Flush,
        detail: format!("the state of configuration {}: {e}", batch.group),
    })?;
    let mut group = batch.shared.lock();
    let (first, end) = group.index.bounds();
    let sealed = first < end && group.index.read(end - 1, end, 0)?.stop_sign().is_some();
    Ok(!state.recovering && !sealed)
}

/// The durably decided StopSign that ends a log.
fn stop_sign(
    sequence: &DurableSequence,
    state: &DurableState,
) -> Result<Option<StopSign>, StorageError> {
    let end = sequence.end_index();
    let decided = state.load()?.is_some_and(|state| state.decided == end);
    if !decided || end == sequence.first_index() {
        return Ok(None);
    }
    Ok(sequence.read(end - 1, end, 0)?.stop_sign().cloned())
}

impl Core {
    /// Makes a batch durable, together with whatever waits: one frame, one fsync.
    pub(super) fn commit(&self, batch: Batch) -> Result<(), StorageError> {
        let done = Arc::new(OnceLock::new());
        let concerned = batch.group;
        lock(&self.waiting).push(Waiting { batch, done: Arc::clone(&done) });
        let Ok(mut writer) = self.writer.lock() else {
            return Err(StorageError::Io {
                operation: Operation::Flush,
                detail: format!("{}: an earlier flush panicked", self.dir.display()),
            });
        };
        if let Some(result) = done.get() {
            return result.clone();
        }
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        let (batches, done): (Vec<_>, Vec<_>) =
            waiting.into_iter().map(|w| (w.batch, w.done)).unzip();
        let mut result = writer.write(&batches);
        if result.is_ok() {
            result = self.not_suspect_any_more(&batches).inspect_err(|error| {
                writer.failed = Some(error.clone());
            });
        }
        for done in done {
            // Set here only.
            let _ = done.set(result.clone());
        }
        debug_assert!(batches.iter().any(|batch| batch.group == concerned));
        result
    }

    /// A configuration whose suspicion its replica has made durable carries it itself from now on.
    fn not_suspect_any_more(&self, batches: &[Batch]) -> Result<(), StorageError> {
        let mut suspicion = lock(&self.suspicion);
        let failed = |e: FileError| e.storage(Operation::Flush);
        let files = &*self.options.files;
        for batch in batches {
            if batch.ops.iter().any(|op| matches!(op, Op::State { .. } | Op::Remove)) {
                suspicion.passed_on(files, &self.dir, batch.group).map_err(failed)?;
            }
            if suspicion.may_follow(batch.group) && shows_no_successor(batch)? {
                suspicion.nothing_follows(files, &self.dir).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Whether a configuration may have lost its last flush, and does not carry that itself yet.
    pub(super) fn is_suspect(&self, group: ConfigId) -> bool {
        lock(&self.suspicion).concerns(group)
    }

    /// The state of a configuration that the frames so far have.
    pub(super) fn state(&self, group: ConfigId) -> Result<Option<State>, StorageError> {
        let bytes: Option<Bytes> =
            lock(&self.writer).model.groups.get(&group).and_then(|group| group.state.clone());
        let read = |bytes: &Bytes| {
            stored::read_value(bytes).map_err(|e| StorageError::Corrupt {
                operation: Operation::Load,
                detail: format!("{}: the state of configuration {group}: {e}", self.dir.display()),
            })
        };
        bytes.as_ref().map(read).transpose()
    }

    /// Nobody uses the file of members any more.
    pub(super) fn release_members(&self) {
        self.members_in_use.store(false, Ordering::Release);
    }

    /// Nobody uses the storage of a configuration any more.
    pub(super) fn release(&self, group: ConfigId) {
        lock(&self.groups).in_use.remove(&group);
    }

    /// The index of a configuration, from the disk.
    fn read_again(
        &self,
        model: &Model,
        ends: &BTreeMap<u32, u64>,
        group: ConfigId,
    ) -> Result<Index, GroupError> {
        let files = &*self.options.files;
        let opening = open::Opening { files, dir: &self.dir, storage_id: self.storage_id };
        let mut indexes = opening.indexes(model, ends, &self.options, Some(group))?;
        let empty = || Index::new(group, 0, self.options.cache_bytes);
        Ok(indexes.remove(&group).unwrap_or_else(empty))
    }
}
