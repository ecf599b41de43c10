//! The faults, and when they happen.

use crate::cluster::Cluster;
use crate::dice::{Dice, Use};
use crate::links::Links;
use crate::peer::{NodeId, Peer, PeerError};
use crate::units::{SETTLED, TIMEOUT};
use clap::ValueEnum;
use serde::Serialize;

/// A partition of the paper, or the baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// All links are up, the leader crashes: the baseline.
    Crash,
    /// All links but those of one server, the hub, are cut. The leader is up and has lost its
    /// quorum; only the hub reaches one.
    QuorumLoss,
    /// The hub misses the leader's last entries; then the leader is cut off, and of the others'
    /// links only those of the hub are left. Only the hub reaches a quorum.
    Constrained,
    /// The link between the leader and another server is cut. Both reach a quorum.
    Chained,
}

/// Who plays which part.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// The leader before the fault.
    pub leader: NodeId,
    /// The hub, or in the chained scenario the far end of the cut link.
    pub hub: NodeId,
}

impl Scenario {
    /// How it is named in a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::QuorumLoss => "quorum-loss",
            Self::Constrained => "constrained",
            Self::Chained => "chained",
        }
    }

    /// The sizes of a cluster in which it exists. Of three servers a hub and one more are a quorum
    /// for each other, so there the leader of a star keeps it, and any two elect either.
    #[must_use]
    pub fn sizes(self) -> &'static [u64] {
        match self {
            Self::Crash | Self::Chained => &[3, 5, 7],
            Self::QuorumLoss | Self::Constrained => &[5, 7],
        }
    }

    /// What happens [`Schedule::LEAD`] before the fault.
    pub fn prepare(self, links: &mut Links, parts: Parts) {
        if self == Self::Constrained {
            links.cut(parts.leader, parts.hub);
        }
    }

    /// The fault.
    pub fn strike<P, B>(self, cluster: &mut Cluster<P, B>, servers: u64, parts: Parts)
    where
        P: Peer,
        B: Fn(NodeId) -> Result<P, PeerError>,
    {
        let Parts { leader, hub } = parts;
        match self {
            Self::Crash => cluster.crash(leader),
            Self::QuorumLoss => star(&mut cluster.links, servers, hub),
            Self::Constrained => {
                star(&mut cluster.links, servers, hub);
                cluster.links.cut(leader, hub);
            }
            Self::Chained => cluster.links.cut(leader, hub),
        }
    }
}

/// Leaves the links of `hub` only.
fn star(links: &mut Links, servers: u64, hub: NodeId) {
    for a in (1..=servers).filter(|a| *a != hub) {
        for b in (a + 1..=servers).filter(|b| *b != hub) {
            links.cut(a, b);
        }
    }
}

/// What a seed says about the fault: the same for each library.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The fault.
    pub scenario: Scenario,
    /// Servers.
    pub servers: u64,
    /// The seed's numbers.
    pub dice: Dice,
    /// Instants that the slowest hop takes.
    pub slowest_hop: u64,
}

impl Schedule {
    /// Instants from [`Scenario::prepare`] to [`Scenario::strike`]: long enough that all but the
    /// hub get an entry, too short for an election.
    pub const LEAD: u64 = 6 * TIMEOUT / 10;

    /// When the fault is prepared: the cluster has settled, and clocks are in no special position.
    #[must_use]
    pub fn prepared_at(&self) -> u64 {
        SETTLED + self.dice.below(TIMEOUT, Use::FaultPhase, [0; 3])
    }

    /// Picks the hub among the servers that do not lead.
    #[must_use]
    pub fn parts(&self, leader: NodeId) -> Parts {
        let place = 1 + self.dice.below(self.servers - 1, Use::Part, [0; 3]);
        let hub = place + u64::from(place >= leader);
        Parts { leader, hub }
    }
}

#[cfg(test)]
mod tests {
    use super::{Scenario, Schedule, star};
    use crate::dice::Dice;
    use crate::links::Links;

    #[test]
    fn a_star_has_its_hub_s_links_only() {
        let mut links = Links::new(Dice::new(1), 1);
        star(&mut links, 5, 3);
        for a in 1..=5 {
            for b in (1..=5).filter(|b| *b != a) {
                assert_eq!(links.up(a, b), a == 3 || b == 3, "{a} {b}");
            }
        }
    }

    #[test]
    fn each_other_server_may_be_the_hub() {
        let hubs = |leader| {
            let mut hubs = [false; 6];
            for seed in 0..100 {
                let schedule = Schedule {
                    scenario: Scenario::Crash,
                    servers: 5,
                    dice: Dice::new(seed),
                    slowest_hop: 1,
                };
                hubs[schedule.parts(leader).hub as usize] = true;
            }
            hubs
        };
        assert_eq!(hubs(1), [false, false, true, true, true, true]);
        assert_eq!(hubs(3), [false, true, true, false, true, true]);
    }
}
