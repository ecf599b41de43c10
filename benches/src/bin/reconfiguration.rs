//! Measures changes of members while clients propose: see docs/PERFORMANCE.md.

use clap::{Parser, Subcommand};
use indicatif::ProgressBar;
use omnipaxos_benches::output::{OutputError, bar, exit_code, print};
use omnipaxos_benches::reconfiguration::RunError;
use omnipaxos_benches::reconfiguration::agenda::seconds;
use omnipaxos_benches::reconfiguration::case::{self, Change, Donors, Load, Outcome};
use omnipaxos_benches::reconfiguration::preload::Preload;
use omnipaxos_benches::reconfiguration::row::{self, Row};
use omnipaxos_benches::reconfiguration::tcp::case::{Run, Setting, TcpError};
use omnipaxos_benches::reconfiguration::tcp::{namespaces, serve};
use std::process::ExitCode;
use thiserror::Error;

/// How long a change of members takes while clients propose, and what it costs the leader and the
/// clients: with all servers as donors, and with the leader as the only one.
#[derive(Debug, Parser)]
#[command(name = "reconfiguration")]
struct Args {
    /// Where the servers are; in virtual time where nothing is said.
    #[command(subcommand)]
    place: Option<Place>,

    /// Entries of 8 bytes that are decided before.
    #[arg(long, global = true, value_name = "N", default_value_t = 5_000_000,
          value_parser = clap::value_parser!(u64).range(1..=50_000_000))]
    entries: u64,

    /// Print one JSON object a row.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Place {
    /// In virtual time: uplinks are queues, and code takes no time.
    Virtual,
    /// In network namespaces of this machine, over TCP: needs Linux, root and iproute2.
    Tcp {
        /// Megabits a second of each uplink.
        #[arg(long, value_name = "N", default_value_t = 30,
              value_parser = clap::value_parser!(u64).range(1..=1000))]
        mbits: u64,

        /// KiB of entries in one message of a migration; the default where nothing is said.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
        segment: Option<u64>,

        /// Print when which server came how far, too.
        #[arg(long)]
        timeline: bool,
    },
    /// One server: this program starts it.
    #[command(hide = true, name = serve::SERVE)]
    Serve,
    /// Removes network namespaces once standard input ends.
    #[command(hide = true, name = namespaces::SWEEP)]
    Sweep { names: Vec<String> },
}

#[derive(Debug, Error)]
enum Error {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Two changes under load and one without, each with all donors and with one.
const RUNS: u64 = 2 * 3;

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.place {
        None | Some(Place::Virtual) => in_virtual_time(&args),
        Some(Place::Tcp { mbits, segment, timeline }) => {
            over_tcp(&args, *mbits, segment.map(|kib| kib << 10), *timeline)
        }
        Some(Place::Serve) => {
            serve::serve();
            Ok(())
        }
        Some(Place::Sweep { names }) => {
            namespaces::sweep(names);
            Ok(())
        }
    };
    exit_code("reconfiguration", result)
}

fn in_virtual_time(args: &Args) -> Result<(), Error> {
    let bar = bar(1 + RUNS, "runs");
    let preload = Preload::new(args.entries);
    bar.inc(1);
    let run = |change, donors, load| case::run(&preload, change, donors, load);
    let (rows, share) = all(&bar, run)?;
    bar.finish_and_clear();
    let legend = format!(
        "Five servers with uplinks of {} Mbit/s each and hops of {} ms, in virtual time; {} \
         preloaded entries of 8 bytes.\n{}",
        case::UPLINK * 8 / 1_000_000,
        case::HOP,
        args.entries,
        clients(share),
    );
    let text = format!("{}\n\n{legend}", row::table(&rows));
    Ok(print(args.json, &rows, &text)?)
}

fn over_tcp(args: &Args, mbits: u64, segment: Option<u64>, timeline: bool) -> Result<(), Error> {
    let bar = bar(1 + RUNS, "runs");
    let mut runs = Vec::new();
    let measured = Setting::new(args.entries, mbits * 1_000_000 / 8, segment).and_then(|setting| {
        bar.inc(1);
        let (rows, share) = all(&bar, |change, donors, load| {
            let run = setting.run(change, donors, load)?;
            if timeline {
                bar.suspend(|| print_timeline(change, donors, load, &run));
            }
            let outcome = run.outcome.clone();
            runs.push(run);
            Ok::<_, TcpError>(outcome)
        })?;
        Ok((rows, share, setting.per_second()))
    });
    bar.finish_and_clear();
    let (rows, share, per_second) = match measured {
        Ok(measured) => measured,
        Err(TcpError::NotHere(why)) => {
            eprintln!("SKIPPED: {why}");
            return Ok(());
        }
        Err(TcpError::Run(e)) => return Err(e.into()),
    };
    let steady = runs.iter().map(|run: &Run| run.least_before).fold(1.0, f64::min);
    let legend = format!(
        "Five servers as processes in network namespaces, over TCP, with uplinks of {mbits} Mbit/s \
         each (tbf); {} preloaded\nentries of 8 bytes; {} proposals a second.\n{}\n\
         In the two seconds before the changes the least throughput was {:.0} %.",
        args.entries,
        per_second,
        clients(share),
        100.0 * steady,
    );
    let text = format!("{}\n\n{legend}", row::table(&rows));
    Ok(print(args.json, &rows, &text)?)
}

/// The rows of all runs, and the smallest load of the leader's uplink.
fn all<E>(
    bar: &ProgressBar,
    mut run: impl FnMut(Change, Donors, Load) -> Result<Outcome, E>,
) -> Result<(Vec<Row>, f64), E> {
    let mut both = |change, load| -> Result<[Outcome; 2], E> {
        let mut run = |donors| {
            let outcome = run(change, donors, load);
            bar.inc(1);
            outcome
        };
        Ok([run(Donors::All)?, run(Donors::Leader)?])
    };
    let (mut rows, mut share) = (Vec::new(), 1.0_f64);
    for change in [Change::One, Change::Majority] {
        let [ours, leader] = both(change, Load::Half)?;
        share = share.min(ours.load);
        rows.extend(row::loaded(change, ours.measured(), leader.measured()));
    }
    let [ours, leader] = both(Change::One, Load::Probe)?;
    rows.extend(row::idle(ours.measured(), leader.measured()));
    Ok((rows, share))
}

fn clients(share: f64) -> String {
    let timeout = case::TIMEOUT_TICKS * case::TICK;
    format!(
        "Clients load half of the leader's uplink ({:.0} %, measured, with all copies that the \
         leader sends) and stop after {timeout} ms without\nanswers. Election timeout and window \
         of the least throughput: {timeout} ms. Ratio: leader only by ours.",
        100.0 * share,
    )
}

/// On standard error: it is no row.
fn print_timeline(change: Change, donors: Donors, load: Load, run: &Run) {
    eprintln!("{change:?} replaced, donors: {donors:?}, load: {load:?}");
    for (at, pid, what) in &run.timeline {
        eprintln!("{:+8.3} s  server {pid}: {what}", seconds(*at));
    }
    eprintln!("{:+8.3} s  the change is answered", seconds(run.answered));
    let (start, end) = (run.gap.start, run.gap.end);
    eprintln!("{:+8.3} s  the longest time without a decision begins", seconds(start));
    eprintln!("{:+8.3} s  and ends", seconds(end));
    eprintln!("{:+8.3} s  the window of least throughput begins", seconds(run.least_at));
}
