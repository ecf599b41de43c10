//! The way out of a server: so many bytes a second, one message after another.

use super::agenda::SECOND;
use serde::{Deserialize, Serialize};

/// What a byte that was sent is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Replicas and elections.
    Replication,
    /// Everything between servers: histories, stages, migration.
    Change,
}

/// Bytes that were sent, by their purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// By replicas and elections.
    pub replication: u64,
    /// Between servers.
    pub change: u64,
}

impl Sent {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.replication + self.change
    }

    /// What was sent since `before`. Where `change` is counted when it is handed over, a part of it
    /// may still wait, so that the rest is less than it was.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        let change = self.change - before.change;
        Self { replication: (self.total() - before.total()).saturating_sub(change), change }
    }
}

/// A first-in, first-out queue in front of a wire.
#[derive(Clone, Debug)]
pub struct Uplink {
    bytes_per_second: u64,
    delay: u64,
    /// When the wire is free again.
    free_at: u64,
    sent: Sent,
}

impl Uplink {
    /// A wire that carries so many bytes a second; they arrive after `delay`.
    #[must_use]
    pub fn new(bytes_per_second: u64, delay: u64) -> Self {
        Self { bytes_per_second, delay, free_at: 0, sent: Sent::default() }
    }

    /// Sends `bytes` at `now`; when the last of them arrives.
    pub fn send(&mut self, now: u64, bytes: u64, purpose: Purpose) -> u64 {
        match purpose {
            Purpose::Replication => self.sent.replication += bytes,
            Purpose::Change => self.sent.change += bytes,
        }
        let takes = u128::from(bytes) * u128::from(SECOND) / u128::from(self.bytes_per_second);
        // A message is a few megabytes at the most.
        self.free_at = self.free_at.max(now) + takes as u64;
        self.free_at + self.delay
    }

    /// What was given to it so far.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::{Purpose, Sent, Uplink};
    use crate::reconfiguration::agenda::SECOND;

    #[test]
    fn what_waits_to_be_sent_is_not_taken_for_less_than_nothing() {
        let sent = |replication, change| Sent { replication, change };
        assert_eq!(sent(30, 50).since(sent(10, 20)), sent(20, 30));
        assert_eq!(sent(0, 50).since(sent(10, 20)), sent(0, 30));
    }

    #[test]
    fn messages_wait_for_each_other() {
        let mut uplink = Uplink::new(1000, 7);
        assert_eq!(uplink.send(0, 100, Purpose::Change), SECOND / 10 + 7);
        assert_eq!(uplink.send(0, 100, Purpose::Replication), SECOND / 5 + 7);
        assert_eq!(uplink.send(SECOND, 1, Purpose::Change), SECOND + SECOND / 1000 + 7);
        assert_eq!(uplink.sent(), Sent { replication: 100, change: 101 });
    }
}
