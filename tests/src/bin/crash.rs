//! Replicas on real disks: killed at random moments, and with flipped bits.

use clap::{Parser, Subcommand};
use omnipaxos_tests::disks::{flip_bits, kill_often, replicate};
use std::error::Error;
use std::path::PathBuf;
use tempfile::TempDir;

/// Replicas on real disks.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Kill three replicas at random moments while they replicate, and look at their disks.
    Kill {
        /// How often.
        #[arg(long, default_value_t = 200)]
        kills: u64,
        /// Decides when.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Flip random bits in the used part of a log, one at a time.
    Flips {
        /// How many.
        #[arg(long, default_value_t = 150)]
        trials: u64,
        /// Bytes of the log.
        #[arg(long, default_value_t = 50)]
        megabytes: u64,
        /// Decides which.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// What `kill` starts: replicates until it is killed.
    #[command(hide = true)]
    Replicate {
        /// Where.
        dir: PathBuf,
        /// What is proposed.
        seed: u64,
    },
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    match Args::parse().command {
        Command::Replicate { dir, seed } => replicate(&dir, seed)?,
        Command::Kill { kills, seed } => {
            let dir = TempDir::new()?;
            let program = std::env::current_exe()?;
            println!("{:#?}", kill_often(&program, dir.path(), seed, kills)?);
        }
        Command::Flips { trials, megabytes, seed } => {
            let dir = TempDir::new()?;
            println!("{:?}", flip_bits(dir.path(), seed, trials, megabytes)?);
        }
    }
    Ok(())
}
