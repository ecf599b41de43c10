//! Seeds of the simulator, its determinism, and planted faults that its checker must find.

use omnipaxos_tests::planted::{Plant, hunt};
use omnipaxos_tests::sim::{EventLog, Stats, run, run_planted};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Seeds in the suite; the command `simulate` runs as many as one likes.
const SEEDS: u64 = 600;

/// Runs `work` for each number below `count`, on all processors.
fn in_parallel<T: Send>(count: u64, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        let worker = || {
            let numbers = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < count);
            std::iter::from_fn(numbers).map(&work).collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

#[test]
fn safety_under_everything_then_liveness_of_a_core() {
    let reports = in_parallel(SEEDS, |seed| run(seed, EventLog::Off));
    let mut stats = Stats::default();
    for report in &reports {
        stats.add(&report.stats);
        assert!(
            report.violation.is_none(),
            "{:?}\nreplay with: cargo run --release -p omnipaxos-tests --bin simulate -- \
             --seed {} --trace",
            report.violation,
            report.seed
        );
    }
    assert_eq!(stats.seeds, SEEDS);
    // A simulator in which nothing happens proves nothing.
    for (path, least) in [
        ("learned from a peer (D1)", 100),
        ("gap reported", 100),
        ("tail cut by an AcceptSync", 20),
        ("tail cut by D1", 1),
        ("tail replaced by an adopted one", 5),
        ("flush under way lost in a crash", 20),
        ("flush under way survived a crash", 20),
        ("replica halted", 20),
        ("zombie woke up", 50),
        ("log sealed at a server", 50),
        ("log trimmed", 50),
        ("server started in a next configuration", 200),
        ("leader continues in the next configuration", 50),
        ("log migrated", 50),
        ("laggard asks for a migration", 50),
        ("proposal in a line decided", 1_000),
        ("proposal goes on into the next configuration", 50),
        ("records fetched for a sealed log", 100),
        ("records fetched for a replica", 10),
        ("replica stopped", 100),
        ("server retired", 50),
        ("crash at a command boundary", 500),
        ("book under way lost in a crash", 50),
        ("book under way survived a crash", 50),
        ("outcome Decided", 10_000),
        ("outcome Dropped", 50),
        ("healed a core only", 50),
        ("recovered from a lost flush", 30),
        ("flush lost while recovering", 2),
    ] {
        let times = stats.paths.get(path).copied().unwrap_or(0);
        assert!(times >= least, "{path}: {times} times only");
    }
    // Nearly no donor is ever asked for what it does not hold (Unknown).
    assert!(stats.messages.len() >= 27, "each kind of message: {:?}", stats.messages);
    assert_eq!(stats.faults.len(), 19, "each kind of fault: {:?}", stats.faults);
}

#[test]
fn a_seed_is_a_run() {
    for seed in [3, 14, 159] {
        let text = || match run(seed, EventLog::Lines(String::new())).log {
            EventLog::Lines(lines) => lines,
            _ => String::new(),
        };
        let first = text();
        assert!(first.lines().count() > 100, "seed {seed}");
        assert_eq!(first, text(), "seed {seed} differs from itself");
    }
}

#[test]
fn the_checker_finds_each_planted_fault() {
    let faults = Plant::ALL;
    let finds = in_parallel(faults.len() as u64, |at| {
        let (plant, limit) = faults[at as usize];
        hunt(plant, limit)
    });
    for find in finds {
        let plant = find.plant;
        assert!(find.violation.is_some(), "{plant:?} not found in {} seeds", find.seeds);
    }
}

#[test]
fn without_a_planted_fault_the_same_seeds_pass() {
    for seed in 0..20 {
        assert_eq!(run_planted(seed, None, EventLog::Off).violation, None, "seed {seed}");
    }
}
