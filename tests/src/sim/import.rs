//! Logs that a server gets from others, because it ran no replica in their configuration.

use super::cluster::{Event, Sim};
use super::disk::{Disk, DiskCommit, DiskLog, DiskState};
use crate::planted::Plant;
use omnipaxos_core::paxos::{Ballot, LearnError};
use omnipaxos_core::storage::{
    ConfigId, Flush, FlushId, ImportError, Importer, Records, StorageError,
};

/// The end of a flush: which one, and how.
pub(super) type FlushEnd = (FlushId, Result<(), StorageError>);

/// One such log.
#[derive(Debug)]
pub(super) struct Import {
    importer: Importer<DiskLog, DiskState>,
    flushing: Option<Flush<DiskCommit>>,
    /// A flush that ended while the process was paused.
    ended: Option<FlushEnd>,
    /// Everything was stored.
    sealing: bool,
}

impl Import {
    fn open(disk: &Disk) -> Result<Self, StorageError> {
        let importer = Importer::open(disk.storage())?;
        Ok(Self { importer, flushing: None, ended: None, sealing: false })
    }
}

impl Sim {
    /// Decided records are to be kept.
    pub(super) fn store(
        &mut self,
        slot: usize,
        config_id: ConfigId,
        start: u64,
        records: &Records,
        round: Ballot,
    ) {
        if let Some(node) = self.servers[slot].node(config_id) {
            let result = node.paxos.learn_decided(start, records, round);
            match result {
                // Its end is looked at below.
                Ok(()) | Err(LearnError::Halted(_)) => {}
                Err(error) => self.odd(&format!("{start} of {config_id} is learned: {error}")),
            }
            self.stats.path("records fetched for a replica");
            return self.after_input(slot, config_id);
        }
        self.stats.path("records fetched for a sealed log");
        self.import(slot, config_id, |import| import.importer.append(start, records, round));
        if self.plant == Some(Plant::HastyImport) {
            let end = start + records.len();
            self.tell(slot, |life| life.stored(config_id, end));
        }
    }

    /// All of a log was stored.
    pub(super) fn seal(&mut self, slot: usize, config_id: ConfigId, round: Ballot) {
        self.import(slot, config_id, |import| {
            import.sealing = true;
            import.importer.seal(round)
        });
        if self.plant == Some(Plant::HastyImport) {
            self.tell(slot, |life| life.sealed(config_id));
        }
    }

    fn import(
        &mut self,
        slot: usize,
        config_id: ConfigId,
        what: impl FnOnce(&mut Import) -> Result<(), ImportError>,
    ) {
        let disk = self.disk_of(slot, config_id);
        let Some(process) = &mut self.servers[slot].process else { return };
        let import = match process.imports.remove(&config_id) {
            Some(import) => Ok(import),
            None => Import::open(&disk),
        };
        let done = import.map_err(ImportError::from).and_then(|mut import| {
            let done = what(&mut import);
            process.imports.insert(config_id, import);
            done
        });
        match done {
            Ok(()) => self.flush_import(slot, config_id),
            Err(ImportError::Storage(error)) => self.import_failed(slot, &error),
            Err(error) => self.odd(&format!("a log of {config_id} is completed: {error}")),
        }
    }

    fn import_failed(&mut self, slot: usize, error: &StorageError) {
        self.log.line(self.now, format_args!("{} fails: {error}", self.servers[slot].pid));
        self.stats.path("disk failed in a migration");
        self.broken(slot);
    }

    fn flush_import(&mut self, slot: usize, config_id: ConfigId) {
        let Some(process) = &mut self.servers[slot].process else { return };
        let Some(import) = process.imports.get_mut(&config_id) else { return };
        match import.importer.begin_flush() {
            Ok(Some(flush)) => {
                import.flushing = Some(flush);
                let incarnation = self.servers[slot].incarnation;
                let delay = self.flush_duration();
                self.schedule(delay, Event::FlushEnd { slot, incarnation, config_id });
            }
            Ok(None) => self.import_durable(slot, config_id),
            Err(error) => self.import_failed(slot, &error),
        }
    }

    /// Whether the flush that ends is one of such a log.
    pub(super) fn import_flush_ended(&mut self, slot: usize, config_id: ConfigId) -> bool {
        let paused = self.servers[slot].paused;
        let Some(process) = &mut self.servers[slot].process else { return false };
        let Some(import) = process.imports.get_mut(&config_id) else { return false };
        let Some(flush) = import.flushing.take() else { return true };
        import.ended = Some((flush.id(), flush.run()));
        if !paused {
            self.finish_import_flush(slot, config_id);
        }
        true
    }

    /// The process hears of the end of a flush.
    pub(super) fn finish_import_flush(&mut self, slot: usize, config_id: ConfigId) {
        let Some(process) = &mut self.servers[slot].process else { return };
        let Some(import) = process.imports.get_mut(&config_id) else { return };
        let Some((id, result)) = import.ended.take() else { return };
        if let Err(error) = import.importer.finish_flush(id, result) {
            return self.odd(&error.to_string());
        }
        self.import_durable(slot, config_id);
        // A failed one shows when the next one is to begin.
        self.flush_import(slot, config_id);
    }

    /// Tells what is durable.
    fn import_durable(&mut self, slot: usize, config_id: ConfigId) {
        let Some(process) = &mut self.servers[slot].process else { return };
        let Some(import) = process.imports.get(&config_id) else { return };
        let idle = import.flushing.is_none() && import.ended.is_none();
        let (importer, end) = (&import.importer, import.importer.durable());
        let all = importer.stop_sign().is_some() && importer.end() == end;
        let sealed = import.sealing && idle && all;
        if sealed {
            process.imports.remove(&config_id);
            self.stats.path("log migrated");
            let (who, disk) = (self.servers[slot].who(), self.disk_of(slot, config_id));
            self.checker.complete(who, config_id, &disk);
        }
        self.tell(slot, |life| {
            life.stored(config_id, end);
            if sealed {
                life.sealed(config_id);
            }
        });
    }
}
