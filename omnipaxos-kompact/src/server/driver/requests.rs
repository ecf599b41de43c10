//! What the component, and through it the user, asks.

use super::logs::Place;
use super::{Driver, ServerTalk};
use crate::identity::Admission;
use crate::server::error::{LogReadError, ServerHalted};
use crate::server::messages::{FromDriver, Input, LogSlice, ReadLog, ServerStatus};
use crate::server::port::ServerEvent;
use crate::server::store::ServerStorage;
use kompact::prelude::*;
use omnipaxos_core::configurations::{Ended, History};
use omnipaxos_core::digest::Anchor;
use omnipaxos_core::storage::{ConfigId, Records, StopSign, StorageError};

impl<E: ServerStorage> Driver<E> {
    pub(super) fn handle(&mut self, input: Input) {
        match input {
            Input::Status(promise) => {
                // Whoever asked may have stopped waiting.
                let _ = promise.fulfil(Ok(self.status()));
            }
            Input::Change(change, promise) => self.on_change(change, promise),
            Input::Read(read, promise) => {
                let _ = promise.fulfil(self.read_log(read));
            }
            _ if self.halted => {}
            Input::Packet(packet) => self.on_packet(packet),
            Input::Unregistered { config_id, from } => self.life.unregistered(config_id, from),
            Input::Decided { config_id, end } => {
                self.decided.insert(config_id, end);
                self.has_decided(config_id, end);
            }
            Input::StopSign { config_id, index, stop_sign } => {
                self.on_stop_sign(config_id, index, &stop_sign);
            }
            Input::Following { config_id, leader } => self.on_following(config_id, leader),
            Input::Admission { config_id, admission } => self.on_admission(config_id, admission),
            Input::Behind { config_id, catch_up } => {
                match catch_up {
                    Some(catch_up) => self.behind.insert(config_id, catch_up),
                    None => self.behind.remove(&config_id),
                };
            }
            Input::ReplicaHalted { config_id, reason } => {
                let reason = (*reason).clone();
                self.halt(ServerHalted::Replica { config_id, reason });
            }
            Input::Outcome(outcome) => self.reconfigured(&outcome),
            Input::Wanted { config_id, from } => self.read_for_stream(config_id, from),
            // Handled before.
            Input::Stop | Input::Release => {}
        }
    }

    fn on_stop_sign(&mut self, config_id: ConfigId, index: u64, stop_sign: &StopSign) {
        let Some(place @ Place::Replica(replica)) = self.logs.get(&config_id) else {
            return;
        };
        let status = replica.client().status().wait_timeout(super::logs::PATIENCE);
        let Ok(Ok(status)) = status else {
            return self.halt(ServerHalted::Stuck(config_id));
        };
        let record = match place.read(index, index + 1, 0) {
            Ok(record) => record,
            Err(error) => return self.halt(error.into()),
        };
        self.decided.remove(&config_id);
        self.has_decided(config_id, index + 1);
        let known = self.life.stop_sign_decided(Ended {
            config_id,
            len: index + 1,
            stop_sign: stop_sign.clone(),
            anchor: anchor(config_id, index, stop_sign, &record),
            round: status.promised,
            forced: false,
        });
        if let Err(error) = known {
            self.halt(error.into());
        }
    }

    fn has_decided(&mut self, config_id: ConfigId, end: u64) {
        if let Some((_, decided)) = self.bounds.get_mut(&config_id) {
            *decided = end.max(*decided);
        }
    }

    fn on_following(&mut self, config_id: ConfigId, leader: Option<u64>) {
        self.leaders.insert(config_id, leader);
        self.life.following(config_id, leader);
        if self.started == Some(config_id) {
            self.indicate(ServerEvent::LeaderChanged { config_id, leader });
        }
    }

    fn on_admission(&mut self, config_id: ConfigId, admission: Admission) {
        if self.started == Some(config_id) {
            self.indicate(ServerEvent::AdmissionChanged { config_id, admission });
        }
    }

    /// Reads what the stream wants; later, where it is not there yet.
    pub(super) fn read_for_stream(&mut self, config_id: ConfigId, from: u64) {
        let records = match self.read_records(config_id, from) {
            Ok(records) => records,
            Err(error) => return self.halt(error.into()),
        };
        if records.is_empty() {
            self.wanted = Some((config_id, from));
            return;
        }
        let entries = records.into_entries();
        self.tell(FromDriver::Entries { config_id, first_index: from, entries });
    }

    fn read_records(&self, config_id: ConfigId, from: u64) -> Result<Records, StorageError> {
        match self.logs.get(&config_id) {
            Some(place) => place.read(from, u64::MAX, self.router.config().decided_batch),
            None => Ok(Records::default()),
        }
    }

    fn read_log(&self, read: ReadLog) -> Result<LogSlice, LogReadError> {
        let (config_id, index) = self.local(read.from);
        let entries = self.read_records(config_id, index)?.into_entries();
        if entries.is_empty() {
            return Err(LogReadError::NotHere { index: read.from });
        }
        Ok(LogSlice { index: read.from, config_id, entries })
    }

    fn status(&self) -> ServerStatus {
        let newest = self.newest();
        let replicas = self.logs.iter().filter(|(_, p)| matches!(p, Place::Replica(_)));
        ServerStatus {
            pid: self.pid,
            base: newest.as_ref().map_or(0, |newest| self.base(newest.config_id)),
            newest,
            forced: self.life.history().map_or_else(Vec::new, |h| h.forced().collect()),
            stage: self.life.stage(),
            stages: self.life.stages().clone(),
            leader: self.started.and_then(|id| self.leaders.get(&id).copied().flatten()),
            replicas: replicas.map(|(config_id, _)| *config_id).collect(),
            members: self.book.members().chain([self.myself()]).collect(),
        }
    }

    /// Whether this server's replica of the newest configuration runs.
    pub(super) fn runs_newest(&self) -> Option<ConfigId> {
        let newest = self.life.history().map(History::newest_id)?;
        self.started.filter(|started| *started == newest)
    }

    /// Another server wants this one to lead.
    pub(super) fn take_lead(&mut self, config_id: ConfigId) {
        if let (Some(newest), Some(Place::Replica(replica))) =
            (self.runs_newest(), self.logs.get(&config_id))
            && newest == config_id
        {
            replica.client().take_over();
        }
    }

    pub(super) fn ask_to_lead(&mut self, pid: u64, config_id: ConfigId) {
        if pid == self.pid {
            self.take_lead(config_id);
        } else {
            self.send(pid, ServerTalk::TakeLead { config_id });
        }
    }
}

/// What the whole sealed log must be, where its StopSign says so.
fn anchor(
    config_id: ConfigId,
    index: u64,
    stop_sign: &StopSign,
    record: &Records,
) -> Option<Anchor> {
    let digest = stop_sign.digest?;
    Anchor { end: index, digest }.sealed(config_id, record)
}
