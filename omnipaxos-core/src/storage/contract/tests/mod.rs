//! The contract holds for memory and for a disk that loses what it may, and finds each of many
//! faults in a disk that does not hold it.

mod faulty;

use super::*;
use crate::storage::{MemorySequence, MemoryState};
use faulty::{Eager, Fault, Faulty, Forgetful};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

struct Memory;

impl Backend for Memory {
    type Sequence = MemorySequence;
    type PaxosState = MemoryState;
    const UNFLUSHED: Unflushed = Unflushed::Kept;

    fn create(&mut self) -> (MemorySequence, MemoryState) {
        (MemorySequence::new(), MemoryState::new())
    }

    fn reopen(
        &mut self,
        sequence: MemorySequence,
        paxos_state: MemoryState,
    ) -> (MemorySequence, MemoryState) {
        (sequence, paxos_state)
    }
}

/// What a check panicked with, if it did.
fn panic_of(check: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(check)).err()?;
    Some(panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn memory_keeps_the_contract() {
    check_all(&mut Memory);
    commits_run_on_another_thread(&mut Memory);
}

#[test]
fn disks_keep_the_contract() {
    check_all(&mut Faulty::new(None));
    commits_run_on_another_thread(&mut Faulty::new(None));
    check_all(&mut Eager);
    commits_run_on_another_thread(&mut Eager);
}

#[test]
fn random_operations_are_those_of_a_vector() {
    if let Ok(seed) = std::env::var("SEED") {
        let seed = seed.parse().expect("SEED is a number");
        random(&mut Memory, seed, 400);
        random(&mut Faulty::new(None), seed, 400);
        random(&mut Eager, seed, 400);
        return;
    }
    let seeds = std::env::var("SEEDS").map_or(60, |n| n.parse().expect("SEEDS is a number"));
    for seed in 0..seeds {
        let failed = panic_of(|| {
            random(&mut Memory, seed, 400);
            random(&mut Faulty::new(None), seed, 400);
            random(&mut Eager, seed, 400);
        });
        let replay = "cargo test -p omnipaxos-core random_operations";
        assert!(failed.is_none(), "{failed:?}\nreplay with: SEED={seed} {replay}");
    }
}

/// Each fault is found, by a clause that says so by its name, and each clause finds one.
#[test]
fn each_fault_is_found_and_each_clause_finds_one() {
    let mut idle: BTreeSet<&str> = clauses::<Faulty>().iter().map(|(name, _)| *name).collect();
    for fault in Fault::ALL {
        let mut found = Vec::new();
        for (name, clause) in clauses::<Faulty>() {
            // Slow, and of use against one kind of fault only.
            if name == "many_records_survive" && *fault != Fault::ManyRecordsAreForgotten {
                continue;
            }
            if let Some(panic) = panic_of(|| clause(&mut Faulty::new(Some(*fault)))) {
                assert!(panic.contains(name), "{fault:?}: {panic}");
                idle.remove(name);
                found.push(name);
            }
        }
        let elsewhere = panic_of(|| commits_run_on_another_thread(&mut Faulty::new(Some(*fault))));
        let only_elsewhere = *fault == Fault::RunElsewhereDoesNothing;
        assert_eq!(found.is_empty(), only_elsewhere, "{fault:?} is found by {found:?}");
        assert!(!only_elsewhere || elsewhere.is_some(), "{fault:?} is not found");
        println!("{fault:?}: {}", found.join(", "));
    }
    assert!(idle.is_empty(), "nothing is found by {idle:?}");
}

/// Chance finds the same faults, except for those that need much or rare content.
#[test]
fn random_operations_find_faults() {
    let rare = [
        Fault::RunElsewhereDoesNothing,
        Fault::LongPayloadsAreCut,
        Fault::AMebibyteIsTooLong,
        Fault::ManyRecordsAreForgotten,
        Fault::WideStatesAreCut,
    ];
    for fault in Fault::ALL.iter().filter(|fault| !rare.contains(fault)) {
        let mut panics = (0..40).filter_map(|seed| {
            panic_of(|| random(&mut Faulty::new(Some(*fault)), seed, 250))
                .map(|panic| (seed, panic))
        });
        let Some((seed, panic)) = panics.next() else {
            panic!("{fault:?} is not found");
        };
        assert!(panic.contains(&format!("(seed {seed}, step ")), "{panic}");
        println!("{fault:?}: {panic}");
    }
}

#[test]
fn a_backend_that_keeps_everything_must_keep_it() {
    let panic = panic_of(|| check_all(&mut Forgetful)).expect("a lost log is found");
    assert!(panic.contains("reopen after"), "{panic}");
}

/// No clause is forgotten by [`check_all`].
#[test]
fn all_clauses_are_checked() {
    let files = [
        include_str!("../commits.rs"),
        include_str!("../content.rs"),
        include_str!("../log.rs"),
        include_str!("../reads.rs"),
    ];
    let public = files
        .iter()
        .flat_map(|file| file.lines())
        .filter_map(|line| line.strip_prefix("pub fn ")?.split('<').next());
    let public: BTreeSet<&str> = public.collect();
    let checked: BTreeSet<&str> = clauses::<Memory>().iter().map(|(name, _)| *name).collect();
    assert_eq!(public, checked);
    assert_eq!(public.len(), clauses::<Memory>().len());
}
