//! What a run of the model checker explores.

use super::fault::Fault;
use bytes::Bytes;
use omnipaxos_core::paxos::{Ballot, NodeId, PaxosConfig};

/// What may be proposed, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proposal {
    /// The servers that may make this proposal; one of them does, once.
    pub by: Vec<NodeId>,
    /// What is proposed.
    pub what: What,
}

/// The content of a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// An entry.
    Normal(Bytes),
    /// The end of the configuration.
    StopSign(Vec<NodeId>),
}

/// A bounded world: the servers, what may happen to them, and how often.
///
/// Whatever it allows may happen at any time, in any order. Messages are never taken off the
/// network, so each may be lost (it is not delivered), duplicated (delivered again) and overtaken
/// without limit.
#[derive(Clone, Debug)]
pub struct Scope {
    /// How it is called on the command line.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// The servers.
    pub pids: Vec<NodeId>,
    /// The ballots, rising. The election tells the owner of each at some time, or never.
    pub ballots: Vec<Ballot>,
    /// Whether the election may also tell a ballot to the owners of the others.
    pub announced: bool,
    /// The proposals.
    pub proposals: Vec<Proposal>,
    /// How many crashes there may be. Each loses what was not flushed.
    pub crashes: u8,
    /// The servers that may crash.
    pub crashing: Vec<NodeId>,
    /// How many ticks there may be, at any servers. Each sends again whatever may be lost.
    pub ticks: u8,
    /// The highest Prepare attempt to one peer; later ones are lost.
    pub attempts: u64,
    /// Whether a flush takes time, in which its server handles more inputs.
    pub pipelined: bool,
    /// Begin where the first ballot leads and everybody is in sync, instead of with new servers.
    pub begin_led: bool,
    /// How many of the proposals are made by then; what follows from them is not delivered yet.
    pub made: usize,
    /// Bytes of entries in a Promise or an AcceptSync: small ones make them travel in parts.
    pub chunk: u64,
    /// What is broken on purpose.
    pub fault: Option<Fault>,
}

impl Scope {
    fn new(name: &'static str, about: &'static str, owners: &[NodeId]) -> Self {
        let ballots = (1..).zip(owners).map(|(n, pid)| Ballot::new(n, 0, *pid));
        Self {
            name,
            about,
            pids: vec![1, 2, 3],
            ballots: ballots.collect(),
            announced: false,
            proposals: vec![normal(1, "a"), normal(2, "b")],
            crashes: 1,
            crashing: vec![1, 2, 3],
            ticks: 0,
            attempts: 2,
            pipelined: false,
            begin_led: false,
            made: 0,
            chunk: PaxosConfig::default().sync_chunk_bytes,
            fault: None,
        }
    }

    /// Like [`new`](Self::new), from where the first ballot leads.
    fn led(name: &'static str, about: &'static str) -> Self {
        Self { begin_led: true, ..Self::new(name, about, &[1, 2]) }
    }

    /// All scopes that are explored to prove something.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Self::from_new_servers();
        all.extend(Self::from_a_leader());
        all
    }

    fn from_new_servers() -> Vec<Self> {
        let about = "new servers; 1 leads, 2 leads, each proposes; one crash";
        let two_leaders = Self::new("two-leaders", about, &[1, 2]);
        let about = "1 leads twice, with a crash between or not";
        let same_leader = Self {
            proposals: vec![normal(1, "a"), normal(1, "b")],
            ..Self::new("same-leader", about, &[1, 1])
        };
        let three_ballots = Self {
            announced: true,
            crashes: 0,
            ..Self::new("three-ballots", "new servers; each leads once", &[1, 2, 3])
        };
        vec![two_leaders, same_leader, three_ballots]
    }

    fn from_a_leader() -> Vec<Self> {
        let led = Self::led("led", "1 leads and all are in sync; then as in two-leaders");
        let narrow = Self {
            proposals: vec![normal(1, "a")],
            crashing: vec![3],
            ..Self::led("narrow", "as led, one proposal, only 3 crashes: goes deeper")
        };
        let what = What::StopSign(vec![1, 2, 4]);
        let stop_sign = Self {
            proposals: vec![normal(1, "a"), Proposal { by: vec![2], what }],
            ..Self::led("stop-sign", "as led; the second proposal ends the configuration")
        };
        let ticks = Self {
            crashes: 0,
            ticks: 2,
            ..Self::led("ticks", "as led, with ticks that repeat and ask for decided entries")
        };
        let pipelined = Self {
            pipelined: true,
            proposals: vec![normal(1, "a")],
            attempts: 1,
            ..Self::led("pipelined", "as led, one proposal, and flushes take time")
        };
        let chunks = Self {
            made: 2,
            crashes: 0,
            chunk: 1,
            proposals: vec![normal(1, "a"), normal(1, "b")],
            ..Self::led("chunks", "as led, suffixes travel one entry at a time")
        };
        vec![led, narrow, stop_sign, ticks, pipelined, chunks]
    }

    /// The scope with that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|scope| scope.name == name)
    }

    /// The same with something broken.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }
}

/// `pid` may propose `text`.
#[must_use]
pub fn normal(pid: NodeId, text: &'static str) -> Proposal {
    Proposal { by: vec![pid], what: What::Normal(Bytes::from_static(text.as_bytes())) }
}
