//! Heartbeats, and why one was dropped.

use crate::ballot::{Ballot, NodeId};
use crate::storage::ConfigId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A message between two elections of one configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeartbeatMessage {
    /// The configuration both servers belong to.
    pub config_id: ConfigId,
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// What it says.
    pub body: Heartbeat,
}

/// What a heartbeat says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Heartbeat {
    /// Are you there? (B1)
    Request {
        /// The round; it only grows while the sender runs, and starts again when it restarts.
        round: u64,
    },
    /// I am here, and this is what I know first-hand (B3). It is sent once for each request, and
    /// once more, with the latest round that was asked for, whenever one of its facts has changed.
    Reply {
        /// The round of the request that is answered.
        round: u64,
        /// Counts the changes of the facts below, so that the replies to one round have an order.
        version: u64,
        /// The sender's own ballot: it leads in it, or `n` is 0 and it does not stand.
        ballot: Ballot,
        /// Whether the sender is quorum-connected.
        quorum_connected: bool,
        /// The leader that the sender elected or its replica promised (`L`): it follows none
        /// below.
        leader: Ballot,
        /// Whether `leader` itself, within the sender's own last timeout, told the sender that it
        /// leads and is quorum-connected. Never true because somebody else said so.
        hears_leader: bool,
        /// Whether the sender's replica votes: without that it is part of no quorum.
        votes: bool,
    },
}

/// Why a heartbeat was dropped. The sender, the network or an attacker is at fault, never this
/// server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum HeartbeatError {
    /// The heartbeat belongs to another configuration.
    #[error("heartbeat of configuration {theirs} at a server of configuration {ours}")]
    OtherConfiguration {
        /// The heartbeat's configuration.
        theirs: ConfigId,
        /// This election's configuration.
        ours: ConfigId,
    },
    /// The heartbeat is for another server.
    #[error("heartbeat for server {0}")]
    OtherReceiver(NodeId),
    /// The sender is no member of this configuration, or this server itself.
    #[error("heartbeat from unknown server {0}")]
    UnknownSender(NodeId),
    /// The heartbeat contradicts itself.
    #[error("impossible heartbeat from server {from}: {reason}")]
    Impossible {
        /// The sender.
        from: NodeId,
        /// What is impossible about it.
        reason: &'static str,
    },
}
