//! Where bindings become durable.

use super::IdentityRequest;
use crate::identity::{Binding, MemberStore};
use kompact::prelude::ActorRef;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::{Operation, StorageError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

/// Records bindings one after the other, on a thread of its own: a disk never holds up one of
/// Kompact's threads.
#[derive(Debug)]
pub(super) struct Recorder {
    records: Sender<(NodeId, Binding)>,
    thread: JoinHandle<()>,
}

impl Recorder {
    /// Starts the thread; what became of each record goes to `identity`.
    pub(super) fn start(
        name: String,
        mut store: Box<dyn MemberStore>,
        identity: ActorRef<IdentityRequest>,
    ) -> Result<Self, StorageError> {
        let (records, to_run) = channel::<(NodeId, Binding)>();
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || {
                // Nothing is tried again after a failure. The thread goes on, so that whatever
                // comes in later is answered with the same reason.
                let mut failed = None;
                for (pid, binding) in to_run {
                    let result = match &failed {
                        None => record(&mut *store, pid, binding),
                        Some(error) => Err(StorageError::clone(error)),
                    };
                    failed = result.clone().err();
                    identity.tell(IdentityRequest::Recorded(pid, binding, result));
                }
            })
            .map_err(|e| cannot_record(&format!("no thread: {e}")))?;
        Ok(Self { records, thread })
    }

    /// Hands a record to the thread.
    pub(super) fn record(&self, pid: NodeId, binding: Binding) -> Result<(), StorageError> {
        self.records
            .send((pid, binding))
            .map_err(|_| cannot_record("the thread that records has ended"))
    }

    /// Waits until the records that are under way have ended.
    pub(super) fn stop(self) {
        drop(self.records);
        // The thread catches what a store may do; there is nothing left to report to.
        let _ = self.thread.join();
    }
}

/// A store that panics leaves as little known about its medium as one that fails.
fn record(store: &mut dyn MemberStore, pid: NodeId, binding: Binding) -> Result<(), StorageError> {
    catch_unwind(AssertUnwindSafe(|| store.record(pid, binding)))
        .unwrap_or_else(|_| Err(cannot_record("the store panicked")))
}

pub(super) fn cannot_record(detail: &str) -> StorageError {
    let detail = format!("bindings of servers to storages: {detail}");
    StorageError::Io { operation: Operation::Flush, detail }
}
