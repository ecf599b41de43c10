//! Random operations against the model.

use super::Backend;
use super::model::Record;
use super::subject::Subject;
use crate::ballot::{Ballot, Leader, NodeId};
use crate::hash::Digest;
use crate::storage::{Entry, NextProposal, ProposalId, State, StopSign};
use bytes::Bytes;
use std::collections::BTreeMap;

/// Does `steps` random things to a new pair and compares it with a naive model after each:
/// appends of several proposers and sessions with payloads of up to 8 KiB, StopSigns, cuts, trims,
/// reads, impossible ranges, states, commits that are sealed and run at any time, and crashes.
///
/// The same seed does the same things. When it fails, the message names the seed and the step.
///
/// # Panics
/// When the backend differs from the model.
pub fn random<B: Backend>(backend: &mut B, seed: u64, steps: u32) {
    let mut subject = Subject::seeded(backend, "random", Some(seed));
    let mut chance = Chance { rng: Rng::new(seed), next: BTreeMap::new() };
    for step in 0..steps {
        subject.step(step);
        subject = chance.act(subject);
        subject.check();
    }
    subject.flush();
    subject = subject.reopen();
    subject.check();
}

/// More records than this are trimmed away, so that a step costs the same for ever.
const MAX_RECORDS: u64 = 300;

const PROPOSERS: [NodeId; 4] = [1, 2, 3, u64::MAX];

struct Chance {
    rng: Rng,
    /// Session and number of each proposer's next record.
    next: BTreeMap<NodeId, (u64, u64)>,
}

impl Chance {
    fn act<'b, B: Backend>(&mut self, mut subject: Subject<'b, B>) -> Subject<'b, B> {
        let (first, end) = (subject.first(), subject.end());
        let rng = &mut self.rng;
        let last = subject.now().records.last();
        let stopped = last.is_some_and(|(_, entry)| entry.is_stop_sign());
        if end - first > MAX_RECORDS {
            subject.trim(end - u64::from(stopped));
            return subject;
        }
        match rng.below(100) {
            // Nothing follows a StopSign; it is cut off, or stays.
            0..30 if stopped => subject.read(first, end, u64::MAX),
            0..28 => subject.append(self.records()),
            28..30 => {
                let mut records = self.records();
                records.push(self.stop_sign());
                subject.append(records);
            }
            // Mostly at the end, as it is in use.
            30..37 => subject.truncate(end - rng.below(6).min(end - first)),
            37..40 => subject.truncate(rng.between(first, end)),
            40..46 => subject.trim(rng.between(first, first.midpoint(end))),
            // To the end, which is then crashed with, or not.
            46..48 if !stopped => {
                subject.trim(end);
                if rng.below(2) == 0 {
                    subject.flush();
                    return subject.reopen();
                }
            }
            46..62 => {
                let from = rng.between(first, end);
                let to = rng.between(from, end);
                // What some of them cost, to the byte or nearly.
                let some = &subject.now().records[(from - first) as usize..(to - first) as usize];
                let count = rng.between(0, to - from) as usize;
                let cost: u64 = some[..count].iter().map(|(_, entry)| entry.cost()).sum();
                let max_cost = [0, cost, cost, cost.saturating_sub(1), u64::MAX];
                subject.read(from, to, max_cost[rng.below(5) as usize]);
            }
            62..64 => subject.refuses_all_impossible(),
            64..74 => subject.store(self.state(first, end)),
            74..82 if subject.sealed() < 3 => subject.seal(),
            74..90 => subject.run_next(),
            90..95 => subject.flush(),
            _ => return subject.reopen(),
        }
        subject
    }

    /// None to many records, in runs.
    fn records(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        for _ in 0..self.rng.below(5) {
            let proposer = PROPOSERS[self.rng.below(4) as usize];
            let next = self.next.entry(proposer).or_insert((1, 1));
            match self.rng.below(10) {
                // Its server started again, or some of its proposals were lost.
                0 => *next = (next.0 + 1, 1),
                1 => next.1 += self.rng.below(1 << 40),
                _ => {}
            }
            let count = 1 + self.rng.below(6);
            let (session, first) = match self.rng.below(20) {
                0 => (u64::MAX - self.rng.below(9), u64::MAX - 9 - self.rng.below(99)),
                _ => *next,
            };
            next.1 += count;
            for number in first..first + count {
                let size = match self.rng.below(20) {
                    0 => 0,
                    1 => self.rng.below(8 << 10),
                    2..6 => self.rng.below(512),
                    _ => self.rng.below(32),
                };
                let id = ProposalId { proposer, session, number };
                records.push((id, Entry::Normal(self.bytes(size))));
            }
        }
        records
    }

    fn stop_sign(&mut self) -> Record {
        let rng = &mut self.rng;
        let id = ProposalId { proposer: 4, session: 1 + rng.below(9), number: 1 + rng.below(9) };
        let nodes = (0..rng.below(6)).map(|_| rng.number()).collect();
        let size = rng.below(100);
        let metadata = (size < 60).then(|| self.bytes(size));
        let rng = &mut self.rng;
        let leader = Leader::new(Ballot::new(rng.number(), 0, rng.number()));
        let skip_prepare_use_leader = (rng.below(2) == 0).then_some(leader);
        let learners = (0..rng.below(3)).map(|_| rng.number()).collect();
        let digest = (rng.below(2) == 0).then(|| Digest([rng.number() as u8; 32]));
        let config_id = rng.number();
        let ss = StopSign { config_id, nodes, learners, metadata, digest, skip_prepare_use_leader };
        (id, Entry::stop_sign(ss))
    }

    fn bytes(&mut self, size: u64) -> Bytes {
        let salt = self.rng.number();
        (0..size).map(|at| (salt >> (at % 57)) as u8).collect()
    }

    /// Mostly one that a replica could have.
    fn state(&mut self, first: u64, end: u64) -> State {
        let rng = &mut self.rng;
        let wild = rng.below(10) == 0;
        let mut number = |below| if wild { rng.number() } else { rng.below(below) };
        let mut state = State { session: number(100), ..State::default() };
        state.decided = if wild { number(1) } else { first + number(end - first + 1) };
        state.decided_round = Ballot::new(number(50), number(3) as u32, 1 + number(5));
        state.accepted_round = Ballot::new(50 + number(50), number(3) as u32, 1 + number(5));
        state.promised = Ballot::new(100 + number(50), number(3) as u32, 1 + number(5));
        for _ in 0..number(9) % 40 {
            let next = NextProposal { session: number(9), number: number(1 << 40) };
            state.next.insert(number(9), next);
        }
        state
    }
}

/// SplitMix64: the numbers are the same on every machine.
struct Rng(u64);

impl Rng {
    fn new(seed: u64) -> Self {
        Self(seed ^ 0x0000_C0DE_0F5E_ED00)
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(bound)) >> 64) as u64
    }

    /// A number of `low..=high`.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }
}
