//! Measurements that run in processes of their own: this program is started again for each.

use super::lag::{Case, Caught, Log, measure};
use super::node::{self, NodeArgs};
use crate::compare::group::{GroupError, Library};
use clap::{Args, Subcommand};
use std::path::Path;
use std::process::Command;

/// What this program does when it is started by itself.
#[derive(Clone, Debug, Subcommand)]
pub enum Step {
    /// Measures one case of a laggard in one thread.
    #[command(hide = true)]
    MeasureLag(LagArgs),
    /// Is a server until standard input ends.
    #[command(hide = true)]
    RunNode(NodeArgs),
}

/// One case.
#[derive(Clone, Copy, Debug, Args)]
pub struct LagArgs {
    /// Whose servers.
    #[arg(long)]
    library: Library,
    /// Who lags.
    #[arg(long)]
    case: Case,
    /// By how many entries.
    #[arg(long)]
    entries: u64,
    /// Bytes of each.
    #[arg(long)]
    payload: usize,
}

impl Step {
    /// Does it, and says what came of it in lines of JSON.
    ///
    /// # Errors
    /// [`GroupError`] of the measurement.
    pub fn run(&self) -> Result<(), GroupError> {
        match self {
            Step::MeasureLag(args) => {
                let LagArgs { library, case, entries, payload } = *args;
                let caught = measure(library, case, Log { entries, payload })?;
                println!("{}", serde_json::to_string(&caught).map_err(GroupError::new)?);
                Ok(())
            }
            Step::RunNode(args) => node::run(args),
        }
    }
}

/// Measures one case in a process of its own, which is `program`.
///
/// # Errors
/// [`GroupError`] where it does not run, or fails.
pub fn lag(program: &Path, library: Library, case: Case, log: Log) -> Result<Caught, GroupError> {
    let mut command = Command::new(program);
    command.args(["measure-lag", "--library", library.name(), "--case", case.name()]);
    command.args(["--entries", &log.entries.to_string()]);
    command.args(["--payload", &log.payload.to_string()]);
    let output = command.output().map_err(GroupError::new)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(GroupError(format!("{command:?}: {}\n{said}", output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(GroupError::new)
}
