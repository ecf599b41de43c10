//! Clauses about what records and states may contain: anything that their types can.

use super::Backend;
use super::model::Record;
use super::subject::{Subject, state};
use crate::ballot::{Ballot, Leader};
use crate::hash::Digest;
use crate::storage::{Entry, NextProposal, ProposalId, State, StopSign};
use bytes::Bytes;

/// A payload of `size` bytes that takes all values.
fn payload(size: usize, salt: usize) -> Entry {
    Entry::Normal((0..size).map(|at| (at * 7 + at / 256 + salt) as u8).collect())
}

/// Payloads come back byte for byte: empty ones, 1 MiB, and sizes around powers of 2.
///
/// # Panics
/// When the backend breaks this clause.
pub fn payloads_survive<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "payloads_survive");
    let around = (0..17).flat_map(|bits| {
        let size = 1usize << bits;
        [size - 1, size, size + 1]
    });
    let big = 1 << 20;
    let sizes: Vec<usize> = [0, 0].into_iter().chain(around).chain([big, 0, big + 1]).collect();
    let id = |number: usize| ProposalId { proposer: 1, session: 1, number: 1 + number as u64 };
    let record = |(at, size): (usize, &usize)| (id(at), payload(*size, at));
    let records: Vec<Record> = sizes.iter().enumerate().map(record).collect();
    // One at a time, and all at once.
    for record in &records {
        subject.append(vec![record.clone()]);
    }
    subject.flush();
    subject.check();
    subject.append(records.clone());
    subject.check();
    subject.flush();
    subject = subject.reopen();
    for at in 0..subject.end() {
        subject.read(at, at + 1, 0);
        subject.read(at, subject.end(), 70_000);
    }
    subject.truncate(records.len() as u64 + 3);
    subject.trim(records.len() as u64 - 2);
    subject.flush();
    subject.reopen().check();
}

/// 100,000 small records are as good as few.
///
/// # Panics
/// When the backend breaks this clause.
pub fn many_records_survive<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "many_records_survive");
    for round in 0..100 {
        subject.append_some(1000);
        if round % 10 == 0 {
            subject.store_some();
            subject.flush();
        }
    }
    subject.flush();
    subject.check();
    subject = subject.reopen();
    for from in (0..100_000).step_by(3989) {
        subject.read(from, 100_000, 5000);
        subject.read(from, from + 1, 0);
    }
    subject.truncate(70_001);
    subject.trim(30_001);
    subject.append_some(10);
    subject.check();
    subject.flush();
    subject = subject.reopen();
    subject.read(30_001, 70_011, 100_000);
    subject.read(69_990, 70_011, 400);
}

/// StopSigns come back as they were, with and without learners, metadata, a digest and a leader.
///
/// # Panics
/// When the backend breaks this clause.
pub fn stop_signs_survive<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "stop_signs_survive");
    let leader = |n| Some(Leader::new(Ballot::new(n, u32::MAX, u64::MAX)));
    let metadata = [None, Some(Bytes::new()), Some("addresses".into()), Some(vec![0; 9000].into())];
    let nodes = [vec![], vec![1, 2, 3], vec![u64::MAX], (1..=100).collect()];
    let named = metadata.into_iter().zip(nodes).zip([None, leader(1), None, leader(u64::MAX)]);
    for (at, ((metadata, nodes), skip_prepare_use_leader)) in (0..).zip(named) {
        let config_id = if at == 3 { u64::MAX } else { at };
        let learners = (4..4 + 2 * at).collect();
        let digest = (at >= 2).then_some(Digest([0x80 + at as u8; 32]));
        let ss = StopSign { config_id, nodes, learners, metadata, digest, skip_prepare_use_leader };
        let id = ProposalId { proposer: 2, session: 9, number: 1 + at };
        let mut records = subject.some(at);
        records.push((id, Entry::stop_sign(ss)));
        subject.append(records);
        subject.check();
        subject.flush();
        subject = subject.reopen();
        subject.read_all_ranges();
        // Another log goes on instead.
        subject.truncate(subject.end() - 1);
        subject.append_some(1);
        subject.flush();
        subject = subject.reopen();
    }
}

/// Each record keeps the identity of its proposal, however the runs of identities are appended,
/// cut, trimmed, continued and read.
///
/// # Panics
/// When the backend breaks this clause.
pub fn identities_survive<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "identities_survive");
    let run = |proposer: u64, session: u64, first: u64, count: u64| -> Vec<Record> {
        let id = move |number| ProposalId { proposer, session, number };
        (0..count).map(|at| (id(first + at), payload(at as usize, 1))).collect()
    };
    // One run over several appends, commits and openings.
    subject.append(run(1, 1, 1, 5));
    subject.append(run(1, 1, 6, 3));
    subject.flush();
    subject.append(run(1, 1, 9, 2));
    subject.flush();
    subject = subject.reopen();
    subject.append(run(1, 1, 11, 2));
    subject.check();
    // Cut and trimmed in its middle; the number that was cut comes again, or another one.
    subject.truncate(11);
    subject.append(run(1, 1, 12, 2));
    subject.truncate(12);
    subject.append(run(1, 1, 40, 2));
    subject.trim(3);
    subject.read_all_ranges();
    subject.flush();
    subject = subject.reopen();
    subject.read_all_ranges();
    // Several proposers and sessions in one append; gaps; numbers that begin anew.
    let parts = [run(1, 1, 42, 2), run(2, 1, 44, 1), run(1, 2, 1, 3), run(1, 2, 9, 1)];
    subject.append(parts.concat());
    subject.append([run(1, 3, 1, 1), run(2, 3, 2, 1), run(1, 3, 2, 1), run(1, 3, 1, 1)].concat());
    // The largest there are.
    subject.append([run(u64::MAX, u64::MAX, u64::MAX - 2, 2), run(u64::MAX, 1, 1, 1)].concat());
    subject.read_all_ranges();
    subject.flush();
    subject = subject.reopen();
    subject.read_all_ranges();
    for (cut, first) in [(20, 7), (18, 14), (15, 15)] {
        subject.truncate(cut);
        subject.trim(first);
        subject.check();
        subject.flush();
        subject = subject.reopen();
        subject.read_all_ranges();
        subject.append(run(2, 7, 1 + cut, 8));
        subject.flush();
    }
}

/// States come back as they were, whatever they say, also about a log that is another one.
///
/// # Panics
/// When the backend breaks this clause.
pub fn states_survive<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "states_survive");
    let highest = Ballot::new(u64::MAX, u32::MAX, u64::MAX);
    let mut largest = State { promised: highest, ..State::default() };
    largest.accepted_round = highest;
    largest.decided_round = highest;
    largest.decided = u64::MAX;
    largest.session = u64::MAX;
    largest.next.insert(u64::MAX, NextProposal { session: u64::MAX, number: u64::MAX });
    let mut wide = state(7);
    let next = |n: u64| (n * 1_000_003, NextProposal { session: n, number: n << 40 });
    wide.next = (1..=1000).map(next).collect();
    let decided = State { decided: 3, ..state(8) };
    for state in [State::default(), largest, state(1), wide, state(0), decided] {
        subject.store(state);
        subject.flush();
        subject.check();
        subject = subject.reopen();
        subject.append_some(1);
    }
}

/// A state replaces the one before as a whole; the last one of a commit counts.
///
/// # Panics
/// When the backend breaks this clause.
pub fn store_replaces_the_state<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "store_replaces_the_state");
    for (first, last) in [(3, 2), (7, 4), (4, 4), (11, 0)] {
        subject.store(state(first));
        subject.flush();
        subject.check();
        subject = subject.reopen();
        subject.store(state(99));
        subject.append_some(1);
        subject.store(state(98));
        subject.store(state(last));
        subject.flush();
        subject.check();
        subject = subject.reopen();
    }
}
