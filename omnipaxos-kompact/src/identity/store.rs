//! Storage ids, and where a server keeps whom it knows.

use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::StorageError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU128;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;

/// Identifies a server's storage: drawn at random when the storage is created, and never changed.
/// Shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StorageId(NonZeroU128);

/// The operating system has no random numbers to give.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no random number for a storage id: {0}")]
pub struct NoRandomness(String);

impl StorageId {
    /// The id with this number; `None` for 0, which is nobody's.
    #[must_use]
    pub fn new(id: u128) -> Option<Self> {
        NonZeroU128::new(id).map(Self)
    }

    /// A new id, for storage that is being created.
    ///
    /// # Errors
    /// [`NoRandomness`] where the operating system gives none.
    pub fn random() -> Result<Self, NoRandomness> {
        loop {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(|e| NoRandomness(e.to_string()))?;
            if let Some(id) = Self::new(u128::from_le_bytes(bytes)) {
                return Ok(id);
            }
        }
    }

    /// The id as a number, never 0.
    #[must_use]
    pub fn get(self) -> u128 {
        self.0.get()
    }
}

impl fmt::Display for StorageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for StorageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StorageId({self})")
    }
}

/// What a server durably knows of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Binding {
    /// The other server's storage: the only one that speaks in its name, for ever.
    pub storage_id: StorageId,
    /// Whether the other one has said that it durably knows this server's storage.
    pub confirmed: bool,
}

/// Where a server keeps its own storage id and its [`Binding`]s. They belong to the server, not to
/// a configuration, and share the fate of what its replicas remember: on the same disk, created
/// and lost together.
pub trait MemberStore: Send + 'static {
    /// This server's storage.
    fn storage_id(&self) -> StorageId;

    /// All that was recorded.
    ///
    /// # Errors
    /// [`StorageError`] where it cannot be read.
    fn bindings(&self) -> Result<BTreeMap<NodeId, Binding>, StorageError>;

    /// Replaces what is known of `pid`, and returns once that is durable. The caller never changes
    /// a storage id and never takes a confirmation back. May block: it is called from a thread of
    /// its own.
    ///
    /// # Errors
    /// [`StorageError`]; nothing is recorded any more after the first one.
    fn record(&mut self, pid: NodeId, binding: Binding) -> Result<(), StorageError>;
}

/// A [`MemberStore`] in memory. Clones share what they hold, as a server that is started again
/// shares its disk with its predecessor: keep one beside the storage of the replicas, and drop it
/// with that.
#[derive(Clone, Debug)]
pub struct MemoryMembers {
    storage_id: StorageId,
    bindings: Arc<Mutex<BTreeMap<NodeId, Binding>>>,
}

impl MemoryMembers {
    /// An empty store that belongs to the storage `storage_id`.
    #[must_use]
    pub fn new(storage_id: StorageId) -> Self {
        Self { storage_id, bindings: Arc::default() }
    }

    /// An empty store under a new storage id.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn random() -> Result<Self, NoRandomness> {
        Ok(Self::new(StorageId::random()?))
    }

    /// A map is whole after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Binding>> {
        self.bindings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemberStore for MemoryMembers {
    fn storage_id(&self) -> StorageId {
        self.storage_id
    }

    fn bindings(&self) -> Result<BTreeMap<NodeId, Binding>, StorageError> {
        Ok(self.lock().clone())
    }

    fn record(&mut self, pid: NodeId, binding: Binding) -> Result<(), StorageError> {
        self.lock().insert(pid, binding);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_never_zero_and_shows_all_its_digits() {
        assert_eq!(StorageId::new(0), None);
        let id = StorageId::new(0xab).unwrap();
        assert_eq!(id.get(), 0xab);
        assert_eq!(id.to_string(), "000000000000000000000000000000ab");
        assert_eq!(format!("{id:?}"), "StorageId(000000000000000000000000000000ab)");
        assert_ne!(StorageId::random().unwrap(), StorageId::random().unwrap());
    }

    #[test]
    fn clones_share_what_is_recorded() {
        let members = MemoryMembers::random().unwrap();
        let known = Binding { storage_id: StorageId::new(7).unwrap(), confirmed: false };
        members.clone().record(2, known).unwrap();
        assert_eq!(members.bindings().unwrap(), BTreeMap::from([(2, known)]));
        let confirmed = Binding { confirmed: true, ..known };
        members.clone().record(2, confirmed).unwrap();
        assert_eq!(members.bindings().unwrap(), BTreeMap::from([(2, confirmed)]));
    }
}
