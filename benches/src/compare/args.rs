//! One load from the command line, for the programs that are counted.

use super::group::{GroupError, Library, Place};
use super::workload::Workload;
use clap::Args;

/// A load.
#[derive(Clone, Copy, Debug, Args)]
pub struct LoadArgs {
    /// Whose servers.
    #[arg(long, default_value = "ours")]
    pub library: Library,

    /// How many of them.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=99))]
    pub servers: u64,

    /// Proposals that are open at once.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..))]
    pub window: u64,

    /// Bytes of an entry.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub payload: u32,

    /// Where entries are proposed.
    #[arg(long, default_value = "leader")]
    pub at: Place,

    /// How many of them.
    #[arg(long, default_value_t = 1 << 20)]
    pub entries: u64,
}

impl LoadArgs {
    /// Runs it; how many entries it decides a second.
    ///
    /// # Errors
    /// [`GroupError`] of the library.
    pub fn run(&self) -> Result<f64, GroupError> {
        let Self { servers, window, payload, at, .. } = *self;
        let load = Workload { servers, window, payload: payload as usize, at };
        Ok(self.library.run(&load, self.entries)?.rate())
    }
}
