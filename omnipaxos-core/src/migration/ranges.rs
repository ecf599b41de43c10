//! Sets of log indexes, as ranges.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The indexes `[from, to)`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct IndexRange {
    /// The first index.
    pub from: u64,
    /// The index after the last one.
    pub to: u64,
}

impl IndexRange {
    /// The indexes `[from, to)`.
    #[must_use]
    pub fn new(from: u64, to: u64) -> Self {
        Self { from, to }
    }

    /// How many indexes.
    #[must_use]
    pub fn len(self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    /// Whether there is no index.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.to <= self.from
    }

    /// The indexes that both have.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::new(self.from.max(other.from), self.to.min(other.to))
    }
}

impl fmt::Display for IndexRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.from, self.to)
    }
}

/// A set of indexes. Invariant: its ranges ascend, and neither are empty nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ranges {
    ranges: Vec<IndexRange>,
}

impl Ranges {
    /// No index.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the indexes of `range`.
    pub fn insert(&mut self, range: IndexRange) {
        if range.is_empty() {
            return;
        }
        // Those that overlap or touch it become one with it.
        let first = self.ranges.partition_point(|r| r.to < range.from);
        let after = self.ranges.partition_point(|r| r.from <= range.to);
        let merged = self.ranges[first..after].iter().fold(range, |merged, r| IndexRange {
            from: merged.from.min(r.from),
            to: merged.to.max(r.to),
        });
        self.ranges.splice(first..after, [merged]);
    }

    /// Removes the indexes of `range`.
    pub fn remove(&mut self, range: IndexRange) {
        if range.is_empty() {
            return;
        }
        let first = self.ranges.partition_point(|r| r.to <= range.from);
        let after = self.ranges.partition_point(|r| r.from < range.to);
        if first >= after {
            return;
        }
        let left = IndexRange::new(self.ranges[first].from, range.from);
        let right = IndexRange::new(range.to, self.ranges[after - 1].to);
        let rest = [left, right].into_iter().filter(|r| !r.is_empty());
        self.ranges.splice(first..after, rest);
    }

    /// Whether all indexes of `range` are in it.
    #[must_use]
    pub fn contains(&self, range: IndexRange) -> bool {
        range.is_empty() || self.parts(range).next() == Some(range)
    }

    /// What is in both this set and `range`, ascending.
    pub fn parts(&self, range: IndexRange) -> impl Iterator<Item = IndexRange> + '_ {
        let first = self.ranges.partition_point(|r| r.to <= range.from);
        self.ranges[first..].iter().map(move |r| r.and(range)).take_while(|r| !r.is_empty())
    }

    /// What is in `range` and not in this set.
    #[must_use]
    pub fn missing(&self, range: IndexRange) -> Ranges {
        let mut missing = Ranges::from_iter([range]);
        self.parts(range).for_each(|part| missing.remove(part));
        missing
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = IndexRange> + '_ {
        self.ranges.iter().copied()
    }

    /// How many indexes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.iter().map(IndexRange::len).sum()
    }

    /// Whether there is no index.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl FromIterator<IndexRange> for Ranges {
    fn from_iter<T: IntoIterator<Item = IndexRange>>(ranges: T) -> Self {
        let mut set = Self::new();
        ranges.into_iter().for_each(|range| set.insert(range));
        set
    }
}
