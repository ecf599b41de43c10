//! Making and opening a directory, and judging what is in it.

use super::error::{CreateError, FileError, OpenError};
use super::files::{Access, FileSystem, Lock};
use super::format::{Builder, Checkpoint, Item, Place};
use super::history;
use super::index::{Index, Piece, SegmentFile};
use super::members;
use super::meta::{self, Unread};
use super::model::Model;
use super::options::{Options, Owner};
use super::scan::{Scanned, Tail, scan};
use super::segment::{self, Room, Spare, number_of};
use super::suspicion::{self, Suspicion};
use super::writer::Writer;
use crate::identity::StorageId;
use omnipaxos_core::storage::ConfigId;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The format that this version writes.
const FORMAT: u32 = 1;
const IDENTITY: &str = "identity";
const LOCK: &str = "lock";
/// Zeros that are written at a time over what is cut off.
const ZEROS: usize = 64 << 10;

/// What an engine is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) writer: Writer,
    pub(super) owner: Owner,
    pub(super) storage_id: StorageId,
    pub(super) indexes: BTreeMap<ConfigId, Index>,
    pub(super) suspicion: Suspicion,
}

pub(super) fn create(dir: &Path, owner: Owner, options: Options) -> Result<Parts, CreateError> {
    options.check().map_err(CreateError::Options)?;
    let files = Arc::clone(&options.files);
    create_dir(&*files, dir)?;
    let lock = take_lock(&*files, dir, || CreateError::InUse { path: dir.to_path_buf() })?;
    let names = files.list(dir).map_err(FileError::of(dir, "listing the directory"))?;
    if names.iter().any(|name| name == IDENTITY) {
        return Err(CreateError::Exists { path: dir.to_path_buf() });
    }
    // A creation that was interrupted left its first segment, empty and without an owner.
    for name in names.iter().filter(|name| number_of(name).is_some()) {
        let path = dir.join(name);
        if name != "0000000001.log" || !is_unused(&*files, &path)? {
            return Err(CreateError::Leftover { path: dir.to_path_buf() });
        }
        files.remove(&path).map_err(FileError::of(&path, "removing a segment"))?;
    }
    if names.iter().any(|name| name == suspicion::NAME || name == history::NAME) {
        return Err(CreateError::Leftover { path: dir.to_path_buf() });
    }
    if names.iter().any(|name| name == members::NAME) && !members::is_empty(&*files, dir) {
        return Err(CreateError::Leftover { path: dir.to_path_buf() });
    }
    let storage_id = StorageId::random().map_err(|e| CreateError::Random(e.to_string()))?;
    let bytes = options.bytes_of(1);
    let place = Place::new(storage_id.get(), 1);
    let mut builder = Builder::default();
    builder.begin(0);
    let checkpoint = Checkpoint { segment_bytes: bytes, ..Checkpoint::default() };
    builder.push(place, &Item::Checkpoint(checkpoint))?;
    let frame = builder.finish(place, 1)?;
    let at = frame.len() as u64;
    let segment =
        Spare::prepare(&*files, dir, bytes, Room::Zeros)?.promote(&*files, dir, place, 1, frame)?;
    meta::write(&*files, dir, members::NAME, &[])?;
    let field = |key: &str, value: String| (key.to_owned(), value);
    let identity = [
        field("format", FORMAT.to_string()),
        field("cluster", owner.cluster_id.to_string()),
        field("pid", owner.pid.to_string()),
        field("storage", storage_id.to_string()),
    ];
    meta::write(&*files, dir, IDENTITY, &identity)?;
    let writer = Writer {
        dir: dir.to_path_buf(),
        options,
        storage_id: storage_id.get(),
        model: Model::default(),
        ends: BTreeMap::from([(1, at)]),
        segment,
        segment_bytes: bytes,
        at,
        sequence: 2,
        first: 1,
        builder,
        preparing: None,
        failed: None,
        _lock: lock,
    };
    let (indexes, suspicion) = (BTreeMap::new(), Suspicion::default());
    Ok(Parts { writer, owner, storage_id, indexes, suspicion })
}

/// Creates the directory and those above it, durably.
fn create_dir(files: &dyn FileSystem, dir: &Path) -> Result<(), FileError> {
    files.create_dir(dir).map_err(FileError::of(dir, "creating the directory"))?;
    // All of those above: an interrupted creation may have made any of them.
    for (distance, above) in dir.ancestors().skip(1).enumerate() {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match files.sync_dir(above) {
            // What this user may not even open has not been made by it.
            Err(e) if distance > 0 && e.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced.map_err(FileError::of(above, "making the directory durable"))?,
        }
    }
    Ok(())
}

/// Whether a segment holds nothing behind its first frame. Whose it is cannot be told without its
/// storage id, so this looks at where its bytes end.
fn is_unused(files: &dyn FileSystem, path: &Path) -> Result<bool, FileError> {
    let failed = FileError::of(path, "reading");
    let file = files.open(path, Access::Read).map_err(&failed)?;
    let size = file.size().map_err(&failed)?;
    let mut bytes = vec![0; ZEROS];
    let mut at = FIRST_FRAME_BYTES.min(size);
    while at < size {
        let length = (size - at).min(ZEROS as u64) as usize;
        meta::read_exact(&*file, &mut bytes[..length], at).map_err(&failed)?;
        if bytes[..length].iter().any(|b| *b != 0) {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}

/// At least what the first frame of a first segment takes, and less than any frame behind it ends
/// at.
const FIRST_FRAME_BYTES: u64 = 96;

fn take_lock<E: From<FileError>>(
    files: &dyn FileSystem,
    dir: &Path,
    in_use: impl FnOnce() -> E,
) -> Result<Arc<dyn Lock>, E> {
    let path = dir.join(LOCK);
    match files.lock(&path) {
        Ok(lock) => Ok(Arc::from(lock)),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(in_use()),
        Err(e) => Err(FileError::of(&path, "locking the directory")(e).into()),
    }
}

pub(super) fn open(dir: &Path, owner: Owner, options: Options) -> Result<Parts, OpenError> {
    options.check().map_err(OpenError::Options)?;
    let files = Arc::clone(&options.files);
    let missing = || OpenError::Missing { path: dir.to_path_buf() };
    let list = || match files.list(dir) {
        Ok(names) if names.iter().any(|name| name == IDENTITY) => Ok(names),
        Ok(_) => Err(missing()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(missing()),
        Err(e) => Err(FileError::of(dir, "listing the directory")(e).into()),
    };
    // A directory that is not ours gets no lock file.
    list()?;
    let lock = take_lock(&*files, dir, || OpenError::InUse { path: dir.to_path_buf() })?;
    // Whoever held the lock until now may have begun another segment.
    let names = list()?;
    let storage_id = read_identity(&*files, dir, owner)?;
    let mut suspicion =
        Suspicion::read(&*files, dir).map_err(|unread| believed(dir, "suspect", unread))?;
    for name in names.iter().filter(|name| name.ends_with(".tmp")) {
        let path = dir.join(name);
        files.remove(&path).map_err(FileError::of(&path, "removing the file"))?;
    }
    // The names that were found, and below the last frame, may never have reached the disk.
    files.sync_dir(dir).map_err(FileError::of(dir, "making the directory durable"))?;
    let opening = Opening { files: &*files, dir, storage_id };
    let numbers: Vec<u32> = names.iter().filter_map(|name| number_of(name)).collect();
    let Some(latest) = numbers.last().copied() else {
        return Err(damaged(dir, "the log is gone"));
    };
    let Latest { segment, checkpoint, model, scanned } = opening.read_latest(latest)?;
    if scanned.tail == Tail::Suspect {
        // Before the damaged frame goes: it is the only sign of what was lost.
        suspicion = Suspicion::about(model.groups.keys().copied().collect());
        suspicion.write(&*files, dir)?;
    }
    opening.settle(&segment, &scanned)?;
    let live = model.live_segments();
    let mut ends: BTreeMap<u32, u64> =
        checkpoint.segments.iter().copied().filter(|(n, _)| live.contains(n)).collect();
    ends.insert(latest, scanned.end);
    for number in numbers.iter().filter(|number| !ends.contains_key(number)) {
        let path = segment::path_of(dir, *number);
        files.remove(&path).map_err(FileError::of(&path, "removing a segment"))?;
    }
    let indexes = opening.indexes(&model, &ends, &options, None)?;
    if let Some((before, end)) = ends.range(..latest).next_back() {
        opening.seal(*before, *end, latest, &scanned)?;
    }
    let writer = Writer {
        dir: dir.to_path_buf(),
        storage_id: storage_id.get(),
        model,
        ends,
        segment,
        segment_bytes: checkpoint.segment_bytes,
        at: scanned.end,
        sequence: scanned.next.unwrap_or(1),
        first: scanned.first.unwrap_or(1),
        builder: Builder::default(),
        preparing: None,
        failed: None,
        options,
        _lock: lock,
    };
    Ok(Parts { writer, owner, storage_id, indexes, suspicion })
}

fn damaged(path: &Path, detail: impl Into<String>) -> OpenError {
    OpenError::Damaged { path: path.to_path_buf(), detail: detail.into() }
}

/// What an unreadable small file means.
fn believed(dir: &Path, name: &str, unread: Unread) -> OpenError {
    match unread {
        Unread::Missing => damaged(&dir.join(name), "the file is gone"),
        Unread::Damaged(detail) => damaged(&dir.join(name), detail),
        Unread::File(error) => error.into(),
    }
}

fn read_identity(files: &dyn FileSystem, dir: &Path, owner: Owner) -> Result<StorageId, OpenError> {
    let (found, storage_id) = identity(files, dir)?;
    let path = dir.to_path_buf();
    let Owner { cluster_id, pid } = found;
    if cluster_id != owner.cluster_id {
        let ours = owner.cluster_id;
        return Err(OpenError::OtherCluster { path, theirs: cluster_id, ours });
    }
    if pid != owner.pid {
        return Err(OpenError::OtherServer { path, theirs: pid, ours: owner.pid });
    }
    Ok(storage_id)
}

pub(super) fn owner_of(files: &dyn FileSystem, dir: &Path) -> Result<Owner, OpenError> {
    let missing = || OpenError::Missing { path: dir.to_path_buf() };
    match files.list(dir) {
        Ok(names) if names.iter().any(|name| name == IDENTITY) => {}
        Ok(_) => return Err(missing()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(missing()),
        Err(e) => return Err(FileError::of(dir, "listing the directory")(e).into()),
    }
    Ok(identity(files, dir)?.0)
}

/// What the identity file says.
fn identity(files: &dyn FileSystem, dir: &Path) -> Result<(Owner, StorageId), OpenError> {
    let path = dir.join(IDENTITY);
    let fields = meta::read(files, dir, IDENTITY).map_err(|e| believed(dir, IDENTITY, e))?;
    let fields = meta::by_key(&fields);
    let field = |key: &str| {
        fields.get(key).copied().ok_or_else(|| damaged(&path, format!("{key} is missing")))
    };
    let number = |key: &str| -> Result<u64, OpenError> {
        field(key)?.parse().map_err(|_| damaged(&path, format!("{key} is no number")))
    };
    let format = u32::try_from(number("format")?).unwrap_or(u32::MAX);
    if format > FORMAT {
        return Err(OpenError::NewerFormat { path, theirs: format, ours: FORMAT });
    }
    let owner = Owner { cluster_id: number("cluster")?, pid: number("pid")? };
    let id = u128::from_str_radix(field("storage")?, 16).ok().and_then(StorageId::new);
    Ok((owner, id.ok_or_else(|| damaged(&path, "the storage id is none"))?))
}

/// What the latest segment says.
struct Latest {
    segment: Arc<SegmentFile>,
    checkpoint: Checkpoint,
    model: Model,
    scanned: Scanned,
}

/// A directory that is being read.
pub(super) struct Opening<'a> {
    pub(super) files: &'a dyn FileSystem,
    pub(super) dir: &'a Path,
    pub(super) storage_id: StorageId,
}

/// Why a scan stopped.
enum Stop {
    File(io::Error),
    Item(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::File(error)
    }
}

impl Stop {
    fn at(self, segment: &SegmentFile) -> OpenError {
        match self {
            Stop::File(e) => FileError::of(&segment.path, "reading the segment")(e).into(),
            Stop::Item(detail) => damaged(&segment.path, detail),
        }
    }
}

impl Opening<'_> {
    fn segment(&self, number: u32) -> Result<Arc<SegmentFile>, OpenError> {
        let id = self.storage_id.get();
        match segment::open(self.files, self.dir, id, number, Access::Write) {
            Err(e) if e.kind == io::ErrorKind::NotFound => {
                Err(damaged(&e.path, "the segment is gone"))
            }
            other => Ok(other?),
        }
    }

    fn read_latest(&self, number: u32) -> Result<Latest, OpenError> {
        let segment = self.segment(number)?;
        let mut checkpoint = None;
        let mut model = Model::default();
        let mut successor = None;
        let scanned = scan(&*segment.file, segment.place, None, |item, _| {
            if let Item::Continued { segment } = &item {
                successor = Some(*segment);
            }
            match (item, &checkpoint) {
                (Item::Checkpoint(first), None) => {
                    model = Model::of(&first);
                    checkpoint = Some(first);
                    Ok(())
                }
                (item, Some(_)) => model.apply(number, &item).map_err(Stop::Item),
                (_, None) => Err(Stop::Item("the segment lacks its beginning".to_owned())),
            }
        })
        .map_err(|stop| stop.at(&segment))?;
        let damaged = |detail: String| damaged(&segment.path, detail);
        // A segment gets its name once its first frame is durable.
        let checkpoint = checkpoint.ok_or_else(|| damaged("the first frame is damaged".into()))?;
        let size = segment.file.size().map_err(FileError::of(&segment.path, "reading its size"))?;
        if size < checkpoint.segment_bytes {
            let had = checkpoint.segment_bytes;
            return Err(damaged(format!("the file has {size} bytes, it was created with {had}")));
        }
        if scanned.tail == Tail::Corrupt {
            let at = scanned.end;
            return Err(damaged(format!(
                "the frame at offset {at} is damaged, and later ones are not"
            )));
        }
        if let Some(next) = successor {
            return Err(damaged(format!("its successor, segment {next}, is gone")));
        }
        Ok(Latest { segment, checkpoint, model, scanned })
    }

    /// Makes the last valid frame durable, which its writer may not have lived to do, and
    /// overwrites what stands behind it, so that it is never taken for a frame.
    ///
    /// The frame is written again: after a failed fsync the system may hold it in memory and not
    /// know any more that the disk lacks it. The frames before it were durable when it was written.
    fn settle(&self, segment: &SegmentFile, scanned: &Scanned) -> Result<(), OpenError> {
        let failed = FileError::of(&segment.path, "making the last flush durable");
        let mut bytes = vec![0; ZEROS];
        let mut at = scanned.last;
        while at < scanned.end {
            let piece = &mut bytes[..(scanned.end - at).min(ZEROS as u64) as usize];
            meta::read_exact(&*segment.file, piece, at).map_err(&failed)?;
            segment.file.write_all_at(piece, at).map_err(&failed)?;
            at += piece.len() as u64;
        }
        let failed = FileError::of(&segment.path, "cutting off an unfinished flush");
        bytes.fill(0);
        while at < scanned.dirty {
            let zeros = &bytes[..(scanned.dirty - at).min(ZEROS as u64) as usize];
            segment.file.write_all_at(zeros, at).map_err(&failed)?;
            at += zeros.len() as u64;
        }
        Ok(segment.file.sync().map_err(&failed)?)
    }

    /// Names the latest segment in the one before it, where a crash came between the two.
    fn seal(&self, before: u32, end: u64, latest: u32, scanned: &Scanned) -> Result<(), OpenError> {
        let before = self.segment(before)?;
        if !segment::is_sealed(&before, end)? {
            segment::seal(&before, end, latest, scanned.first.unwrap_or_default())?;
        }
        Ok(())
    }

    /// The index of each configuration, or of one of them. Reads and checks every frame.
    pub(super) fn indexes(
        &self,
        model: &Model,
        ends: &BTreeMap<u32, u64>,
        options: &Options,
        only: Option<ConfigId>,
    ) -> Result<BTreeMap<ConfigId, Index>, OpenError> {
        let groups = model.groups.iter().filter(|(id, _)| only.is_none_or(|only| only == **id));
        let mut indexes: BTreeMap<ConfigId, Index> = groups
            .map(|(id, group)| (*id, Index::new(*id, group.first, options.cache_bytes)))
            .collect();
        for number in model.live_segments_of(only) {
            let segment = self.segment(number)?;
            let end = ends.get(&number).copied();
            let end = end.ok_or_else(|| damaged(&segment.path, "no checkpoint knows its end"))?;
            let scanned = scan(&*segment.file, segment.place, Some(end), |item, span| {
                let Item::Append { group, start, count } = item else {
                    return Ok::<(), Stop>(());
                };
                let live = model.groups.get(&group).and_then(|g| g.live.get(&number));
                if let (Some(index), Some((from, to))) = (indexes.get_mut(&group), live) {
                    index.replay(&segment, Piece { start, count, span }, *from, *to);
                }
                Ok(())
            })
            .map_err(|stop| stop.at(&segment))?;
            if scanned.end != end {
                let at = scanned.end;
                return Err(damaged(
                    &segment.path,
                    format!("the frame at offset {at} is damaged; frames went on to {end}"),
                ));
            }
        }
        for (id, index) in &indexes {
            let group = &model.groups[id];
            if index.bounds() != (group.first, group.end) {
                let (first, end) = (group.first, group.end);
                return Err(damaged(
                    self.dir,
                    format!("configuration {id} lacks some of its records [{first}, {end})"),
                ));
            }
        }
        Ok(indexes)
    }
}
