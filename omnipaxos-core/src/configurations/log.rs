//! What is known of this server's part in one configuration.

use super::command::FoundLog;

/// Whether a replica runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Replica {
    #[default]
    None,
    Starting,
    Runs,
    Stopping,
}

/// The log of one configuration, and the replica on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Log {
    /// How many records are decided and durable here, as far as the driver has said.
    pub(super) end: u64,
    /// The last one is the StopSign, and this is durable.
    pub(super) sealed: bool,
    /// A replica has run on it: only a replica may write to it.
    pub(super) started: bool,
    pub(super) replica: Replica,
    /// The tick at which `end` rose last, or the replica started.
    pub(super) progressed: u64,
    /// Since when nobody here needs the replica.
    pub(super) idle_since: Option<u64>,
}

impl Log {
    pub(super) fn found(found: &FoundLog) -> Self {
        let FoundLog { end, sealed, started, .. } = *found;
        Self { end, sealed, started, ..Self::default() }
    }

    pub(super) fn stored(&mut self, end: u64, now: u64) {
        if end > self.end {
            (self.end, self.progressed) = (end, now);
        }
    }
}
