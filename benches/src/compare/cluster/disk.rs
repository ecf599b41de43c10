//! Servers with storage on disk, and what that storage does without servers around it.

use super::ours::Cluster;
use crate::compare::group::GroupError;
use crate::durable::commits::our_slice;
use crate::durable::load::Load;
use crate::durable::{MeasureError, Slice};
use omnipaxos_core::storage::Storage;
use omnipaxos_kompact::durable::{DurableSequence, DurableState, Engine, Options, Owner};
use std::path::Path;
use std::sync::Barrier;
use std::time::Duration;

/// The configuration.
const GROUP: u64 = 1;

/// Servers, and so engines.
const SERVERS: usize = 3;

/// Three servers, each with a directory of its own below `dir`, once all of them follow a leader.
///
/// # Errors
/// [`GroupError`] where a directory cannot be made, or the servers do not start.
pub fn cluster(dir: &Path) -> Result<Cluster<DurableSequence, DurableState>, GroupError> {
    Cluster::start(|pid| {
        let owner = Owner { cluster_id: 1, pid };
        let log = dir.join(format!("server-{pid}"));
        let engine = Engine::create(&log, owner, Options::default()).map_err(GroupError::new)?;
        let (sequence, state) = engine.parts(GROUP).map_err(GroupError::new)?;
        Ok(Storage::with(sequence, state))
    })
}

/// Commits of one engine below `dir`, for `length`.
///
/// # Errors
/// [`GroupError`] of the engine.
pub fn alone(dir: &Path, load: &Load, length: Duration) -> Result<Slice, GroupError> {
    let log = dir.join("alone");
    our_slice(&log, Options::default(), load, length).map_err(GroupError::new)
}

/// Commits of three engines below `dir` at once, for `length`.
///
/// # Errors
/// [`GroupError`] of an engine.
pub fn together(dir: &Path, load: &Load, length: Duration) -> Result<Vec<Slice>, GroupError> {
    let ready = Barrier::new(SERVERS);
    let slices: Result<Vec<Slice>, MeasureError> = std::thread::scope(|scope| {
        let engines: Vec<_> = (0..SERVERS)
            .map(|number| {
                let (log, ready) = (dir.join(format!("together-{number}")), &ready);
                scope.spawn(move || {
                    ready.wait();
                    our_slice(&log, Options::default(), load, length)
                })
            })
            .collect();
        let ended = engines.into_iter().map(|engine| {
            engine.join().map_err(|_| MeasureError::Wrong("an engine panicked".to_owned()))?
        });
        ended.collect()
    });
    slices.map_err(GroupError::new)
}
