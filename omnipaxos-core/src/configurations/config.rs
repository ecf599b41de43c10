//! What a caller can set about a server's life.

use super::error::ConfigurationsStartError;
use crate::migration::MigrationConfig;

/// Limits and timeouts of a server's life. Defaults suit ticks of 10 ms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ConfigurationsConfig {
    /// How logs are fetched. Snapshots are not (`max_snapshot_bytes` does not count).
    pub migration: MigrationConfig,
    /// Ticks between two questions to the same server. Doubles up to ten times as many while
    /// nothing changes.
    pub poll_ticks: u32,
    /// Ticks without progress after which the rest of an ended configuration's log is fetched
    /// although a replica runs, which may still learn it from its leader.
    pub patience_ticks: u32,
    /// Ticks for which the replica of an ended configuration runs on, for those who lack its
    /// StopSign.
    pub linger_ticks: u32,
    /// Ticks after which a server that was left out waits no longer for the last members of the
    /// newest configuration, once a quorum of them has everything.
    pub retire_ticks: u32,
    /// Bytes of records that were handed out to be stored and are not durable yet. Lets one batch
    /// through.
    pub store_bytes: u64,
}

impl Default for ConfigurationsConfig {
    fn default() -> Self {
        Self {
            migration: MigrationConfig::default(),
            poll_ticks: 20,
            patience_ticks: 50,
            linger_ticks: 500,
            retire_ticks: 6000,
            store_bytes: 4 << 20,
        }
    }
}

impl ConfigurationsConfig {
    pub(super) fn check(&self) -> Result<(), ConfigurationsStartError> {
        let limits = [
            ("segment_bytes", self.migration.segment_bytes),
            ("window", self.migration.window as u64),
            ("resend_ticks", u64::from(self.migration.resend_ticks)),
            ("inventory_ticks", u64::from(self.migration.inventory_ticks)),
            ("poll_ticks", u64::from(self.poll_ticks)),
            ("patience_ticks", u64::from(self.patience_ticks)),
            ("linger_ticks", u64::from(self.linger_ticks)),
            ("retire_ticks", u64::from(self.retire_ticks)),
            ("store_bytes", self.store_bytes),
        ];
        match limits.iter().find(|(_, limit)| *limit == 0) {
            Some((name, _)) => Err(ConfigurationsStartError::Zero(name)),
            None => Ok(()),
        }
    }
}
