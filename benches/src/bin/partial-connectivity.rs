//! Measures elections under partial connectivity, side by side: see docs/PERFORMANCE.md.

use clap::{Parser, ValueEnum};
use omnipaxos_benches::library::Library;
use omnipaxos_benches::output::{bar, exit_code};
use omnipaxos_benches::scenario::Scenario;
use omnipaxos_benches::summary::{Case, Row, worst};
use omnipaxos_benches::units::{SLOWEST_HOP, TIMEOUT};
use omnipaxos_benches::{cluster::RunError, report, summary::SeedError};
use std::io::{Write as _, stdout};
use std::ops::Range;
use std::process::ExitCode;
use std::thread::available_parallelism;
use thiserror::Error;

/// Election timeouts until the next decision, and leader changes after it, in the paper's partial
/// partitions: omnipaxos-core, the crate omnipaxos 0.2.4, and the crate raft 0.7 with and without
/// pre-vote and check-quorum, all on the same schedules in virtual time.
#[derive(Debug, Parser)]
#[command(name = "partial-connectivity")]
struct Args {
    /// How many seeds a row.
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seeds: u64,

    /// The first seed.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    start: u64,

    /// Only these scenarios.
    #[arg(long, value_enum)]
    scenario: Vec<Scenario>,

    /// Only these libraries.
    #[arg(long, value_enum)]
    library: Vec<Library>,

    /// Only clusters of these sizes.
    #[arg(long, value_name = "N")]
    servers: Vec<u64>,

    /// The slowest hop, in percent of an election timeout.
    #[arg(long, value_name = "PERCENT", default_value_t = 100 * SLOWEST_HOP / TIMEOUT,
          value_parser = clap::value_parser!(u64).range(1..=45))]
    slowest_hop: u64,

    /// Print one JSON object a row.
    #[arg(long, conflicts_with = "worst")]
    json: bool,

    /// Print the timeline of the worst seed of each row as well.
    #[arg(long)]
    worst: bool,

    /// Worker threads; as many as there are processors by default. They change no result.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

#[derive(Debug, Error)]
enum Error {
    #[error(transparent)]
    Seed(#[from] SeedError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("cannot write: {0}")]
    Output(#[from] std::io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("no scenario has that size")]
    Nothing,
}

/// Lines of a timeline.
const STORY: usize = 60;

fn main() -> ExitCode {
    exit_code("partial-connectivity", run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), Error> {
    let cases = cases(args);
    if cases.is_empty() {
        return Err(Error::Nothing);
    }
    let seeds = args.start..args.start.saturating_add(args.seeds);
    let bar = bar(cases.len() as u64 * args.seeds, "runs");
    let processors = available_parallelism().map_or(1, usize::from);
    let threads = args.threads.unwrap_or(processors);
    let (mut rows, mut stories) = (Vec::new(), Vec::new());
    for case in cases {
        let outcomes = case.outcomes(seeds.clone(), threads, || bar.inc(1))?;
        rows.push(Row::of(case, &outcomes));
        if args.worst
            && let Some(place) = worst(&outcomes)
        {
            stories.push(story(&case, &seeds, place)?);
        }
    }
    bar.finish_and_clear();
    let mut out = stdout().lock();
    if args.json {
        writeln!(out, "{}", report::json(&rows)?)?;
    } else {
        writeln!(out, "{}\n", report::table(&rows))?;
        writeln!(out, "{}", legend(args, &seeds))?;
    }
    for story in stories {
        writeln!(out, "\n{story}")?;
    }
    Ok(())
}

/// The rows to fill, those that are compared next to each other.
fn cases(args: &Args) -> Vec<Case> {
    let scenarios = chosen(&args.scenario);
    let libraries = chosen(&args.library);
    let mut cases = Vec::new();
    for scenario in scenarios {
        for servers in scenario.sizes() {
            if !args.servers.is_empty() && !args.servers.contains(servers) {
                continue;
            }
            for library in &libraries {
                cases.push(Case {
                    scenario,
                    servers: *servers,
                    library: *library,
                    slowest_hop: args.slowest_hop * TIMEOUT / 100,
                });
            }
        }
    }
    cases
}

/// Those named, or all.
fn chosen<T: ValueEnum + Clone>(named: &[T]) -> Vec<T> {
    if named.is_empty() { T::value_variants().to_vec() } else { named.to_vec() }
}

fn legend(args: &Args, seeds: &Range<u64>) -> String {
    format!(
        "Seeds {}..{} a row; a hop takes up to {} % of an election timeout. In timeouts: p50, p99 \
         and max until an entry\nproposed after the fault is decided, and the longest gap between \
         decisions in the 200 timeouts after that. Changes\nafter: servers that began to lead in \
         those 200 timeouts, at most. Interrupted: seeds with a gap of over one timeout.\nStalled: \
         seeds without a decision in the 200 timeouts after the fault.",
        seeds.start, seeds.end, args.slowest_hop
    )
}

fn story(case: &Case, seeds: &Range<u64>, place: usize) -> Result<String, Error> {
    let seed = seeds.start + place as u64;
    let run = case.library.run(&case.schedule(seed), true)?;
    Ok(format!(
        "The worst seed of {}, {} servers, {}: {seed} (timeouts since the fault)\n{}",
        case.scenario.name(),
        case.servers,
        case.library.name(),
        run.story(STORY).join("\n")
    ))
}
