//! The first storage error halts a replica for good: a typed state, nothing sent after it, no
//! panic.

use super::cluster::CONFIG;
use super::lab::{
    accept, accept_sync, ballot, decide, learn, learn_request, message, prepare, propose,
};
use crate::ballot::{Ballot, Leader};
use crate::paxos::{
    Halted, MessageError, Paxos, PaxosConfig, ProposeError, ReadError, ReconfigureError,
    StartError, TrimError,
};
use crate::storage::{
    Commit, MemorySequence, MemoryState, Operation, PaxosState, Records, Sequence, State, Storage,
    StorageError,
};
use std::cell::Cell;
use std::rc::Rc;

/// Which operation fails: the `left + 1`th of its kind, once.
#[derive(Debug)]
struct Plan {
    operation: Operation,
    left: Cell<u64>,
    failed: Cell<bool>,
}

impl Plan {
    fn at(&self, operation: Operation) -> Result<(), StorageError> {
        if operation != self.operation || self.failed.get() {
            return Ok(());
        }
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.failed.set(true);
                Err(error(operation))
            }
        }
    }
}

fn error(operation: Operation) -> StorageError {
    StorageError::Io { operation, detail: "the cable was pulled".to_owned() }
}

#[derive(Clone, Debug)]
struct Failing<T> {
    plan: Rc<Plan>,
    inner: T,
}

struct FailingCommit(Rc<Plan>);

impl Commit for FailingCommit {
    fn run(self) -> Result<(), StorageError> {
        self.0.at(Operation::Flush)
    }
}

impl Sequence for Failing<MemorySequence> {
    fn first_index(&self) -> u64 {
        self.inner.first_index()
    }

    fn end_index(&self) -> u64 {
        self.inner.end_index()
    }

    fn append(&mut self, records: Records) -> Result<(), StorageError> {
        self.plan.at(Operation::Append)?;
        self.inner.append(records)
    }

    fn truncate(&mut self, from: u64) -> Result<(), StorageError> {
        self.plan.at(Operation::Truncate)?;
        self.inner.truncate(from)
    }

    fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        self.plan.at(Operation::Read)?;
        self.inner.read(from, to, max_cost)
    }

    fn trim(&mut self, to: u64) -> Result<(), StorageError> {
        self.plan.at(Operation::Trim)?;
        self.inner.trim(to)
    }
}

impl PaxosState for Failing<MemoryState> {
    type Commit = FailingCommit;

    fn load(&self) -> Result<Option<State>, StorageError> {
        self.plan.at(Operation::Load)?;
        self.inner.load()
    }

    fn store(&mut self, state: &State) -> Result<(), StorageError> {
        self.plan.at(Operation::Store)?;
        self.inner.store(state)
    }

    fn commit(&mut self) -> Result<FailingCommit, StorageError> {
        // Sealing is part of the flush for the caller; it fails as the operation of its own.
        self.inner.commit()?;
        Ok(FailingCommit(self.plan.clone()))
    }
}

type Replica = Paxos<Failing<MemorySequence>, Failing<MemoryState>>;

fn storage(plan: &Rc<Plan>) -> Storage<Failing<MemorySequence>, Failing<MemoryState>> {
    let (plan, again) = (plan.clone(), plan.clone());
    let sequence = Failing { plan, inner: MemorySequence::new() };
    let state = Failing { plan: again, inner: MemoryState::new() };
    Storage::with(sequence, state)
}

fn plan(operation: Operation, left: u64) -> Rc<Plan> {
    Rc::new(Plan { operation, left: Cell::new(left), failed: Cell::new(false) })
}

/// One step of a life in which each operation is used in each role.
fn step(replica: &mut Replica, at: usize) {
    let (old, n, own) = (ballot(2, 2), ballot(3, 3), ballot(5, 1));
    let handed_in = match at {
        0 => (2, prepare(old, 1, Ballot::default(), 0, 0, None)),
        1 => (2, accept_sync(old, 1, 0, &["a", "b", "c"], 3, 1)),
        2 => (2, accept(old, 1, 3, &["d"], 1)),
        3 => (3, prepare(n, 1, Ballot::default(), 0, 0, None)),
        4 => (3, accept_sync(n, 1, 2, &["x", "y"], 4, 3)),
        5 => (2, learn_request(0)),
        6 => (2, learn(3, &["z"], 4, ballot(4, 2))),
        7 => (2, decide(ballot(4, 2), 1, 4, true)),
        10 => (2, super::lab::promise(own, 1, ballot(4, 2), 6, 4, &["e", "f"])),
        11 => (2, propose(7, &["g"])),
        12 => (2, super::lab::accepted(own, 1, 7, 4)),
        13 => (3, super::lab::promise(own, 1, own, 4, 4, &[])),
        14 => (3, super::lab::accepted(own, 1, 7, 7)),
        15 => (2, super::lab::accepted(own, 1, 7, 7)),
        8 => {
            replica.get_decided_entries();
            return;
        }
        9 => return replica.handle_leader(Leader::new(own)),
        16 => {
            let _ = replica.read_decided(0, 9, 9);
            return;
        }
        17 => {
            replica.get_decided_entries();
            let _ = replica.trim(2);
            return;
        }
        _ => return replica.tick(),
    };
    let _ = replica.handle_message(message(handed_in.0, handed_in.1));
}

const STEPS: usize = 19;

#[track_caller]
fn assert_halted(replica: &mut Replica, halted: &Halted) {
    assert_eq!(replica.halted(), Some(halted));
    let handed_in = message(2, learn_request(0));
    assert_eq!(replica.handle_message(handed_in), Err(MessageError::Halted(halted.clone())));
    let refused = ProposeError::Halted(halted.clone());
    assert_eq!(replica.propose_normal("x"), Err(refused.clone()));
    let reconfigured = replica.propose_reconfiguration(vec![1, 2]);
    assert_eq!(reconfigured, Err(ReconfigureError::Propose(refused)));
    assert_eq!(replica.read_decided(0, 1, 1), Err(ReadError::Halted(halted.clone())));
    assert_eq!(replica.trim(1), Err(TrimError::Halted(halted.clone())));
    replica.handle_leader(Leader::new(ballot(99, 1)));
    replica.reconnected(2);
    replica.tick();
    assert!(replica.begin_flush().is_none());
    assert_eq!(replica.get_outgoing_msgs(), []);
    assert_eq!(replica.get_decided_entries(), []);
    assert_eq!(replica.halted(), Some(halted), "the first reason stays");
}

/// Lives until the planned failure; `false` when there was none.
fn live(operation: Operation, k: u64) -> bool {
    let plan = plan(operation, k);
    let mut replica = Paxos::with(CONFIG, 1, vec![2, 3], storage(&plan), PaxosConfig::default());
    for at in 0..STEPS {
        step(&mut replica, at);
        replica.get_outgoing_msgs();
        if !plan.failed.get() {
            assert_eq!(replica.halted(), None);
            continue;
        }
        let halted = match replica.halted() {
            Some(Halted::Start(StartError::Storage(e)) | Halted::Storage(e)) => {
                assert_eq!(e, &error(operation), "step {at}");
                replica.halted().cloned().unwrap()
            }
            other => panic!("{operation:?} {k} failed in step {at}: {other:?}"),
        };
        assert_halted(&mut replica, &halted);
        for at in at..STEPS {
            step(&mut replica, at);
            assert_eq!(replica.get_outgoing_msgs(), [], "step {at}");
        }
        return true;
    }
    false
}

#[test]
fn any_operation_that_fails_halts_for_good() {
    let operations = [
        (Operation::Load, 1),
        (Operation::Read, 6),
        (Operation::Append, 5),
        (Operation::Truncate, 1),
        (Operation::Trim, 1),
        (Operation::Store, 8),
        (Operation::Flush, 8),
    ];
    for (operation, at_least) in operations {
        let failures = (0..100).take_while(|k| live(operation, *k)).count();
        assert!(failures >= at_least, "{operation:?} is used {failures} times");
    }
}

/// What waited for a flush that failed never leaves, nor what needed none but came after.
#[test]
fn a_failed_flush_drops_what_waits() {
    let mut replica = {
        let plan = plan(Operation::Flush, 100);
        Paxos::with(CONFIG, 1, vec![2, 3], storage(&plan), PaxosConfig::default())
    };
    replica.get_outgoing_msgs();
    let promised = prepare(ballot(2, 2), 1, Ballot::default(), 0, 0, None);
    replica.handle_message(message(2, promised)).unwrap();
    let flush = replica.begin_flush().unwrap();
    assert_eq!(replica.take_sendable(), []);
    replica.finish_flush(flush.id(), Err(error(Operation::Flush))).unwrap();
    assert_halted(&mut replica, &Halted::Storage(error(Operation::Flush)));
    assert_eq!(replica.finish_flush(flush.id(), Ok(())), Ok(()));
}

#[test]
fn what_prevents_a_start_is_an_error_or_a_halt() {
    let plan = plan(Operation::Load, 0);
    let failed = Paxos::try_with(CONFIG, 1, vec![2], storage(&plan), PaxosConfig::default());
    assert_eq!(failed.unwrap_err(), StartError::Storage(error(Operation::Load)));
    plan.failed.set(false);
    let mut halted = Paxos::with(CONFIG, 1, vec![2, 3], storage(&plan), PaxosConfig::default());
    let reason = Halted::Start(StartError::Storage(error(Operation::Load)));
    assert_halted(&mut halted, &reason);
}

#[test]
fn corrupt_state_is_found_at_the_start() {
    let good = State {
        promised: ballot(3, 1),
        accepted_round: ballot(2, 2),
        decided: 1,
        decided_round: ballot(2, 2),
        session: 4,
        ..State::default()
    };
    let start = |state: State, first: u64, len: u64| {
        let mut sequence = MemorySequence::new();
        let entries: Vec<&str> = vec!["a"; (first + len) as usize];
        sequence.append(super::lab::records(1, &entries)).unwrap();
        sequence.trim(first).unwrap();
        let mut stored = MemoryState::new();
        stored.store(&state).unwrap();
        let disk = Storage::with(sequence, stored);
        Paxos::try_with(CONFIG, 1, vec![2, 3], disk, PaxosConfig::default()).map(drop)
    };
    start(good.clone(), 0, 2).unwrap();
    let corrupt = [
        ("decided beyond the log", State { decided: 3, ..good.clone() }, 0, 2),
        ("trimmed beyond decided", good.clone(), 2, 2),
        (
            "accepted above the promise",
            State { accepted_round: ballot(4, 2), ..good.clone() },
            0,
            2,
        ),
        ("decided above the promise", State { decided_round: ballot(4, 2), ..good.clone() }, 0, 2),
        ("no session is left", State { session: u64::MAX, ..good.clone() }, 0, 2),
    ];
    for (what, state, first, len) in corrupt {
        match start(state, first, len) {
            Err(StartError::Storage(StorageError::Corrupt { operation, .. })) => {
                assert_eq!(operation, Operation::Load, "{what}");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}
