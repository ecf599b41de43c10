//! What a server's directory holds, for operators; and two last resorts, where a quorum of servers
//! is suspect and where a majority is lost. docs/OPERATIONS.md says when that is.

use clap::{Parser, Subcommand};
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use omnipaxos_core::storage::Sequence as _;
use omnipaxos_kompact::durable::{Engine, GroupError, OpenError, Options, TrustError};
use omnipaxos_kompact::server::{ForceError, Forced, force_configuration};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use thiserror::Error;

/// Looks at the storage of a server whose process is stopped.
#[derive(Debug, Parser)]
#[command(name = "storage")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check every byte of a directory and print what it holds.
    Show {
        /// The server's directory.
        dir: PathBuf,
    },
    /// Let a server vote on what it has although its last flush is damaged.
    Trust {
        /// The server's directory.
        dir: PathBuf,
        /// Say that you have read what this can cost.
        #[arg(long, required = true)]
        may_lose_acknowledged_entries: bool,
    },
    /// Start a new configuration from what one server has, where a majority is lost for good.
    Force {
        /// The directory of the survivor that holds most: docs/OPERATIONS.md says how to find it
        /// with `show`.
        dir: PathBuf,
        /// The members that are left, this one included. All others must never run again.
        #[arg(long, required = true, num_args = 1.., value_delimiter = ',', value_name = "PID")]
        keep: Vec<u64>,
        /// Say that you have read what this can cost.
        #[arg(long, required = true)]
        may_lose_acknowledged_entries: bool,
    },
}

#[derive(Debug, Error)]
enum StorageToolError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Force(#[from] ForceError),
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Show { dir } => show(&dir),
        Command::Trust { dir, .. } => trust(&dir),
        Command::Force { dir, keep, .. } => force(&dir, &keep),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("storage: {error}");
            ExitCode::FAILURE
        }
    }
}

fn open(dir: &Path) -> Result<Engine, OpenError> {
    let options = Options::default();
    let owner = Engine::owner_of(dir, &options)?;
    Engine::open(dir, owner, options)
}

fn show(dir: &Path) -> Result<(), StorageToolError> {
    let engine = open(dir)?;
    let (owner, status) = (engine.owner(), engine.status());
    println!("cluster {}, server {}", owner.cluster_id, owner.pid);
    println!("storage {}", engine.storage_id());
    println!("{} bytes in {} segments", status.bytes, status.segments);
    let suspects = engine.suspects()?;
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "configuration",
        "log",
        "decided",
        "decided round",
        "accepted round",
        "promised",
        "state",
    ]);
    for config_id in status.configurations {
        let stop_sign = engine.sealed(config_id)?;
        let state = engine.state(config_id).map_err(GroupError::from)?.unwrap_or_default();
        let (sequence, _state) = engine.parts(config_id)?;
        let judged = match stop_sign {
            _ if suspects.contains(&config_id) => "suspect".to_owned(),
            Some(next) => format!("over, next {} with {:?}", next.config_id, next.nodes),
            None => "open".to_owned(),
        };
        table.add_row([
            config_id.to_string(),
            format!("[{}, {})", sequence.first_index(), sequence.end_index()),
            state.decided.to_string(),
            state.decided_round.to_string(),
            state.accepted_round.to_string(),
            state.promised.to_string(),
            judged,
        ]);
    }
    println!("{table}");
    Ok(())
}

fn trust(dir: &Path) -> Result<(), StorageToolError> {
    let engine = open(dir)?;
    let trusted = engine.trust_suspect()?;
    if trusted.is_empty() {
        println!("nothing in {} was suspect", dir.display());
    } else {
        println!("configurations {trusted:?} vote again on what {} holds", dir.display());
        println!("whatever only the damaged flush held is lost, even if it was acknowledged");
    }
    Ok(())
}

fn force(dir: &Path, keep: &[u64]) -> Result<(), StorageToolError> {
    let engine = open(dir)?;
    let Forced { end, lost } = force_configuration(&engine, keep)?;
    let ended = &end.ended;
    let (index, next) = (ended.len - 1, &ended.stop_sign);
    println!("FORCED: configuration {} ends at index {index}, by an operator", ended.config_id);
    println!(
        "configuration {} has the voters {:?} and the learners {:?}",
        next.config_id, next.nodes, next.learners
    );
    println!(
        "records [{}, {index}) were accepted here in round {} and not known to be decided: they \
         are decided now",
        end.decided_before, end.accepted_round
    );
    if let Some(discarded) = &end.discarded {
        println!(
            "a reconfiguration to {:?} that was not known to be decided was removed",
            discarded.nodes
        );
    }
    println!("LOST: whatever only servers {lost:?} had, even where it was acknowledged");
    println!("never start servers {lost:?} again, and do this at no other survivor");
    Ok(())
}
