//! A disk that forgets what was not flushed, fills up, fails, and, when told to, lies.
//!
//! One store lies behind both halves of a backend. What the replica reads is `cache`; what a crash
//! leaves is `medium`, plus any prefix of the commits that were under way: a commit is there as a
//! whole, or (torn) not at all.

use super::image::{Image, Op};
use super::rng::Rng;
use omnipaxos_core::storage::{
    Commit, Operation, PaxosState, Records, Sequence, State, Storage, StorageError,
};
use std::cell::{Ref, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// How a disk betrays its replica (planted faults only).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lie {
    /// Not at all.
    #[default]
    None,
    /// Reports a flush that has not happened: it reaches the medium with the next one.
    Flush,
    /// A crash may keep the log of the last commit and lose its state.
    Torn,
    /// Opening shows an older promise than the one that was written.
    OldPromise,
    /// Opening does not say that the last flush is missing.
    Unsuspecting,
}

#[derive(Debug, Default)]
struct Store {
    cache: Image,
    medium: Image,
    /// The state on the medium before the last commit that changed it.
    earlier: Option<State>,
    /// Whether `before` is kept.
    forgetful: bool,
    /// The medium before the flush that was acknowledged last.
    before: Option<Box<Image>>,
    /// That flush is missing, and nothing was written since.
    suspect: bool,
    /// The medium before such a loss, until the replica has recovered from it.
    lost: Option<Box<Image>>,
    open: Vec<Op>,
    sealed: VecDeque<(u64, Vec<Op>)>,
    commits: u64,
    /// Entries that still fit; no limit when `None`.
    room: Option<u64>,
    flush_fails: bool,
    lie: Lie,
    cuts: u64,
    trims: u64,
}

/// One replica's disk. Clones are handles to the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Rc<RefCell<Store>>);

/// The log's half of a [`Disk`].
#[derive(Clone, Debug)]
pub struct DiskLog(Rc<RefCell<Store>>);

/// The state's half of a [`Disk`].
#[derive(Clone, Debug)]
pub struct DiskState(Rc<RefCell<Store>>);

/// A commit on its way to the medium.
#[derive(Debug)]
pub struct DiskCommit {
    store: Rc<RefCell<Store>>,
    id: u64,
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new(lie: Lie) -> Self {
        let disk = Self::default();
        disk.0.borrow_mut().lie = lie;
        disk
    }

    /// Storage over this disk.
    #[must_use]
    pub fn storage(&self) -> Storage<DiskLog, DiskState> {
        Storage::with(DiskLog(self.0.clone()), DiskState(self.0.clone()))
    }

    /// Another disk with the same content: what is on the medium.
    #[must_use]
    pub fn copy_medium(&self) -> Self {
        let copy = Self::default();
        copy.0.borrow_mut().medium = self.medium().clone();
        copy.0.borrow_mut().cache = self.medium().clone();
        copy
    }

    /// What a crash would leave.
    #[must_use]
    pub fn medium(&self) -> Ref<'_, Image> {
        Ref::map(self.0.borrow(), |store| &store.medium)
    }

    /// What the replica reads.
    #[must_use]
    pub fn cache(&self) -> Ref<'_, Image> {
        Ref::map(self.0.borrow(), |store| &store.cache)
    }

    /// How often entries were cut off the end of the log.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.0.borrow().cuts
    }

    /// How often a decided prefix was removed.
    #[must_use]
    pub fn trims(&self) -> u64 {
        self.0.borrow().trims
    }

    /// The next flush fails; whether it reached the medium nobody knows.
    pub fn fail_next_flush(&self) {
        self.0.borrow_mut().flush_fails = true;
    }

    /// Ends all faults that are to come.
    pub fn mend(&self) {
        let mut store = self.0.borrow_mut();
        store.room = None;
        store.flush_fails = false;
    }

    /// From now on this disk can [lose its last flush](Self::lose_last_flush).
    pub fn forgetful(&self) {
        self.0.borrow_mut().forgetful = true;
    }

    /// A crash, after which the flush that was acknowledged last is missing, and the next opening
    /// is told so. `false` when there is none to lose.
    pub fn lose_last_flush(&self) -> bool {
        let mut store = self.0.borrow_mut();
        let Some(before) = store.before.take() else {
            return false;
        };
        let lost = std::mem::replace(&mut store.medium, *before);
        if store.lie != Lie::Unsuspecting {
            // While it recovers it votes on nothing: what counts is what it had before.
            store.lost.get_or_insert(Box::new(lost));
            store.suspect = true;
        }
        store.sealed.clear();
        store.open.clear();
        store.flush_fails = false;
        store.cache = store.medium.clone();
        true
    }

    /// Whether what is on this disk does not count: a flush of it is missing, and the replica has
    /// not recovered from that.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        let store = self.0.borrow();
        store.suspect || store.medium.state.as_ref().is_some_and(|state| state.recovering)
    }

    /// What was on the medium before a flush of it went missing, until the replica has recovered.
    #[must_use]
    pub fn lost(&self) -> Option<Ref<'_, Image>> {
        Ref::filter_map(self.0.borrow(), |store| store.lost.as_deref()).ok()
    }

    /// How many more entries fit.
    pub fn set_room(&self, room: Option<u64>) {
        self.0.borrow_mut().room = room;
    }

    /// The process is gone: what was not flushed is lost, except for a prefix of the commits that
    /// were under way. Returns how many of them survived and how many did not.
    pub fn crash(&self, rng: &mut Rng) -> (u64, u64) {
        let mut store = self.0.borrow_mut();
        let under_way = store.sealed.len() as u64;
        let survive = match store.lie {
            Lie::Flush => 0,
            _ => rng.between(0, under_way),
        };
        for _ in 0..survive {
            store.complete_next();
        }
        if store.lie == Lie::Torn && rng.chance(50) {
            store.medium.state = store.earlier.clone();
            store.medium.repair();
        }
        store.sealed.clear();
        store.open.clear();
        store.flush_fails = false;
        store.cache = store.medium.clone();
        (survive, under_way - survive)
    }
}

impl Store {
    fn write(&mut self, op: Op) {
        self.cache.apply(&op);
        self.open.push(op);
    }

    fn complete_next(&mut self) {
        let Some((_, ops)) = self.sealed.pop_front() else {
            return;
        };
        if ops.iter().any(|op| matches!(op, Op::Store(_))) {
            self.earlier = self.medium.state.clone();
        }
        for op in &ops {
            self.medium.apply(op);
        }
        self.suspect = false;
        if self.medium.state.as_ref().is_none_or(|state| !state.recovering) {
            self.lost = None;
        }
    }
}

impl Sequence for DiskLog {
    fn first_index(&self) -> u64 {
        self.0.borrow().cache.first()
    }

    fn end_index(&self) -> u64 {
        self.0.borrow().cache.end()
    }

    fn append(&mut self, records: Records) -> Result<(), StorageError> {
        let mut store = self.0.borrow_mut();
        if let Some(room) = &mut store.room {
            match room.checked_sub(records.len()) {
                Some(left) => *room = left,
                None => {
                    return Err(StorageError::Full {
                        operation: Operation::Append,
                        detail: "the simulated disk is full".to_owned(),
                    });
                }
            }
        }
        store.write(Op::Append(records));
        Ok(())
    }

    fn truncate(&mut self, from: u64) -> Result<(), StorageError> {
        let mut store = self.0.borrow_mut();
        store.cache.check(Operation::Truncate, from, from)?;
        store.cuts += u64::from(from < store.cache.end());
        store.write(Op::Truncate(from));
        Ok(())
    }

    fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        self.0.borrow().cache.read(from, to, max_cost)
    }

    fn trim(&mut self, to: u64) -> Result<(), StorageError> {
        let mut store = self.0.borrow_mut();
        store.cache.check(Operation::Trim, to, to)?;
        store.trims += 1;
        store.write(Op::Trim(to));
        Ok(())
    }
}

impl PaxosState for DiskState {
    type Commit = DiskCommit;

    fn load(&self) -> Result<Option<State>, StorageError> {
        let store = self.0.borrow();
        let mut state = store.medium.state.clone();
        if store.lie == Lie::OldPromise
            && let Some(state) = &mut state
        {
            state.promised = state.accepted_round.max(state.decided_round);
        }
        Ok(state)
    }

    fn suspect(&self) -> bool {
        self.0.borrow().suspect
    }

    fn store(&mut self, state: &State) -> Result<(), StorageError> {
        self.0.borrow_mut().write(Op::Store(Box::new(state.clone())));
        Ok(())
    }

    fn commit(&mut self) -> Result<DiskCommit, StorageError> {
        let mut store = self.0.borrow_mut();
        store.commits += 1;
        let id = store.commits;
        let ops = std::mem::take(&mut store.open);
        store.sealed.push_back((id, ops));
        let store = self.0.clone();
        Ok(DiskCommit { store, id })
    }
}

impl Commit for DiskCommit {
    fn run(self) -> Result<(), StorageError> {
        let mut store = self.store.borrow_mut();
        if std::mem::take(&mut store.flush_fails) {
            // It stays under way: the crash that follows decides whether it got there.
            return Err(StorageError::Io {
                operation: Operation::Flush,
                detail: "the simulated flush failed".to_owned(),
            });
        }
        let through = match store.lie {
            Lie::Flush => self.id.saturating_sub(1),
            _ => self.id,
        };
        if store.forgetful {
            store.before = Some(Box::new(store.medium.clone()));
        }
        while store.sealed.front().is_some_and(|(id, _)| *id <= through) {
            store.complete_next();
        }
        Ok(())
    }
}
