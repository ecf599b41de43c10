//! Instructions and heap allocations of one entry: of all servers together, the harness included.
//!
//! A program of its own runs twice, with more entries the second time; the difference of the two
//! counts, divided by the difference of the entries, knows nothing of how a group starts.

use super::group::{GroupError, Library};
use super::workload::Workload;
use std::path::Path;
use std::process::Command;

/// Entries of the two runs.
const ENTRIES: [u64; 2] = [16 << 10, 80 << 10];

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Instructions, by valgrind's callgrind.
    Instructions,
    /// Blocks on the heap; one that grows counts once.
    Allocations,
}

/// Whether instructions can be counted on this machine.
#[must_use]
pub fn has_valgrind() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|out| out.status.success())
}

/// The count of one entry. `programs` is where the programs `workload` and `allocations` are.
///
/// # Errors
/// [`GroupError`] where they do not run, or say something else.
pub fn per_entry(
    programs: &Path,
    library: Library,
    workload: &Workload,
    counted: Counted,
) -> Result<f64, GroupError> {
    let mut counts = [0; 2];
    for (count, entries) in counts.iter_mut().zip(ENTRIES) {
        *count = run(programs, library, workload, counted, entries)?;
    }
    let [few, many] = counts;
    Ok(many.saturating_sub(few) as f64 / (ENTRIES[1] - ENTRIES[0]) as f64)
}

fn run(
    programs: &Path,
    library: Library,
    workload: &Workload,
    counted: Counted,
    entries: u64,
) -> Result<u64, GroupError> {
    let mut command = match counted {
        Counted::Instructions => {
            let mut command = Command::new("valgrind");
            command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
            command.arg(programs.join("workload"));
            command
        }
        Counted::Allocations => Command::new(programs.join("allocations")),
    };
    command.args(["--library", library.name(), "--at", workload.at.name()]);
    command.args(["--servers", &workload.servers.to_string()]);
    command.args(["--window", &workload.window.to_string()]);
    command.args(["--payload", &workload.payload.to_string()]);
    command.args(["--entries", &entries.to_string()]);
    output_of(&mut command)
}

/// Heap allocations of servers that have nothing to do. `programs` is where `allocations` is.
///
/// # Errors
/// [`GroupError`] where that does not run, or says something else.
pub fn idle(programs: &Path) -> Result<u64, GroupError> {
    output_of(Command::new(programs.join("allocations")).arg("--idle"))
}

fn output_of(command: &mut Command) -> Result<u64, GroupError> {
    let output = command.output().map_err(GroupError::new)?;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let count = said.lines().find_map(|line| {
        let (_, count) = line.split_once("Collected :").or(line.split_once("allocations:"))?;
        count.trim().parse().ok()
    });
    match count {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(GroupError(format!("{command:?}: {}\n{said}", output.status))),
    }
}
