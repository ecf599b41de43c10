//! What the server's life says is to be done.

use super::donor::Donor;
use super::logs::Place;
use super::{Driver, members_of};
use crate::components::ReplicaMessage;
use crate::identity::StorageId;
use crate::server::error::ServerHalted;
use crate::server::messages::{FromDriver, ServerRequest};
use crate::server::port::ServerEvent;
use crate::server::store::ServerStorage;
use crate::spawn::{PreparedReplica, ReplicaSpec, SpawnError, StopError};
use crate::wire::{Member, ServerTalk};
use kompact::prelude::*;
use omnipaxos_core::configurations::{Ballot, Command, Configuration, Configurations, History};
use omnipaxos_core::digest::BlockDigests;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::migration::MigrationMessage;
use omnipaxos_core::storage::{ConfigId, Operation, Records, SealedLog, Storage, StorageError};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// Bytes of a log that are hashed in one tick.
const DIGEST_BYTES: u64 = 4 << 20;

impl<E: ServerStorage> Driver<E> {
    pub(super) fn carry_out(&mut self, command: Command) -> Result<(), ServerHalted> {
        match command {
            Command::Persist { version, history, retired } => {
                self.persist(history, retired)?;
                self.life.persisted(version);
            }
            Command::StartReplica { configuration } => self.start_replica(configuration)?,
            Command::StopReplica { config_id } => self.stop_replica(config_id)?,
            Command::Store { config_id, start, records, round } => {
                self.store(config_id, start, &records, round)?;
            }
            Command::Seal { config_id, round, .. } => self.seal(config_id, round)?,
            Command::Send(message) => self.send(message.to, ServerTalk::Life(message.body)),
            Command::Serve(request) => self.serve(&request),
            Command::Progress(config_id, progress) => {
                let progress = Arc::new(progress);
                self.indicate(ServerEvent::Migrating { config_id, progress });
            }
            Command::Blame { config_id, donor, blame } => warn!(
                self.system.logger(), "donor blamed";
                "pid" => self.pid, "config_id" => config_id, "peer" => donor, "reason" => %blame
            ),
            Command::Trimmed { config_id, below } => {
                self.indicate(ServerEvent::Trimmed { config_id, below });
            }
            Command::Retired => {
                info!(self.system.logger(), "retired"; "pid" => self.pid);
                self.indicate(ServerEvent::Retired);
            }
            Command::Conflict(conflict) => return Err(conflict.into()),
            // A later version of the core may know more.
            other => error!(
                self.system.logger(), "command not known";
                "pid" => self.pid, "command" => ?other
            ),
        }
        Ok(())
    }

    fn persist(&mut self, history: History, retired: bool) -> Result<(), StorageError> {
        // Whoever is named from now on shall be found after a restart, too.
        for member in members_of(&history.newest()) {
            self.note(member);
        }
        (self.notes.history, self.notes.retired) = (Some(history), retired);
        self.notes.members = self.book.members().collect();
        self.store_notes()
    }

    /// Addresses have changed; that they are on disk only saves time after a restart.
    pub(super) fn write_notes(&mut self) {
        if self.notes.history.is_some() {
            self.notes.members = self.book.members().collect();
            if let Err(error) = self.store_notes() {
                self.halt(error.into());
            }
        }
    }

    fn store_notes(&self) -> Result<(), StorageError> {
        let notes = self.notes.encode().map_err(|e| StorageError::Io {
            operation: Operation::Store,
            detail: format!("the history: {e}"),
        })?;
        self.storage.set_history(&notes)
    }

    fn start_replica(&mut self, configuration: Configuration) -> Result<(), ServerHalted> {
        let config_id = configuration.config_id;
        let storage = match self.logs.remove(&config_id) {
            Some(Place::Replica(replica)) => {
                self.logs.insert(config_id, Place::Replica(replica));
                self.life.replica_started(config_id);
                return Ok(());
            }
            Some(place) => place.into_storage(),
            None => None,
        };
        let storage = match storage {
            Some(storage) => storage,
            None => {
                let (sequence, state) = self.storage.parts(config_id)?;
                Storage::with(sequence, state)
            }
        };
        // How far it is decided: what comes is indicated from there on, the rest can be read.
        let log = SealedLog::open(storage)?;
        let end = log.end();
        let read_from = if log.is_sealed() { end - 1 } else { end };
        self.bounds.insert(config_id, (log.first(), end));
        self.tell(FromDriver::Log { config_id, end, len: log.is_sealed().then_some(end) });
        let nodes: Vec<NodeId> = configuration.members().collect();
        let outcomes = self.server.actor_ref().recipient_with(ServerRequest::Outcome);
        let voters = configuration.nodes.clone();
        let mut spec = ReplicaSpec::new(config_id, voters, log.into_storage())
            .learners(configuration.learners.clone())
            .continued(configuration.leader)
            .read_from(read_from)
            .catch_up(self.router.config().catch_up())
            .outcomes_to(outcomes);
        if let Some(members) = storages_of(&configuration, &nodes) {
            spec = spec.members(members);
        }
        let failed = |reason: SpawnError| ServerHalted::Spawn { config_id, reason };
        let prepared =
            PreparedReplica::prepare(&self.system, &self.router, spec).map_err(failed)?;
        prepared.subscribe(&self.server);
        let replica = prepared.start(&self.system).map_err(failed)?;
        let actor: ActorRef<ReplicaMessage> = replica.client().actor_ref();
        self.logs.insert(config_id, Place::Replica(replica));
        self.life.replica_started(config_id);
        let base = self.base(config_id);
        info!(
            self.system.logger(), "configuration runs here";
            "pid" => self.pid, "config_id" => config_id, "base" => base
        );
        if self.started.is_none_or(|started| started < config_id) {
            self.started = Some(config_id);
            self.tell(FromDriver::Started { config_id, base, replica: actor });
            let configuration = Arc::new(configuration);
            self.indicate(ServerEvent::ConfigurationStarted { configuration, base });
        }
        Ok(())
    }

    fn stop_replica(&mut self, config_id: ConfigId) -> Result<(), ServerHalted> {
        if let Some(Place::Replica(replica)) = self.logs.remove(&config_id) {
            let storage = replica.stop(&self.system).map_err(|e| match e {
                StopError::Timeout | StopError::NoStorage => ServerHalted::Stuck(config_id),
            })?;
            self.logs.insert(config_id, Place::Rest(SealedLog::open(storage)?));
            self.leaders.remove(&config_id);
            self.bounds.remove(&config_id);
            self.tell_of_log(config_id);
        }
        self.life.replica_stopped(config_id);
        Ok(())
    }

    fn store(
        &mut self,
        config_id: ConfigId,
        start: u64,
        records: &Records,
        round: Ballot,
    ) -> Result<(), StorageError> {
        let place = match self.logs.remove(&config_id) {
            Some(place) => place,
            None => {
                let (sequence, state) = self.storage.parts(config_id)?;
                Place::Rest(SealedLog::open(Storage::with(sequence, state))?)
            }
        };
        if let Place::Replica(replica) = &place {
            replica.client().learn_decided(start, records.clone(), round);
        }
        self.logs.insert(config_id, place.import(start, records, round)?);
        Ok(())
    }

    fn seal(&mut self, config_id: ConfigId, round: Ballot) -> Result<(), StorageError> {
        if let Some(place) = self.logs.remove(&config_id) {
            self.logs.insert(config_id, place.seal(round)?);
        }
        self.life.sealed(config_id);
        self.tell_of_log(config_id);
        Ok(())
    }

    /// Answers a server that lacks a part of a log.
    fn serve(&mut self, request: &MigrationMessage) {
        if !self.serves {
            let refusal = Configurations::refuse(request);
            return self.send(refusal.to, ServerTalk::Life(refusal.body));
        }
        let config_id = request.config_id;
        let max_cost = self.router.config().segment;
        if let Some(place) = self.logs.get(&config_id)
            && let Entry::Vacant(entry) = self.digests.entry(config_id)
        {
            let closed = place.closed_blocks();
            let digests = BlockDigests::resume(config_id, closed);
            entry.insert(digests.unwrap_or_else(|_| BlockDigests::new(config_id)));
            self.push_digests();
        }
        let blocks = self.digests.get(&config_id).map_or(&[][..], BlockDigests::closed);
        let ended = self.life.history().and_then(|history| history.ended(config_id));
        let verified = ended.is_some_and(|ended| ended.anchor.is_some());
        let donor = self.logs.get(&config_id).map(|place| {
            let (first, mut end) = place.bounds().unwrap_or_else(|| self.bounds_of(config_id));
            if verified {
                // What nobody could check is not held yet.
                end = end.min(blocks.last().map_or(0, |block| block.end));
            }
            Donor { place, first, end, blocks }
        });
        match self.life.answer(request, donor.as_ref(), max_cost) {
            Ok(message) => self.send(message.to, ServerTalk::Life(message.body)),
            Err(reason) => debug!(
                self.system.logger(), "request not answered";
                "pid" => self.pid, "peer" => request.from, "reason" => %reason
            ),
        }
    }

    /// What a replica has decided, as far as it has said so.
    fn bounds_of(&self, config_id: ConfigId) -> (u64, u64) {
        self.bounds.get(&config_id).copied().unwrap_or_default()
    }

    /// Hashes a part of the logs that somebody wants to have served.
    pub(super) fn push_digests(&mut self) {
        let mut left = DIGEST_BYTES;
        for (config_id, digests) in &mut self.digests {
            let Some(place) = self.logs.get(config_id) else {
                continue;
            };
            while left > 0 {
                let from = digests.end();
                match place.read(from, u64::MAX, left) {
                    Ok(records) if !records.is_empty() => {
                        left = left.saturating_sub(records.cost());
                        digests.push(&records);
                    }
                    // Trimmed, or all of it: a failing disk is found by those who need it.
                    _ => break,
                }
            }
        }
    }

    /// This server, as the others shall know it.
    pub(super) fn myself(&self) -> Member {
        let (pid, address) = (self.pid, self.address);
        Member { pid, storage_id: Some(self.storage_id), address }
    }
}

/// The storages of all members, where the StopSign has decided them.
fn storages_of(
    configuration: &Configuration,
    nodes: &[NodeId],
) -> Option<BTreeMap<NodeId, StorageId>> {
    let members = members_of(configuration);
    let storage_of = |pid: &NodeId| members.iter().find(|m| m.pid == *pid)?.storage_id;
    nodes.iter().map(|pid| Some((*pid, storage_of(pid)?))).collect()
}
