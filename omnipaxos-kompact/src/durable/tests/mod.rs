//! The engine on a real file system.

use super::*;
use omnipaxos_core::storage::{
    Commit, Entry, PaxosState, ProposalId, Records, RecordsBuilder, Sequence, State,
};
use std::path::Path;
use tempfile::TempDir;

const OWNER: Owner = Owner { cluster_id: 7, pid: 3 };

fn options() -> Options {
    Options { segment_bytes: 64 << 10, prepare_ahead: false, ..Options::default() }
}

fn records(first: u64, count: u64, bytes: usize) -> Records {
    let mut builder = RecordsBuilder::new();
    for number in first..first + count {
        let entry = Entry::from(vec![number as u8; bytes]);
        builder.push(ProposalId { proposer: 3, session: 1, number: number + 1 }, entry);
    }
    builder.build()
}

fn open(dir: &Path) -> Engine {
    Engine::open(dir, OWNER, options()).unwrap()
}

#[test]
fn what_was_flushed_is_there_again_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let engine = Engine::create(dir.path(), OWNER, options()).unwrap();
    let (mut sequence, mut state) = engine.parts(1).unwrap();
    let mut expected = Records::default();
    for round in 0..50 {
        sequence.append(records(round * 20, 20, 300)).unwrap();
        let stored = State { decided: round * 20, session: round, ..State::default() };
        state.store(&stored).unwrap();
        state.commit().unwrap().run().unwrap();
        expected = sequence.read(0, (round + 1) * 20, u64::MAX).unwrap();
    }
    sequence.append(records(1000, 1, 1)).unwrap();
    assert!(engine.status().segments > 2, "{:?}", engine.status());
    drop((sequence, state, engine));
    let engine = open(dir.path());
    let (sequence, state) = engine.parts(1).unwrap();
    assert_eq!((sequence.first_index(), sequence.end_index()), (0, 1000));
    assert_eq!(sequence.read(0, 1000, u64::MAX).unwrap(), expected);
    assert_eq!(state.load().unwrap().unwrap().session, 49);
    assert!(matches!(engine.parts(1), Err(GroupError::InUse(1))));
}

#[test]
fn trimming_and_cutting_give_space_back() {
    let dir = TempDir::new().unwrap();
    let engine = Engine::create(dir.path(), OWNER, options()).unwrap();
    let (mut sequence, mut state) = engine.parts(1).unwrap();
    for round in 0..50 {
        sequence.append(records(round * 20, 20, 300)).unwrap();
        state.commit().unwrap().run().unwrap();
    }
    let before = engine.status();
    sequence.trim(900).unwrap();
    state.commit().unwrap().run().unwrap();
    assert!(engine.status().bytes * 4 < before.bytes, "{before:?} {:?}", engine.status());
    sequence.truncate(950).unwrap();
    sequence.append(records(2000, 5, 10)).unwrap();
    state.commit().unwrap().run().unwrap();
    let expected = sequence.read(900, 955, u64::MAX).unwrap();
    drop((sequence, state, engine));
    let engine = open(dir.path());
    let (sequence, _state) = engine.parts(1).unwrap();
    assert_eq!((sequence.first_index(), sequence.end_index()), (900, 955));
    assert_eq!(sequence.read(900, 955, u64::MAX).unwrap(), expected);
}

#[test]
fn what_was_cut_off_behind_an_append_in_memory_never_comes_back() {
    let dir = TempDir::new().unwrap();
    let options = Options { cache_bytes: 800, ..options() };
    let engine = Engine::create(dir.path(), OWNER, options).unwrap();
    let (mut sequence, mut state) = engine.parts(1).unwrap();
    let mut append = |first, count, cut: Option<u64>| {
        if let Some(at) = cut {
            sequence.truncate(at).unwrap();
        }
        sequence.append(records(first, count, 84)).unwrap();
        state.commit().unwrap().run().unwrap();
        sequence.read(0, sequence.end_index(), u64::MAX).unwrap()
    };
    append(0, 5, None);
    append(5, 2, None);
    append(100, 5, Some(5));
    let found = append(200, 5, None);
    let numbers: Vec<u64> = found.iter().map(|(id, _)| id.number - 1).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 100, 101, 102, 103, 104, 200, 201, 202, 203, 204]);
}
