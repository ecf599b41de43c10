//! How long heartbeats take to be answered.

use omnipaxos_core::leader_election::NodeId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Buckets within one doubling.
const PARTS: u64 = 8;

/// Buckets: enough for all that a u64 of nanoseconds can say.
const BUCKETS: usize = 64 * PARTS as usize;

/// Rounds whose answers are waited for.
const ROUNDS: usize = 256;

/// The round trips of one server's heartbeats, from the request on its way to the reply being
/// handled: with a tick's length, what its election has to wait for. Cheap to clone, to be read
/// from any thread. It only grows: the difference of two [`counts`](Self::counts) is what lies
/// between them.
#[derive(Clone, Debug)]
pub struct RoundTrips {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    requests: AtomicU64,
    longest: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// How many round trips took how long, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundTripCounts {
    /// Requests that were sent.
    pub requests: u64,
    buckets: Vec<u64>,
}

impl Default for RoundTrips {
    fn default() -> Self {
        let shared = Shared {
            requests: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl RoundTrips {
    /// What there was so far.
    #[must_use]
    pub fn counts(&self) -> RoundTripCounts {
        let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
        RoundTripCounts {
            requests: load(&self.shared.requests),
            buckets: self.shared.buckets.iter().map(load).collect(),
        }
    }

    /// The longest so far.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.shared.longest.load(Ordering::Relaxed))
    }

    fn requested(&self) {
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
    }

    fn took(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.shared.buckets[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        self.shared.longest.fetch_max(nanos, Ordering::Relaxed);
    }
}

impl RoundTripCounts {
    /// Requests that were answered.
    #[must_use]
    pub fn replies(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// A `share` (0 to 1) of the round trips took no longer than this, within an eighth; zero where
    /// there was none.
    #[must_use]
    pub fn at(&self, share: f64) -> Duration {
        let place = (self.replies() as f64 * share.min(1.0)).ceil().max(1.0) as u64;
        let mut below = 0;
        for (number, count) in self.buckets.iter().enumerate() {
            below += count;
            if below >= place {
                return Duration::from_nanos(upper(number));
            }
        }
        Duration::ZERO
    }

    /// What came between `earlier` and this.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = earlier.buckets.iter().copied().chain(std::iter::repeat(0));
        let buckets = self
            .buckets
            .iter()
            .zip(before)
            .map(|(now, before)| now.saturating_sub(before))
            .collect();
        Self { requests: self.requests.saturating_sub(earlier.requests), buckets }
    }

    /// All of both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let others = other.buckets.iter().copied().chain(std::iter::repeat(0));
        let buckets = if self.buckets.is_empty() {
            other.buckets.clone()
        } else {
            self.buckets.iter().zip(others).map(|(mine, others)| mine + others).collect()
        };
        Self { requests: self.requests + other.requests, buckets }
    }
}

/// The bucket of so many nanoseconds: a doubling is cut into equal parts.
fn bucket(nanos: u64) -> usize {
    if nanos < PARTS {
        return nanos as usize;
    }
    let doubling = u64::from(nanos.ilog2());
    let part = (nanos >> (doubling - PARTS.ilog2() as u64)) - PARTS;
    ((doubling - 2) * PARTS + part) as usize
}

/// The longest that falls into a bucket.
fn upper(bucket: usize) -> u64 {
    let (doubling, part) = (bucket as u64 / PARTS, bucket as u64 % PARTS);
    match doubling {
        0 => part,
        _ => {
            let parts = u128::from(PARTS + part + 1) << (doubling - 1);
            u64::try_from(parts - 1).unwrap_or(u64::MAX)
        }
    }
}

/// Which requests are on their way since when.
#[derive(Debug, Default)]
pub(super) struct Clock {
    round_trips: RoundTrips,
    /// The latest rounds, in order.
    sent: VecDeque<(u64, Instant)>,
    /// The latest round that each peer has answered: what it says after that is news, no reply.
    answered: BTreeMap<NodeId, u64>,
}

impl Clock {
    pub(super) fn round_trips(&self) -> RoundTrips {
        self.round_trips.clone()
    }

    /// A request of `round` leaves.
    pub(super) fn request(&mut self, round: u64, now: Instant) {
        self.round_trips.requested();
        if self.sent.back().is_none_or(|(last, _)| *last < round) {
            self.sent.push_back((round, now));
        }
        if self.sent.len() > ROUNDS {
            self.sent.pop_front();
        }
    }

    /// A reply to `round` was handled.
    pub(super) fn reply(&mut self, from: NodeId, round: u64, now: Instant) {
        let answered = self.answered.entry(from).or_default();
        if round <= *answered {
            return;
        }
        if let Ok(at) = self.sent.binary_search_by_key(&round, |(round, _)| *round) {
            *answered = round;
            self.round_trips.took(now.duration_since(self.sent[at].1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_one_another_without_gaps() {
        for number in 1..BUCKETS - 24 {
            let (below, above) = (upper(number - 1), upper(number));
            assert!(below < above, "{number}");
            assert_eq!((bucket(below + 1), bucket(above)), (number, number));
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn the_first_reply_of_each_peer_counts() {
        let mut clock = Clock::default();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        for round in [1, 3] {
            for _ in 0..2 {
                clock.request(round, at(round));
            }
        }
        clock.reply(2, 1, at(2));
        clock.reply(2, 1, at(900));
        clock.reply(3, 3, at(103));
        clock.reply(2, 2, at(103));
        clock.reply(3, 1, at(103));
        let counts = clock.round_trips().counts();
        assert_eq!((counts.requests, counts.replies()), (4, 2));
        let near = |time: Duration, millis: f64| {
            let ratio = time.as_secs_f64() * 1e3 / millis;
            assert!((1.0..1.125).contains(&ratio), "{time:?}");
        };
        near(counts.at(0.5), 1.0);
        near(counts.at(0.999), 100.0);
        assert_eq!(clock.round_trips().longest(), Duration::from_millis(100));
        clock.request(5, at(5));
        clock.reply(2, 5, at(15));
        let later = clock.round_trips().counts();
        let since = later.since(&counts);
        assert_eq!((since.requests, since.replies()), (1, 1));
        near(since.at(0.999), 10.0);
        assert_eq!(RoundTripCounts::default().and(&counts).and(&since), later);
        assert_eq!(RoundTripCounts::default().at(0.5), Duration::ZERO);
    }
}
