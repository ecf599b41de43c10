//! Subscribes to the log of one server and keeps it.

use crate::input::{RunNumber, parse};
use bytes::Bytes;
use kompact::prelude::*;
use omnipaxos_core::configurations::Configuration;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::{ConfigId, StopSign};
use omnipaxos_kompact::server::{LogPort, ServerEvent};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What one server has said: its log, and how it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// Configuration and payload of each entry.
    pub(crate) entries: Vec<(ConfigId, Bytes)>,
    /// The StopSigns, each behind so many entries.
    pub(crate) stop_signs: Vec<(usize, Arc<StopSign>)>,
    /// The newest configuration that runs there.
    pub(crate) configuration: Option<Arc<Configuration>>,
    /// Whom it follows in that.
    pub(crate) leader: Option<NodeId>,
    /// Records of older logs that it has fetched from the others, and how many it wants.
    pub(crate) migrated: Option<(u64, u64)>,
    /// Nobody needs it any more.
    pub(crate) retired: bool,
    /// Why it has stopped for good.
    pub(crate) halted: Option<String>,
}

impl Log {
    fn take(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Decided(batch) => {
                let entries = batch.entries.iter();
                self.entries.extend(entries.map(|entry| (batch.config_id, entry.clone())));
            }
            ServerEvent::StopSign { stop_sign, .. } => {
                self.stop_signs.push((self.entries.len(), stop_sign));
            }
            ServerEvent::ConfigurationStarted { configuration, .. } => {
                self.configuration = Some(configuration);
                self.leader = None;
            }
            ServerEvent::LeaderChanged { leader, .. } => self.leader = leader,
            ServerEvent::Migrating { progress, .. } => {
                self.migrated = Some((progress.have, progress.total));
            }
            ServerEvent::Retired => self.retired = true,
            ServerEvent::Halted { reason } => self.halted = Some(reason.to_string()),
            _ => {}
        }
    }

    /// The newest configuration that runs there.
    pub(crate) fn config_id(&self) -> Option<ConfigId> {
        self.configuration.as_ref().map(|configuration| configuration.config_id)
    }

    /// Whether all of the log before configuration `config_id` was indicated.
    pub(crate) fn has_all_before(&self, config_id: ConfigId) -> bool {
        config_id <= 1 || self.stop_signs.iter().any(|(_, ss)| ss.config_id == config_id)
    }

    /// How many entries are of run `run`.
    pub(crate) fn lines_of(&self, run: RunNumber) -> usize {
        let of_run = |payload: &Bytes| parse(payload).is_some_and(|(of, ..)| of == run);
        self.entries.iter().filter(|(_, payload)| of_run(payload)).count()
    }

    /// Identifies the content of the log.
    pub(crate) fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for (config_id, payload) in &self.entries {
            hasher.update(&config_id.to_le_bytes());
            hasher.update(&(payload.len() as u64).to_le_bytes());
            hasher.update(payload);
        }
        for (at, stop_sign) in &self.stop_signs {
            hasher.update(&(*at as u64).to_le_bytes());
            hasher.update(&stop_sign.config_id.to_le_bytes());
        }
        hasher.finalize()
    }
}

/// A log that the program reads while its collector writes to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedLog(Arc<Mutex<Log>>);

impl SharedLog {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Log> {
        // A writer that panicked has written whole entries only.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The component: one per server.
#[derive(ComponentDefinition)]
pub(crate) struct Collector {
    ctx: ComponentContext<Self>,
    server: RequiredPort<LogPort>,
    log: SharedLog,
}

impl Collector {
    pub(crate) fn new(log: SharedLog) -> Self {
        Self { ctx: ComponentContext::uninitialised(), server: RequiredPort::uninitialised(), log }
    }
}

impl ComponentLifecycle for Collector {}

impl Require<LogPort> for Collector {
    fn handle(&mut self, event: ServerEvent) -> HandlerResult {
        self.log.lock().take(event);
        Handled::OK
    }
}

impl Actor for Collector {
    type Message = Never;

    fn receive_local(&mut self, message: Never) -> HandlerResult {
        match message {}
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        Handled::OK
    }
}
