//! The one place that writes frames.

use super::error::FileError;
use super::files::Lock;
use super::format::{Builder, Item, Place};
use super::group::{Batch, Op};
use super::index::{Piece, SegmentFile};
use super::model::Model;
use super::options::Options;
use super::segment::{LAST_FRAME_BYTES, Preparing, Room, Spare};
use omnipaxos_core::storage::{Operation, StorageError};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes from which on flushes are bound by the disk's bandwidth rather than by its latency.
const LARGE_FLUSH: u64 = 64 << 10;

/// Memory that the buffer of frames keeps.
const BUFFER_BYTES: usize = 8 << 20;

/// Writes frames at the end of the latest segment, and begins the next one.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) dir: PathBuf,
    pub(super) options: Options,
    pub(super) storage_id: u128,
    /// What the frames so far say.
    pub(super) model: Model,
    /// Where the frames of each segment that still exists end.
    pub(super) ends: BTreeMap<u32, u64>,
    pub(super) segment: Arc<SegmentFile>,
    pub(super) segment_bytes: u64,
    /// Where the next frame goes, and its number.
    pub(super) at: u64,
    pub(super) sequence: u64,
    /// The number of the present segment's first frame.
    pub(super) first: u64,
    pub(super) builder: Builder,
    pub(super) preparing: Option<Preparing>,
    /// The first failure: nothing is known about the disk from then on.
    pub(super) failed: Option<StorageError>,
    pub(super) _lock: Arc<dyn Lock>,
}

impl Writer {
    /// Makes batches durable as one frame.
    pub(super) fn write(&mut self, batches: &[Batch]) -> Result<(), StorageError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.try_write(batches);
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }

    fn try_write(&mut self, batches: &[Batch]) -> Result<(), StorageError> {
        let located = match self.write_here(batches)? {
            Some(located) => located,
            None => {
                self.roll()?;
                self.write_here(batches)?.ok_or_else(|| StorageError::Io {
                    operation: Operation::Flush,
                    detail: "a frame does not fit the segment that was made for it".to_owned(),
                })?
            }
        };
        let mut given_back = false;
        for batch in batches {
            for op in &batch.ops {
                given_back |= !matches!(op, Op::Append { .. } | Op::State { .. });
                // What was written here follows from what is in memory: it was checked there.
                let applied = self.model.apply(self.segment.number, &op.item(batch.group));
                debug_assert_eq!(applied, Ok(()));
            }
        }
        for (batch, pieces) in batches.iter().zip(located) {
            let mut group = batch.shared.lock();
            for (id, pieces) in pieces {
                group.index.located(id, &self.segment, pieces);
            }
        }
        self.prepare_ahead();
        if given_back {
            self.remove_dead_segments()?;
        }
        Ok(())
    }

    /// Writes the frame into the present segment and waits for the disk; `None` where it does not
    /// fit.
    fn write_here(&mut self, batches: &[Batch]) -> Result<Option<Vec<Located>>, StorageError> {
        let place = self.segment.place;
        self.builder.begin(self.at);
        let mut located = Vec::with_capacity(batches.len());
        for batch in batches {
            let mut of_batch = Located::new();
            for op in &batch.ops {
                match op {
                    Op::Append { id, start, records } => {
                        let mut pieces = Vec::with_capacity(1);
                        let note = |start, count, span| pieces.push(Piece { start, count, span });
                        self.builder.push_records(place, batch.group, *start, records, note)?;
                        of_batch.push((*id, pieces));
                    }
                    _ => self.builder.push(place, &op.item(batch.group))?,
                }
            }
            located.push(of_batch);
        }
        let frame = self.builder.finish(place, self.sequence)?;
        let end = self.at + frame.len() as u64;
        if end + LAST_FRAME_BYTES > self.segment_bytes {
            return Ok(None);
        }
        put(&self.segment, frame, self.at, "writing a flush")?;
        self.builder.shrink(BUFFER_BYTES);
        self.at = end;
        self.sequence += 1;
        self.ends.insert(self.segment.number, end);
        Ok(Some(located))
    }

    /// Begins the next segment, large enough for the frame that was built last.
    fn roll(&mut self) -> Result<(), StorageError> {
        let number = self.segment.number.checked_add(1).ok_or_else(|| StorageError::Full {
            operation: Operation::Flush,
            detail: "no segment numbers are left".to_owned(),
        })?;
        let place = Place::new(self.storage_id, number);
        let needed = self.builder.frame_bytes() + self.checkpoint_bytes() + LAST_FRAME_BYTES;
        let bytes = self.options.bytes_of(number).max(needed.next_multiple_of(4096));
        let spare = self.spare(bytes)?;
        let bytes = spare.bytes;
        let mut builder = Builder::default();
        builder.begin(0);
        let checkpoint = self.model.checkpoint(bytes, &self.ends);
        builder.push(place, &Item::Checkpoint(checkpoint))?;
        let first = builder.finish(place, self.sequence)?;
        let files = Arc::clone(&self.options.files);
        let to_storage = |e: FileError| e.storage(Operation::Flush);
        let next = spare.promote(&*files, &self.dir, place, number, first).map_err(to_storage)?;
        self.first = self.sequence;
        self.sequence += 1;
        self.at = first.len() as u64;
        let old = std::mem::replace(&mut self.segment, next);
        self.segment_bytes = bytes;
        self.ends.insert(number, self.at);
        self.seal(&old, number)
    }

    /// Names the successor in a segment that is full, so that its loss is noticed.
    fn seal(&mut self, old: &SegmentFile, next: u32) -> Result<(), StorageError> {
        let at = self.ends.get(&old.number).copied().unwrap_or_default();
        super::segment::seal(old, at, next, self.sequence - 1)
            .map_err(|e| e.storage(Operation::Flush))?;
        self.remove_dead_segments()
    }

    fn spare(&mut self, bytes: u64) -> Result<Spare, StorageError> {
        let prepared = self.preparing.take().and_then(Preparing::wait);
        let spare = match prepared {
            Some(Ok(spare)) if spare.bytes >= bytes => Ok(spare),
            // Nothing depends on one that was not made: the disk may have space again.
            _ => Spare::prepare(&*self.options.files, &self.dir, bytes, self.room()),
        };
        spare.map_err(|e| e.storage(Operation::Flush))
    }

    /// How the next segment gets its space: as the flushes into this one were large or small.
    fn room(&self) -> Room {
        if self.at > (self.sequence - self.first) * LARGE_FLUSH {
            Room::Reserved
        } else {
            Room::Zeros
        }
    }

    /// Has the next segment made ready once this one is half full.
    fn prepare_ahead(&mut self) {
        if self.options.prepare_ahead
            && self.preparing.is_none()
            && self.at > self.segment_bytes / 2
        {
            let bytes = self.options.bytes_of(self.segment.number.saturating_add(1));
            let files = Arc::clone(&self.options.files);
            self.preparing = Preparing::start(files, self.dir.clone(), bytes, self.room());
        }
    }

    /// Removes the segments that hold nothing that is needed.
    fn remove_dead_segments(&mut self) -> Result<(), StorageError> {
        let live = self.model.live_segments();
        let present = self.segment.number;
        let dead: Vec<u32> =
            self.ends.keys().copied().filter(|n| *n != present && !live.contains(n)).collect();
        for number in dead {
            let path = super::segment::path_of(&self.dir, number);
            self.options.files.remove(&path).map_err(|e| {
                FileError::of(&path, "removing a segment")(e).storage(Operation::Trim)
            })?;
            self.ends.remove(&number);
        }
        Ok(())
    }

    /// A bound for the bytes of a checkpoint.
    fn checkpoint_bytes(&self) -> u64 {
        let groups = self.model.groups.values().map(|g| {
            64 + g.state.as_ref().map_or(0, |s| s.len() as u64) + 32 * g.live.len() as u64
        });
        256 + 16 * self.ends.len() as u64 + groups.sum::<u64>()
    }
}

/// Where each append of a batch lies.
type Located = Vec<(u64, Vec<Piece>)>;

/// Writes a frame and waits until it is durable.
fn put(
    segment: &SegmentFile,
    frame: &[u8],
    at: u64,
    doing: &'static str,
) -> Result<(), StorageError> {
    let written = segment.file.write_all_at(frame, at).and_then(|()| segment.file.sync());
    written.map_err(|e| FileError::of(&segment.path, doing)(e).storage(Operation::Flush))
}

impl Drop for Writer {
    /// The directory stays locked while a thread still writes into it.
    fn drop(&mut self) {
        if let Some(preparing) = self.preparing.take() {
            // What was made ready is removed by the next opening.
            let _ = preparing.wait();
        }
    }
}
