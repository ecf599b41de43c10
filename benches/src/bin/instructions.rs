//! Counts the instructions of an entry, and compares them with the figures kept in the repository.

use clap::Parser;
use omnipaxos_benches::compare::count::has_valgrind;
use omnipaxos_benches::compare::group::GroupError;
use omnipaxos_benches::compare::guard::{Counting, Figure, TOLERANCE};
use std::path::PathBuf;
use std::process::ExitCode;
use thiserror::Error;

/// Fails where an entry costs more than 3 % more or fewer instructions than it is known to.
#[derive(Debug, Parser)]
#[command(name = "instructions")]
struct Args {
    /// The figures.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json"))]
    figures: PathBuf,

    /// Keep what is counted now.
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Error)]
enum Error {
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    #[error("{0}: {1}")]
    Figures(PathBuf, serde_json::Error),
    #[error("{0}")]
    Program(std::io::Error),
    #[error("{0} of {1} figures do not hold; keep new ones with --keep, and say why")]
    Differs(usize, usize),
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Error> {
    if !has_valgrind() {
        println!("SKIPPED: there is no valgrind here, so no instructions are counted");
        return Ok(());
    }
    let path = &args.figures;
    let text = std::fs::read_to_string(path).map_err(|e| Error::File(path.clone(), e))?;
    let figures: Vec<Figure> =
        serde_json::from_str(&text).map_err(|e| Error::Figures(path.clone(), e))?;
    let mut programs = std::env::current_exe().map_err(Error::Program)?;
    programs.pop();
    let mut countings = Vec::new();
    for figure in figures {
        let counting = figure.count(&programs)?;
        print(&counting);
        countings.push(counting);
    }
    if args.keep {
        let kept: Vec<Figure> = countings
            .iter()
            .map(|counting| Figure { instructions: counting.counted.round(), ..counting.kept })
            .collect();
        let mut text =
            serde_json::to_string_pretty(&kept).map_err(|e| Error::Figures(path.clone(), e))?;
        text.push('\n');
        return std::fs::write(path, text).map_err(|e| Error::File(path.clone(), e));
    }
    let differs = countings.iter().filter(|counting| !counting.holds()).count();
    if differs > 0 { Err(Error::Differs(differs, countings.len())) } else { Ok(()) }
}

fn print(counting: &Counting) {
    let Figure { servers, window, payload, at, instructions } = counting.kept;
    println!(
        "{servers} servers, window {window}, {payload} B, at the {}: {:.0} instructions an entry, \
         {:.3} of {instructions}{}",
        at.name(),
        counting.counted,
        counting.ratio(),
        if counting.holds() {
            String::new()
        } else {
            format!(": more than {:.0} % away", TOLERANCE * 100.0)
        },
    );
}
