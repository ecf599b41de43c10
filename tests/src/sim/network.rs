//! Links: how long messages take, and which of them are lost, doubled, overtaken or held back.

use super::plan::Plan;
use super::rng::Rng;
use super::stats::Stats;
use omnipaxos_core::configurations::ServerMessage;
use omnipaxos_core::leader_election::HeartbeatMessage;
use omnipaxos_core::paxos::{Message, NodeId};

/// What travels between servers.
#[derive(Clone, Debug)]
pub enum Wire {
    /// Between two replicas.
    Paxos(Message),
    /// Between two elections.
    Heartbeat(HeartbeatMessage),
    /// Between the lives of two servers.
    Server(ServerMessage),
}

impl Wire {
    /// Sender and receiver.
    #[must_use]
    pub fn ends(&self) -> (NodeId, NodeId) {
        match self {
            Wire::Paxos(m) => (m.from, m.to),
            Wire::Heartbeat(m) => (m.from, m.to),
            Wire::Server(m) => (m.from, m.to),
        }
    }
}

/// One direction between two servers.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// The shortest delay.
    pub min: u64,
    /// The longest usual delay.
    pub max: u64,
    /// Percent of messages that take many times as long.
    pub tail: u64,
    /// Percent of messages that are lost.
    pub loss: u64,
    /// Percent of messages that arrive twice.
    pub duplication: u64,
    /// Messages keep their order.
    pub fifo: bool,
    /// Nothing gets through.
    pub cut: bool,
    /// Nothing arrives before this time.
    pub clogged_until: u64,
    /// Messages wait until the link is released.
    pub held: Option<Vec<Wire>>,
    last: u64,
}

/// All links.
#[derive(Clone, Debug)]
pub struct Network {
    size: usize,
    links: Vec<Link>,
}

impl Network {
    /// Links whose delays and losses the plan bounds.
    #[must_use]
    pub fn new(plan: &Plan, rng: &mut Rng) -> Self {
        let size = plan.pids.len();
        let fifo = rng.chance(40);
        let tailed = rng.chance(40);
        let links = (0..size * size).map(|_| {
            let max = rng.between(1, plan.delay);
            Link {
                min: rng.between(1, max),
                max,
                tail: if tailed { rng.between(0, 5) } else { 0 },
                loss: rng.between(0, plan.loss),
                duplication: rng.between(0, plan.duplication),
                fifo,
                ..Link::default()
            }
        });
        let links = links.collect();
        Self { size, links }
    }

    /// The link from one machine to another.
    pub fn link(&mut self, from: usize, to: usize) -> &mut Link {
        let size = self.size;
        &mut self.links[(from % size) * size + to % size]
    }

    /// How many machines there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// When a message that is sent now arrives: never, once, or twice.
    pub fn route(
        &mut self,
        (from, to): (usize, usize),
        now: u64,
        rng: &mut Rng,
        stats: &mut Stats,
    ) -> [Option<u64>; 2] {
        let link = self.link(from, to);
        if link.cut {
            stats.lost_to_cuts += 1;
            return [None, None];
        }
        if rng.chance(link.loss) {
            stats.lost += 1;
            return [None, None];
        }
        let first = link.arrival(now, rng, stats);
        let second = rng.chance(link.duplication).then(|| {
            stats.duplicated += 1;
            link.arrival(now, rng, stats)
        });
        [Some(first), second]
    }

    /// Whether a message that arrives now gets through; one on a held link waits.
    pub fn arrives(&mut self, from: usize, to: usize, wire: Wire) -> Option<Wire> {
        let link = self.link(from, to);
        if link.cut {
            return None;
        }
        match &mut link.held {
            Some(held) => {
                held.push(wire);
                None
            }
            None => Some(wire),
        }
    }
}

impl Link {
    fn arrival(&mut self, now: u64, rng: &mut Rng, stats: &mut Stats) -> u64 {
        let mut delay = rng.between(self.min, self.max);
        if rng.chance(self.tail) {
            delay = delay.saturating_mul(rng.between(5, 50));
        }
        let mut at = (now + delay).max(self.clogged_until);
        if self.fifo {
            at = at.max(self.last);
        } else {
            stats.overtaken += u64::from(at < self.last);
        }
        self.last = self.last.max(at);
        at
    }

    /// As good as it gets: short delays, nothing lost.
    pub fn heal(&mut self) -> Vec<Wire> {
        let held = self.held.take().unwrap_or_default();
        *self = Self { min: 1, max: 30, ..Self::default() };
        held
    }
}
