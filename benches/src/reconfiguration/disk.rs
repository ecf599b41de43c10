//! Storage in memory that whoever serves it sees beside the replica that writes it.

use omnipaxos_core::digest::Block;
use omnipaxos_core::migration::{DonorLog, IndexRange, Ranges};
use omnipaxos_core::storage::{
    MemoryCommit, MemorySequence, MemoryState, PaxosState, Records, Sequence, State, Storage,
    StorageError,
};
use std::cell::RefCell;
use std::rc::Rc;

/// The log of one configuration at one server, and the state beside it. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    sequence: Rc<RefCell<MemorySequence>>,
    state: Rc<RefCell<MemoryState>>,
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk as the storage of a replica.
    #[must_use]
    pub fn storage(&self) -> Storage<Disk, Disk> {
        Storage::with(self.clone(), self.clone())
    }
}

impl Sequence for Disk {
    fn first_index(&self) -> u64 {
        self.sequence.borrow().first_index()
    }

    fn end_index(&self) -> u64 {
        self.sequence.borrow().end_index()
    }

    fn append(&mut self, records: Records) -> Result<(), StorageError> {
        self.sequence.borrow_mut().append(records)
    }

    fn truncate(&mut self, from: u64) -> Result<(), StorageError> {
        self.sequence.borrow_mut().truncate(from)
    }

    fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        self.sequence.borrow().read(from, to, max_cost)
    }

    fn trim(&mut self, to: u64) -> Result<(), StorageError> {
        self.sequence.borrow_mut().trim(to)
    }
}

impl PaxosState for Disk {
    type Commit = MemoryCommit;

    fn load(&self) -> Result<Option<State>, StorageError> {
        self.state.borrow().load()
    }

    fn store(&mut self, state: &State) -> Result<(), StorageError> {
        self.state.borrow_mut().store(state)
    }

    fn commit(&mut self) -> Result<MemoryCommit, StorageError> {
        self.state.borrow_mut().commit()
    }
}

/// What a server serves of one log: what is decided, and the blocks that it can list.
#[derive(Debug)]
pub struct Shelf<'a> {
    /// Where it is.
    pub disk: &'a Disk,
    /// The index after the last record that is decided.
    pub end: u64,
    /// The blocks of the log.
    pub blocks: &'a [Block],
}

impl DonorLog for Shelf<'_> {
    fn held(&self) -> Ranges {
        [IndexRange::new(self.disk.first_index(), self.end)].into_iter().collect()
    }

    fn first_index(&self) -> u64 {
        self.disk.first_index()
    }

    fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        Sequence::read(self.disk, from, to, max_cost)
    }

    fn blocks(&self) -> &[Block] {
        self.blocks
    }
}
