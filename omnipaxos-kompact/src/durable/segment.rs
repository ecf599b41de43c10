//! The files that hold the frames.

use super::error::FileError;
use super::files::{Access, FileSystem, RawFile};
use super::format::{Builder, FOOTER_BYTES, HEADER_BYTES, Header, Item, Place, read_frame};
use super::index::SegmentFile;
use super::meta::read_exact;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Zeros that are written at a time.
const ZEROS: usize = 1 << 20;

/// Room for the frame that names a segment's successor.
pub(super) const LAST_FRAME_BYTES: u64 = (HEADER_BYTES + FOOTER_BYTES + 32) as u64;

/// The segment that is being made ready.
const SPARE: &str = "spare.tmp";

pub(super) fn path_of(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:010}.log"))
}

/// The number of the segment that a file holds; `None` for any other file.
pub(super) fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".log")?;
    let plain = digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

pub(super) fn open(
    files: &dyn FileSystem,
    dir: &Path,
    storage_id: u128,
    number: u32,
    access: Access,
) -> Result<Arc<SegmentFile>, FileError> {
    let path = path_of(dir, number);
    let file = files.open(&path, access).map_err(FileError::of(&path, "opening the segment"))?;
    Ok(Arc::new(SegmentFile { path, number, place: Place::new(storage_id, number), file }))
}

/// Names the successor in a segment whose frames end at `end`, so that its loss is noticed.
/// `sequence` is that of the successor's first frame: the two say the same.
pub(super) fn seal(
    segment: &SegmentFile,
    end: u64,
    successor: u32,
    sequence: u64,
) -> Result<(), FileError> {
    let failed = FileError::of(&segment.path, "sealing the segment");
    let mut builder = Builder::default();
    builder.begin(end);
    let frame = builder
        .push(segment.place, &Item::Continued { segment: successor })
        .and_then(|()| builder.finish(segment.place, sequence))
        .map_err(io::Error::other)
        .map_err(&failed)?;
    segment.file.write_all_at(frame, end).and_then(|()| segment.file.sync()).map_err(&failed)
}

/// Whether a segment whose frames end at `end` names its successor.
pub(super) fn is_sealed(segment: &SegmentFile, end: u64) -> Result<bool, FileError> {
    let mut frame = [0; LAST_FRAME_BYTES as usize];
    match read_exact(&*segment.file, &mut frame, end) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(e) => return Err(FileError::of(&segment.path, "reading the segment")(e)),
    }
    let items = Header::read(segment.place, end, &frame).and_then(|header| {
        let frame = frame.get(..header.frame_bytes() as usize)?;
        read_frame(segment.place, end, header, frame)
    });
    Ok(items.is_some_and(|items| matches!(items[..], [(Item::Continued { .. }, _)])))
}

/// A file of zeros that has no name yet.
#[derive(Debug)]
pub(super) struct Spare {
    path: PathBuf,
    file: Box<dyn RawFile>,
    pub(super) bytes: u64,
}

/// How a segment gets its space before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// By writing zeros: later writes then change neither the size of the file nor where its blocks
    /// are, and making them durable is one write of the disk. Best for small flushes.
    Zeros,
    /// By reserving it, where the file system can: the first write to each block then changes
    /// metadata, but the disk writes everything once instead of twice. Best where flushes are so
    /// large that they are bound by the disk's bandwidth.
    Reserved,
}

impl Spare {
    pub(super) fn prepare(
        files: &dyn FileSystem,
        dir: &Path,
        bytes: u64,
        room: Room,
    ) -> Result<Self, FileError> {
        let path = dir.join(SPARE);
        let file = files
            .open(&path, Access::Create)
            .map_err(FileError::of(&path, "creating a segment"))?;
        make_room(&*file, bytes, room)
            .map_err(FileError::of(&path, "making room for a segment"))?;
        Ok(Self { path, file, bytes })
    }

    /// Gives it a name once its first frame is durable, so that a segment never lacks that.
    pub(super) fn promote(
        self,
        files: &dyn FileSystem,
        dir: &Path,
        place: Place,
        number: u32,
        first_frame: &[u8],
    ) -> Result<Arc<SegmentFile>, FileError> {
        let path = path_of(dir, number);
        let begun = self.file.write_all_at(first_frame, 0).and_then(|()| self.file.sync());
        let named = begun.and_then(|()| files.rename(&self.path, &path));
        named.map_err(FileError::of(&path, "beginning a segment"))?;
        files.sync_dir(dir).map_err(FileError::of(dir, "making the directory durable"))?;
        Ok(Arc::new(SegmentFile { path, number, place, file: self.file }))
    }
}

fn make_room(file: &dyn RawFile, bytes: u64, room: Room) -> io::Result<()> {
    if room == Room::Zeros || !file.allocate(bytes)? {
        let zeros = vec![0; ZEROS.min(bytes as usize)];
        let mut at = 0;
        while at < bytes {
            let length = (bytes - at).min(zeros.len() as u64);
            file.write_all_at(&zeros[..length as usize], at)?;
            at += length;
        }
    }
    file.sync()
}

/// A segment that is made ready on a thread of its own.
#[derive(Debug)]
pub(super) struct Preparing {
    thread: JoinHandle<Result<Spare, FileError>>,
}

impl Preparing {
    /// `None` where the system gives no thread: the segment is then made when it is needed.
    pub(super) fn start(
        files: Arc<dyn FileSystem>,
        dir: PathBuf,
        bytes: u64,
        room: Room,
    ) -> Option<Self> {
        std::thread::Builder::new()
            .name("prepare-segment".to_owned())
            .spawn(move || Spare::prepare(&*files, &dir, bytes, room))
            .ok()
            .map(|thread| Self { thread })
    }

    /// Waits for it; `None` where the thread panicked.
    pub(super) fn wait(self) -> Option<Result<Spare, FileError>> {
        self.thread.join().ok()
    }
}
