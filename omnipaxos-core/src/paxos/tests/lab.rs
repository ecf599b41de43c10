//! One replica, brought into any role and phase by messages that the test makes up.

use super::cluster::{CONFIG, Replica};
use crate::ballot::{Ballot, Leader, NodeId};
use crate::paxos::{
    Accept, AcceptSync, Accepted, Body, Decide, Learn, LearnRequest, Message, MessageError, Paxos,
    PaxosConfig, Prepare, PrepareReq, Promise, Propose, Refuse, SyncRequest,
};
use crate::storage::{
    Entry, MemorySequence, MemoryState, ProposalId, Records, RecordsBuilder, State, StopSign,
    Storage,
};

/// The replica under test; its peers are 2 and 3.
pub(super) const ME: NodeId = 1;

pub(super) fn ballot(n: u64, pid: NodeId) -> Ballot {
    Ballot::new(n, 0, pid)
}

/// A frame of two entries of a few bytes, a chunk of three.
pub(super) fn tiny() -> PaxosConfig {
    PaxosConfig { accept_frame_bytes: 40, sync_chunk_bytes: 60, ..PaxosConfig::default() }
}

/// Entries that server 2 proposed, the first as its proposal `first`.
pub(super) fn records(first: u64, entries: &[&str]) -> Records {
    records_of(2, first, entries)
}

pub(super) fn records_of(proposer: NodeId, first: u64, entries: &[&str]) -> Records {
    let mut builder = RecordsBuilder::new();
    builder.extend((first..).zip(entries).map(|(number, entry)| {
        let id = ProposalId { proposer, session: 1, number };
        let entry = match *entry {
            "STOP" => Entry::stop_sign(stop_sign()),
            text => Entry::from(text.to_owned()),
        };
        (id, entry)
    }));
    builder.build()
}

pub(super) fn stop_sign() -> StopSign {
    StopSign {
        config_id: CONFIG + 1,
        nodes: vec![1, 2, 4],
        learners: vec![],
        metadata: None,
        digest: None,
        skip_prepare_use_leader: None,
    }
}

pub(super) fn message(from: NodeId, body: Body) -> Message {
    Message { config_id: CONFIG, from, to: ME, body }
}

/// A replica and what it has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lab {
    pub(super) paxos: Replica,
}

impl Lab {
    /// A server that has just started.
    pub(super) fn new(config: PaxosConfig) -> Self {
        let disk = Storage::with(MemorySequence::new(), MemoryState::new());
        let mut paxos = Paxos::try_with(CONFIG, ME, vec![2, 3], disk, config).unwrap();
        paxos.get_outgoing_msgs();
        Self { paxos }
    }

    /// In sync with leader 2 in `n`, with `log`, of which `decided` entries are decided.
    pub(super) fn follower(config: PaxosConfig, n: Ballot, log: &[&str], decided: u64) -> Self {
        let mut lab = Self::new(config);
        lab.prepare(n, 1, Ballot::default(), 0);
        let sync = accept_sync(n, 1, 0, log, log.len() as u64, decided);
        lab.get(n.pid, sync);
        assert_eq!(lab.paxos.leader(), Some(n.pid));
        lab
    }

    /// Leads `n` in phase Accept with the promise of server 2, which has nothing; `log` is
    /// proposed.
    pub(super) fn leader(config: PaxosConfig, n: Ballot, log: &[&str]) -> Self {
        let mut lab = Self::candidate(config, n);
        lab.get(2, promise(n, 1, Ballot::default(), 0, 0, &[]));
        assert!(lab.paxos.is_leader());
        if !log.is_empty() {
            lab.get(2, propose(1, log));
        }
        lab
    }

    /// Leads `n` in phase Prepare.
    pub(super) fn candidate(config: PaxosConfig, n: Ballot) -> Self {
        let mut lab = Self::new(config);
        lab.paxos.handle_leader(Leader::new(n));
        lab.sent();
        lab
    }

    /// Crashes and starts again from what is durable.
    pub(super) fn restart(&mut self) {
        let disk = self.paxos.clone().into_storage();
        let config = self.paxos.replica.limits.clone();
        self.paxos = Paxos::try_with(CONFIG, ME, vec![2, 3], disk, config).unwrap();
        self.sent();
    }

    /// Hands in a message that must be taken; returns what is sent once everything is flushed.
    #[track_caller]
    pub(super) fn get(&mut self, from: NodeId, body: Body) -> Vec<(NodeId, Body)> {
        self.paxos.handle_message(message(from, body)).unwrap();
        self.sent()
    }

    /// Hands in a message that must be refused and must change nothing.
    #[track_caller]
    pub(super) fn refuses(&mut self, from: NodeId, body: Body) -> &'static str {
        let before = self.paxos.clone();
        let error = self.paxos.handle_message(message(from, body)).unwrap_err();
        assert_eq!(self.paxos, before, "a refused message changed something");
        match error {
            MessageError::Impossible { reason, .. } => reason,
            error => panic!("{error}"),
        }
    }

    /// Hands in a message that must be taken but must change nothing and send nothing.
    #[track_caller]
    pub(super) fn ignores(&mut self, from: NodeId, body: Body) {
        let before = self.paxos.clone();
        self.paxos.handle_message(message(from, body)).unwrap();
        assert_eq!(self.paxos, before, "an ignored message changed something");
    }

    /// Hands in a message of which only is noted that the leader lives.
    #[track_caller]
    pub(super) fn ignores_but_hears(&mut self, body: Body) {
        let before = self.paxos.replica.clone();
        self.paxos.handle_message(message(3, body)).unwrap();
        assert_eq!(self.paxos.replica, before);
    }

    pub(super) fn sent(&mut self) -> Vec<(NodeId, Body)> {
        let sent = self.paxos.get_outgoing_msgs();
        sent.into_iter().map(|m| (m.to, m.body)).collect()
    }

    /// Ticks `ticks` times; returns what is sent meanwhile.
    pub(super) fn ticks(&mut self, ticks: u32) -> Vec<(NodeId, Body)> {
        let mut sent = Vec::new();
        for _ in 0..ticks {
            self.paxos.tick();
            sent.extend(self.sent());
        }
        sent
    }

    #[track_caller]
    pub(super) fn assert_log(&self, log: &[&str], decided: u64) {
        assert_eq!(self.log(), log);
        assert_eq!(self.paxos.decided_index(), decided);
    }

    pub(super) fn state(&self) -> &State {
        self.paxos.replica.storage.state()
    }

    /// The whole log, as text.
    pub(super) fn log(&self) -> Vec<String> {
        let storage = &self.paxos.replica.storage;
        let (first, end) = (storage.first_index(), storage.end_index());
        let records = storage.read(first, end, u64::MAX).unwrap();
        records.entries().iter().map(super::cluster::text).collect()
    }

    pub(super) fn prepare(&mut self, n: Ballot, s: u64, round: Ballot, len: u64) -> Promise {
        let prepare = prepare(n, s, round, len, 0, None);
        let sent = self.get(n.pid, prepare);
        match sent.as_slice() {
            [(_, Body::Promise(promise))] => (**promise).clone(),
            other => panic!("{other:?}"),
        }
    }
}

/// Entry `i` of a log that a test makes up is proposal `i + 1` of server 2.
fn records_at(index: u64, entries: &[&str]) -> Records {
    records(index.min(1 << 40) + 1, entries)
}

pub(super) fn prepare(
    n: Ballot,
    s: u64,
    accepted_round: Ballot,
    len: u64,
    decided: u64,
    suffix_from: Option<u64>,
) -> Body {
    Body::Prepare(Box::new(Prepare { n, s, accepted_round, len, decided, suffix_from }))
}

/// A Promise that shows everything from `decided` on.
pub(super) fn promise(
    n: Ballot,
    s: u64,
    accepted_round: Ballot,
    len: u64,
    decided: u64,
    suffix: &[&str],
) -> Body {
    let decided_round = if decided > 0 { accepted_round } else { Ballot::default() };
    let start = len - suffix.len() as u64;
    Body::Promise(Box::new(Promise {
        n,
        s,
        accepted_round,
        len,
        decided,
        decided_round,
        start,
        suffix: records_at(start, suffix),
        recovering: false,
    }))
}

pub(super) fn accept_sync(
    n: Ballot,
    s: u64,
    start: u64,
    suffix: &[&str],
    end: u64,
    decided: u64,
) -> Body {
    let suffix = records_at(start, suffix);
    Body::AcceptSync(Box::new(AcceptSync { n, s, first: true, start, suffix, end, decided }))
}

/// A part of an AcceptSync behind the first one.
pub(super) fn later_part(
    n: Ballot,
    s: u64,
    start: u64,
    suffix: &[&str],
    end: u64,
    decided: u64,
) -> Body {
    let suffix = records_at(start, suffix);
    Body::AcceptSync(Box::new(AcceptSync { n, s, first: false, start, suffix, end, decided }))
}

pub(super) fn accept(n: Ballot, s: u64, start: u64, entries: &[&str], decided: u64) -> Body {
    Body::Accept(Accept {
        n,
        s,
        start,
        entries: records_at(start, entries),
        decided,
        decided_by_all: 0,
    })
}

pub(super) fn accepted(n: Ballot, s: u64, len: u64, decided: u64) -> Body {
    Body::Accepted(Accepted { n, s, len, decided, gap: false })
}

pub(super) fn gap(n: Ballot, s: u64, len: u64) -> Body {
    Body::Accepted(Accepted { n, s, len, decided: 0, gap: true })
}

pub(super) fn decide(n: Ballot, s: u64, decided: u64, answer: bool) -> Body {
    Body::Decide(Decide { n, s, decided, decided_by_all: 0, answer })
}

pub(super) fn sync_request(n: Ballot, s: u64, from: u64) -> Body {
    Body::SyncRequest(SyncRequest { n, s, from })
}

pub(super) fn prepare_req(promised: Ballot) -> Body {
    Body::PrepareReq(PrepareReq { promised })
}

pub(super) fn refuse(n: Ballot, promised: Ballot) -> Body {
    Body::Refuse(Refuse { n, promised })
}

pub(super) fn learn_request(from: u64) -> Body {
    Body::LearnRequest(LearnRequest { from })
}

pub(super) fn learn(start: u64, entries: &[&str], decided: u64, decided_round: Ballot) -> Body {
    Body::Learn(Learn { start, entries: records_at(start, entries), decided, decided_round })
}

/// Proposals of server 2, the first of them its proposal `first`.
pub(super) fn propose(first: u64, entries: &[&str]) -> Body {
    Body::Propose(Propose { proposals: records(first, entries), hops: 1 })
}

/// The names of messages, for a short comparison.
pub(super) fn names(sent: &[(NodeId, Body)]) -> Vec<(NodeId, &'static str)> {
    sent.iter().map(|(to, body)| (*to, body.name())).collect()
}
