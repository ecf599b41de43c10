//! What a seed picks: the cluster, the faults that are on, and how strong they are (swarm testing:
//! few faults at a time find more than all of them always).

use super::rng::Rng;
use crate::checker::Members;
use omnipaxos_core::Quorum;
use omnipaxos_core::configurations::{Configuration, ConfigurationsConfig};
use omnipaxos_core::leader_election::ElectionConfig;
use omnipaxos_core::paxos::{CatchUpLimit, NodeId, PaxosConfig};
use omnipaxos_core::storage::ConfigId;

/// Units of virtual time in one tick of a server whose clock is right.
pub const TICK: u64 = 100;

/// The most servers of one seed.
pub const SERVERS: usize = 8;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process ends; it is started again later.
    Crash,
    /// A process stops for long, and goes on with everything that arrived meanwhile.
    Pause,
    /// Two groups do not hear each other.
    Partition,
    /// One server hears nobody, or nobody hears it.
    OneWay,
    /// Each link is cut with some probability, in each direction.
    Partial,
    /// Only links to one hub are left.
    Hub,
    /// The servers form a chain.
    Chain,
    /// A link delivers nothing for a while, and then all at once.
    Hold,
    /// What a link delivers comes later for a while.
    Clog,
    /// All cuts heal.
    Heal,
    /// A flush fails; the replica halts.
    FlushFails,
    /// A disk fills up.
    DiskFull,
    /// A server's priority changes.
    Priority,
    /// A server is declared unfit to lead, or fit again.
    Health,
    /// A leader event that no election gave.
    Spurious,
    /// A reconfiguration.
    Reconfigure,
    /// A replica is told that a link was re-established.
    Reconnect,
    /// Leadership is handed to a server.
    TakeOver,
    /// A process ends, and the flush of its disk that was acknowledged last is lost.
    LostFlush,
}

impl Fault {
    /// All of them, but for a lost flush, which a seed picks by itself.
    pub const ALL: [Fault; 18] = [
        Fault::Crash,
        Fault::Pause,
        Fault::Partition,
        Fault::OneWay,
        Fault::Partial,
        Fault::Hub,
        Fault::Chain,
        Fault::Hold,
        Fault::Clog,
        Fault::Heal,
        Fault::FlushFails,
        Fault::DiskFull,
        Fault::Priority,
        Fault::Health,
        Fault::Spurious,
        Fault::Reconfigure,
        Fault::Reconnect,
        Fault::TakeOver,
    ];

    /// Its name in logs and summaries.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fault::Crash => "crash",
            Fault::Pause => "pause",
            Fault::Partition => "partition",
            Fault::OneWay => "one-way cut",
            Fault::Partial => "partial partition",
            Fault::Hub => "hub",
            Fault::Chain => "chain",
            Fault::Hold => "hold",
            Fault::Clog => "clog",
            Fault::Heal => "heal",
            Fault::FlushFails => "flush fails",
            Fault::DiskFull => "disk full",
            Fault::Priority => "priority",
            Fault::Health => "health",
            Fault::Spurious => "spurious leader",
            Fault::Reconfigure => "reconfigure",
            Fault::Reconnect => "reconnected",
            Fault::TakeOver => "leadership handed over",
            Fault::LostFlush => "last flush lost",
        }
    }
}

/// Everything that a seed decides before the run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// All servers that may take part.
    pub pids: Vec<NodeId>,
    /// The members of the first configuration.
    pub first: Members,
    /// The faults that are on.
    pub faults: Vec<Fault>,
    /// Units between two faults, on average.
    pub fault_interval: u64,
    /// Units of the safety phase.
    pub duration: u64,
    /// Units between two proposals, on average.
    pub propose_interval: u64,
    /// Percent of messages lost, at the most on any link.
    pub loss: u64,
    /// Percent of messages duplicated.
    pub duplication: u64,
    /// Longest usual delay of a message.
    pub delay: u64,
    /// Longest duration of a flush.
    pub flush: u64,
    /// Units between two ticks, per server.
    pub ticks: Vec<u64>,
    /// Configurations after the first one, at the most.
    pub reconfigurations: u64,
    /// Operations on the register, at the most.
    pub operations: usize,
    /// Limits of the replicas.
    pub paxos: PaxosConfig,
    /// Settings of the elections.
    pub election: ElectionConfig,
    /// Settings of the servers' lives.
    pub life: ConfigurationsConfig,
    /// A process ends behind each of its life's commands in turn.
    pub boundaries: bool,
    /// Messages count as such commands.
    pub boundaries_of_messages: bool,
    /// Bytes that replicas digest a tick; 0 for none before a StopSign.
    pub digest_bytes: u64,
    /// Donors refuse now and then.
    pub refusals: bool,
    /// Percent of proposals that wait in a line of their server's where they cannot be made.
    pub lines: u64,
    /// Bytes of a proposal's payload, at the most, but for a few.
    pub payload: u64,
    /// Whether quorums are of different sizes.
    pub flexible: bool,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn new(seed: u64, rng: &mut Rng) -> Self {
        let reconfigurations = if rng.chance(35) { rng.between(1, 5) } else { 0 };
        let size = rng.pick(&[1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7]).unwrap_or(3);
        let spare = if reconfigurations > 0 { rng.below(5) } else { 0 } as usize;
        let pids = pids((size + spare).min(SERVERS), rng);
        let mut shuffled = pids.clone();
        rng.shuffle(&mut shuffled);
        let first = members(&shuffled[..size], rng);
        let share = rng.between(15, 90);
        let mut faults = Fault::ALL.to_vec();
        faults.retain(|fault| match fault {
            Fault::Reconfigure => reconfigurations > 0,
            _ => rng.chance(share),
        });
        // Apart from the dice that pick all else.
        if Rng::new(!seed).chance(25) {
            faults.push(Fault::LostFlush);
        }
        let skewed = rng.chance(40);
        let ticks = pids.iter().map(|_| match skewed {
            true => rng.between(60, 180),
            false => rng.between(95, 105),
        });
        let ticks = ticks.collect();
        let lossy = rng.chance(60);
        let delays = [TICK / 10, TICK / 2, TICK, TICK * 3, TICK * 8];
        Self {
            seed,
            first,
            faults,
            fault_interval: rng.between(3, 40) * TICK,
            duration: rng.between(60, 400) * TICK,
            propose_interval: rng.between(1, 8) * TICK / 2,
            loss: if lossy { rng.between(0, 30) } else { 0 },
            duplication: if rng.chance(50) { rng.between(1, 20) } else { 0 },
            delay: rng.pick(&delays).unwrap_or(TICK),
            flush: rng.pick(&[0, 5, TICK / 2, TICK * 2, TICK * 10]).unwrap_or(0),
            ticks,
            reconfigurations,
            operations: if rng.chance(30) { 12 } else { 0 },
            paxos: paxos(rng),
            election: election(rng),
            flexible: rng.chance(20),
            life: life(rng),
            boundaries: reconfigurations > 0 && rng.chance(25),
            boundaries_of_messages: rng.chance(30),
            digest_bytes: rng.pick(&[0, 100, 1 << 20]).unwrap_or(0),
            refusals: rng.chance(30),
            lines: rng.pick(&[0, 50, 100]).unwrap_or(50),
            payload: if reconfigurations > 0 && rng.chance(20) { 6000 } else { 24 },
            pids,
        }
    }

    /// The first configuration.
    #[must_use]
    pub fn first_configuration(&self) -> Configuration {
        let Members { voters, learners, .. } = self.first.clone();
        Configuration::first(1, voters).with_learners(learners)
    }

    /// Prepare and accept quorum of a configuration.
    #[must_use]
    pub fn quorums(&self, config_id: ConfigId, servers: usize) -> (usize, usize) {
        if !self.flexible {
            return (servers / 2 + 1, servers / 2 + 1);
        }
        let mut rng = Rng::new(self.seed ^ (config_id << 32));
        let prepare = rng.between(1, servers as u64) as usize;
        (prepare, servers + 1 - prepare)
    }

    /// The same for the core.
    #[must_use]
    pub fn quorum(&self, config_id: ConfigId, servers: usize) -> Option<Quorum> {
        if !self.flexible {
            return None;
        }
        let (prepare, accept) = self.quorums(config_id, servers);
        Quorum::flexible(prepare, accept, servers).ok()
    }
}

/// Some of `pids` as voters, the others as learners, mostly none.
pub(super) fn members(pids: &[NodeId], rng: &mut Rng) -> Members {
    let learners = if rng.chance(30) { rng.below(pids.len() as u64) as usize } else { 0 };
    let (mut voters, learners) = (pids[learners..].to_vec(), pids[..learners].to_vec());
    voters.sort_unstable();
    Members { voters, learners, continued: None }
}

/// Plain ones, or any that fit a u64.
fn pids(count: usize, rng: &mut Rng) -> Vec<NodeId> {
    let mut pids: Vec<NodeId> = match rng.below(3) {
        0 => (1..=count as u64).collect(),
        1 => (0..count).map(|at| 1 + at as u64 * rng.between(1, 9) * 10_000_000).collect(),
        _ => (0..count as u64).map(|at| u64::MAX - at * rng.between(1, 99)).collect(),
    };
    pids.sort_unstable();
    pids.dedup();
    let mut next = 2;
    while pids.len() < count {
        if !pids.contains(&next) {
            pids.push(next);
        }
        next += 1;
    }
    pids.sort_unstable();
    pids
}

fn paxos(rng: &mut Rng) -> PaxosConfig {
    let mut config = PaxosConfig::default();
    config.resend_ticks = rng.between(2, 8) as u32;
    config.keepalive_ticks = rng.between(5, 50) as u32;
    if rng.chance(40) {
        config.accept_frame_bytes = rng.between(1, 200);
        // Not one entry a part: a leader would fetch a long log over a bad link for ever.
        config.sync_chunk_bytes = rng.between(150, 600);
        config.window_bytes = rng.between(1, 600);
    }
    if rng.chance(20) {
        config.max_undecided_bytes = rng.between(1, 500);
        config.max_pending_bytes = rng.between(1, 500);
    }
    if rng.chance(30) {
        let (entries, bytes) = (rng.between(1, 30), rng.between(100, 5000));
        config.catch_up = Some(CatchUpLimit { entries, bytes });
    }
    config
}

fn election(rng: &mut Rng) -> ElectionConfig {
    let mut config = ElectionConfig::default();
    config.timeout_ticks = rng.between(6, 15) as u32;
    if rng.chance(20) {
        config.heartbeat_ticks = Some(rng.between(1, 3) as u32);
    }
    config
}

fn life(rng: &mut Rng) -> ConfigurationsConfig {
    let mut config = ConfigurationsConfig::default();
    config.poll_ticks = rng.between(3, 20) as u32;
    config.patience_ticks = rng.between(5, 60) as u32;
    config.linger_ticks = rng.between(1, 200) as u32;
    config.retire_ticks = rng.between(1, 300) as u32;
    config.migration.resend_ticks = rng.between(3, 20) as u32;
    config.migration.inventory_ticks = rng.between(3, 20) as u32;
    if rng.chance(50) {
        config.migration.segment_bytes = rng.between(1, 2000);
        config.migration.window = rng.between(1, 4) as usize;
        config.migration.ahead_bytes = rng.between(1, 200_000);
        config.store_bytes = rng.between(1, 2000);
    }
    config
}
