//! What a router has sent, received and dropped, and how often it says so in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Why a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// In: longer than allowed, or of another length than it says.
    Length,
    /// In: of another protocol version.
    Version,
    /// In: from another cluster.
    Cluster,
    /// In: for another server, or for another storage under this one's pid.
    Receiver,
    /// In: from a server that is not known, or no member of the configuration.
    Sender,
    /// In: of a configuration that does not run here.
    Configuration,
    /// In: not to be decoded, or against the limits.
    Undecodable,
    /// In: from another storage than the one that the sender's pid is bound to.
    Storage,
    /// In or out: this server and the members do not know each other yet, or one of them has
    /// refused it.
    Closed,
    /// Out: the receiver has no address.
    NoAddress,
    /// Out: the oldest of more than may be held back for one peer while no buffer is free.
    Overflow,
    /// Out: it does not fit a packet, or cannot be encoded.
    Unencodable,
}

impl DropReason {
    /// All reasons.
    pub const ALL: [DropReason; 12] = [
        DropReason::Length,
        DropReason::Version,
        DropReason::Cluster,
        DropReason::Receiver,
        DropReason::Sender,
        DropReason::Configuration,
        DropReason::Undecodable,
        DropReason::Storage,
        DropReason::Closed,
        DropReason::NoAddress,
        DropReason::Overflow,
        DropReason::Unencodable,
    ];

    /// The reason's name in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DropReason::Length => "length",
            DropReason::Version => "version",
            DropReason::Cluster => "cluster",
            DropReason::Receiver => "receiver",
            DropReason::Sender => "sender",
            DropReason::Configuration => "configuration",
            DropReason::Undecodable => "undecodable",
            DropReason::Storage => "storage",
            DropReason::Closed => "closed",
            DropReason::NoAddress => "no-address",
            DropReason::Overflow => "overflow",
            DropReason::Unencodable => "unencodable",
        }
    }
}

const REASONS: usize = DropReason::ALL.len();

#[derive(Debug, Default)]
struct Values {
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    shared: AtomicU64,
    received: AtomicU64,
    dropped: [AtomicU64; REASONS],
}

/// Counters of one router: cheap to clone, to be read from any thread. They only grow.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    values: Arc<Values>,
}

impl Counters {
    /// Packets handed to the network.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.values.sent.load(Ordering::Relaxed)
    }

    /// Bytes of the packets handed to the network, without what Kompact and TCP add.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.values.sent_bytes.load(Ordering::Relaxed)
    }

    /// Packets whose entries were encoded for another receiver already.
    #[must_use]
    pub fn shared(&self) -> u64 {
        self.values.shared.load(Ordering::Relaxed)
    }

    /// Packets handed to an election or a replica.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.values.received.load(Ordering::Relaxed)
    }

    /// Packets dropped for `reason`.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.values.dropped[reason as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn count_sent(&self, bytes: usize) {
        self.values.sent.fetch_add(1, Ordering::Relaxed);
        self.values.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_shared(&self, packets: u64) {
        self.values.shared.fetch_add(packets, Ordering::Relaxed);
    }

    pub(crate) fn count_received(&self) {
        self.values.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_dropped(&self, reason: DropReason) {
        self.values.dropped[reason as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// At most one line of a kind in so much time, however often its cause occurs.
const QUIET: Duration = Duration::from_secs(1);

/// Lets the first of many equal log lines through, and later one a second.
#[derive(Debug, Default)]
pub(crate) struct LogGate {
    last: Option<Instant>,
    suppressed: u64,
}

impl LogGate {
    /// How many lines were suppressed before this one; `None` when this one is to be suppressed
    /// too.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.duration_since(last) < QUIET) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// A gate for each reason to drop a packet.
#[derive(Debug, Default)]
pub(crate) struct DropLog {
    gates: [LogGate; REASONS],
}

impl DropLog {
    /// As [`LogGate::admit`].
    pub(crate) fn admit(&mut self, reason: DropReason, now: Instant) -> Option<u64> {
        self.gates[reason as usize].admit(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter() {
        let counters = Counters::default();
        for (i, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i);
            for _ in 0..=i {
                counters.clone().count_dropped(reason);
            }
        }
        for (i, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(counters.dropped(reason), i as u64 + 1);
        }
    }

    #[test]
    fn a_flood_is_one_line_a_second_with_its_count() {
        let mut log = DropLog::default();
        let start = Instant::now();
        assert_eq!(log.admit(DropReason::Version, start), Some(0));
        for ms in 1..1000 {
            let now = start + Duration::from_millis(ms);
            assert_eq!(log.admit(DropReason::Version, now), None);
        }
        assert_eq!(log.admit(DropReason::Cluster, start), Some(0));
        let later = start + Duration::from_secs(1);
        assert_eq!(log.admit(DropReason::Version, later), Some(999));
    }
}
