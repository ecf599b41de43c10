//! One load on one library's servers, with its heap allocations counted.

use clap::Parser;
use omnipaxos_benches::compare::args::LoadArgs;
use std::process::ExitCode;

#[global_allocator]
static COUNTING: dhat::Alloc = dhat::Alloc;

/// Lets servers in one thread decide entries, and says how many blocks were allocated.
#[derive(Debug, Parser)]
#[command(name = "allocations")]
struct Args {
    #[command(flatten)]
    load: LoadArgs,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let _profiler = dhat::Profiler::builder().testing().build();
    match args.load.run() {
        Ok(_) => {
            println!("allocations: {}", dhat::HeapStats::get().total_blocks);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("allocations: {error}");
            ExitCode::FAILURE
        }
    }
}
