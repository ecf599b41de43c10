//! Model checking, as deep as fits the time of the suite; the command `model` goes deeper.

use omnipaxos_tests::model::{Bounds, Event, Fault, Outcome, Scope, explore};
use std::io::Write as _;

/// Explores a scope to `depth`. All that is to happen must happen, and nothing that must not.
fn explored(name: &str, depth: usize) -> Outcome {
    let scope = Scope::named(name).unwrap();
    let bounds = Bounds { depth: Some(depth), ..Bounds::default() };
    let outcome = explore(scope, bounds, |_| {});
    // To the terminal, past the capture of the test harness: how far a proof goes is its result.
    std::io::stderr().write_all(format!("\n{outcome}\n").as_bytes()).unwrap();
    assert_eq!(outcome.violation, None);
    assert!(outcome.missing.is_empty(), "never: {:?}", outcome.missing);
    assert_eq!(outcome.progress.depth, depth);
    outcome
}

/// A model in which little happens proves little.
fn assert_happened(outcome: &Outcome, events: &[(Event, u64)]) {
    for (event, least) in events {
        let count = outcome.count(*event);
        assert!(count >= *least, "{event:?}: {count} times only");
    }
}

/// 3 new servers, 2 ballots, 2 proposals, one crash: every interleaving, loss and duplication.
#[test]
fn all_interleavings_of_two_leaders_from_the_start() {
    let outcome = explored("two-leaders", 9);
    assert!(outcome.progress.states > 100_000, "{outcome}");
    assert_happened(
        &outcome,
        &[
            (Event::FirstDecides, 1000),
            (Event::LaterDecides, 1000),
            (Event::Adopted, 1000),
            (Event::StepDown, 1000),
            (Event::Refuse, 1000),
            (Event::CrashBeforeFlush, 1000),
        ],
    );
}

/// The same from where the first ballot leads: this gets past the first leader's decisions.
#[test]
fn all_interleavings_of_a_second_leader_taking_over() {
    let outcome = explored("led", 7);
    assert!(outcome.progress.states > 40_000, "{outcome}");
    assert_happened(
        &outcome,
        &[
            (Event::FirstDecides, 1000),
            (Event::LaterDecides, 100),
            (Event::Adopted, 1000),
            (Event::TailCut, 10),
            (Event::CrashBeforeFlush, 1000),
        ],
    );
}

#[test]
fn the_model_finds_planted_faults() {
    // A promise that a crash takes back needs 11 steps to do harm: that one is left to the command.
    for fault in Fault::ALL.into_iter().filter(|fault| *fault != Fault::LostPromise) {
        let scope = Scope::named("narrow").unwrap().with_fault(fault);
        let bounds = Bounds { depth: Some(8), ..Bounds::default() };
        let outcome = explore(scope, bounds, |_| {});
        let (property, path) = outcome.violation.unwrap_or_else(|| panic!("{fault:?} not found"));
        assert!(!path.is_empty(), "{fault:?} breaks {property} in no step");
    }
}
