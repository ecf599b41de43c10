//! The engine on a real file system.

use super::*;
use omnipaxos_core::storage::contract::{self, Backend};
use omnipaxos_core::storage::{
    Commit, Entry, PaxosState, ProposalId, Records, RecordsBuilder, Sequence, State, StopSign,
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

/// Engines in directories of their own, one after the other.
struct OnDisk {
    options: Options,
    latest: Option<(TempDir, Engine)>,
}

impl OnDisk {
    fn new(options: Options) -> Self {
        Self { options, latest: None }
    }
}

impl Backend for OnDisk {
    type Sequence = DurableSequence;
    type PaxosState = DurableState;

    fn create(&mut self) -> (DurableSequence, DurableState) {
        let dir = TempDir::new().unwrap();
        let engine = Engine::create(dir.path(), OWNER, self.options.clone()).unwrap();
        let parts = engine.parts(1).unwrap();
        self.latest = Some((dir, engine));
        parts
    }

    fn reopen(
        &mut self,
        sequence: DurableSequence,
        state: DurableState,
    ) -> (DurableSequence, DurableState) {
        drop((sequence, state));
        let (dir, engine) = self.latest.take().unwrap();
        drop(engine);
        let engine = Engine::open(dir.path(), OWNER, self.options.clone()).unwrap();
        let parts = engine.parts(1).unwrap();
        self.latest = Some((dir, engine));
        parts
    }
}

#[test]
fn the_contract_holds_with_tiny_segments_and_without_a_cache() {
    let options = Options { cache_bytes: 0, ..options() };
    contract::check_all(&mut OnDisk::new(options.clone()));
    for seed in 100..105 {
        contract::random(&mut OnDisk::new(options.clone()), seed, 300);
    }
}

#[test]
fn the_contract_holds_as_users_get_it() {
    let mut backend = OnDisk::new(Options { segment_bytes: 1 << 20, ..Options::default() });
    contract::check_all(&mut backend);
    contract::commits_run_on_another_thread(&mut backend);
}

/// As a replica does that ends and starts again in a process that goes on.
#[test]
fn storage_can_be_taken_again_while_the_engine_stays_open() {
    let dir = TempDir::new().unwrap();
    let engine = Engine::create(dir.path(), OWNER, options()).unwrap();
    let (mut sequence, mut state) = engine.parts(1).unwrap();
    sequence.append(records(0, 10, 100)).unwrap();
    state.store(&State { session: 4, ..State::default() }).unwrap();
    state.commit().unwrap().run().unwrap();
    sequence.append(records(10, 10, 100)).unwrap();
    drop((sequence, state));
    let (sequence, state) = engine.parts(1).unwrap();
    assert_eq!(sequence.end_index(), 10);
    assert_eq!(state.load().unwrap().unwrap().session, 4);
    assert_eq!(sequence.read(0, 10, u64::MAX).unwrap(), records(0, 10, 100));
}

#[test]
fn a_directory_has_one_user_at_a_time() {
    let dir = TempDir::new().unwrap();
    let engine = Engine::create(dir.path(), OWNER, options()).unwrap();
    let in_use = |result: Result<Engine, OpenError>| {
        assert!(matches!(result, Err(OpenError::InUse { .. })), "{result:?}");
    };
    in_use(Engine::open(dir.path(), OWNER, options()));
    let members = engine.members().unwrap();
    assert!(matches!(engine.members(), Err(OpenError::InUse { .. })));
    let parts = engine.parts(1).unwrap();
    drop(engine);
    in_use(Engine::open(dir.path(), OWNER, options()));
    drop(parts);
    in_use(Engine::open(dir.path(), OWNER, options()));
    drop(members);
    open(dir.path()).members().unwrap();
}

#[test]
fn only_a_sealed_configuration_that_has_a_successor_is_removed() {
    let dir = TempDir::new().unwrap();
    let engine = Engine::create(dir.path(), OWNER, options()).unwrap();
    let (mut sequence, mut state) = engine.parts(1).unwrap();
    for round in 0..30 {
        sequence.append(records(round * 20, 20, 300)).unwrap();
        state.commit().unwrap().run().unwrap();
    }
    assert_eq!(engine.remove(1), Err(RemoveError::Latest(1)));
    assert_eq!(engine.remove(2), Err(RemoveError::Unknown(2)));
    let (mut next, mut next_state) = engine.parts(2).unwrap();
    next.append(records(0, 1, 1)).unwrap();
    next_state.commit().unwrap().run().unwrap();
    assert_eq!(engine.remove(1), Err(RemoveError::InUse(1)));
    drop((sequence, state));
    assert_eq!(engine.remove(1), Err(RemoveError::NotSealed(1)));
    let (mut sequence, mut state) = engine.parts(1).unwrap();
    let mut builder = RecordsBuilder::new();
    let stop_sign = StopSign {
        config_id: 2,
        nodes: vec![3],
        learners: vec![],
        metadata: None,
        digest: None,
        skip_prepare_use_leader: None,
    };
    let id = ProposalId { proposer: 3, session: 1, number: 601 };
    builder.push(id, Entry::stop_sign(stop_sign.clone()));
    sequence.append(builder.build()).unwrap();
    state.commit().unwrap().run().unwrap();
    drop((sequence, state));
    // Nobody knows yet that it is decided.
    assert_eq!(engine.remove(1), Err(RemoveError::NotSealed(1)));
    let (sequence, mut state) = engine.parts(1).unwrap();
    state.store(&State { decided: 601, ..State::default() }).unwrap();
    state.commit().unwrap().run().unwrap();
    drop((sequence, state));
    assert_eq!(engine.sealed(1), Ok(Some(stop_sign)));
    let before = engine.status();
    assert_eq!(engine.remove(1), Ok(()));
    let after = engine.status();
    assert!(after.bytes * 2 < before.bytes && after.segments < before.segments, "{after:?}");
    drop((next, next_state, engine));
    let engine = open(dir.path());
    assert_eq!(engine.configurations(), [2]);
    assert_eq!(engine.parts(1).unwrap().0.end_index(), 0);
}

/// Changes a byte of the last flush, in front of its footer.
fn damage_the_last_flush(dir: &Path) {
    let path = dir.join("0000000001.log");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[last - 30] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn doubt_about_a_next_configuration_ends_once_this_one_is_synchronised_without_a_stop_sign() {
    for sealed in [false, true] {
        let dir = TempDir::new().unwrap();
        let engine = Engine::create(dir.path(), OWNER, options()).unwrap();
        let (mut sequence, mut state) = engine.parts(1).unwrap();
        let mut flush = |store: State| {
            state.store(&store).unwrap();
            state.commit().unwrap().run().unwrap();
        };
        flush(State { session: 1, ..State::default() });
        if sealed {
            let next = StopSign {
                config_id: 2,
                nodes: vec![3],
                learners: vec![],
                metadata: None,
                digest: None,
                skip_prepare_use_leader: None,
            };
            let mut builder = RecordsBuilder::new();
            let id = ProposalId { proposer: 3, session: 1, number: 1 };
            builder.push(id, Entry::stop_sign(next));
            sequence.append(builder.build()).unwrap();
            flush(State { session: 1, ..State::default() });
        }
        flush(State { session: 2, ..State::default() });
        drop((sequence, state, engine));
        damage_the_last_flush(dir.path());

        let engine = open(dir.path());
        assert_eq!(engine.suspects(), Ok(vec![1]));
        let (sequence, mut state) = engine.parts(1).unwrap();
        assert!(state.suspect() && engine.parts(2).unwrap().1.suspect());
        // As its replica does: first it notes that it recovers, in the end that it has.
        for recovering in [true, false] {
            state.store(&State { session: 4, recovering, ..State::default() }).unwrap();
            state.commit().unwrap().run().unwrap();
            assert!(!state.suspect());
            let next = engine.parts(2).unwrap().1.suspect();
            assert_eq!(next, recovering || sealed, "{recovering} {sealed}");
        }
        assert_eq!(dir.path().join("suspect").exists(), sealed);
        drop((sequence, state));
    }
}

#[test]
fn the_history_is_replaced_as_a_whole_and_damage_is_found() {
    let dir = TempDir::new().unwrap();
    let engine = Engine::create(dir.path(), OWNER, options()).unwrap();
    assert_eq!(engine.history(), Ok(None));
    engine.set_history(&[]).unwrap();
    assert_eq!(engine.history().unwrap().as_deref(), Some(&[][..]));
    engine.set_history(&[0, 0xab, 7]).unwrap();
    drop(engine);
    let engine = open(dir.path());
    assert_eq!(engine.history().unwrap().as_deref(), Some(&[0, 0xab, 7][..]));
    let path = dir.path().join("history");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("value 00ab07\n"), "{text}");
    std::fs::write(&path, text.replace("ab", "ac")).unwrap();
    assert!(matches!(engine.history(), Err(OpenError::Damaged { .. })));
}

#[test]
fn no_storage_is_made_where_a_history_was_left() {
    let dir = TempDir::new().unwrap();
    Engine::create(dir.path(), OWNER, options()).unwrap().set_history(&[1]).unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name != "history") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let again = Engine::create(dir.path(), OWNER, options());
    assert!(matches!(again, Err(CreateError::Leftover { .. })));
}
