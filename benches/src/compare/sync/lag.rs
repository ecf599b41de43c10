//! Servers in one thread, storage in memory: some of them are cut off while the others decide a
//! long log, and come back.
//!
//! All messages that are sent in a round are under way at once, as on a network, and are handed
//! over as they are.

use super::memory::Memory;
use super::servers::Server;
use super::theirs::Theirs;
use crate::compare::group::{GroupError, Library};
use crate::compare::omnipaxos_crate::{Owned, Shared};
use crate::compare::ours::Replica;
use crate::compare::workload::{Payloads, WINDOWS_PER_TICK};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Who comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Case {
    /// One follower of three servers.
    OneOf3,
    /// One follower of five servers.
    OneOf5,
    /// Two followers of five servers, at once.
    TwoOf5,
    /// One of five, which is the only one that reaches a quorum afterwards: it has to lead. The
    /// leader is gone, and of the links those of the laggard are left.
    Leads,
}

impl Case {
    /// All of them.
    pub const ALL: [Self; 4] = [Case::OneOf3, Case::OneOf5, Case::TwoOf5, Case::Leads];

    /// In words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Case::OneOf3 => "3 servers, 1 lags",
            Case::OneOf5 => "5 servers, 1 lags",
            Case::TwoOf5 => "5 servers, 2 lag",
            Case::Leads => "5 servers, 1 lags and has to lead",
        }
    }

    /// As an argument of a program.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Case::OneOf3 => "one-of3",
            Case::OneOf5 => "one-of5",
            Case::TwoOf5 => "two-of5",
            Case::Leads => "leads",
        }
    }

    fn servers(self) -> usize {
        if self == Case::OneOf3 { 3 } else { 5 }
    }

    fn laggards(self) -> usize {
        if self == Case::TwoOf5 { 2 } else { 1 }
    }
}

/// What is lacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// Entries.
    pub entries: u64,
    /// Bytes of each.
    pub payload: usize,
}

/// What it took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Caught {
    /// Seconds until all laggards had decided, and handed out, everything.
    pub seconds: f64,
    /// Bytes of memory beyond what was in use when they came back: of all servers together.
    pub grown: u64,
    /// Bytes of payload in the largest message.
    pub largest: u64,
    /// Seconds for which one server did nothing else than handle one message, or make the messages
    /// of one round.
    pub pause: f64,
}

/// Measures one case in this process.
///
/// # Errors
/// [`GroupError`] of the library, or where laggards do not catch up.
pub fn measure(library: Library, case: Case, log: Log) -> Result<Caught, GroupError> {
    match library {
        Library::Ours => World::<Replica>::start(case)?.run(case, log),
        Library::Omnipaxos => World::<Theirs<Owned>>::start(case)?.run(case, log),
        Library::OmnipaxosShared => World::<Theirs<Shared>>::start(case)?.run(case, log),
        Library::Raft => Err(GroupError::new("raft brings nobody up by itself")),
    }
}

struct World<S> {
    servers: Vec<S>,
    leader: usize,
    /// Which servers are cut off.
    away: Vec<bool>,
    /// The server whose links are the only ones.
    hub: Option<usize>,
    decided: Vec<u64>,
    entries_of_largest: u64,
    pause: Duration,
}

/// Proposals that are open at once.
const WINDOW: u64 = 1024;

/// Ticks in which laggards must have caught up.
const MOST_TICKS: u64 = 10_000;

impl<S: Server> World<S> {
    fn start(case: Case) -> Result<Self, GroupError> {
        let (servers, leader) = S::group(case.servers() as u64)?;
        let count = servers.len();
        Ok(Self {
            servers,
            leader,
            away: vec![false; count],
            hub: None,
            decided: vec![0; count],
            entries_of_largest: 0,
            pause: Duration::ZERO,
        })
    }

    fn run(mut self, case: Case, log: Log) -> Result<Caught, GroupError> {
        let leader = self.leader;
        let followers = (0..self.servers.len()).rev().filter(|at| *at != leader);
        let laggards: Vec<usize> = followers.take(case.laggards()).collect();
        for at in &laggards {
            self.away[*at] = true;
        }
        self.decide(log)?;
        self.pause = Duration::ZERO;
        self.entries_of_largest = 0;
        let memory = Memory::now()?;
        let start = Instant::now();
        self.come_back(case, &laggards);
        self.exchange()?;
        let mut ticks = 0;
        while laggards.iter().any(|at| self.decided[*at] < log.entries) {
            if ticks == MOST_TICKS {
                let decided = laggards.iter().map(|at| self.decided[*at]);
                let decided: Vec<u64> = decided.collect();
                return Err(GroupError(format!("only {decided:?} were decided")));
            }
            ticks += 1;
            self.tick_all();
            self.exchange()?;
        }
        Ok(Caught {
            seconds: start.elapsed().as_secs_f64(),
            grown: memory.grown()?,
            largest: self.entries_of_largest * log.payload as u64,
            pause: self.pause.as_secs_f64(),
        })
    }

    /// All that are not cut off decide the whole log.
    fn decide(&mut self, log: Log) -> Result<(), GroupError> {
        let mut payloads = Payloads::new(log.payload);
        let (mut proposed, mut windows) = (0, 0);
        while proposed < log.entries {
            for _ in 0..WINDOW.min(log.entries - proposed) {
                self.servers[self.leader].propose(payloads.next())?;
                proposed += 1;
            }
            self.exchange()?;
            windows += 1;
            if windows % WINDOWS_PER_TICK == 0 {
                self.tick_all();
                self.exchange()?;
            }
        }
        let mut ticks = 0;
        while (0..self.servers.len()).any(|at| !self.away[at] && self.decided[at] < log.entries) {
            if ticks == MOST_TICKS {
                return Err(GroupError::new("the log was not decided"));
            }
            ticks += 1;
            self.tick_all();
            self.exchange()?;
        }
        Ok(())
    }

    fn come_back(&mut self, case: Case, laggards: &[usize]) {
        self.away.fill(false);
        if case == Case::Leads {
            let hub = laggards[0];
            self.hub = Some(hub);
            self.away[self.leader] = true;
            for at in (0..self.servers.len()).filter(|at| !self.away[*at]) {
                self.servers[at].elected(hub);
            }
        }
        for &at in laggards {
            for peer in (0..self.servers.len()).filter(|peer| *peer != at) {
                if self.reach(at, peer) {
                    self.servers[at].reconnected(peer);
                    self.servers[peer].reconnected(at);
                }
            }
        }
    }

    fn reach(&self, one: usize, other: usize) -> bool {
        let on_hub = self.hub.is_none_or(|hub| one == hub || other == hub);
        !self.away[one] && !self.away[other] && on_hub
    }

    fn tick_all(&mut self) {
        self.servers.iter_mut().for_each(S::tick);
    }

    /// Delivers messages, round by round, until there are none.
    fn exchange(&mut self) -> Result<(), GroupError> {
        loop {
            let mut under_way = Vec::new();
            for at in 0..self.servers.len() {
                let begin = Instant::now();
                let messages = self.servers[at].outgoing();
                self.pause = self.pause.max(begin.elapsed());
                for mut message in messages {
                    let (to, entries) = S::look(&mut message);
                    if self.reach(at, to) {
                        self.entries_of_largest = self.entries_of_largest.max(entries);
                        under_way.push((to, message));
                    }
                }
            }
            let quiet = under_way.is_empty();
            for (to, message) in under_way {
                let begin = Instant::now();
                self.servers[to].receive(message)?;
                self.pause = self.pause.max(begin.elapsed());
            }
            for (server, decided) in self.servers.iter_mut().zip(&mut self.decided) {
                *decided += server.read_decided();
            }
            if quiet {
                return Ok(());
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{Case, Log, measure};
    use crate::compare::group::Library;

    #[test]
    fn laggards_of_both_catch_up_and_ours_in_small_messages() {
        let log = Log { entries: 5_000, payload: 256 };
        let all = log.entries * log.payload as u64;
        for case in Case::ALL {
            let ours = measure(Library::Ours, case, log).unwrap();
            assert!(ours.largest <= 256 << 10, "{case:?}: {ours:?}");
            for library in [Library::Omnipaxos, Library::OmnipaxosShared] {
                let theirs = measure(library, case, log).unwrap();
                assert_eq!(theirs.largest, all, "{case:?}: {theirs:?}");
            }
        }
    }
}
