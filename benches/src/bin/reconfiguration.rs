//! Measures changes of members while clients propose: see docs/PERFORMANCE.md.

use clap::Parser;
use omnipaxos_benches::output::{OutputError, bar, exit_code, print};
use omnipaxos_benches::reconfiguration::RunError;
use omnipaxos_benches::reconfiguration::case::{self, Change, Donors, Load, Outcome};
use omnipaxos_benches::reconfiguration::preload::Preload;
use omnipaxos_benches::reconfiguration::row;
use std::process::ExitCode;
use thiserror::Error;

/// How long a change of members takes while clients propose, and what it costs the leader and the
/// clients: with all servers as donors, and with the leader as the only one.
#[derive(Debug, Parser)]
#[command(name = "reconfiguration")]
struct Args {
    /// Entries of 8 bytes that are decided before.
    #[arg(long, value_name = "N", default_value_t = 5_000_000,
          value_parser = clap::value_parser!(u64).range(1..=50_000_000))]
    entries: u64,

    /// Print one JSON object a row.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Error)]
enum Error {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Output(#[from] OutputError),
}

fn main() -> ExitCode {
    exit_code("reconfiguration", run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), Error> {
    let bar = bar(1 + 2 * 3, "runs");
    let preload = Preload::new(args.entries);
    bar.inc(1);
    let both = |change, load| -> Result<[Outcome; 2], RunError> {
        let run = |donors| {
            let outcome = case::run(&preload, change, donors, load);
            bar.inc(1);
            outcome
        };
        Ok([run(Donors::All)?, run(Donors::Leader)?])
    };
    let mut rows = Vec::new();
    let mut shares = Vec::new();
    for change in [Change::One, Change::Majority] {
        let [ours, leader] = both(change, Load::Half)?;
        shares.push(ours.load);
        rows.extend(row::loaded(change, ours.measured(), leader.measured()));
    }
    let [ours, leader] = both(Change::One, Load::Probe)?;
    rows.push(row::idle(ours.measured(), leader.measured()));
    bar.finish_and_clear();
    let least = shares.iter().copied().fold(1.0, f64::min);
    let legend = format!(
        "Five servers with uplinks of {} Mbit/s each and hops of {} ms, in virtual time; {} \
         preloaded entries of 8 bytes.\nClients load half of the leader's uplink ({:.0} %, \
         measured, with all copies that the leader sends) and stop after {} ms without\nanswers. \
         Election timeout and window of the least throughput: {} ms. Ratio: leader only by ours.",
        case::UPLINK * 8 / 1_000_000,
        case::HOP,
        args.entries,
        100.0 * least,
        case::TIMEOUT_TICKS * case::TICK,
        case::TIMEOUT_TICKS * case::TICK,
    );
    let text = format!("{}\n\n{legend}", row::table(&rows));
    Ok(print(args.json, &rows, &text)?)
}
