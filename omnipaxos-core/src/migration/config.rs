//! What is migrated, and what a caller can set about it.

use super::error::MigrationStartError;
use super::ranges::IndexRange;
use crate::ballot::NodeId;
use crate::digest::Anchor;
use crate::storage::ConfigId;

/// What a server wants to have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The configuration whose log it is.
    pub config_id: ConfigId,
    /// The records; all of them decided.
    pub range: IndexRange,
    /// What the log must be, at least up to the end of the range. `None` where that is not known
    /// (a log that is not sealed): donors are believed then.
    pub anchor: Option<Anchor>,
}

impl Target {
    /// All indexes that records of this log can have.
    pub(super) fn whole(&self) -> IndexRange {
        self.anchor.map_or(self.range, |anchor| IndexRange::new(0, anchor.end))
    }
}

/// Limits and timeouts of a migration. Bytes are costs: payload plus
/// [`ENTRY_OVERHEAD`](crate::storage::ENTRY_OVERHEAD) an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct MigrationConfig {
    /// Bytes that one request asks for at the most: less to begin with, and from a donor whose
    /// answers wait behind each other. Lets one record, and one block, through.
    pub segment_bytes: u64,
    /// Requests on their way to one donor. Two keep it busy unless its link is both fast and long;
    /// what else it sends waits behind their answers.
    pub window: usize,
    /// Ticks without any answer of a donor after which what it was asked for is asked again.
    pub resend_ticks: u32,
    /// Bytes of the largest snapshot that is fetched. Larger ones do not count as offered; with 0
    /// none is.
    pub max_snapshot_bytes: u64,
    /// Ticks after which a donor that does not hold everything is asked again what it holds.
    pub inventory_ticks: u32,
    /// Bytes beyond the first record that is still missing, or not stored yet where the caller says
    /// so ([`Migration::stored`](super::Migration::stored)), that are asked for. Lets one block,
    /// and one request, through. Whoever stores in order holds no more than that in memory.
    pub ahead_bytes: u64,
}

impl Default for MigrationConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 256 << 10,
            window: 2,
            resend_ticks: 20,
            max_snapshot_bytes: 64 << 30,
            inventory_ticks: 20,
            ahead_bytes: 8 << 20,
        }
    }
}

impl MigrationConfig {
    pub(super) fn check(&self, pid: NodeId, target: &Target) -> Result<(), MigrationStartError> {
        let limits = [
            ("segment_bytes", self.segment_bytes),
            ("window", self.window as u64),
            ("resend_ticks", u64::from(self.resend_ticks)),
            ("inventory_ticks", u64::from(self.inventory_ticks)),
            ("ahead_bytes", self.ahead_bytes),
        ];
        if let Some((name, _)) = limits.iter().find(|(_, limit)| *limit == 0) {
            return Err(MigrationStartError::Zero(name));
        }
        if pid == 0 {
            return Err(MigrationStartError::PidZero);
        }
        let range = target.range;
        if range.from > range.to {
            return Err(MigrationStartError::Backwards(range));
        }
        match target.anchor {
            Some(anchor) if anchor.end < range.to => {
                Err(MigrationStartError::BeyondAnchor { range, end: anchor.end })
            }
            _ => Ok(()),
        }
    }
}
