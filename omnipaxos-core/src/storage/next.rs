//! Which proposal of each proposer comes next.

use crate::ballot::NodeId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// The next proposal that may enter the log for one proposer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NextProposal {
    /// The proposer's latest session in the log; lower ones are refused.
    pub session: u64,
    /// The number that comes next in that session.
    pub number: u64,
}

/// The same of each proposer that has any.
///
/// A map. Proposers are the few servers of a configuration, and each entry of the log is noted
/// here, so they lie in a row. Serialised as a map is.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct NextProposals {
    /// In the order of the proposers.
    each: Vec<(NodeId, NextProposal)>,
}

impl NextProposals {
    /// What comes next of `proposer`.
    #[must_use]
    #[inline]
    pub fn get(&self, proposer: NodeId) -> Option<NextProposal> {
        self.position(proposer).ok().map(|at| self.each[at].1)
    }

    /// Says what comes next of `proposer`.
    #[inline]
    pub fn insert(&mut self, proposer: NodeId, next: NextProposal) {
        match self.position(proposer) {
            Ok(at) => self.each[at].1 = next,
            Err(at) => self.each.insert(at, (proposer, next)),
        }
    }

    /// How many proposers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Whether nobody has proposed anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// Each proposer, in order, and what comes next of it.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, NextProposal)> + '_ {
        self.each.iter().copied()
    }

    #[inline]
    fn position(&self, proposer: NodeId) -> Result<usize, usize> {
        self.each.binary_search_by_key(&proposer, |(proposer, _)| *proposer)
    }
}

impl Clone for NextProposals {
    fn clone(&self) -> Self {
        Self { each: self.each.clone() }
    }

    #[inline]
    fn clone_from(&mut self, source: &Self) {
        self.each.clone_from(&source.each);
    }
}

impl Extend<(NodeId, NextProposal)> for NextProposals {
    fn extend<T: IntoIterator<Item = (NodeId, NextProposal)>>(&mut self, more: T) {
        more.into_iter().for_each(|(proposer, next)| self.insert(proposer, next));
    }
}

impl FromIterator<(NodeId, NextProposal)> for NextProposals {
    fn from_iter<T: IntoIterator<Item = (NodeId, NextProposal)>>(each: T) -> Self {
        let mut all = Self::default();
        all.extend(each);
        all
    }
}

impl Serialize for NextProposals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for NextProposals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A map, whatever was written, has each proposer once.
        BTreeMap::deserialize(deserializer).map(|each| each.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposers_are_in_order_and_each_is_there_once() {
        let next = |number| NextProposal { session: 1, number };
        let mut all: NextProposals =
            [(5, next(1)), (1, next(2)), (3, next(3))].into_iter().collect();
        assert_eq!(all.iter().map(|(proposer, _)| proposer).collect::<Vec<_>>(), [1, 3, 5]);
        all.insert(3, next(9));
        assert_eq!((all.len(), all.get(3), all.get(4)), (3, Some(next(9)), None));
        assert_eq!(all, all.iter().collect::<Vec<_>>().into_iter().rev().collect());
    }
}
