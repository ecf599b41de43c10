//! One file of a disk in memory: what programs see of it, and what survives a loss of power.

use crate::sim::Rng;

/// The unit that a disk writes at once.
const SECTOR: usize = 512;

/// A write that no sync has made durable yet.
#[derive(Clone, Debug)]
struct Write {
    offset: usize,
    data: Vec<u8>,
}

/// The two views of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct FileData {
    cached: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Write>,
}

impl FileData {
    pub(super) fn size(&self) -> u64 {
        self.cached.len() as u64
    }

    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> usize {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.cached.len());
        let length = buf.len().min(self.cached.len() - from);
        buf[..length].copy_from_slice(&self.cached[from..from + length]);
        length
    }

    pub(super) fn write_at(&mut self, data: &[u8], offset: u64) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        put(&mut self.cached, offset, data);
        self.pending.push(Write { offset, data: data.to_vec() });
    }

    pub(super) fn sync(&mut self) {
        for Write { offset, data } in self.pending.drain(..) {
            put(&mut self.durable, offset, &data);
        }
    }

    /// A sync that fails: some of it has reached the disk, and the system forgets that the rest has
    /// not.
    pub(super) fn sync_in_vain(&mut self, rng: &mut Rng) {
        self.some_survive(rng);
    }

    /// The power goes: of what was not synced any subset of the sectors survives.
    pub(super) fn lose_power(&mut self, rng: &mut Rng) {
        // All, none and a coin for each are all likely.
        match rng.below(4) {
            0 => self.pending.clear(),
            1 => self.sync(),
            _ => self.some_survive(rng),
        }
        self.cached.clone_from(&self.durable);
    }

    fn some_survive(&mut self, rng: &mut Rng) {
        let percent = [10, 50, 90][rng.below(3) as usize];
        for Write { offset, data } in self.pending.drain(..) {
            let mut at = 0;
            while at < data.len() {
                let length = (SECTOR - (offset + at) % SECTOR).min(data.len() - at);
                if rng.chance(percent) {
                    put(&mut self.durable, offset + at, &data[at..at + length]);
                }
                at += length;
            }
        }
    }

    /// Both views become `content`.
    pub(super) fn set(&mut self, content: Vec<u8>) {
        self.durable.clone_from(&content);
        self.cached = content;
        self.pending.clear();
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.cached
    }
}

fn put(file: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(data);
}
