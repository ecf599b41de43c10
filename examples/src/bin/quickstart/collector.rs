//! Subscribes to the decided entries of one replica and keeps them.

use crate::input::{RunNumber, parse};
use bytes::Bytes;
use kompact::prelude::*;
use omnipaxos_core::storage::{ConfigId, StopSign};
use omnipaxos_kompact::ports::{DecidedPort, ReplicaEvent};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What one server has decided, over all configurations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// Configuration and payload of each entry.
    pub(crate) entries: Vec<(ConfigId, Bytes)>,
    /// The StopSigns, each behind so many entries.
    pub(crate) stop_signs: Vec<(usize, Arc<StopSign>)>,
}

impl Log {
    /// How many entries are of run `run`.
    pub(crate) fn lines_of(&self, run: RunNumber) -> usize {
        let of_run = |payload: &Bytes| parse(payload).is_some_and(|(of, ..)| of == run);
        self.entries.iter().filter(|(_, payload)| of_run(payload)).count()
    }

    /// What was decided before configuration `config_id`.
    pub(crate) fn before(&self, config_id: ConfigId) -> Self {
        let count = self.entries.partition_point(|(of, _)| *of < config_id);
        let stop_signs = self.stop_signs.iter().filter(|(_, ss)| ss.config_id <= config_id);
        Self { entries: self.entries[..count].to_vec(), stop_signs: stop_signs.cloned().collect() }
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

/// A log that the program reads while collectors write to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedLog(Arc<Mutex<Log>>);

impl SharedLog {
    /// A log that goes on from `log`.
    pub(crate) fn of(log: Log) -> Self {
        Self(Arc::new(Mutex::new(log)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Log> {
        // A writer that panicked has written whole entries only.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The component: one per replica.
#[derive(ComponentDefinition)]
pub(crate) struct Collector {
    ctx: ComponentContext<Self>,
    decided: RequiredPort<DecidedPort>,
    log: SharedLog,
}

impl Collector {
    pub(crate) fn new(log: SharedLog) -> Self {
        Self { ctx: ComponentContext::uninitialised(), decided: RequiredPort::uninitialised(), log }
    }
}

impl ComponentLifecycle for Collector {}

impl Require<DecidedPort> for Collector {
    fn handle(&mut self, event: ReplicaEvent) -> HandlerResult {
        let mut log = self.log.lock();
        match event {
            ReplicaEvent::Decided(batch) => {
                let entries = batch.entries.iter();
                log.entries.extend(entries.map(|entry| (batch.config_id, entry.clone())));
            }
            ReplicaEvent::StopSign { stop_sign, .. } => {
                let at = log.entries.len();
                log.stop_signs.push((at, stop_sign));
            }
            _ => {}
        }
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
