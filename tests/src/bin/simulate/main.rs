//! Runs seeds of the simulator.
//!
//! ```sh
//! cargo run --release -p omnipaxos-tests --bin simulate -- --seeds 10000
//! cargo run --release -p omnipaxos-tests --bin simulate -- --seed 4711 --trace
//! cargo run --release -p omnipaxos-tests --bin simulate -- --planted
//! ```

mod report;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use omnipaxos_tests::planted::{Plant, hunt};
use omnipaxos_tests::sim::{EventLog, Report, Stats, run, run_planted};
use std::io::{IsTerminal as _, stderr};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Runs clusters of real Omni-Paxos cores under virtual time, each decided by one seed.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    start: u64,
    /// Run only this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: print the event log.
    #[arg(long)]
    trace: bool,
    /// Show how soon the checker finds each planted fault.
    #[arg(long)]
    planted: bool,
    /// With --seed: plant this fault (as the table of --planted names it).
    #[arg(long)]
    plant: Option<String>,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: u64,
    /// Go on after violations, and list them at the end.
    #[arg(long)]
    keep_going: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic of the core is caught and reported with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    if arguments.planted {
        return planted();
    }
    match arguments.seed {
        Some(seed) => one(seed, &arguments),
        None => many(&arguments),
    }
}

fn planted() -> ExitCode {
    let mut finds = Vec::new();
    for (plant, limit) in Plant::ALL {
        finds.push((hunt(plant, limit), limit));
    }
    println!("{}", report::planted(&finds));
    let missed = finds.iter().any(|(find, _)| find.violation.is_none());
    ExitCode::from(u8::from(missed))
}

fn one(seed: u64, arguments: &Arguments) -> ExitCode {
    let plant = match &arguments.plant {
        None => None,
        Some(name) => {
            let known = Plant::ALL.iter().find(|(p, _)| format!("{p:?}") == *name);
            match known {
                Some((plant, _)) => Some(*plant),
                None => {
                    eprintln!("no planted fault is called {name}; see --planted");
                    return ExitCode::FAILURE;
                }
            }
        }
    };
    let log = match arguments.trace {
        true => EventLog::Lines(String::new()),
        false => EventLog::hash(),
    };
    let report = run_planted(seed, plant, log);
    match &report.log {
        EventLog::Lines(lines) => print!("{lines}"),
        EventLog::Hash(hash) => println!("event log {hash:016x}"),
        EventLog::Off => {}
    }
    if !arguments.trace {
        print!("{}", report::summary(&report.stats));
    }
    failed(&report).map_or(ExitCode::SUCCESS, |line| {
        eprintln!("{line}");
        ExitCode::FAILURE
    })
}

fn failed(report: &Report) -> Option<String> {
    let violation = report.violation.as_ref()?;
    Some(format!(
        "seed {}: {violation}\nreplay with: cargo run --release -p omnipaxos-tests \
         --bin simulate -- --seed {} --trace",
        report.seed, report.seed
    ))
}

fn many(arguments: &Arguments) -> ExitCode {
    let begun = Instant::now();
    let end = arguments.start.saturating_add(arguments.seeds);
    let next = AtomicU64::new(arguments.start);
    let (sender, reports) = mpsc::channel();
    let mut stats = Stats::default();
    let mut failures = Vec::new();
    thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || sender.send(run(seed, EventLog::Off)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let progress = Progress::new(arguments.seeds);
        for report in reports {
            stats.add(&report.stats);
            progress.step(stats.seeds, begun.elapsed());
            if let Some(line) = failed(&report) {
                failures.push((report.seed, line));
                if !arguments.keep_going {
                    next.store(end, Ordering::Relaxed);
                }
            }
        }
        progress.bar.finish_and_clear();
    });
    print!("{}", report::summary(&stats));
    println!("{}", report::pace(&stats, begun.elapsed()));
    failures.sort_unstable();
    for (_, line) in &failures {
        eprintln!("{line}");
    }
    ExitCode::from(u8::from(!failures.is_empty()))
}

/// A bar on a terminal, a line now and then elsewhere.
struct Progress {
    bar: ProgressBar,
    seeds: u64,
    plain: bool,
}

impl Progress {
    fn new(seeds: u64) -> Self {
        let plain = !stderr().is_terminal();
        let bar = match plain {
            true => ProgressBar::hidden(),
            false => ProgressBar::new(seeds),
        };
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds {per_sec}") {
            bar.set_style(style);
        }
        Self { bar, seeds, plain }
    }

    fn step(&self, done: u64, elapsed: Duration) {
        self.bar.set_position(done);
        let portion = (self.seeds / 10).max(1);
        if self.plain && done.is_multiple_of(portion) {
            let pace = done as f64 / elapsed.as_secs_f64();
            eprintln!("{done} of {} seeds, {pace:.0} a second", self.seeds);
        }
    }
}
