//! A file system in memory, deterministic, with faults wherever a test wants them.
//!
//! It keeps what programs see apart from what is durable. Files become durable by their sync; names
//! by the sync of their directory. Operations that change something are numbered, and a [`Plan`]
//! says at which one what goes wrong.

use super::file::FileData;
use crate::sim::Rng;
use omnipaxos_kompact::durable::{Access, FileSystem, Lock, RawFile};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What goes wrong at one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before the operation.
    DieBefore,
    /// The process dies in it: of a write any prefix is there, anything else is done.
    DieWithin,
    /// The operation fails, a write after any prefix of it. Later ones succeed.
    Fail(io::ErrorKind),
}

/// Where something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The number of the operation, from 0.
    pub operation: u64,
    /// What happens there.
    pub fault: Fault,
}

/// How the machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: the system keeps what was written, durable or not.
    Kill,
    /// The power goes: of what was not synced some sectors survive, and of each directory's
    /// changes a prefix.
    Power,
}

/// A disk in memory. Clones share it.
#[derive(Clone, Debug)]
pub struct MemoryDisk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Dir,
    File(usize),
}

/// A change of a directory that is not durable yet.
#[derive(Clone, Debug)]
enum Change {
    Name(PathBuf, Node),
    Unname(PathBuf),
}

#[derive(Debug)]
struct Inner {
    rng: Rng,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    /// By directory; a rename within it is two changes that go together.
    changes: BTreeMap<PathBuf, Vec<Vec<Change>>>,
    files: Vec<FileData>,
    locks: BTreeSet<PathBuf>,
    /// Handles of earlier processes do nothing any more.
    process: u64,
    operations: u64,
    log: Vec<&'static str>,
    plan: Option<Plan>,
    dead: bool,
    /// What every operation that changes something fails with.
    refuses: Option<io::ErrorKind>,
}

#[derive(Debug)]
struct Handle {
    disk: MemoryDisk,
    file: usize,
    process: u64,
}

#[derive(Debug)]
struct Held {
    disk: MemoryDisk,
    path: PathBuf,
    process: u64,
}

/// What becomes of an operation.
enum Fate {
    Done,
    /// Only part of it, and then this error.
    Part(io::Error),
    /// All of it, and then this error.
    Whole(io::Error),
}

impl MemoryDisk {
    /// An empty disk; `seed` decides whatever faults leave to chance.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let root = BTreeMap::from([(PathBuf::from("/"), Node::Dir)]);
        let inner = Inner {
            rng: Rng::new(seed),
            names: root.clone(),
            durable_names: root,
            changes: BTreeMap::new(),
            files: Vec::new(),
            locks: BTreeSet::new(),
            process: 0,
            operations: 0,
            log: Vec::new(),
            plan: None,
            dead: false,
            refuses: None,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Nothing panics while it holds the lock half way through a change.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what goes wrong, and numbers operations from 0 again.
    pub fn plan(&self, plan: Option<Plan>) {
        let mut inner = self.lock();
        inner.plan = plan;
        inner.operations = 0;
        inner.log.clear();
    }

    /// Operations since the last plan.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// The operations since the last plan, by name.
    #[must_use]
    pub fn log(&self) -> Vec<&'static str> {
        self.lock().log.clone()
    }

    /// Lets everything that would change something fail with `kind`, or not any more.
    pub fn refuse(&self, kind: Option<io::ErrorKind>) {
        self.lock().refuses = kind;
    }

    /// The machine stops, and another process may begin.
    pub fn crash(&self, crash: Crash) {
        let mut inner = self.lock();
        inner.process += 1;
        inner.dead = false;
        inner.plan = None;
        inner.locks.clear();
        if crash == Crash::Power {
            inner.lose_power();
        }
    }

    /// A copy that goes its own way.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let inner = self.lock();
        let inner = Inner {
            rng: Rng::new(seed),
            names: inner.names.clone(),
            durable_names: inner.durable_names.clone(),
            changes: inner.changes.clone(),
            files: inner.files.clone(),
            locks: BTreeSet::new(),
            process: 0,
            operations: 0,
            log: Vec::new(),
            plan: None,
            dead: false,
            refuses: None,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// What a file holds.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`].
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let inner = self.lock();
        Ok(inner.files[inner.file(path)?].content().to_vec())
    }

    /// Replaces what a file holds, durably, behind everybody's back; creates it where there is
    /// none.
    pub fn write(&self, path: &Path, content: Vec<u8>) {
        let mut inner = self.lock();
        let file = inner.file(path).unwrap_or_else(|_| {
            inner.files.push(FileData::default());
            let node = Node::File(inner.files.len() - 1);
            inner.names.insert(path.to_owned(), node);
            inner.durable_names.insert(path.to_owned(), node);
            inner.files.len() - 1
        });
        inner.files[file].set(content);
    }

    /// Removes a file, durably, behind everybody's back.
    pub fn delete(&self, path: &Path) {
        let mut inner = self.lock();
        inner.names.remove(path);
        inner.durable_names.remove(path);
    }
}

impl Inner {
    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Node::File(file)) => Ok(*file),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Counts an operation of `process`, and says what becomes of it.
    fn begin(&mut self, process: u64, name: &'static str) -> io::Result<Fate> {
        self.alive(process)?;
        let number = self.operations;
        self.operations += 1;
        self.log.push(name);
        if let Some(kind) = self.refuses {
            return Err(kind.into());
        }
        match self.plan.filter(|plan| plan.operation == number).map(|plan| plan.fault) {
            None => Ok(Fate::Done),
            Some(Fault::DieBefore) => {
                self.dead = true;
                Err(gone())
            }
            Some(Fault::DieWithin) => {
                self.dead = true;
                Ok(if name == "write" { Fate::Part(gone()) } else { Fate::Whole(gone()) })
            }
            Some(Fault::Fail(kind)) if name == "write" || name == "sync" => {
                Ok(Fate::Part(kind.into()))
            }
            Some(Fault::Fail(kind)) => Err(kind.into()),
        }
    }

    fn alive(&self, process: u64) -> io::Result<()> {
        if self.dead || process != self.process { Err(gone()) } else { Ok(()) }
    }

    /// Changes names in one directory, atomically.
    fn change(&mut self, dir: &Path, changes: Vec<Change>) {
        apply(&mut self.names, &changes);
        self.changes.entry(dir.to_owned()).or_default().push(changes);
    }

    fn sync_dir(&mut self, dir: &Path) {
        for changes in self.changes.remove(dir).unwrap_or_default() {
            apply(&mut self.durable_names, &changes);
        }
    }

    fn lose_power(&mut self) {
        for changes in std::mem::take(&mut self.changes).into_values() {
            let survive = self.rng.between(0, changes.len() as u64) as usize;
            changes[..survive].iter().for_each(|change| apply(&mut self.durable_names, change));
        }
        // What lies in a directory that is gone is gone.
        let names = &mut self.durable_names;
        let lost: Vec<PathBuf> = names
            .keys()
            .filter(|path| path.ancestors().any(|above| !names.contains_key(above)))
            .cloned()
            .collect();
        for path in lost {
            names.remove(&path);
        }
        self.names.clone_from(names);
        for file in &mut self.files {
            file.lose_power(&mut self.rng);
        }
    }
}

fn apply(names: &mut BTreeMap<PathBuf, Node>, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Name(path, node) => drop(names.insert(path.clone(), *node)),
            Change::Unname(path) => drop(names.remove(path)),
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the process is gone")
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

fn then(fate: Fate) -> io::Result<()> {
    match fate {
        Fate::Done => Ok(()),
        Fate::Part(error) | Fate::Whole(error) => Err(error),
    }
}

impl FileSystem for MemoryDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        let process = inner.process;
        let fate = inner.begin(process, "create_dir")?;
        let mut new: Vec<&Path> =
            path.ancestors().take_while(|above| !inner.names.contains_key(*above)).collect();
        while let Some(dir) = new.pop() {
            inner.change(&parent(dir), vec![Change::Name(dir.to_owned(), Node::Dir)]);
        }
        then(fate)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let inner = self.lock();
        inner.alive(inner.process)?;
        if inner.names.get(path) != Some(&Node::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = inner.names.keys().filter(|name| name.parent() == Some(path));
        Ok(inside
            .filter_map(|name| Some(name.file_name()?.to_string_lossy().into_owned()))
            .collect())
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn RawFile>> {
        let mut inner = self.lock();
        let process = inner.process;
        let file = if access == Access::Create {
            let fate = inner.begin(process, "create")?;
            inner.files.push(FileData::default());
            let file = inner.files.len() - 1;
            inner.change(&parent(path), vec![Change::Name(path.to_owned(), Node::File(file))]);
            then(fate)?;
            file
        } else {
            inner.alive(process)?;
            if let (Access::Write, Some(kind)) = (access, inner.refuses) {
                return Err(kind.into());
            }
            inner.file(path)?
        };
        Ok(Box::new(Handle { disk: self.clone(), file, process }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        let process = inner.process;
        let fate = inner.begin(process, "rename")?;
        let file = inner.file(from)?;
        let named = Change::Name(to.to_owned(), Node::File(file));
        inner.change(&parent(to), vec![Change::Unname(from.to_owned()), named]);
        then(fate)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        let process = inner.process;
        let fate = inner.begin(process, "remove")?;
        inner.file(path)?;
        inner.change(&parent(path), vec![Change::Unname(path.to_owned())]);
        then(fate)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        let process = inner.process;
        let fate = inner.begin(process, "sync_dir")?;
        inner.sync_dir(path);
        then(fate)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut inner = MemoryDisk::lock(self);
        inner.alive(inner.process)?;
        if let Some(kind) = inner.refuses {
            return Err(kind.into());
        }
        if !inner.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let process = inner.process;
        Ok(Box::new(Held { disk: self.clone(), path: path.to_owned(), process }))
    }
}

impl RawFile for Handle {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.disk.lock();
        inner.alive(self.process)?;
        // Short reads are allowed: whoever reads has to go on.
        let length = buf.len().min(buf.len() / 2 + 512);
        Ok(inner.files[self.file].read_at(&mut buf[..length], offset))
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut inner = self.disk.lock();
        let fate = inner.begin(self.process, "write")?;
        let part = match fate {
            Fate::Part(_) => inner.rng.below(data.len() as u64 + 1) as usize,
            _ => data.len(),
        };
        inner.files[self.file].write_at(&data[..part], offset);
        then(fate)
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.lock();
        let fate = inner.begin(self.process, "sync")?;
        let Inner { files, rng, .. } = &mut *inner;
        match fate {
            Fate::Part(_) => files[self.file].sync_in_vain(rng),
            _ => files[self.file].sync(),
        }
        then(fate)
    }

    fn size(&self) -> io::Result<u64> {
        let inner = self.disk.lock();
        inner.alive(self.process)?;
        Ok(inner.files[self.file].size())
    }
}

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        let mut inner = self.disk.lock();
        if inner.process == self.process {
            inner.locks.remove(&self.path);
        }
    }
}
