//! Checks the model of Sequence Paxos, deeper than the tests do.

use clap::Parser;
use omnipaxos_tests::model::{Bounds, Fault, Scope, explore};
use std::process::ExitCode;
use std::time::Duration;

/// Explores all interleavings of small worlds, on the real core.
#[derive(Debug, Parser)]
struct Args {
    /// Scopes to explore; all of them when none is named.
    scopes: Vec<String>,
    /// Steps from the beginning.
    #[arg(long)]
    depth: Option<usize>,
    /// Stop each scope after that many steps, those to known states included.
    #[arg(long)]
    steps: Option<usize>,
    /// Stop each scope after that many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Plant a fault, to see what it looks like when a property fails.
    #[arg(long, value_parser = fault)]
    fault: Option<Fault>,
    /// Name the scopes and faults, and explore nothing.
    #[arg(long)]
    list: bool,
}

fn fault(name: &str) -> Result<Fault, String> {
    let found = Fault::ALL.into_iter().find(|fault| format!("{fault:?}") == name);
    found.ok_or_else(|| format!("faults are {:?}", Fault::ALL))
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        for scope in Scope::all() {
            println!("{:14} {}", scope.name, scope.about);
        }
        println!("faults: {:?}", Fault::ALL);
        return ExitCode::SUCCESS;
    }
    let mut scopes = Scope::all();
    if !args.scopes.is_empty() {
        for name in &args.scopes {
            if Scope::named(name).is_none() {
                eprintln!("no scope is called {name}; see --list");
                return ExitCode::FAILURE;
            }
        }
        scopes.retain(|scope| args.scopes.iter().any(|name| name == scope.name));
    }
    let bounds = Bounds {
        depth: args.depth,
        steps: args.steps,
        time: args.seconds.map(Duration::from_secs),
    };
    let mut failed = false;
    for mut scope in scopes {
        scope.fault = args.fault;
        let name = scope.name;
        let outcome = explore(scope, bounds, |at| {
            let seconds = at.time.as_secs();
            if seconds.is_multiple_of(5) {
                let (states, steps, depth) = (at.states, at.steps, at.depth);
                eprintln!("{name}: {states} states, {steps} steps, depth {depth}, {seconds} s");
            }
        });
        println!("{outcome}");
        failed |= outcome.violation.is_some();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
