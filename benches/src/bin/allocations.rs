//! One load on one library's servers, with its heap allocations counted.

use clap::Parser;
use omnipaxos_benches::compare::args::LoadArgs;
use omnipaxos_benches::compare::group::GroupError;
use omnipaxos_benches::compare::idle;
use std::process::ExitCode;

#[global_allocator]
static COUNTING: dhat::Alloc = dhat::Alloc;

/// Lets servers in one thread decide entries, and says how many blocks were allocated.
#[derive(Debug, Parser)]
#[command(name = "allocations")]
struct Args {
    #[command(flatten)]
    load: LoadArgs,

    /// Servers that have nothing to do, instead.
    #[arg(long)]
    idle: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let _profiler = dhat::Profiler::builder().testing().build();
    match run(&args) {
        Ok(allocations) => {
            println!("allocations: {allocations}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("allocations: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<u64, GroupError> {
    let blocks = || dhat::HeapStats::get().total_blocks;
    if args.idle {
        let (ticks, allocations) = idle::ticks(blocks)?;
        println!("{ticks} ticks at which none of {} servers has to speak", idle::SERVERS);
        return Ok(allocations);
    }
    args.load.run()?;
    Ok(blocks())
}
