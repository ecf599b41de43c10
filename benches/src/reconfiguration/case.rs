//! The changes that are measured, and one run of each.

use super::RunError;
use super::agenda::{MILLISECOND, SECOND as ONE_SECOND, seconds};
use super::ledger::{Account, account, least, longest_gap};
use super::preload::{FIRST, LEADER, Preload};
use super::row::Measured;
use super::server::{Server, Settings};
use super::uplink::Sent;
use super::wire::{Wire, segments};
use super::world::{Network, SECOND, World};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::paxos::{Accept, Ballot, Body, Decide, Message};
use omnipaxos_core::storage::{Entry, ProposalId, Records, RecordsBuilder, Sequence as _};
use omnipaxos_kompact::config::OmniPaxosConfig;
use std::collections::BTreeMap;

/// Bytes a second of each uplink: 100 Mbit/s.
pub const UPLINK: u64 = 12_500_000;

/// Milliseconds of a hop.
pub const HOP: u64 = 1;

/// Milliseconds of a tick: the default.
pub const TICK: u64 = 10;

/// Ticks of an election timeout: the default.
pub const TIMEOUT_TICKS: u64 = 20;

/// Nanoseconds of an election timeout, and of the window in which the throughput is looked at.
pub const TIMEOUT: u64 = TIMEOUT_TICKS * TICK * MILLISECOND;

/// The members before the change.
pub const MEMBERS: [NodeId; 5] = [1, 2, 3, 4, 5];

/// When clients begin, when they are looked at first, and when the change is asked for.
const LOAD: u64 = ONE_SECOND;
const BEFORE: u64 = 2 * ONE_SECOND;
const CHANGE: u64 = 4 * ONE_SECOND;

/// How long the cluster is watched after the change, and without clients at the end.
const AFTER: u64 = 2 * ONE_SECOND;

/// A run that takes longer than this has failed.
const LIMIT: u64 = 1000 * ONE_SECOND;

/// A change of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// One of them goes, another one comes.
    One,
    /// Three of them go, three others come.
    Majority,
}

impl Change {
    /// The members after the change.
    #[must_use]
    pub fn next(self) -> &'static [NodeId] {
        match self {
            Change::One => &[1, 2, 3, 4, 6],
            Change::Majority => &[1, 2, 6, 7, 8],
        }
    }

    /// Those who are new.
    #[must_use]
    pub fn newcomers(self) -> Vec<NodeId> {
        self.next().iter().copied().filter(|pid| !MEMBERS.contains(pid)).collect()
    }
}

/// Who answers servers that migrate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Donors {
    /// Whoever has something.
    All,
    /// The leader alone.
    Leader,
}

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// They propose so much that the leader's copies of it take half of its uplink.
    Half,
    /// One proposal a millisecond.
    Probe,
}

/// What came out of a run. Times in nanoseconds.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// From the change being asked for until all new servers voted.
    pub period: u64,
    /// What the uplinks allow: bytes to move by what is free of the uplinks of all that have
    /// something.
    pub bound: u64,
    /// The share of the leader's uplink that clients took before.
    pub load: f64,
    /// What was decided in the worst window of one election timeout, by what was before.
    pub least_share: f64,
    /// The longest time without a decision.
    pub gap: u64,
    /// What the leader sent in the period.
    pub leader: Sent,
    /// What became of the proposals.
    pub account: Account,
    /// How many of them there were.
    pub proposals: u64,
}

impl Outcome {
    /// The same as others have it.
    #[must_use]
    pub fn measured(&self) -> Measured {
        let Account { lost, doubled, overtaken } = self.account;
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        Measured {
            period: seconds(self.period),
            bound: seconds(self.bound),
            leader: megabytes(self.leader.total()),
            change: Some(megabytes(self.leader.change)),
            least_share: self.least_share,
            gap: self.gap as f64 / TIMEOUT as f64,
            wrong: lost + doubled + overtaken,
        }
    }
}

/// The settings of all servers: the defaults of omnipaxos-kompact.
#[must_use]
pub fn settings() -> Settings {
    let config = OmniPaxosConfig::default();
    let mut paxos = config.paxos();
    paxos.catch_up = Some(config.catch_up());
    Settings { life: config.configurations(), paxos, election: config.election(Ballot::default()) }
}

/// Makes the change once.
///
/// # Errors
/// [`RunError`] where a server failed, or the new ones never voted.
pub fn run(
    preload: &Preload,
    change: Change,
    donors: Donors,
    load: Load,
) -> Result<Outcome, RunError> {
    let network = Network {
        bytes_per_second: UPLINK,
        delay: HOP * MILLISECOND,
        tick: TICK * MILLISECOND,
        patience: TIMEOUT,
    };
    let newcomers = change.newcomers();
    let mut world = World::new(network, preload, &MEMBERS, &newcomers, &settings())?;
    if donors == Donors::Leader {
        world.only_donor(LEADER);
    }
    let per_millisecond = match load {
        Load::Half => half(UPLINK)?,
        Load::Probe => 1,
    };
    world.run_until(LOAD)?;
    world.load(per_millisecond);
    world.run_until(BEFORE)?;
    let quiet = world.sent(LEADER);
    world.run_until(CHANGE)?;
    let before = snapshot(&world);
    let load = world.sent(LEADER).since(quiet).total() as f64 * ONE_SECOND as f64
        / ((CHANGE - BEFORE) as f64 * UPLINK as f64);
    world.reconfigure(change.next())?;
    while !newcomers.iter().all(|pid| world.votes().contains_key(pid)) {
        if world.now() > LIMIT {
            return Err(RunError::new("the new servers never voted"));
        }
        world.step()?;
    }
    let (end, sent) = (world.now(), snapshot(&world));
    let period = end - CHANGE;
    world.run_until(end + AFTER)?;
    world.load(0);
    while !world.clients.idle() && world.now() < LIMIT {
        world.step()?;
    }
    // The followers hear of it.
    world.run_until(world.now() + AFTER)?;
    let sent: BTreeMap<NodeId, Sent> =
        sent.iter().map(|(pid, sent)| (*pid, sent.since(before[pid]))).collect();
    let expected = per_millisecond * TIMEOUT / MILLISECOND;
    let decisions = world.clients.decisions();
    let span = CHANGE..end + AFTER;
    let gap = longest_gap(decisions, span.clone());
    Ok(Outcome {
        period,
        bound: bound(&world, &newcomers, period, &sent)?,
        load,
        least_share: least(decisions, span, TIMEOUT).0 as f64 / expected as f64,
        gap: gap.end - gap.start,
        leader: sent.get(&LEADER).copied().unwrap_or_default(),
        account: proposals(&world, change, preload)?,
        proposals: world.clients.proposed().count() as u64,
    })
}

fn snapshot(world: &World) -> BTreeMap<NodeId, Sent> {
    world.servers().map(|(pid, _)| (pid, world.sent(pid))).collect()
}

/// Entries that clients propose in a millisecond so that what the leader sends of it to four
/// others is half of what an uplink of so many bytes a second carries.
///
/// # Errors
/// [`RunError`] where no message of them can be encoded.
pub fn half(uplink: u64) -> Result<u64, RunError> {
    let round = Ballot { n: 1, priority: 0, pid: LEADER };
    let bytes = |body: Body| {
        let message = Message { config_id: FIRST, from: LEADER, to: 2, body };
        Wire::Paxos(message).bytes()
    };
    let copies = MEMBERS.len() as u64 - 1;
    let budget = uplink / 1000 / 2 / copies;
    let (n, s, index) = (round, 1, 1 << 24);
    let decide = Decide { n, s, decided: index, decided_by_all: index, answer: false };
    let decide = bytes(Body::Decide(decide))?;
    let (mut low, mut high) = (1, budget);
    while low < high {
        let count = (low + high).div_ceil(2);
        let entries = entries(count);
        let (start, decided, decided_by_all) = (index, index, index);
        let accept = Accept { n, s, start, entries, decided, decided_by_all };
        if bytes(Body::Accept(accept))? + decide <= budget { low = count } else { high = count - 1 }
    }
    Ok(low)
}

fn entries(count: u64) -> Records {
    let mut records = RecordsBuilder::new();
    records.extend((0..count).map(|at| {
        let id = ProposalId { proposer: LEADER, session: 2, number: (1 << 24) + at };
        (id, Entry::from(at.to_le_bytes().to_vec()))
    }));
    records.build()
}

/// Bytes to move by what is free of the uplinks: everything but what replicas sent in the period.
/// A newcomer that is the only one has nobody to send to.
fn bound(
    world: &World,
    newcomers: &[NodeId],
    period: u64,
    sent: &BTreeMap<NodeId, Sent>,
) -> Result<u64, RunError> {
    let log = world.server(LEADER).and_then(|server| server.disk(FIRST));
    let log = log.ok_or_else(|| RunError::new("the leader has no log"))?;
    let bytes = segments(log, log.end_index(), settings().life.migration.segment_bytes)?;
    let donates = |pid: &NodeId| newcomers.len() > 1 || !newcomers.contains(pid);
    let capacity = UPLINK as f64 * period as f64 / ONE_SECOND as f64;
    let free: f64 = sent
        .iter()
        .filter(|(pid, _)| donates(pid))
        .map(|(_, sent)| capacity - sent.replication as f64)
        .sum();
    let move_bytes = (bytes * newcomers.len() as u64) as f64;
    Ok((move_bytes / free * period as f64) as u64)
}

/// The log of the first configuration and that of the second one, as each member of that has it.
fn proposals(world: &World, change: Change, preload: &Preload) -> Result<Account, RunError> {
    let mut worst = Account::default();
    for pid in change.next() {
        let disks = [FIRST, SECOND].map(|id| world.server(*pid).and_then(|s| Server::disk(s, id)));
        let [Some(first), Some(second)] = disks else {
            return Err(RunError(format!("server {pid} has no log")));
        };
        let logs = [(first, first.end_index()), (second, second.end_index())];
        let found = account(&logs, preload.entries(), world.clients.proposed())?;
        worst = worst.worse(found);
    }
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use super::{Change, Donors, Load, TICK, TIMEOUT, TIMEOUT_TICKS, run, settings};
    use crate::reconfiguration::agenda::MILLISECOND;
    use crate::reconfiguration::ledger::Account;
    use crate::reconfiguration::preload::Preload;
    use omnipaxos_kompact::config::OmniPaxosConfig;

    #[test]
    fn time_is_that_of_the_defaults() {
        assert_eq!(u64::from(settings().election.timeout_ticks), TIMEOUT_TICKS);
        assert_eq!(OmniPaxosConfig::default().tick.as_millis(), u128::from(TICK));
        assert_eq!(TIMEOUT, TIMEOUT_TICKS * TICK * MILLISECOND);
    }

    #[test]
    fn a_change_loses_nothing_and_needs_its_time() {
        let preload = Preload::new(50_000);
        for change in [Change::One, Change::Majority] {
            let [ours, leader] = [Donors::All, Donors::Leader]
                .map(|donors| run(&preload, change, donors, Load::Half).unwrap());
            for outcome in [&ours, &leader] {
                assert_eq!(outcome.account, Account::default());
                assert!(outcome.period >= outcome.bound, "{outcome:?}");
                assert!((0.45..0.55).contains(&outcome.load), "{outcome:?}");
            }
            assert!(ours.period < leader.period && ours.leader.change < leader.leader.change);
        }
    }
}
