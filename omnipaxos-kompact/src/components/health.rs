//! Whether a replica is fit to lead, as its election sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What the election of a server has to know of the replica beside it.
///
/// A replica that is stuck in a flush cannot say so; heartbeats would go on and keep it leader. So
/// the replica leaves marks here when a flush begins and ends, and the election looks at them.
/// Cheap to clone: clones share their marks. An election of the user's own finds it in
/// [`PreparedReplica::health`](crate::spawn::PreparedReplica::health).
#[derive(Clone, Debug)]
pub struct ReplicaHealth {
    marks: Arc<Marks>,
}

#[derive(Debug)]
struct Marks {
    base: Instant,
    /// Nanoseconds from `base` to the beginning of the flush that is under way, and 1; 0 while none
    /// is.
    flush_began: AtomicU64,
    halted: AtomicBool,
    recovering: AtomicBool,
}

impl Default for ReplicaHealth {
    fn default() -> Self {
        let marks = Marks {
            base: Instant::now(),
            flush_began: AtomicU64::new(0),
            halted: AtomicBool::new(false),
            recovering: AtomicBool::new(false),
        };
        Self { marks: Arc::new(marks) }
    }
}

impl ReplicaHealth {
    /// Whether the replica is fit to lead: it votes, and no flush has been under way for longer
    /// than `patience`.
    #[must_use]
    pub fn is_fit(&self, now: Instant, patience: Duration) -> bool {
        let stalled = self.flush_began().is_some_and(|began| now.duration_since(began) > patience);
        !stalled && self.votes()
    }

    /// Whether the replica votes: it has not halted, and does not recover from suspect storage.
    #[must_use]
    pub fn votes(&self) -> bool {
        let set = |mark: &AtomicBool| mark.load(Ordering::Acquire);
        !set(&self.marks.halted) && !set(&self.marks.recovering)
    }

    fn flush_began(&self) -> Option<Instant> {
        let nanos = self.marks.flush_began.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.marks.base + Duration::from_nanos(nanos))
    }

    /// A flush begins; at most one is under way.
    pub(super) fn begin_flush(&self) {
        let nanos = self.marks.base.elapsed().as_nanos();
        let nanos = u64::try_from(nanos).map_or(u64::MAX, |nanos| nanos.saturating_add(1));
        self.marks.flush_began.store(nanos, Ordering::Release);
    }

    /// The flush has ended.
    pub(super) fn end_flush(&self) {
        self.marks.flush_began.store(0, Ordering::Release);
    }

    /// The replica waits for others to synchronise it, or no longer.
    pub(super) fn recovering(&self, recovering: bool) {
        self.marks.recovering.store(recovering, Ordering::Release);
    }

    /// The replica has halted for good.
    pub(super) fn halt(&self) {
        self.marks.halted.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_that_takes_too_long_and_a_halt_make_unfit() {
        let health = ReplicaHealth::default();
        let patience = Duration::from_millis(200);
        let later = |millis| Instant::now() + Duration::from_millis(millis);
        assert!(health.is_fit(later(1000), patience));
        health.begin_flush();
        assert!(health.is_fit(later(100), patience));
        assert!(!health.is_fit(later(300), patience));
        health.end_flush();
        assert!(health.is_fit(later(1000), patience));
        health.recovering(true);
        assert!(!health.is_fit(later(0), patience));
        health.recovering(false);
        assert!(health.is_fit(later(0), patience));
        health.halt();
        assert!(!health.is_fit(later(0), patience));
    }
}
