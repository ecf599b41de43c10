//! How an engine works.

use super::files::{FileSystem, OsFiles};
use crate::wire::ClusterId;
use omnipaxos_core::leader_election::NodeId;
use std::sync::Arc;

/// Whose storage it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The server.
    pub pid: NodeId,
}

/// Settings of an engine. They may differ from one opening to the next.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of a segment, from 64 KiB on. Segments start at 4 MiB and double up to this size;
    /// space comes back by whole segments. The default is 64 MiB.
    pub segment_bytes: u64,
    /// Bytes of memory for the latest records of each configuration, what holds them together
    /// included; what is not durable yet always stays. The default is 16 MiB.
    pub cache_bytes: u64,
    /// Whether the next segment is made ready on a thread of its own before it is needed, so that
    /// no flush waits for it. On by default.
    pub prepare_ahead: bool,
    /// The file system.
    pub files: Arc<dyn FileSystem>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            cache_bytes: 16 << 20,
            prepare_ahead: true,
            files: Arc::new(OsFiles),
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if !(MIN_SEGMENT..=MAX_SEGMENT).contains(&self.segment_bytes) {
            return Err("segment_bytes must be between 64 KiB and 1 GiB");
        }
        Ok(())
    }

    /// Bytes of segment `number`, unless one frame needs more.
    pub(super) fn bytes_of(&self, number: u32) -> u64 {
        let doubled = FIRST_SEGMENT << number.saturating_sub(1).min(20);
        doubled.min(self.segment_bytes)
    }
}

const MIN_SEGMENT: u64 = 64 << 10;
const MAX_SEGMENT: u64 = 1 << 30;
const FIRST_SEGMENT: u64 = 4 << 20;
