//! Trimming a long log in small steps.

use super::group::{Group, GroupError, Place};
use super::omnipaxos_crate::{OmniPaxosGroup, Owned};
use super::ours::OurGroup;
use super::workload::Workload;
use std::time::{Duration, Instant};

/// Entries of the log.
pub const ENTRIES: u64 = 1_000_000;

/// Entries that each trim removes.
pub const STEP: u64 = 1_000;

/// A group whose leader can forget.
pub trait Trim: Group {
    /// Removes the entries below `to` from the leader's log.
    ///
    /// # Errors
    /// [`GroupError`] where the library refuses.
    fn trim(&mut self, to: u64) -> Result<(), GroupError>;
}

/// How long it takes a leader of two servers, ours, to trim its log.
///
/// # Errors
/// [`GroupError`] where it refuses something.
pub fn ours() -> Result<Duration, GroupError> {
    measure(OurGroup::start(SERVERS)?)
}

/// How long the same takes a leader of the crate `omnipaxos`.
///
/// # Errors
/// [`GroupError`] where it refuses something.
pub fn theirs() -> Result<Duration, GroupError> {
    measure(OmniPaxosGroup::<Owned>::start(SERVERS)?)
}

/// The fewest of which the peer makes a cluster.
const SERVERS: u64 = 2;

fn measure(mut group: impl Trim) -> Result<Duration, GroupError> {
    let load = Workload { servers: SERVERS, window: STEP, payload: 16, at: Place::Leader };
    load.run(&mut group, ENTRIES)?;
    // What all have decided is told with a tick at the latest.
    for _ in 0..TICKS {
        group.tick()?;
        group.exchange()?;
    }
    let start = Instant::now();
    for to in (STEP..=ENTRIES).step_by(STEP as usize) {
        group.trim(to)?;
        group.exchange()?;
    }
    Ok(start.elapsed())
}

const TICKS: u64 = 100;
