//! What really happened: a simulator that injects nothing proves nothing.

use std::collections::BTreeMap;

/// Counters of one run, or of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Seeds.
    pub seeds: u64,
    /// Events of virtual time.
    pub events: u64,
    /// Ticks of all servers.
    pub ticks: u64,
    /// Entries decided.
    pub decided: u64,
    /// Messages lost at random.
    pub lost: u64,
    /// Messages lost to cut links.
    pub lost_to_cuts: u64,
    /// Messages that arrived twice.
    pub duplicated: u64,
    /// Messages that overtook an earlier one.
    pub overtaken: u64,
    /// Messages that were held back and released together.
    pub released: u64,
    /// The longest time from healing to all of it decided, in ticks of the slowest clock.
    pub slowest_recovery: u64,
    /// Messages sent, by kind.
    pub messages: BTreeMap<&'static str, u64>,
    /// Faults injected, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// What the protocol went through, by kind.
    pub paths: BTreeMap<&'static str, u64>,
}

impl Stats {
    /// A message was sent.
    pub fn message(&mut self, kind: &'static str) {
        *self.messages.entry(kind).or_default() += 1;
    }

    /// A fault was injected.
    pub fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// The protocol went through `path`.
    pub fn path(&mut self, path: &'static str) {
        *self.paths.entry(path).or_default() += 1;
    }

    /// Adds another run's counters.
    pub fn add(&mut self, other: &Stats) {
        self.seeds += other.seeds;
        self.events += other.events;
        self.ticks += other.ticks;
        self.decided += other.decided;
        self.lost += other.lost;
        self.lost_to_cuts += other.lost_to_cuts;
        self.duplicated += other.duplicated;
        self.overtaken += other.overtaken;
        self.released += other.released;
        self.slowest_recovery = self.slowest_recovery.max(other.slowest_recovery);
        let maps = [
            (&mut self.messages, &other.messages),
            (&mut self.faults, &other.faults),
            (&mut self.paths, &other.paths),
        ];
        for (ours, theirs) in maps {
            for (kind, count) in theirs {
                *ours.entry(kind).or_default() += count;
            }
        }
    }
}
