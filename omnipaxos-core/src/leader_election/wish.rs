//! Why a server should stand, and since when.

use crate::ballot::Ballot;

/// Why a server should stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reason {
    /// The ballot to stand above.
    pub(super) over: Ballot,
    /// Ticks that others may stand before it.
    pub(super) turn: u64,
    /// Further ticks in which the owner of `over` may show itself.
    pub(super) wait: u64,
}

/// A server should stand above `over`, if nothing changes until it has waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wish {
    over: Ballot,
    since: u64,
}

impl Wish {
    /// The wish to stand above `over`: as old as before, unless that was another ballot.
    pub(super) fn keep(before: Option<Self>, over: Ballot, now: u64) -> Self {
        match before {
            Some(wish) if wish.over == over => wish,
            _ => Self { over, since: now },
        }
    }

    /// Whether it has lasted long enough. The turns begin when the server has looked around.
    pub(super) fn is_due(&self, reason: &Reason, settled_since: u64, now: u64) -> bool {
        let waited = |since: u64, ticks: u64| now.saturating_sub(since) >= ticks;
        waited(self.since, reason.turn.saturating_add(reason.wait))
            && waited(settled_since, reason.turn)
    }
}
