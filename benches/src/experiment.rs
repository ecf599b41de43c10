//! One run: a settled cluster, a fault, and what came of it.

use crate::cluster::{Cluster, RunError};
use crate::history::History;
use crate::links::Links;
use crate::peer::{NodeId, Peer, PeerError};
use crate::scenario::Schedule;
use crate::units::{TIMEOUT, WATCHED_TIMEOUTS, timeouts};

/// What a fault led to; in instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// From the fault until an entry that was proposed after it is decided at some server; `None`
    /// when that did not happen in [`WATCHED_TIMEOUTS`].
    pub took: Option<u64>,
    /// Servers that began to lead until then.
    pub changes_before: u64,
    /// Servers that began to lead in the [`WATCHED_TIMEOUTS`] from then on (from the fault on, when
    /// nothing was decided).
    pub changes_after: u64,
    /// The longest time without a decision in those timeouts; 0 when nothing was decided at all.
    pub longest_gap: u64,
    /// How many times nothing was decided for more than a timeout; 0 when nothing was at all.
    pub interruptions: u64,
}

/// An outcome, and when it was asked for the timeline with the instant of the fault.
#[derive(Debug)]
pub struct Run {
    /// What was measured.
    pub outcome: Outcome,
    /// When the fault happened.
    pub fault: u64,
    /// What happened and when.
    pub timeline: Vec<(u64, String)>,
}

/// Runs `schedule` with servers that `boot` makes.
///
/// # Errors
/// [`RunError`] when a library fails, decides different logs, or never elects a leader.
pub fn run<P: Peer>(
    schedule: &Schedule,
    traced: bool,
    boot: impl Fn(NodeId) -> Result<P, PeerError>,
) -> Result<Run, RunError> {
    let Schedule { dice, servers, scenario, .. } = *schedule;
    let links = Links::new(dice, schedule.slowest_hop);
    let mut cluster = Cluster::new(dice, links, servers, History::new(traced), boot);
    cluster.run_until(schedule.prepared_at())?;
    let parts = schedule.parts(wait_for_leader(&mut cluster)?);
    scenario.prepare(&mut cluster.links, parts);
    cluster.run_until(cluster.now() + Schedule::LEAD)?;

    let (fault, first) = (cluster.now(), cluster.next_command());
    scenario.strike(&mut cluster, servers, parts);
    let story = || format!("{scenario:?}: the leader is {}, the hub {}", parts.leader, parts.hub);
    cluster.history.note(fault, story);
    let give_up = fault + WATCHED_TIMEOUTS * TIMEOUT;
    while cluster.history.first_decision(first).is_none() && cluster.now() < give_up {
        cluster.run_until(cluster.now() + TIMEOUT)?;
    }
    let decided = cluster.history.first_decision(first);
    let from = decided.unwrap_or(fault);
    let end = from + WATCHED_TIMEOUTS * TIMEOUT;
    cluster.run_until(end.max(cluster.now()))?;
    Ok(Run {
        outcome: measure(&cluster.history, fault, decided, end),
        fault,
        timeline: timeline(cluster.history, decided),
    })
}

/// Rarely a library has no leader when the fault is due: then it waits for one.
fn wait_for_leader<P, B>(cluster: &mut Cluster<P, B>) -> Result<NodeId, RunError>
where
    P: Peer,
    B: Fn(NodeId) -> Result<P, PeerError>,
{
    for _ in 0..WATCHED_TIMEOUTS {
        if let Some(leader) = cluster.leader() {
            return Ok(leader);
        }
        cluster.run_until(cluster.now() + TIMEOUT)?;
    }
    Err(RunError::NoLeader)
}

fn measure(history: &History, fault: u64, decided: Option<u64>, end: u64) -> Outcome {
    let gaps = decided.map(|from| history.gaps(from, end, 0)).unwrap_or_default();
    Outcome {
        took: decided.map(|time| time - fault),
        changes_before: decided.map_or(0, |time| history.changes(fault, time)),
        changes_after: history.changes(decided.unwrap_or(fault), end),
        longest_gap: gaps.first().copied().unwrap_or(0),
        interruptions: gaps.iter().filter(|gap| **gap > TIMEOUT).count() as u64,
    }
}

/// The timeline with the decision in it.
fn timeline(mut history: History, decided: Option<u64>) -> Vec<(u64, String)> {
    if let Some(time) = decided {
        history.note(time, || "an entry that was proposed after the fault is decided".to_owned());
    }
    let mut timeline = history.timeline().to_vec();
    timeline.sort_by_key(|(time, _)| *time);
    timeline
}

impl Run {
    /// The timeline from two timeouts before the fault on, in timeouts since the fault; at most
    /// `limit` lines.
    #[must_use]
    pub fn story(&self, limit: usize) -> Vec<String> {
        let from = self.fault.saturating_sub(2 * TIMEOUT);
        let lines = self.timeline.iter().filter(|(time, _)| *time >= from);
        let since = |time: u64| timeouts(time) - timeouts(self.fault);
        let line = |(time, text): &(u64, String)| format!("{:+8.2}  {text}", since(*time));
        let mut story: Vec<String> = lines.clone().take(limit).map(line).collect();
        let more = lines.count().saturating_sub(limit);
        if more > 0 {
            story.push(format!("          and {more} more changes"));
        }
        story
    }
}
