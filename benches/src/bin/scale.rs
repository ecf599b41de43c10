//! Measures how speed scales, and writes docs/scale: see docs/PERFORMANCE.md.

use clap::Parser;
use omnipaxos_benches::compare::group::GroupError;
use omnipaxos_benches::compare::row::table;
use omnipaxos_benches::output::{OutputError, bar, exit_code, print};
use omnipaxos_benches::scale::report::{self, ReportError};
use omnipaxos_benches::scale::{SERVERS, machine, sweep};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use thiserror::Error;

/// Entries a second of 3 to 9 servers, of 16 B to 1 MiB, of 1 to 64 proposers: ratios, as a page
/// with plots.
#[derive(Debug, Parser)]
#[command(name = "scale")]
struct Args {
    /// How often each is measured.
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,

    /// Milliseconds of each measurement with several proposers.
    #[arg(long, value_name = "MS", default_value_t = 300,
          value_parser = clap::value_parser!(u32).range(1..=60_000))]
    length: u32,

    /// Where the page and its plots go.
    #[arg(long, value_name = "DIR", default_value = "docs/scale")]
    out: PathBuf,

    /// Print one JSON object a row.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Error)]
enum Error {
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error(transparent)]
    Report(#[from] ReportError),
}

fn main() -> ExitCode {
    exit_code("scale", run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), Error> {
    let machine = machine::describe();
    let (runs, length) = (args.runs as usize, Duration::from_millis(u64::from(args.length)));
    let bar = bar((runs * SERVERS.len()) as u64, "clusters");
    let points = sweep::measure(runs, length, || bar.inc(1))?;
    bar.finish_and_clear();
    report::write(&args.out, &points, &machine, runs)?;
    let rows = report::rows(&points);
    Ok(print(args.json, &rows, &table(&rows))?)
}
