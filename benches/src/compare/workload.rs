//! What a group is made to do.

use super::group::{Group, GroupError, Place};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// A load: windows of proposals, each decided everywhere before the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Servers of the group.
    pub servers: u64,
    /// Proposals that are open at once.
    pub window: u64,
    /// Bytes of each entry.
    pub payload: usize,
    /// Where they are proposed.
    pub at: Place,
}

/// How long it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    /// Entries that all servers have decided.
    pub entries: u64,
    /// In this time, the start of the group not counted.
    pub time: Duration,
}

impl Took {
    /// Entries a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.entries as f64 / self.time.as_secs_f64()
    }
}

/// Ticks among so many windows: no library may go without them.
pub(super) const WINDOWS_PER_TICK: u64 = 64;

impl Workload {
    /// Runs it on a group that has a leader, until `entries` more are decided.
    ///
    /// # Errors
    /// [`GroupError`] where a library refuses something, or does not decide what was proposed.
    pub fn run(&self, group: &mut impl Group, entries: u64) -> Result<Took, GroupError> {
        let before = group.decided();
        let mut buffer = Payloads::new(self.payload);
        let start = Instant::now();
        let (mut proposed, mut windows) = (0, 0);
        while proposed < entries {
            for _ in 0..self.window.min(entries - proposed) {
                group.propose(self.at, buffer.next())?;
                proposed += 1;
            }
            group.exchange()?;
            windows += 1;
            if windows % WINDOWS_PER_TICK == 0 {
                group.tick()?;
                group.exchange()?;
            }
        }
        let time = start.elapsed();
        let decided = group.decided() - before;
        if decided != entries {
            return Err(GroupError(format!("{decided} of {entries} entries were decided")));
        }
        Ok(Took { entries, time })
    }
}

/// Payloads cut out of buffers, as a server cuts requests out of what it has received.
pub(super) struct Payloads {
    payload: usize,
    buffer: Bytes,
}

/// Bytes of one buffer, or of one payload where that is larger.
const BUFFER_BYTES: usize = 1 << 16;

impl Payloads {
    pub(super) fn new(payload: usize) -> Self {
        Self { payload, buffer: Bytes::new() }
    }

    pub(super) fn next(&mut self) -> Bytes {
        if self.buffer.len() < self.payload {
            self.buffer = Bytes::from(vec![7; BUFFER_BYTES.max(self.payload)]);
        }
        self.buffer.split_to(self.payload)
    }
}
