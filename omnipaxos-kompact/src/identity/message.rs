//! What servers say about who they are.

use super::StorageId;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::ConfigId;
use serde::{Deserialize, Serialize};

/// A message about identities, from one server to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdentityMessage {
    /// The configuration for whose sake it is sent. What it says holds in all of them.
    pub config_id: ConfigId,
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// The sender's storage.
    pub storage_id: StorageId,
    /// What it says.
    pub body: Identity,
}

/// What an [`IdentityMessage`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Identity {
    /// This is my storage: do you know me?
    Hello,
    /// The receiver's pid is durably bound to this storage at the sender, for ever.
    Known {
        /// The storage that speaks in the receiver's name.
        receiver: StorageId,
    },
    /// The receiver's pid is bound to another storage at the sender, for ever.
    Refused {
        /// The storage that tried to speak in the receiver's name.
        receiver: StorageId,
        /// The one that it is bound to.
        bound: StorageId,
    },
}
