//! The network: who reaches whom, and how long a hop takes.

use crate::dice::{Dice, Use};
use crate::peer::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// All links between the servers. A link keeps the order of its messages, as TCP does.
#[derive(Debug)]
pub struct Links {
    dice: Dice,
    slowest_hop: u64,
    cut: BTreeSet<(NodeId, NodeId)>,
    last_arrival: BTreeMap<(NodeId, NodeId), u64>,
}

impl Links {
    /// Links that are all up; a hop takes from 1 to `slowest_hop` instants.
    #[must_use]
    pub fn new(dice: Dice, slowest_hop: u64) -> Self {
        Self { dice, slowest_hop, cut: BTreeSet::new(), last_arrival: BTreeMap::new() }
    }

    /// When a message that is sent at `now` arrives, if the link is up. The delay depends on the
    /// link and the instant only: each library meets the same network.
    pub fn send(&mut self, from: NodeId, to: NodeId, now: u64) -> Option<u64> {
        if !self.up(from, to) {
            return None;
        }
        let hop = self.dice.below(self.slowest_hop, Use::Delay, [from, to, now]);
        let last = self.last_arrival.entry((from, to)).or_default();
        *last = (*last).max(now + 1 + hop);
        Some(*last)
    }

    /// Whether `from` reaches `to`. What is on its way when a link is cut is lost.
    #[must_use]
    pub fn up(&self, from: NodeId, to: NodeId) -> bool {
        !self.cut.contains(&(from, to))
    }

    /// Cuts the link between two servers, for ever.
    pub fn cut(&mut self, a: NodeId, b: NodeId) {
        self.cut.extend([(a, b), (b, a)]);
    }
}

#[cfg(test)]
mod tests {
    use super::Links;
    use crate::dice::Dice;

    #[test]
    fn order_and_bound_of_delays() {
        let mut links = Links::new(Dice::new(3), 300);
        let mut last = 0;
        for now in 0..2000 {
            let arrival = links.send(1, 2, now).unwrap();
            assert!(arrival >= last && arrival > now && arrival <= now + 300);
            last = arrival;
        }
    }

    #[test]
    fn a_cut_has_two_directions_and_no_neighbours() {
        let mut links = Links::new(Dice::new(3), 300);
        links.cut(1, 2);
        assert_eq!((links.send(1, 2, 0), links.send(2, 1, 0)), (None, None));
        assert!(links.up(1, 3) && links.up(3, 2));
    }
}
