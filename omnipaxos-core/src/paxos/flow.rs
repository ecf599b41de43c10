//! Flow control toward one follower: what is on its way to it, and what comes next.

use std::collections::VecDeque;

/// The Accept pipeline of one synchronised follower.
///
/// Invariant: `acked <= next`; the frames on their way end, in order, above `acked` and at `next`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flow {
    /// The next index to send.
    next: u64,
    /// What the follower has confirmed in this attempt.
    acked: u64,
    /// End and cost of each frame on its way.
    frames: VecDeque<(u64, u64)>,
    /// The sum of the costs.
    cost: u64,
    /// After a loss: one frame at a time until the follower confirms something.
    probing: bool,
    /// Whether the follower has confirmed anything in this attempt.
    confirmed: bool,
}

impl Flow {
    /// A pipeline behind an AcceptSync that ended at `end` and cost `cost`.
    pub(super) fn after_sync(acked: u64, end: u64, cost: u64) -> Self {
        Self {
            next: end,
            acked,
            frames: VecDeque::from([(end, cost)]),
            cost,
            probing: false,
            confirmed: false,
        }
    }

    #[inline]
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    #[inline]
    pub(super) fn acked(&self) -> u64 {
        self.acked
    }

    pub(super) fn confirmed(&self) -> bool {
        self.confirmed
    }

    /// Whether something was sent that is not confirmed.
    #[inline]
    pub(super) fn waits(&self) -> bool {
        !self.frames.is_empty()
    }

    /// Whether another frame may go. A window always lets one frame through.
    #[inline]
    pub(super) fn may_send(&self, window: u64) -> bool {
        self.frames.is_empty() || (self.cost < window && !self.probing)
    }

    /// A frame up to `end` was sent.
    #[inline]
    pub(super) fn sent(&mut self, end: u64, cost: u64) {
        self.next = end;
        self.cost += cost;
        self.frames.push_back((end, cost));
    }

    /// The follower's log has length `len`. Returns whether that is news.
    #[inline]
    pub(super) fn confirm(&mut self, len: u64, gap: bool) -> bool {
        let progress = len > self.acked || !self.confirmed;
        self.confirmed = true;
        self.acked = self.acked.max(len);
        self.next = self.next.max(len);
        while let Some((_, cost)) = self.frames.pop_front_if(|(end, _)| *end <= len) {
            self.cost -= cost;
        }
        if progress {
            self.probing = false;
        }
        // R3. Each frame behind a lost one reports the gap: only the first report counts.
        if gap && !self.probing {
            self.rewind();
        }
        progress
    }

    /// Sends again from what is confirmed, one frame at a time at first.
    pub(super) fn rewind(&mut self) {
        self.next = self.acked;
        self.frames.clear();
        self.cost = 0;
        self.probing = true;
    }
}
