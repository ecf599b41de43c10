//! Ours beside the peers, in one run: see docs/PERFORMANCE.md.

mod cluster;
mod core;
mod durable;
mod isolation;
mod sync;

use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use omnipaxos_benches::compare::group::GroupError;
use omnipaxos_benches::compare::row::table;
use omnipaxos_benches::compare::speed::Effort;
use omnipaxos_benches::compare::sync::step::Step;
use omnipaxos_benches::output::{OutputError, exit_code, print};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tempfile::TempDir;
use thiserror::Error;

/// Ours and the peers, measured in turn; medians.
#[derive(Debug, Parser)]
#[command(name = "compare", args_conflicts_with_subcommands = true)]
struct Args {
    /// What is compared.
    #[arg(default_value = "all")]
    what: What,

    /// How often each is measured.
    #[arg(long, value_name = "N", default_value_t = 7,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,

    /// Milliseconds of each measurement.
    #[arg(long, value_name = "MS", default_value_t = 300,
          value_parser = clap::value_parser!(u32).range(1..=60_000))]
    length: u32,

    /// On which disk what is durable is measured: a directory, in which another one is made for as
    /// long as this runs.
    #[arg(long, value_name = "DIR", default_value = "target")]
    dir: PathBuf,

    /// Seconds of bulk traffic for isolation.
    #[arg(long, value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(1..=90))]
    seconds: u64,

    /// Print one JSON object a row.
    #[arg(long)]
    json: bool,

    /// What this program starts itself.
    #[command(subcommand)]
    step: Option<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// The cores, in one thread.
    Core,
    /// Servers over TCP.
    Cluster,
    /// Servers over TCP, with storage on disk.
    Durable,
    /// Servers over TCP under more load than they can take: heartbeats, leaders, memory.
    Isolation,
    /// A laggard that catches up.
    Sync,
    /// Everything.
    All,
}

#[derive(Debug, Error)]
enum Error {
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("where this program is: {0}")]
    Program(#[source] std::io::Error),
    #[error("{}: {error}", path.display())]
    Dir { path: PathBuf, error: std::io::Error },
}

fn main() -> ExitCode {
    exit_code("compare", run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), Error> {
    if let Some(step) = &args.step {
        return Ok(step.run()?);
    }
    let length = Duration::from_millis(u64::from(args.length));
    let effort = Effort { runs: args.runs as usize, length };
    let program = std::env::current_exe().map_err(Error::Program)?;
    let programs = program.parent().unwrap_or(&program);
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} comparisons, {elapsed}") {
        bar.set_style(style);
    }
    let mut rows = Vec::new();
    if matches!(args.what, What::Core | What::All) {
        rows.extend(core::rows(effort, programs, || bar.inc(1))?);
    }
    if matches!(args.what, What::Cluster | What::All) {
        rows.extend(cluster::rows(effort.runs, || bar.inc(1))?);
    }
    if matches!(args.what, What::Durable | What::Sync | What::All) {
        let failed = |error| Error::Dir { path: args.dir.clone(), error };
        std::fs::create_dir_all(&args.dir).map_err(failed)?;
        let dir = TempDir::with_prefix_in("compare-", &args.dir).map_err(failed)?;
        if args.what != What::Sync {
            rows.extend(durable::rows(effort, dir.path(), || bar.inc(1))?);
        }
        if args.what != What::Durable {
            rows.extend(sync::rows(&program, dir.path(), effort.runs, || bar.inc(1))?);
        }
    }
    if matches!(args.what, What::Isolation | What::All) {
        rows.extend(isolation::rows(args.seconds, || bar.inc(1))?);
    }
    bar.finish_and_clear();
    Ok(print(args.json, &rows, &table(&rows))?)
}
