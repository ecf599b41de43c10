//! What servers say to each other beside what their elections and replicas say.

use super::Member;
use crate::identity::StorageId;
use omnipaxos_core::configurations::{Role, ServerBody};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::{ConfigId, Records};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use thiserror::Error;

/// What bincode may claim for a message between servers, its records aside.
pub(super) const SERVER_LIMIT: usize = 1 << 20;

/// A message from one server to another, which may be strangers to each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerPacket {
    /// The sender.
    pub from: NodeId,
    /// The receiver; 0 where the sender knows an address only.
    pub to: NodeId,
    /// The sender's storage.
    pub storage_id: StorageId,
    /// Where the sender is reached.
    pub address: SocketAddr,
    /// What it says.
    pub talk: ServerTalk,
}

/// A [`ServerPacket`], and where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerMail {
    /// Where it goes, instead of to where the receiver is known to be.
    pub at: Option<SocketAddr>,
    /// The packet.
    pub packet: ServerPacket,
}

/// What a [`ServerPacket`] says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ServerTalk {
    /// About configurations: their history, how far servers are, migration.
    Life(ServerBody),
    /// Who are you?
    Identify,
    /// This is who I am: see the packet.
    Identity,
    /// The sender wants to be a member.
    Join {
        /// What it wants to be.
        role: Role,
    },
    /// Not now, or not by the receiver of the [`Join`](Self::Join).
    JoinRefused {
        /// Why.
        reason: JoinRefusal,
        /// Whom to ask instead, where anybody.
        ask: Vec<Member>,
    },
    /// Become the leader of this configuration.
    TakeLead {
        /// The configuration.
        config_id: ConfigId,
    },
}

/// Why a server was not made a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Error)]
#[non_exhaustive]
pub enum JoinRefusal {
    /// The one that was asked is no member itself.
    #[error("the server that was asked is no member itself")]
    NotMember,
    /// Another change of membership is under way: ask again.
    #[error("another change of membership is under way")]
    Busy,
    /// Its pid belongs to another storage.
    #[error("its pid belongs to storage {bound}")]
    OtherStorage {
        /// The storage that it is bound to, for ever.
        bound: StorageId,
    },
}

impl ServerTalk {
    /// Moves the records out of this message and leaves none, as
    /// [`Message::take_records`](omnipaxos_core::paxos::Message::take_records) does.
    pub fn take_records(&mut self) -> Option<Records> {
        match self {
            Self::Life(ServerBody::Migration(message)) => message.take_records(),
            _ => None,
        }
    }

    /// Puts records back into a message of a kind that has some; `false` where it has none.
    pub fn put_records(&mut self, records: Records) -> bool {
        match self {
            Self::Life(ServerBody::Migration(message)) => message.put_records(records),
            _ => false,
        }
    }
}
