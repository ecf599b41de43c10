//! What servers say to each other about configurations. docs/PROTOCOL.md has the table.

use super::configuration::Configuration;
use super::history::Ended;
use crate::ballot::NodeId;
use crate::migration::MigrationMessage;
use crate::storage::{ConfigId, Records};
use serde::{Deserialize, Serialize};

/// The most ends of configurations that one [`HistoryPart`] has.
pub const MAX_ENDED: usize = 64;

/// What the ends of configurations in one [`HistoryPart`] cost at the most, in bytes, unless there
/// is only one.
pub const MAX_ENDED_COST: u64 = 256 << 10;

/// A message between two servers. They need not be members of the same configurations.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServerMessage {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// What it says.
    pub body: ServerBody,
}

/// What a [`ServerMessage`] says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ServerBody {
    /// This is the newest configuration that the sender knows durably; 0: it knows none. Whoever
    /// knows a newer one answers with a [`HistoryPart`], whoever knows less with its own Hello.
    Hello {
        /// The newest configuration.
        newest: ConfigId,
    },
    /// What the receiver lacks of the history, or the first part of it.
    History(HistoryPart),
    /// How far are you on the way into this configuration?
    StageRequest {
        /// The newest configuration that the sender knows.
        config_id: ConfigId,
    },
    /// So far.
    Stage {
        /// The newest configuration that the sender knows.
        config_id: ConfigId,
        /// How far the sender is.
        stage: Stage,
    },
    /// Of a migration: a request to a donor, or its answer.
    Migration(MigrationMessage),
}

/// A part of a history.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HistoryPart {
    /// The first configuration: another one is that of another cluster.
    pub first: Configuration,
    /// How configurations ended, one after the other, at most [`MAX_ENDED`].
    pub ended: Vec<Ended>,
}

/// How far a server is on the way into a configuration.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Stage {
    /// Nothing is known.
    #[default]
    Unknown,
    /// It is left out, and has retired.
    Retired,
    /// It lacks a part of an earlier log, or is no member.
    Fetching,
    /// It has all earlier logs, durably.
    Holds,
    /// Besides, its replica runs and has been in sync with a leader.
    Synced {
        /// Whom it follows now, itself included.
        leader: Option<NodeId>,
    },
}

impl Stage {
    /// How far, whoever is followed.
    pub(super) fn rank(self) -> Self {
        match self {
            Stage::Synced { .. } => Stage::Synced { leader: None },
            stage => stage,
        }
    }

    /// Whether it has all earlier logs, durably: that stays true.
    #[must_use]
    pub fn holds(self) -> bool {
        matches!(self, Stage::Holds | Stage::Synced { .. })
    }
}

impl ServerMessage {
    /// Moves the records out of this message and leaves none: a codec can then write the payloads
    /// as one blob, and give them back with [`put_records`](Self::put_records).
    pub fn take_records(&mut self) -> Option<Records> {
        match &mut self.body {
            ServerBody::Migration(message) => message.take_records(),
            _ => None,
        }
    }

    /// Puts records back into a message of a kind that has some; `false` where it has none.
    pub fn put_records(&mut self, records: Records) -> bool {
        match &mut self.body {
            ServerBody::Migration(message) => message.put_records(records),
            _ => false,
        }
    }
}

impl ServerBody {
    /// The message's name, as in docs/PROTOCOL.md, logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "Hello",
            Self::History(_) => "History",
            Self::StageRequest { .. } => "StageRequest",
            Self::Stage { .. } => "Stage",
            Self::Migration(message) => message.body.name(),
        }
    }
}
