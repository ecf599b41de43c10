//! Virtual time, and what all libraries have in common.

/// Instants of virtual time in one tick.
pub const TICK: u64 = 100;

/// Ticks of an election timeout, in each library.
pub const TIMEOUT_TICKS: u32 = 10;

/// Instants of an election timeout.
pub const TIMEOUT: u64 = TICK * TIMEOUT_TICKS as u64;

/// Proposals of all clients together in one timeout. Each server has one client.
pub const PROPOSALS: u64 = 15;

/// Ticks between two heartbeats, where a library lets one choose.
pub const HEARTBEAT_TICKS: u32 = TIMEOUT_TICKS / 5;

/// Ticks until an unanswered message is sent again, where a library lets one choose: ten timeouts,
/// as in the sample configuration of the crate `omnipaxos`. Links that are up lose nothing.
pub const RESEND_TICKS: u32 = 10 * TIMEOUT_TICKS;

/// Instants that the slowest hop takes.
pub const SLOWEST_HOP: u64 = 3 * TIMEOUT / 10;

/// Instants within which all servers boot.
pub const BOOT: u64 = 5 * TIMEOUT;

/// Instants after which a fault may happen: the cluster has settled.
pub const SETTLED: u64 = BOOT + 25 * TIMEOUT;

/// Without a decision for so many timeouts, a cluster has stalled; and so long it is watched after
/// the first decision.
pub const WATCHED_TIMEOUTS: u64 = 200;

/// `instants` as election timeouts.
#[must_use]
pub fn timeouts(instants: u64) -> f64 {
    instants as f64 / TIMEOUT as f64
}
