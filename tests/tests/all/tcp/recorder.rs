//! A subscriber that writes down what it is told.

use bytes::Bytes;
use kompact::prelude::*;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::StopSign;
use omnipaxos_kompact::identity::Admission;
use omnipaxos_kompact::ports::{DecidedPort, ReplicaEvent, ReplicaRequest};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a recorder was told.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// The index of the first entry.
    pub(crate) first: Option<u64>,
    pub(crate) entries: Vec<Bytes>,
    pub(crate) stop_sign: Option<StopSign>,
    pub(crate) leader: Option<NodeId>,
    pub(crate) halted: bool,
    pub(crate) admission: Option<Admission>,
    /// Answers to requests over the port, in order.
    pub(crate) answers: Vec<ReplicaEvent>,
    /// What was wrong with the indications.
    pub(crate) faults: Vec<String>,
}

impl Recorded {
    fn record(&mut self, event: ReplicaEvent) {
        let next = self.first.map(|first| first + self.entries.len() as u64);
        match event {
            ReplicaEvent::Decided(batch) => {
                if next.is_some_and(|next| next != batch.first_index) || self.stop_sign.is_some() {
                    self.faults.push(format!("{next:?} and then {batch:?}"));
                }
                self.first.get_or_insert(batch.first_index);
                self.entries.extend(batch.entries.iter().cloned());
            }
            ReplicaEvent::StopSign { index, stop_sign, .. } => {
                if next.is_some_and(|next| next != index) || self.stop_sign.is_some() {
                    self.faults.push(format!("{next:?} and then {stop_sign:?}"));
                }
                self.stop_sign = Some((*stop_sign).clone());
            }
            ReplicaEvent::LeaderChanged { leader, .. } => self.leader = leader,
            ReplicaEvent::Halted { .. } => self.halted = true,
            ReplicaEvent::AdmissionChanged { admission, .. } => self.admission = Some(admission),
            answer => self.answers.push(answer),
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

    /// The entries as numbers, as the tests propose them.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let recorded = self.lock();
        assert_eq!(recorded.faults, Vec::<String>::new());
        recorded.entries.iter().map(|e| number_of(e)).collect()
    }
}

/// The number in a payload.
pub(crate) fn number_of(payload: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&payload[..8]);
    u64::from_le_bytes(bytes)
}

/// A payload with a number in it.
pub(crate) fn payload(number: u64) -> Bytes {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(64, 0);
    payload.into()
}

#[derive(ComponentDefinition)]
pub(crate) struct Recorder {
    ctx: ComponentContext<Self>,
    pub(crate) decided: RequiredPort<DecidedPort>,
    records: Records,
}

impl Recorder {
    pub(crate) fn new(records: Records) -> Self {
        Self {
            ctx: ComponentContext::uninitialised(),
            decided: RequiredPort::uninitialised(),
            records,
        }
    }
}

impl ComponentLifecycle for Recorder {}

impl Actor for Recorder {
    type Message = ReplicaRequest;

    fn receive_local(&mut self, request: ReplicaRequest) -> HandlerResult {
        self.decided.trigger(request);
        Handled::OK
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        Handled::OK
    }
}

impl Require<DecidedPort> for Recorder {
    fn handle(&mut self, event: ReplicaEvent) -> HandlerResult {
        self.records.lock().record(event);
        Handled::OK
    }
}
