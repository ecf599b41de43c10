//! Laggards: what is decided and far ahead comes from several servers at once, by a migration that
//! the driver runs, instead of from the leader alone.

use super::{Follower, Phase};
use crate::ballot::Ballot;
use crate::paxos::messages::{Body, SyncRequest};
use crate::paxos::replica::Replica;
use crate::storage::{PaxosState, Records, Sequence};

/// Decided entries that a replica is too far behind for. Its driver fetches them from any servers
/// that have them decided, and hands them to
/// [`Paxos::learn_decided`](crate::paxos::Paxos::learn_decided).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CatchUp {
    /// The replica's decided index.
    pub from: u64,
    /// The index after the last one to fetch. Stays as it is until the replica gets there.
    pub to: u64,
    /// A round in which all of them were already chosen.
    pub round: Ballot,
}

/// Records that show how large entries are.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::paxos) struct Sample {
    cost: u64,
    len: u64,
}

impl Sample {
    #[inline]
    pub(in crate::paxos) fn of(records: &Records) -> Self {
        Self { cost: records.cost(), len: records.len() }
    }
}

/// What is being fetched elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lag {
    to: u64,
    round: Ballot,
    /// The decided index at the last tick, and the ticks since it rose.
    seen: u64,
    idle: u32,
}

/// After so many resend periods in which nothing came, the leader is asked after all.
const IDLE_REPEATS: u32 = 20;

impl Follower {
    /// What is to be fetched.
    pub(in crate::paxos) fn catch_up(&self, decided: u64) -> Option<CatchUp> {
        self.lag.map(|lag| CatchUp { from: decided, to: lag.to, round: lag.round })
    }

    /// Somebody has decided everything below `to`, in `round` or before. Whether that is so far
    /// ahead that it comes from elsewhere; `sample` shows how large entries are.
    #[inline]
    pub(in crate::paxos) fn is_far_behind<S: Sequence, P: PaxosState>(
        &mut self,
        r: &Replica<S, P>,
        to: u64,
        round: Ballot,
        sample: Sample,
    ) -> bool {
        let Some(limit) = r.limits.catch_up else {
            return false;
        };
        if self.lag.is_some() {
            return true;
        }
        let lacking = to.saturating_sub(r.decided());
        let each = sample.cost.checked_div(sample.len).unwrap_or_default();
        if lacking <= limit.entries && lacking.saturating_mul(each) <= limit.bytes {
            self.gave_up = false;
        } else if !self.gave_up {
            self.lag = Some(Lag { to, round, seen: r.decided(), idle: 0 });
        }
        self.lag.is_some()
    }

    /// Whether the decided index is where it was to get, for the first time.
    #[inline]
    pub(super) fn has_caught_up<S: Sequence, P: PaxosState>(&mut self, r: &Replica<S, P>) -> bool {
        self.lag.take_if(|lag| lag.to <= r.decided()).is_some()
    }

    /// One tick.
    pub(super) fn tick_lag<S: Sequence, P: PaxosState>(&mut self, r: &mut Replica<S, P>) {
        let Some(lag) = &mut self.lag else {
            return;
        };
        if lag.seen < r.decided() {
            (lag.seen, lag.idle) = (r.decided(), 0);
        }
        lag.idle = lag.idle.saturating_add(1);
        if lag.idle > r.limits.resend_ticks.saturating_mul(IDLE_REPEATS) {
            self.lag = None;
            self.gave_up = true;
            self.ask_leader_on(r);
        }
    }

    /// The leader brings the rest.
    pub(super) fn ask_leader_on<S: Sequence, P: PaxosState>(&mut self, r: &mut Replica<S, P>) {
        match &self.phase {
            Phase::Promised { s, sync: Some(part) } => {
                let n = r.promised();
                let request = SyncRequest { n, s: *s, from: part.next };
                r.send_early(n.pid, Body::SyncRequest(request));
                self.waited = 0;
            }
            Phase::Synced { .. } => self.answer(false),
            Phase::Promised { sync: None, .. } | Phase::Unsynced => {}
        }
    }
}
