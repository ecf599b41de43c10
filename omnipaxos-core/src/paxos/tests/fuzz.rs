//! No message, in any order, from anyone, can make a replica panic or halt.
//!
//! Forged messages may break agreement (they are not authenticated here), so nothing is said about
//! logs.

use super::cluster::{CONFIG, Replica, Rng};
use super::lab::tiny;
use crate::ballot::{Ballot, Leader, NodeId};
use crate::paxos::{
    Accept, AcceptSync, Accepted, Body, Decide, Learn, LearnRequest, Message, MessageError, Paxos,
    PaxosConfig, Prepare, PrepareReq, Promise, Propose, RecoverReply, RecoverRequest, Refuse,
    SyncRequest,
};
use crate::storage::{
    Entry, MemorySequence, MemoryState, PaxosState, ProposalId, Records, RecordsBuilder, Run,
    State, StopSign, Storage,
};
use std::collections::BTreeMap;

struct Fuzz {
    rng: Rng,
    replicas: Vec<Replica>,
    wires: Vec<Message>,
    /// The replica that a forged message goes to: its own indexes and rounds are the best lies.
    target: usize,
    impossible: BTreeMap<&'static str, u64>,
}

impl Fuzz {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let config = if rng.chance(80) { tiny() } else { PaxosConfig::default() };
        // In half of the runs one of them recovers.
        let suspect = rng.below(6);
        let replica = |pid: NodeId| {
            let peers = [1, 2, 3].into_iter().filter(|peer| *peer != pid).collect();
            let mut state = MemoryState::new();
            if suspect == pid {
                state.store(&State { recovering: true, ..State::default() }).unwrap();
            }
            let disk = Storage::with(MemorySequence::new(), state);
            Paxos::try_with(CONFIG, pid, peers, disk, config.clone()).unwrap()
        };
        Self {
            replicas: [1, 2, 3].map(replica).into(),
            rng,
            wires: Vec::new(),
            target: 0,
            impossible: BTreeMap::new(),
        }
    }

    fn index(&mut self) -> u64 {
        let replica = &self.replicas[self.target];
        let (decided, len) = (replica.decided_index(), replica.log_len());
        match self.rng.below(16) {
            0 | 1 => 0,
            2 => 1,
            3..6 => len,
            6 => len + 1,
            7 => len.saturating_sub(1),
            8..10 => decided,
            10 => decided + 1,
            11 => self.rng.below(8),
            12 => u64::MAX - 1,
            13 => u64::MAX,
            _ => self.rng.below(len + 2),
        }
    }

    fn pid(&mut self) -> NodeId {
        [1, 2, 3, 1, 2, 3, 0, 9, u64::MAX][self.rng.below(9) as usize]
    }

    fn ballot(&mut self, owner: NodeId) -> Ballot {
        let replica = &self.replicas[self.target];
        let state = replica.replica.storage.state();
        let (promised, accepted) = (state.promised, state.accepted_round);
        let pid = if self.rng.chance(80) { owner } else { self.pid() };
        match self.rng.below(10) {
            0..5 => promised,
            5 => accepted,
            6 => Ballot::default(),
            7 if self.rng.chance(10) => Ballot::new(u64::MAX, u32::MAX, pid),
            8 => Ballot::new(promised.n.saturating_add(1), 0, pid),
            _ => Ballot::new(self.rng.below(6), 0, pid),
        }
    }

    fn session(&mut self) -> u64 {
        [0, 1, 1, 1, 2, 3, u64::MAX][self.rng.below(7) as usize]
    }

    fn id(&mut self) -> ProposalId {
        ProposalId {
            proposer: self.pid(),
            session: self.session(),
            number: [1, 1, 2, 3, 0, u64::MAX - 1, u64::MAX][self.rng.below(7) as usize],
        }
    }

    fn entry(&mut self) -> Entry {
        match self.rng.below(12) {
            0 => {
                let nodes = [vec![], vec![0], vec![1, 1], vec![1, 2, 4]];
                Entry::stop_sign(StopSign {
                    config_id: [CONFIG + 1, 0, u64::MAX][self.rng.below(3) as usize],
                    nodes: nodes[self.rng.below(4) as usize].clone(),
                    learners: vec![],
                    metadata: None,
                    digest: None,
                    skip_prepare_use_leader: None,
                })
            }
            1 => Entry::from(Vec::new()),
            _ => Entry::from(vec![self.rng.below(3) as u8; self.rng.below(30) as usize]),
        }
    }

    fn records(&mut self) -> Records {
        let count = self.rng.below(4);
        if self.rng.chance(50) {
            let mut builder = RecordsBuilder::new();
            let id = self.id();
            for offset in 0..count {
                let number = id.number.saturating_add(offset);
                builder.push(ProposalId { number, ..id }, self.entry());
            }
            return builder.build();
        }
        let entries = (0..count).map(|_| self.entry()).collect();
        let runs = (0..count)
            .map(|_| Run {
                first: self.id(),
                count: [1, 1, 1, 2, u64::MAX][self.rng.below(5) as usize],
            })
            .collect();
        Records::new(entries, runs).unwrap_or_default()
    }

    fn body(&mut self, from: NodeId) -> Body {
        let me = self.target as NodeId + 1;
        match self.rng.below(14) {
            0 => Body::Prepare(Box::new(Prepare {
                n: self.ballot(from),
                s: self.session(),
                accepted_round: self.ballot(from),
                len: self.index(),
                decided: self.index(),
                suffix_from: self.rng.chance(30).then(|| self.index()),
            })),
            1 => Body::Promise(Box::new(Promise {
                n: self.ballot(me),
                s: self.session(),
                accepted_round: self.ballot(from),
                len: self.index(),
                decided: self.index(),
                decided_round: self.ballot(from),
                start: self.index(),
                suffix: self.records(),
                recovering: self.rng.chance(20),
            })),
            2 => Body::AcceptSync(Box::new(AcceptSync {
                n: self.ballot(from),
                s: self.session(),
                first: self.rng.chance(50),
                start: self.index(),
                suffix: self.records(),
                end: self.index(),
                decided: self.index(),
            })),
            3 => Body::SyncRequest(SyncRequest {
                n: self.ballot(me),
                s: self.session(),
                from: self.index(),
            }),
            4 => Body::Accept(Accept {
                n: self.ballot(from),
                s: self.session(),
                start: self.index(),
                entries: self.records(),
                decided: self.index(),
                decided_by_all: self.index(),
            }),
            5 => Body::Accepted(Accepted {
                n: self.ballot(me),
                s: self.session(),
                len: self.index(),
                decided: self.index(),
                gap: self.rng.chance(50),
            }),
            6 => Body::Decide(Decide {
                n: self.ballot(from),
                s: self.session(),
                decided: self.index(),
                decided_by_all: self.index(),
                answer: self.rng.chance(50),
            }),
            7 => Body::PrepareReq(PrepareReq { promised: self.ballot(from) }),
            8 => Body::Refuse(Refuse { n: self.ballot(me), promised: self.ballot(from) }),
            9 => Body::LearnRequest(LearnRequest { from: self.index() }),
            10 => Body::Learn(Learn {
                start: self.index(),
                entries: self.records(),
                decided: self.index(),
                decided_round: self.ballot(from),
            }),
            11 => Body::RecoverRequest(RecoverRequest { nonce: self.index() }),
            12 => Body::RecoverReply(RecoverReply {
                nonce: (self.index() << 32).wrapping_add(self.index()),
                promised: self.ballot(from),
                attempt: self.rng.chance(50).then(|| self.session()),
                suspect_session: self.rng.chance(30).then(|| self.index()),
            }),
            _ => Body::Propose(Propose {
                proposals: self.records(),
                hops: [0, 1, u8::MAX][self.rng.below(3) as usize],
            }),
        }
    }

    fn forge(&mut self) {
        let from = self.rng.below(3) + 1;
        let from = if self.rng.chance(2) { self.pid() } else { from };
        let config_id = if self.rng.chance(2) { self.index() } else { CONFIG };
        let to = if self.rng.chance(2) { self.pid() } else { self.target as NodeId + 1 };
        let body = self.body(from);
        self.deliver(self.target, Message { config_id, from, to, body });
    }

    fn deliver(&mut self, to: usize, message: Message) {
        let name = message.body.name();
        match self.replicas[to].handle_message(message) {
            Err(MessageError::Halted(halted)) => panic!("{name} halts: {halted}"),
            Err(MessageError::Impossible { reason, .. }) => {
                *self.impossible.entry(reason).or_default() += 1;
            }
            _ => {}
        }
    }

    fn step(&mut self) {
        self.target = self.rng.below(3) as usize;
        match self.rng.below(100) {
            0..45 => self.forge(),
            45..70 if !self.wires.is_empty() => {
                let at = self.rng.below(self.wires.len() as u64) as usize;
                let message = self.wires.swap_remove(at);
                self.deliver(message.to as usize - 1, message);
            }
            70..75 => {
                let pid = self.target as NodeId + 1;
                let ballot = self.ballot(pid);
                self.replicas[self.target].handle_leader(Leader::new(ballot));
            }
            75..80 => {
                let data = vec![7; self.rng.below(30) as usize];
                let _ = self.replicas[self.target].propose_normal(data);
            }
            80 if self.rng.chance(20) => {
                let _ = self.replicas[self.target].propose_reconfiguration(vec![1, 2, 4]);
            }
            81..90 => {
                let me = self.target as NodeId + 1;
                let messages = self.replicas[self.target].get_outgoing_msgs();
                for m in &messages {
                    assert!((1..4).contains(&m.to) && m.to != me && m.from == me, "{m:?}");
                }
                self.wires.extend(messages);
                self.wires.truncate(100);
            }
            90..98 => self.replicas[self.target].tick(),
            98 => {
                let peer = self.pid();
                self.replicas[self.target].reconnected(peer);
            }
            _ => {
                self.replicas[self.target].get_decided_entries();
                self.replicas[self.target].take_outcomes();
                let to = self.index();
                let _ = self.replicas[self.target].trim(to);
            }
        }
        if let Some(halted) = self.replicas[self.target].halted() {
            panic!("halted: {halted}");
        }
    }
}

#[test]
fn forged_messages_never_panic_and_never_halt() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse().expect("a number"));
    let seeds = match number("FUZZ_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FUZZ_SEEDS").unwrap_or(2500),
    };
    let mut impossible = BTreeMap::new();
    for seed in seeds {
        let fuzzed = std::panic::catch_unwind(|| {
            let mut fuzz = Fuzz::new(seed);
            for _ in 0..150 {
                fuzz.step();
            }
            fuzz.impossible
        });
        let Ok(found) = fuzzed else {
            panic!("replay with: FUZZ_SEED={seed} cargo test -p omnipaxos-core forged_messages");
        };
        for (reason, count) in found {
            *impossible.entry(reason).or_insert(0) += count;
        }
    }
    // The forgeries are good enough to reach the checks.
    assert!(impossible.len() >= 10, "{impossible:#?}");
}
