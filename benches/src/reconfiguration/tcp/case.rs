//! One run over TCP.

use super::super::RunError;
use super::super::agenda::{MILLISECOND, SECOND as ONE_SECOND};
use super::super::case::{
    Change, Donors, Load, MEMBERS, Outcome, TICK, TIMEOUT, TIMEOUT_TICKS, half, settings,
};
use super::super::ledger::{Account, least, longest_gap};
use super::super::preload::{LEADER, Preload};
use super::super::uplink::Sent;
use super::super::wire::segments;
use super::cluster::Cluster;
use super::namespaces::{Namespaces, NotHere};
use super::serve::on_the_wire;
use super::talk::Order;
use omnipaxos_core::leader_election::NodeId;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Until clients propose, for each entry that was found: replicas digest 256 KiB of them, at 32
/// bytes each, in a tick.
const SETTLE: Duration = Duration::from_nanos(1250);

/// Clients at their pace, before they are looked at.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long the cluster is looked at before the change, and after it.
const BEFORE: Duration = Duration::from_secs(2);
const AFTER: Duration = Duration::from_secs(2);

/// A change that takes longer than this has failed.
const LIMIT: Duration = Duration::from_secs(600);

/// Everything is decided and told within this time once clients stop.
const TAIL: Duration = Duration::from_secs(60);

/// How often servers are asked whether it is.
const POLL: Duration = Duration::from_millis(50);

/// Entries that members have while the pace is found.
const FEW: u64 = 10_000;

/// Why there is no result.
#[derive(Debug, Error)]
pub enum TcpError {
    /// This machine cannot do it.
    #[error(transparent)]
    NotHere(#[from] NotHere),
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// What is the same for all runs.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Entries that members have.
    pub entries: u64,
    /// Bytes a second of each uplink.
    pub uplink: u64,
    /// Bytes of entries in one message of a migration; the default where nothing is said.
    pub segment: Option<u64>,
    /// Bytes of that log as segments.
    segments: u64,
    /// Proposals a millisecond with which half of the leader's uplink is loaded.
    pace: f64,
}

/// A run, and when what happened in it.
#[derive(Clone, Debug)]
pub struct Run {
    /// What came out.
    pub outcome: Outcome,
    /// What was decided in the worst window of one election timeout before the change, by the mean.
    pub least_before: f64,
    /// When the worst window after the change begins, from then on, in nanoseconds.
    pub least_at: u64,
    /// The longest time without a decision after the change, from then on, in nanoseconds.
    pub gap: Range<u64>,
    /// From the change being asked for until it was answered, in nanoseconds.
    pub answered: u64,
    /// Nanoseconds after the change was asked for, and which server came how far.
    pub timeline: Vec<(u64, NodeId, String)>,
}

impl Setting {
    /// Finds the pace.
    ///
    /// # Errors
    /// [`TcpError`].
    pub fn new(entries: u64, uplink: u64, segment: Option<u64>) -> Result<Self, TcpError> {
        let namespaces = Namespaces::new(&MEMBERS, uplink)?;
        let default = settings().life.migration.segment_bytes;
        let log = Preload::new(entries).disk().map_err(RunError::from)?;
        let segments = segments(&log, entries, segment.unwrap_or(default))?;
        let mut cluster = Cluster::start(namespaces, &[], FEW, segment, |_| true)?;
        // What a message costs beyond what it says is not known yet.
        let mut pace = 0.5 * half(uplink)? as f64;
        for _ in 0..3 {
            pace = halved(&mut cluster, uplink, pace)?;
        }
        Ok(Self { entries, uplink, segment, segments, pace })
    }

    /// Makes the change once.
    ///
    /// # Errors
    /// [`TcpError`].
    pub fn run(&self, change: Change, donors: Donors, load: Load) -> Result<Run, TcpError> {
        let newcomers = change.newcomers();
        let pids: Vec<NodeId> = MEMBERS.iter().chain(&newcomers).copied().collect();
        let namespaces = Namespaces::new(&pids, self.uplink)?;
        let serves = |pid| donors == Donors::All || pid == LEADER;
        let mut cluster =
            Cluster::start(namespaces, &newcomers, self.entries, self.segment, serves)?;
        cluster.pass(SETTLE * u32::try_from(self.entries).unwrap_or(u32::MAX))?;
        // How many proposals share a message differs from run to run.
        let per_millisecond = match load {
            Load::Half => halved(&mut cluster, self.uplink, self.pace)?,
            Load::Probe => 1.0,
        };
        cluster.tell(LEADER, &Order::Load(per_millisecond))?;
        cluster.pass(WARM_UP)?;
        let load = share(&mut cluster, self.uplink, BEFORE)?;
        let before = cluster.sent()?;
        cluster.reconfigure(change.next())?;
        cluster.until("the new servers' votes", LIMIT, |c| {
            newcomers.iter().all(|pid| c.votes.contains_key(pid))
        })?;
        let sent = cluster.sent()?;
        cluster.until("the change's answer", LIMIT, |c| c.changed.is_some())?;
        cluster.pass(AFTER)?;
        cluster.tell(LEADER, &Order::Load(0.0))?;
        let end = settled(&mut cluster, change)?;
        let mut account = Account::default();
        let mut decisions = Vec::new();
        for pid in change.next() {
            let report = cluster.report(*pid, end)?;
            account = account.worse(report.account);
            if *pid == LEADER {
                decisions = report.decisions;
            }
        }
        let asked = cluster.asked.ok_or_else(|| RunError::new("never asked"))?;
        let changed = cluster.changed.unwrap_or(asked);
        let voted = cluster.votes.iter().filter(|(pid, _)| newcomers.contains(pid));
        let voted = voted.map(|(_, at)| *at).max().unwrap_or(asked);
        let period = voted.saturating_sub(asked);
        let sent: BTreeMap<NodeId, Sent> =
            sent.iter().map(|(pid, sent)| (*pid, sent.since(before[pid]))).collect();
        let since = |(at, pid, what): (u64, NodeId, String)| (at.saturating_sub(asked), pid, what);
        let timeline = std::mem::take(&mut cluster.timeline).into_iter().map(since).collect();
        let length = cluster.length.unwrap_or(self.entries);
        let expected = per_millisecond * (TIMEOUT / MILLISECOND) as f64;
        let (quiet, busy) =
            (asked - BEFORE.as_nanos() as u64..asked, asked..voted + AFTER.as_nanos() as u64);
        let quiet = least(&decisions, quiet, TIMEOUT);
        let worst = least(&decisions, busy.clone(), TIMEOUT);
        let gap = longest_gap(&decisions, busy);
        let share = |(count, _)| count as f64 / expected;
        Ok(Run {
            outcome: Outcome {
                period,
                bound: self.bound(&newcomers, period, length, &sent),
                load,
                least_share: share(worst),
                gap: gap.end - gap.start,
                leader: sent.get(&LEADER).copied().unwrap_or_default(),
                account,
                proposals: end - self.entries,
            },
            least_before: share(quiet),
            least_at: worst.1 - asked,
            gap: gap.start - asked..gap.end - asked,
            answered: changed.saturating_sub(asked),
            timeline,
        })
    }

    /// As in virtual time: bytes to move by what is free of the uplinks.
    fn bound(
        &self,
        newcomers: &[NodeId],
        period: u64,
        length: u64,
        sent: &BTreeMap<NodeId, Sent>,
    ) -> u64 {
        let log = on_the_wire(self.segments) as f64 * length as f64 / self.entries as f64;
        let donates = |pid: &NodeId| newcomers.len() > 1 || !newcomers.contains(pid);
        let capacity = self.uplink as f64 * period as f64 / ONE_SECOND as f64;
        let free = sent.iter().filter(|(pid, _)| donates(pid));
        let free: f64 = free.map(|(_, sent)| capacity - sent.replication as f64).sum();
        (log * newcomers.len() as f64 / free * period as f64) as u64
    }

    /// Proposals a second that load half of the leader's uplink.
    #[must_use]
    pub fn per_second(&self) -> u64 {
        (self.pace * 1e3) as u64
    }

    /// Milliseconds for which clients go on without answers.
    #[must_use]
    pub fn patience() -> u64 {
        TICK * TIMEOUT_TICKS
    }
}

/// The pace with which half of the leader's uplink is loaded, as far as clients at `pace` show.
fn halved(cluster: &mut Cluster, uplink: u64, pace: f64) -> Result<f64, TcpError> {
    cluster.tell(LEADER, &Order::Load(pace))?;
    cluster.pass(WARM_UP)?;
    Ok(pace * 0.5 / share(cluster, uplink, BEFORE)?)
}

/// The share of the leader's uplink that is in use, over some time.
fn share(cluster: &mut Cluster, uplink: u64, time: Duration) -> Result<f64, RunError> {
    let start = Instant::now();
    let before = cluster.sent()?;
    cluster.pass(time)?;
    let sent = cluster.sent()?;
    let took = start.elapsed().as_secs_f64();
    let total = |sent: &BTreeMap<NodeId, Sent>| sent.get(&LEADER).map_or(0, |sent| sent.total());
    Ok((total(&sent) - total(&before)) as f64 / took / uplink as f64)
}

/// Waits until all that was proposed is decided, and every member has heard of it.
fn settled(cluster: &mut Cluster, change: Change) -> Result<u64, RunError> {
    let deadline = Instant::now() + TAIL;
    loop {
        cluster.pass(POLL)?;
        let leader = cluster.seen(LEADER)?;
        let mut done = leader.open == 0;
        for pid in change.next() {
            done = done && cluster.seen(*pid)?.end == leader.next;
        }
        // What is lost is for the account to say.
        if done || Instant::now() > deadline {
            return Ok(leader.next);
        }
    }
}
