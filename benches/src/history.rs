//! What happened in one run, as seen from outside.

use crate::peer::{Leadership, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// Two servers decided different entries at one place of the log.
#[derive(Debug, Error)]
#[error("server {pid} decides command {theirs} at {index}, another one decided {ours}")]
pub struct Divergence {
    pid: NodeId,
    index: usize,
    ours: u64,
    theirs: u64,
}

/// A command became decided: the first server learned so.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// When.
    pub time: u64,
    /// The command. They are numbered in the order in which they were proposed.
    pub command: u64,
}

/// Decisions, leaderships, and on demand a timeline.
#[derive(Debug, Default)]
pub struct History {
    /// The one log.
    decisions: Vec<Decision>,
    /// How much of it each server has decided.
    decided: BTreeMap<NodeId, usize>,
    /// When a server began to lead, in the order of time.
    begun: Vec<(u64, Leadership)>,
    known: BTreeSet<Leadership>,
    timeline: Option<Vec<(u64, String)>>,
}

impl History {
    /// An empty history; `traced` ones have a timeline.
    #[must_use]
    pub fn new(traced: bool) -> Self {
        Self { timeline: traced.then(Vec::new), ..Self::default() }
    }

    /// Server `pid` decided `command` next.
    ///
    /// # Errors
    /// [`Divergence`] when another server decided another command there.
    pub fn decided(&mut self, time: u64, pid: NodeId, command: u64) -> Result<(), Divergence> {
        let index = self.decided.entry(pid).or_default();
        match self.decisions.get(*index) {
            None => self.decisions.push(Decision { time, command }),
            Some(known) if known.command == command => {}
            Some(known) => {
                return Err(Divergence {
                    pid,
                    index: *index,
                    ours: known.command,
                    theirs: command,
                });
            }
        }
        *index += 1;
        Ok(())
    }

    /// A server leads; counted once.
    pub fn leads(&mut self, time: u64, leadership: Leadership) {
        if self.known.insert(leadership) {
            self.begun.push((time, leadership));
            self.note(time, || {
                format!("server {} leads in round {}", leadership.pid, leadership.round)
            });
        }
    }

    /// A line of the timeline, if there is one.
    pub fn note(&mut self, time: u64, line: impl FnOnce() -> String) {
        if let Some(timeline) = &mut self.timeline {
            timeline.push((time, line()));
        }
    }

    /// Whether there is a timeline.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.timeline.is_some()
    }

    /// The timeline.
    #[must_use]
    pub fn timeline(&self) -> &[(u64, String)] {
        self.timeline.as_deref().unwrap_or_default()
    }

    /// When a command from number `from` on was decided first.
    #[must_use]
    pub fn first_decision(&self, from: u64) -> Option<u64> {
        let first = self.decisions.iter().find(|d| d.command >= from);
        first.map(|d| d.time)
    }

    /// How many servers began to lead after `from`, up to `to`.
    #[must_use]
    pub fn changes(&self, from: u64, to: u64) -> u64 {
        let within = |(time, _): &&(u64, Leadership)| *time > from && *time <= to;
        self.begun.iter().filter(within).count() as u64
    }

    /// The stretches longer than `limit` without a decision from `from` to `to`, longest first.
    #[must_use]
    pub fn gaps(&self, from: u64, to: u64, limit: u64) -> Vec<u64> {
        let mut last = from;
        let times = self.decisions.iter().map(|d| d.time);
        let within = times.filter(|time| *time > from && *time <= to);
        let mut gaps: Vec<u64> = within
            .chain([to])
            .map(|time| time - std::mem::replace(&mut last, time))
            .filter(|gap| *gap > limit)
            .collect();
        gaps.sort_unstable_by(|a, b| b.cmp(a));
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::History;
    use crate::peer::Leadership;

    #[test]
    fn one_log_whoever_learns_of_it_first() {
        let mut history = History::new(false);
        history.decided(10, 1, 7).unwrap();
        history.decided(11, 2, 7).unwrap();
        history.decided(12, 2, 9).unwrap();
        assert_eq!(history.first_decision(8), Some(12));
        let divergence = history.decided(13, 1, 8).unwrap_err();
        let expected = "server 1 decides command 8 at 1, another one decided 9";
        assert_eq!(divergence.to_string(), expected);
    }

    #[test]
    fn gaps_reach_to_the_end() {
        let mut history = History::new(false);
        for (command, time) in [5, 10, 40, 50].into_iter().enumerate() {
            history.decided(time, 1, command as u64).unwrap();
        }
        assert_eq!(history.gaps(10, 100, 0), [50, 30, 10]);
        assert_eq!(history.gaps(10, 100, 30), [50]);
        assert_eq!(history.gaps(60, 100, 0), [40]);
    }

    #[test]
    fn a_leadership_counts_once() {
        let mut history = History::new(true);
        let leadership = Leadership { round: 3, pid: 2 };
        history.leads(10, leadership);
        history.leads(20, leadership);
        assert_eq!((history.changes(0, 10), history.changes(10, 30)), (1, 0));
        assert_eq!(history.timeline().len(), 1);
    }
}
