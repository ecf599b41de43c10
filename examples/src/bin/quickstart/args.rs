//! The command line.

use clap::Parser;
use std::path::PathBuf;

/// Replicates the lines of a file over three durable servers on loopback TCP, through the crash of
/// the leader and a reconfiguration, and checks that all live servers hold the same log.
#[derive(Debug, Parser)]
#[command(name = "quickstart")]
pub(crate) struct Args {
    /// The file whose lines are replicated; standard input when absent or `-`.
    pub(crate) file: Option<PathBuf>,

    /// Replicate the first N lines only.
    #[arg(long, value_name = "N")]
    pub(crate) lines: Option<usize>,

    /// How many servers to begin with: one of them is killed, and one more joins later. Without
    /// effect where a directory has servers already.
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u64).range(3..=9))]
    pub(crate) servers: u64,

    /// Keep what the servers store in this directory; a second run on it recovers all of it and
    /// goes on. A temporary directory otherwise.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Print the table at the end and nothing else.
    #[arg(long)]
    pub(crate) quiet: bool,

    /// Print the log of the components, too.
    #[arg(long)]
    pub(crate) log: bool,
}
