//! Storage against naive models: a plain vector for the log, recomputation from scratch for what is
//! kept beside it.

mod import;

use super::*;
use proptest::prelude::*;

type Record = (ProposalId, Entry);

fn id(proposer: NodeId, session: u64, number: u64) -> ProposalId {
    ProposalId { proposer, session, number }
}

fn run(proposer: NodeId, number: u64, count: u64) -> Run {
    Run { first: id(proposer, 1, number), count }
}

fn stop() -> Entry {
    Entry::stop_sign(StopSign {
        config_id: 2,
        nodes: vec![1, 2],
        learners: vec![],
        metadata: Some("m".into()),
        digest: None,
        skip_prepare_use_leader: None,
    })
}

fn build(records: &[Record]) -> Records {
    let mut builder = RecordsBuilder::new();
    builder.extend(records.iter().cloned());
    builder.build()
}

fn listed(records: &Records) -> Vec<Record> {
    records.iter().map(|(id, entry)| (id, entry.clone())).collect()
}

fn entry(text: &str) -> Entry {
    Entry::from(text.to_owned())
}

#[test]
fn records_need_an_identity_for_each_entry() {
    let entries = || vec![entry("a"), entry("b"), entry("c")];
    let records = Records::new(entries(), vec![run(1, 1, 2), run(2, 7, 1)]).unwrap();
    assert_eq!((records.len(), records.cost()), (3, 3 + 3 * ENTRY_OVERHEAD));
    let ids: Vec<ProposalId> = records.iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [id(1, 1, 1), id(1, 1, 2), id(2, 1, 7)]);
    for runs in [vec![], vec![run(1, 1, 2)], vec![run(1, 1, 4)], vec![run(1, 1, 3), run(1, 4, 1)]] {
        let refused = Records::new(entries(), runs);
        assert_eq!(refused, Err(RecordsError::Count { entries: 3 }));
    }
    assert_eq!(Records::new(vec![], vec![]), Ok(Records::default()));
}

#[test]
fn only_clones_share_their_records() {
    let records = || Records::new(vec![entry("a"), entry("b")], vec![run(1, 1, 2)]).unwrap();
    let one = records();
    assert!(one.is_shared_with(&one.clone()) && one.is_shared_with(&one.slice(0, 2)));
    assert!(!one.is_shared_with(&records()) && !one.is_shared_with(&one.slice(0, 1)));
    assert!(!one.is_shared_with(&Records::default()));
    assert!(Records::default().is_shared_with(&Records::default()));
}

#[test]
fn records_need_possible_identities() {
    let impossible = [
        run(1, 1, 0),
        run(1, 0, 1),
        run(0, 1, 1),
        run(1, u64::MAX, 1),
        run(1, 2, u64::MAX),
        Run { first: id(1, 0, 1), count: 1 },
    ];
    for run in impossible {
        let refused = Records::new(vec![entry("a")], vec![run]);
        assert_eq!(refused, Err(RecordsError::Run(run)));
        let mut builder = RecordsBuilder::new();
        let possible = run.count != 1 || !builder.push(run.first, entry("a"));
        assert!(possible, "the builder takes {run:?}");
    }
    // Their number is not believed, and costs nothing.
    let many = vec![run(1, 1, u64::MAX - 1), run(2, 1, u64::MAX - 1)];
    assert_eq!(Records::new(vec![], many.clone()), Err(RecordsError::Run(many[1])));
    let last = run(1, u64::MAX - 1, 1);
    assert_eq!(Records::new(vec![entry("a")], vec![last]).unwrap().iter().count(), 1);
}

#[test]
fn a_stop_sign_is_the_last_record() {
    let refused = Records::new(vec![entry("a"), stop(), entry("b")], vec![run(1, 1, 3)]);
    assert_eq!(refused, Err(RecordsError::StopSignNotLast(1)));
    let records = Records::new(vec![entry("a"), stop()], vec![run(1, 1, 2)]).unwrap();
    assert!(records.stop_sign().is_some());
    assert!(records.slice(0, 1).stop_sign().is_none());
    let mut builder = RecordsBuilder::new();
    assert!(builder.push(id(1, 1, 1), stop()));
    assert!(!builder.push(id(1, 1, 2), entry("b")));
    assert_eq!((builder.len(), builder.build().len()), (1, 1));
}

/// The numbers that peers count with: they must not change by accident.
#[test]
fn entries_cost_their_payload_and_an_overhead() {
    assert_eq!(entry("").cost(), ENTRY_OVERHEAD);
    assert_eq!(entry("four").cost(), ENTRY_OVERHEAD + 4);
    assert_eq!(stop().cost(), ENTRY_OVERHEAD + 2 * 8 + 1);
}

#[test]
fn memory_refuses_ranges_outside_the_log() {
    let mut log = MemorySequence::new();
    log.append(build(&[(id(1, 1, 1), entry("a")), (id(1, 1, 2), entry("b"))])).unwrap();
    log.trim(1).unwrap();
    let is_range = |result: Result<(), StorageError>, expected: Operation| match result {
        Err(StorageError::Range { operation, first, end, .. }) => {
            assert_eq!((operation, first, end), (expected, 1, 2));
        }
        other => panic!("{other:?}"),
    };
    for (from, to) in [(0, 1), (1, 3), (2, 1), (u64::MAX, u64::MAX), (0, u64::MAX)] {
        is_range(log.read(from, to, 9).map(drop), Operation::Read);
    }
    for index in [0, 3, u64::MAX] {
        is_range(log.truncate(index), Operation::Truncate);
        is_range(log.trim(index), Operation::Trim);
    }
    assert_eq!((log.first_index(), log.end_index()), (1, 2));
}

#[test]
fn a_reopened_storage_knows_what_it_knew() {
    let mut storage = Storage::with(MemorySequence::new(), MemoryState::new());
    storage.open().unwrap();
    let records: Vec<Record> = (1..=9).map(|n| (id(1 + n % 2, 1, n.div_ceil(2)), stop())).collect();
    let records: Vec<Record> = records.into_iter().map(|(id, _)| (id, entry("x"))).collect();
    storage.append(build(&records)).unwrap();
    storage.append(build(&[(id(7, 3, 1), stop())])).unwrap();
    storage.decide(4, Ballot::default(), |_, _| {});
    storage.write_state();
    let flush = storage.begin_flush().unwrap().unwrap();
    storage.finish_flush(flush.id()).unwrap();
    let mut again = storage.clone();
    again.open().unwrap();
    assert_eq!(again.state().session, storage.state().session + 1);
    assert_eq!(again.next_at_end, storage.next_at_end);
    assert_eq!(again.stop_sign(), storage.stop_sign());
    let runs = |storage: &Storage<_, _>| -> Vec<_> {
        storage.tail.iter().map(|part| (part.start, part.run)).collect()
    };
    assert_eq!(runs(&again), runs(&storage));
    assert!(again.sealed().is_none());
    again.decide(10, Ballot::default(), |_, _| {});
    assert!(again.sealed().is_some());
}

/// What a test does to a log. Positions are per mille of what is possible.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(u64, u64, usize)>),
    Truncate(u64),
    Trim(u64),
    Read(u64, u64, u64),
    Decide(u64),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let records = prop::collection::vec((1..4u64, 1..3u64, 0..20usize), 0..6);
    prop_oneof![
        4 => records.prop_map(Step::Append),
        2 => (0..=1000u64).prop_map(Step::Truncate),
        1 => (0..=1000u64).prop_map(Step::Trim),
        3 => (0..=1000u64, 0..=1000u64, 0..100u64).prop_map(|(a, b, c)| Step::Read(a, b, c)),
        2 => (0..=1000u64).prop_map(Step::Decide),
        1 => Just(Step::Flush),
    ]
}

fn between(low: u64, high: u64, per_mille: u64) -> u64 {
    low + (high - low) * per_mille / 1000
}

/// A log as a vector, from index 0, trimmed or not.
#[derive(Default)]
struct Model {
    records: Vec<Record>,
    first: u64,
    decided: u64,
}

impl Model {
    fn end(&self) -> u64 {
        self.records.len() as u64
    }

    /// Records with the numbers that come next for their proposers and sessions.
    fn next_records(&self, wanted: &[(u64, u64, usize)]) -> Vec<Record> {
        let mut all = self.records.clone();
        for (proposer, session, size) in wanted {
            let same = |r: &&Record| (r.0.proposer, r.0.session) == (*proposer, *session);
            let number = all.iter().filter(same).map(|r| r.0.number).max().unwrap_or(0) + 1;
            all.push((id(*proposer, *session, number), Entry::from(vec![0; *size])));
        }
        all.split_off(self.records.len())
    }

    fn read(&self, from: u64, to: u64, max_cost: u64) -> Vec<Record> {
        let mut cost = 0;
        let range = &self.records[from as usize..to as usize];
        let fits = range.iter().enumerate().take_while(|(at, (_, entry))| {
            cost += entry.cost();
            *at == 0 || cost <= max_cost
        });
        fits.map(|(_, record)| record.clone()).collect()
    }

    fn next_of(&self, upto: u64) -> NextProposals {
        let following = self.records[..upto as usize].iter().map(|(id, _)| {
            let next = NextProposal { session: id.session, number: id.number + 1 };
            (id.proposer, next)
        });
        following.collect()
    }

    fn tail_cost(&self) -> u64 {
        self.records[self.decided as usize..].iter().map(|(_, entry)| entry.cost()).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn slices_are_what_a_vector_would_give(
        wanted in prop::collection::vec((1..3u64, 1..3u64, 0..9usize), 0..12),
        from in 0..15u64,
        to in 0..15u64,
    ) {
        let model = Model::default().next_records(&wanted);
        let records = build(&model);
        let (lo, hi) = (from.min(model.len() as u64), to.min(model.len() as u64));
        let expected = if lo < hi { &model[lo as usize..hi as usize] } else { &[] };
        let slice = records.slice(from, to);
        prop_assert_eq!(listed(&slice), expected);
        prop_assert_eq!(slice.cost(), expected.iter().map(|r| r.1.cost()).sum::<u64>());
        prop_assert_eq!(slice.runs().iter().map(|run| run.count).sum::<u64>(), slice.len());
        prop_assert_eq!(records.skip(from), records.slice(from, records.len()));
        let (entries, runs) = slice.clone().into_parts();
        prop_assert_eq!(Records::new(entries, runs), Ok(slice));
    }

    #[test]
    fn memory_is_a_vector(steps in prop::collection::vec(step(), 0..40)) {
        let mut log = MemorySequence::new();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Append(wanted) => {
                    let records = model.next_records(&wanted);
                    log.append(build(&records)).unwrap();
                    model.records.extend(records);
                }
                Step::Truncate(at) => {
                    let from = between(model.first, model.end(), at);
                    log.truncate(from).unwrap();
                    model.records.truncate(from as usize);
                }
                Step::Trim(at) => {
                    model.first = between(model.first, model.end(), at);
                    log.trim(model.first).unwrap();
                }
                Step::Read(a, b, max_cost) => {
                    let from = between(model.first, model.end(), a);
                    let to = between(from, model.end(), b);
                    let read = log.read(from, to, max_cost).unwrap();
                    prop_assert_eq!(listed(&read), model.read(from, to, max_cost));
                    let cost = read.entries().iter().map(Entry::cost).sum::<u64>();
                    prop_assert_eq!(read.cost(), cost);
                }
                Step::Decide(_) | Step::Flush => {}
            }
            prop_assert_eq!((log.first_index(), log.end_index()), (model.first, model.end()));
            let all = log.read(model.first, model.end(), u64::MAX).unwrap();
            prop_assert_eq!(listed(&all), &model.records[model.first as usize..]);
        }
    }

    /// What storage keeps in memory equals what the log says, at every moment and after a restart.
    #[test]
    fn storage_counts_its_tail(steps in prop::collection::vec(step(), 0..40)) {
        let mut storage = Storage::with(MemorySequence::new(), MemoryState::new());
        storage.open().unwrap();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Append(wanted) => {
                    let records = model.next_records(&wanted);
                    storage.append(build(&records)).unwrap();
                    model.records.extend(records);
                }
                Step::Truncate(at) => {
                    let from = between(model.decided, model.end(), at);
                    storage.truncate(from).unwrap();
                    model.records.truncate(from as usize);
                }
                Step::Trim(at) => {
                    model.first = between(model.first, model.decided, at);
                    storage.trim(model.first).unwrap();
                }
                Step::Decide(at) => {
                    let from = model.decided;
                    model.decided = between(model.decided, model.end(), at);
                    let mut ids: Vec<(u64, ProposalId)> = Vec::new();
                    storage.decide(model.decided, Ballot::default(), |start, run| {
                        ids.extend((start..).zip(ids_of(run)));
                    });
                    let expected: Vec<(u64, ProposalId)> = (from..model.decided)
                        .map(|at| (at, model.records[at as usize].0))
                        .collect();
                    prop_assert_eq!(ids, expected);
                }
                Step::Flush => {
                    storage.write_state();
                    let flush = storage.begin_flush().unwrap().unwrap();
                    storage.finish_flush(flush.id()).unwrap();
                    prop_assert_eq!(storage.flushes().durable().end, model.end());
                    let mut again = storage.clone();
                    again.open().unwrap();
                    prop_assert_eq!(&again.next_at_end, &model.next_of(model.end()));
                    prop_assert_eq!(again.tail_cost(), model.tail_cost());
                    prop_assert_eq!(again.state().decided, model.decided);
                }
                Step::Read(..) => {}
            }
            prop_assert_eq!(&storage.next_at_end, &model.next_of(model.end()));
            prop_assert_eq!(&storage.state().next, &model.next_of(model.decided));
            // An append that is decided or cut in part counts as a whole, so that never too much
            // fits.
            prop_assert!(storage.tail_cost() >= model.tail_cost());
            if model.decided == model.end() {
                prop_assert_eq!(storage.tail_cost(), 0);
            }
            prop_assert!(storage.flushes().durable().end <= model.end());
        }
    }
}

fn ids_of(run: &Run) -> impl Iterator<Item = ProposalId> + use<> {
    let (first, numbers) = (run.first, run.first.number..run.next_number());
    numbers.map(move |number| ProposalId { number, ..first })
}

/// A backend whose last run commit can go missing.
#[derive(Clone, Debug, Default)]
struct Forgetful {
    /// The state as of each commit that was run.
    run: std::rc::Rc<std::cell::RefCell<Vec<State>>>,
    open: State,
    suspect: bool,
}

struct ForgetfulCommit(std::rc::Rc<std::cell::RefCell<Vec<State>>>, State);

impl Commit for ForgetfulCommit {
    fn run(self) -> Result<(), StorageError> {
        self.0.borrow_mut().push(self.1);
        Ok(())
    }
}

impl PaxosState for Forgetful {
    type Commit = ForgetfulCommit;

    fn load(&self) -> Result<Option<State>, StorageError> {
        Ok(self.run.borrow().last().cloned())
    }

    fn suspect(&self) -> bool {
        self.suspect
    }

    fn store(&mut self, state: &State) -> Result<(), StorageError> {
        self.open = state.clone();
        Ok(())
    }

    fn commit(&mut self) -> Result<ForgetfulCommit, StorageError> {
        Ok(ForgetfulCommit(self.run.clone(), self.open.clone()))
    }
}

/// Opens, flushes what the opening wrote, and returns the state.
fn open_and_flush(disk: Storage<MemorySequence, Forgetful>) -> (State, Forgetful) {
    let mut disk = disk;
    disk.open().unwrap();
    let flush = disk.begin_flush().unwrap().unwrap();
    let id = flush.id();
    flush.run().unwrap();
    disk.finish_flush(id).unwrap();
    (disk.state().clone(), disk.into_parts().1)
}

/// What leads a round without a Prepare because its storage is new must not take a lost first flush
/// for that.
#[test]
fn storage_is_new_only_before_its_first_flush() {
    let new =
        |backend: &Forgetful| Storage::with(MemorySequence::new(), backend.clone()).open().unwrap();
    let mut backend = Forgetful::default();
    assert!(new(&backend));
    let lost = Forgetful { suspect: true, ..backend.clone() };
    assert!(!new(&lost));
    backend = open_and_flush(Storage::with(MemorySequence::new(), Forgetful::default())).1;
    assert!(!new(&backend));
    let mut used = MemorySequence::new();
    used.append(build(&[(id(1, 1, 1), entry("a"))])).unwrap();
    assert!(!Storage::with(used, Forgetful::default()).open().unwrap());
}

#[test]
fn a_session_is_never_used_twice_whichever_last_flushes_go_missing() {
    // Each opening: does the flush that was run last go missing before it?
    for losses in 0..1 << 8_u32 {
        let mut backend = Forgetful::default();
        let mut sessions = Vec::new();
        for opening in 0..8 {
            let lost = losses & (1 << opening) != 0 && backend.run.borrow_mut().pop().is_some();
            backend.suspect = lost;
            let disk = Storage::with(MemorySequence::new(), backend);
            let (state, opened) = open_and_flush(disk);
            backend = opened;
            assert!(sessions.last().is_none_or(|last| *last < state.session), "{losses:b}");
            assert_eq!(lost, state.suspect_session == state.session, "{losses:b}");
            assert!(!lost || state.recovering);
            sessions.push(state.session);
        }
    }
}

#[test]
fn a_suspect_storage_recovers_until_it_is_told_otherwise() {
    let suspect = Forgetful { suspect: true, ..Forgetful::default() };
    let (state, mut backend) = open_and_flush(Storage::with(MemorySequence::new(), suspect));
    assert!(state.recovering);
    backend.suspect = false;
    let mut disk = Storage::with(MemorySequence::new(), backend);
    disk.open().unwrap();
    assert!(disk.state().recovering, "a restart changes nothing");
    disk.recovered();
    let (state, _) = open_and_flush(disk);
    assert!(state.recovering, "nor does what was not flushed");
}

#[test]
fn the_operator_vouches_for_one_opening() {
    let suspect = Forgetful { suspect: true, ..Forgetful::default() };
    let disk = Storage::with(MemorySequence::new(), suspect).trust_suspect();
    let (state, mut backend) = open_and_flush(disk);
    assert!(!state.recovering);
    assert_eq!(state.suspect_session, state.session, "what was forgotten stays forgotten");
    let (state, _) = open_and_flush(Storage::with(MemorySequence::new(), backend.clone()));
    assert!(state.recovering, "the next loss is another one");
    backend.suspect = false;
    let (state, _) = open_and_flush(Storage::with(MemorySequence::new(), backend));
    assert!(state.recovering);
}
