//! The engine, through its public interface, as a replica's group commit uses it.

use super::load::Load;
use super::{MeasureError, Target};
use omnipaxos_core::storage::{Commit, NextProposal, PaxosState, Records, Sequence, State};
use omnipaxos_kompact::durable::{DurableSequence, DurableState, Engine, Options, Owner};
use std::path::Path;

/// Whose storage it is.
pub const OWNER: Owner = Owner { cluster_id: 1, pid: 1 };

/// Servers of the configuration: each has an entry in the state.
const SERVERS: u64 = 3;

/// The configuration.
pub const GROUP: u64 = 1;

/// Commits an append and a state that has changed.
#[derive(Debug)]
pub struct Ours<'a> {
    load: &'a Load,
    records: Records,
    engine: Engine,
    sequence: DurableSequence,
    paxos_state: DurableState,
    state: State,
}

impl<'a> Ours<'a> {
    /// In `dir`, which is made when it is not there.
    ///
    /// # Errors
    /// [`MeasureError`] of the engine.
    pub fn new(dir: &Path, options: Options, load: &'a Load) -> Result<Self, MeasureError> {
        let engine = if dir.exists() {
            Engine::open(dir, OWNER, options)?
        } else {
            Engine::create(dir, OWNER, options)?
        };
        let (sequence, paxos_state) = engine.parts(GROUP)?;
        let state = paxos_state.load()?.unwrap_or(State { session: 1, ..State::default() });
        let records = load.records(1);
        Ok(Self { load, records, engine, sequence, paxos_state, state })
    }

    /// Removes all that was written: what comes next is measured on a log as small as this one's.
    ///
    /// # Errors
    /// [`MeasureError`] of the engine.
    pub fn trim(&mut self) -> Result<(), MeasureError> {
        self.sequence.trim(self.sequence.end_index())?;
        self.paxos_state.store(&self.state)?;
        Ok(self.paxos_state.commit()?.run()?)
    }

    /// The log.
    #[must_use]
    pub fn sequence(&self) -> &DurableSequence {
        &self.sequence
    }

    /// Bytes of frames on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.engine.status().bytes
    }
}

impl Target for Ours<'_> {
    fn commit(&mut self) -> Result<(), MeasureError> {
        // A replica's state changes with each flush: the entries of the one before are decided.
        self.state.decided = self.sequence.end_index();
        let number = self.state.decided + 1;
        for server in 1..=SERVERS {
            self.state.next.insert(server, NextProposal { session: 1, number });
        }
        self.sequence.append(self.records.clone())?;
        self.paxos_state.store(&self.state)?;
        self.paxos_state.commit()?.run()?;
        debug_assert_eq!(self.sequence.end_index(), self.state.decided + self.load.batch);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{GROUP, Load, Options, Ours, Sequence, Target};
    use omnipaxos_core::storage::PaxosState;
    use tempfile::TempDir;

    #[test]
    fn commits_are_on_disk_until_they_are_trimmed() {
        let dir = TempDir::new().unwrap();
        let dir = dir.path().join("log");
        let load = Load::new(100, 5);
        let mut ours = Ours::new(&dir, Options::default(), &load).unwrap();
        for _ in 0..3 {
            ours.commit().unwrap();
        }
        drop(ours);
        let mut ours = Ours::new(&dir, Options::default(), &load).unwrap();
        assert_eq!((ours.sequence.first_index(), ours.sequence.end_index()), (0, 15));
        assert_eq!(ours.paxos_state.load().unwrap().unwrap().decided, 10);
        assert_eq!(ours.engine.configurations(), [GROUP]);
        assert!(ours.bytes() > 1500);
        ours.trim().unwrap();
        assert_eq!(ours.sequence.first_index(), 15);
    }
}
