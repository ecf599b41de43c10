//! What a long log costs: on disk, when it is read and when a replica restarts.

use super::load::Load;
use super::ours::{GROUP, OWNER, Ours};
use super::{MeasureError, Target};
use omnipaxos_core::paxos::{Paxos, PaxosConfig};
use omnipaxos_core::storage::{PaxosState, Sequence};
use omnipaxos_kompact::durable::{Engine, Options};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// Bytes of an entry.
pub const PAYLOAD: usize = 256;
/// What is read at once.
const CHUNK: u64 = 256 << 10;
/// Little, so that nearly all of the log is read from its files.
const CACHE: u64 = 1 << 20;

/// What one log costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Restart {
    /// Entries of the log.
    pub log: u64,
    /// Entries of a commit.
    pub batch: u64,
    /// Megabytes of frames on disk.
    pub megabytes: f64,
    /// Bytes on disk of each entry, the state that goes with its commit included.
    pub bytes_per_entry: f64,
    /// Milliseconds to open the engine, which checks every byte.
    pub open_ms: f64,
    /// Milliseconds from nothing to a replica: the engine is opened, and `Paxos` over it.
    pub restart_ms: f64,
    /// Megabytes of payload a second, the whole log in chunks of 256 KiB.
    pub read_mb_per_s: f64,
}

/// A log of `entries` in `dir`, written in commits of `batch`.
///
/// # Errors
/// [`MeasureError`].
pub fn measure(dir: &Path, entries: u64, batch: u64) -> Result<Restart, MeasureError> {
    let dir = dir.join(format!("restart-{entries}-{batch}"));
    let options = Options { cache_bytes: CACHE, ..Options::default() };
    let load = Load::new(PAYLOAD, batch);
    let mut ours = Ours::new(&dir, options.clone(), &load)?;
    while ours.sequence().end_index() < entries {
        ours.commit()?;
    }
    let (bytes, log) = (ours.bytes(), ours.sequence().end_index());
    drop(ours);

    let start = Instant::now();
    let engine = Engine::open(&dir, OWNER, options.clone())?;
    let open_ms = millis(start);
    let storage = engine.storage(GROUP)?;
    let paxos = Paxos::try_with(GROUP, OWNER.pid, vec![2, 3], storage, PaxosConfig::default())?;
    let restart_ms = millis(start);
    drop((paxos, engine));

    let engine = Engine::open(&dir, OWNER, options)?;
    let (sequence, state) = engine.parts(GROUP)?;
    let start = Instant::now();
    let mut at = sequence.first_index();
    while at < log {
        let records = sequence.read(at, log, CHUNK)?;
        at += records.len();
    }
    let seconds = start.elapsed().as_secs_f64();
    if state.load()?.is_none() {
        return Err(MeasureError::Wrong("the state is gone".to_owned()));
    }
    drop((sequence, state, engine));
    std::fs::remove_dir_all(&dir)?;
    Ok(Restart {
        log,
        batch,
        megabytes: bytes as f64 / 1e6,
        bytes_per_entry: bytes as f64 / log as f64,
        open_ms,
        restart_ms,
        read_mb_per_s: (log * PAYLOAD as u64) as f64 / 1e6 / seconds,
    })
}

fn millis(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::measure;
    use tempfile::TempDir;

    #[test]
    fn a_small_log() {
        let dir = TempDir::new().unwrap();
        let restart = measure(dir.path(), 100, 64).unwrap();
        assert_eq!((restart.log, restart.batch), (128, 64));
        assert!((260.0..400.0).contains(&restart.bytes_per_entry), "{restart:?}");
        assert!(restart.open_ms <= restart.restart_ms, "{restart:?}");
    }
}
