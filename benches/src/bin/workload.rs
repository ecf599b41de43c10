//! One load on one library's servers, to be looked at by a profiler.

use clap::Parser;
use omnipaxos_benches::compare::args::LoadArgs;
use std::process::ExitCode;

/// Lets servers in one thread decide entries, and says how many a second.
#[derive(Debug, Parser)]
#[command(name = "workload")]
struct Args {
    #[command(flatten)]
    load: LoadArgs,
}

fn main() -> ExitCode {
    match Args::parse().load.run() {
        Ok(rate) => {
            println!("{rate:.0} entries/s");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("workload: {error}");
            ExitCode::FAILURE
        }
    }
}
