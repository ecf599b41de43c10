//! Tells all stories, and compares them with what their files say.

use clap::Parser;
use omnipaxos_tests::trace::{rendered, stories};
use std::error::Error;
use std::fs;
use std::process::ExitCode;

/// Runs the stories in tests/traces.
#[derive(Debug, Parser)]
struct Args {
    /// Only stories with one of these in their names.
    names: Vec<String>,
    /// Write what happens now into the files.
    #[arg(long)]
    update: bool,
    /// Print the stories as they are now.
    #[arg(long)]
    print: bool,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Args::parse();
    let mut changed = 0;
    let mut told = 0;
    for path in stories()? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !args.names.is_empty() && !args.names.iter().any(|part| name.contains(part)) {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let now = rendered(&text).map_err(|error| format!("{name}: {error}"))?;
        told += 1;
        if args.print {
            println!("{now}");
        }
        if now != text {
            changed += 1;
            println!("{} {name}", if args.update { "updated" } else { "changed" });
            if args.update {
                fs::write(&path, now)?;
            }
        }
    }
    println!("{told} stories, {changed} changed");
    let fails = changed > 0 && !args.update;
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
