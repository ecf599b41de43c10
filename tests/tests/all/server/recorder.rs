//! A subscriber of a server's log that writes down what it is told.

use crate::tcp::recorder::number_of;
use bytes::Bytes;
use kompact::prelude::*;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::{ConfigId, StopSign};
use omnipaxos_kompact::server::{LogPort, LogRequest, ServerEvent};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One entry of the log of all configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogEntry {
    Normal(ConfigId, Bytes),
    StopSign(ConfigId, Arc<StopSign>),
}

impl LogEntry {
    /// Whether this is the end of that configuration.
    pub(crate) fn is_stop_sign_of(&self, config_id: ConfigId) -> bool {
        matches!(self, LogEntry::StopSign(ended, _) if *ended == config_id)
    }
}

/// What a recorder was told.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// The global index of the first entry.
    pub(crate) first: Option<u64>,
    pub(crate) log: Vec<LogEntry>,
    pub(crate) leader: Option<NodeId>,
    /// Records that each migration had when it was reported last, and needed.
    pub(crate) migrated: Vec<(ConfigId, u64, u64)>,
    pub(crate) retired: bool,
    pub(crate) halted: Option<String>,
    /// What was wrong with the stream.
    pub(crate) faults: Vec<String>,
}

impl Recorded {
    fn next(&self) -> Option<u64> {
        self.first.map(|first| first + self.log.len() as u64)
    }

    fn take(&mut self, index: u64, entries: impl Iterator<Item = LogEntry>) {
        if self.next().is_some_and(|next| next != index) {
            self.faults.push(format!("{:?} and then {index}", self.next()));
        }
        self.first.get_or_insert(index);
        self.log.extend(entries);
    }

    fn record(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Decided(batch) => {
                let config_id = batch.config_id;
                let entries = batch.entries.iter().cloned();
                self.take(batch.index, entries.map(|data| LogEntry::Normal(config_id, data)));
            }
            ServerEvent::StopSign { index, config_id, stop_sign } => {
                self.take(index, [LogEntry::StopSign(config_id, stop_sign)].into_iter());
            }
            ServerEvent::LeaderChanged { leader, .. } => self.leader = leader,
            ServerEvent::Migrating { config_id, progress } => {
                self.migrated.push((config_id, progress.have, progress.total));
            }
            ServerEvent::Retired => self.retired = true,
            ServerEvent::Halted { reason } => self.halted = Some(reason.to_string()),
            _ => {}
        }
    }
}

/// What a recorder was told, shared with the test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records(Arc<Mutex<Recorded>>);

impl Records {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log so far.
    pub(crate) fn log(&self) -> Vec<LogEntry> {
        let recorded = self.lock();
        assert_eq!(recorded.faults, Vec::<String>::new());
        recorded.log.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().log.len()
    }

    /// The numbers in the log, in order.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let log = self.log();
        let numbers = log.iter().filter_map(|entry| match entry {
            LogEntry::Normal(_, data) => Some(number_of(data)),
            LogEntry::StopSign(..) => None,
        });
        numbers.collect()
    }
}

#[derive(ComponentDefinition)]
pub(crate) struct Recorder {
    ctx: ComponentContext<Self>,
    pub(crate) log: RequiredPort<LogPort>,
    records: Records,
}

impl Recorder {
    pub(crate) fn new(records: Records) -> Self {
        Self { ctx: ComponentContext::uninitialised(), log: RequiredPort::uninitialised(), records }
    }
}

impl ComponentLifecycle for Recorder {}

impl Actor for Recorder {
    type Message = LogRequest;

    fn receive_local(&mut self, request: LogRequest) -> HandlerResult {
        self.log.trigger(request);
        Handled::OK
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        Handled::OK
    }
}

impl Require<LogPort> for Recorder {
    fn handle(&mut self, event: ServerEvent) -> HandlerResult {
        self.records.lock().record(event);
        Handled::OK
    }
}
