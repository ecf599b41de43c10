//! Measures durable commits on a real disk: see docs/PERFORMANCE.md.

use clap::{Args as ClapArgs, Parser};
use omnipaxos_benches::durable::commits::{self, Effort};
use omnipaxos_benches::durable::load::Load;
use omnipaxos_benches::durable::raw::Zeros;
use omnipaxos_benches::durable::{MeasureError, latency, restart, table};
use omnipaxos_benches::output::{OutputError, bar, exit_code, print};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tempfile::TempDir;
use thiserror::Error;

/// Durable commits a second of the engine of omnipaxos-kompact, beside raw appends of the same
/// payloads with one fdatasync each, in turn and on the same disk.
#[derive(Debug, Parser)]
#[command(name = "durable")]
struct Args {
    #[command(flatten)]
    mode: Mode,

    /// Bytes of an entry.
    #[arg(long, value_name = "BYTES", default_values_t = [16, 256, 4096],
          value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    payload: Vec<u32>,

    /// Entries of a commit.
    #[arg(long, value_name = "N", default_values_t = [1, 64, 1024],
          value_parser = clap::value_parser!(u64).range(1..=1 << 16))]
    batch: Vec<u64>,

    /// How often each is measured.
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,

    /// Seconds of each measurement.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.7, value_parser = seconds)]
    seconds: f64,

    /// On which disk: a directory, in which another one is made for as long as this runs.
    #[arg(long, value_name = "DIR", default_value = "target")]
    dir: PathBuf,

    /// Entries of the log of --restart.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, requires = "restart",
          value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    entries: u64,

    /// Print one JSON object a row.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, ClapArgs)]
#[group(multiple = false)]
struct Mode {
    /// Bytes on disk, reads and restarts of long logs of 256 B entries instead.
    #[arg(long, conflicts_with_all = ["payload", "batch", "runs", "seconds"])]
    restart: bool,

    /// How long commits of one 256 B entry take while small segments follow one another instead.
    #[arg(long, conflicts_with_all = ["payload", "batch"])]
    latency: bool,
}

#[derive(Debug, Error)]
enum Error {
    #[error(transparent)]
    Measure(#[from] MeasureError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("{}: {error}", path.display())]
    Dir { path: PathBuf, error: std::io::Error },
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.001..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("0.001 to 3600".to_owned()) }
}

fn main() -> ExitCode {
    exit_code("durable", run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), Error> {
    let failed = |error| Error::Dir { path: args.dir.clone(), error };
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    let dir = TempDir::with_prefix_in("durable-", &args.dir).map_err(failed)?;
    if args.mode.restart {
        restarts(args, dir.path())
    } else if args.mode.latency {
        latencies(args, dir.path())
    } else {
        rates(args, dir.path())
    }
}

fn effort(args: &Args) -> Effort {
    Effort { runs: args.runs as usize, length: Duration::from_secs_f64(args.seconds) }
}

fn rates(args: &Args, dir: &Path) -> Result<(), Error> {
    let zeros = Zeros::new(dir)?;
    let bar = bar((args.payload.len() * args.batch.len()) as u64, "loads");
    let mut rows = Vec::new();
    for payload in &args.payload {
        for batch in &args.batch {
            let load = Load::new(*payload as usize, *batch);
            rows.extend(commits::measure(dir, &zeros, &load, effort(args))?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let legend = format!(
        "Commits a second; medians of {} slices of {} s, in turn, and the smallest and largest. \
         The ratio is that of\nslices next to each other. Raw: the payloads alone and one \
         fdatasync, at the end of a file that grows, or into\na file of zeros whose making is not \
         counted.",
        args.runs, args.seconds
    );
    Ok(print(args.json, &rows, &format!("{}\n\n{legend}", table::commits(&rows)))?)
}

fn latencies(args: &Args, dir: &Path) -> Result<(), Error> {
    let zeros = Zeros::new(dir)?;
    let rows = latency::measure(dir, &zeros, &Load::new(256, 1), effort(args))?;
    let legend = "Microseconds that commits of one 256 B entry took; segments of 4 MiB.";
    Ok(print(args.json, &rows, &format!("{}\n\n{legend}", table::latencies(&rows)))?)
}

fn restarts(args: &Args, dir: &Path) -> Result<(), Error> {
    // 50 MB of entries, then the long log as it looks after large and after single commits.
    let logs = [(50_000_000 / restart::PAYLOAD as u64, 64), (args.entries, 64), (args.entries, 1)];
    let bar = bar(logs.len() as u64, "logs");
    let mut rows = Vec::new();
    for (entries, batch) in logs {
        rows.push(restart::measure(dir, entries, batch)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let legend = "Entries of 256 B; the files are in the page cache, the engine keeps 1 MiB of the \
                  log in memory.\nOpen checks every byte; restart is open and a replica over it.";
    Ok(print(args.json, &rows, &format!("{}\n\n{legend}", table::restarts(&rows)))?)
}
