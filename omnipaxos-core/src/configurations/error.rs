//! One error enum per public operation.

use super::configuration::Configuration;
use super::history::Ended;
use crate::ballot::NodeId;
use crate::migration::MigrationMessageError;
use crate::storage::ConfigId;
use thiserror::Error;

/// Why there cannot be such a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// Its number is 0, which stands for none.
    #[error("0 is no configuration")]
    IdZero,
    /// Nobody votes.
    #[error("a configuration needs a voter")]
    NoVoters,
    /// A member has pid 0.
    #[error("pid 0 is no server")]
    PidZero,
    /// A member is named twice.
    #[error("server {0} is named twice")]
    DuplicatePid(NodeId),
    /// The leader that it would start with does not vote.
    #[error("server {0} is to lead and does not vote")]
    LeaderNotAVoter(NodeId),
}

/// Why there cannot be such a history.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// A configuration is impossible.
    #[error("configuration {config_id}: {error}")]
    Configuration {
        /// Which one.
        config_id: ConfigId,
        /// Why.
        #[source]
        error: ConfigurationError,
    },
    /// The end of another configuration than the one that comes next.
    #[error("the end of configuration {found} where that of {expected} was expected")]
    Order {
        /// The one that comes next.
        expected: ConfigId,
        /// The one that came.
        found: ConfigId,
    },
    /// A StopSign that does not name the next configuration.
    #[error("configuration {config_id} cannot end in a StopSign for configuration {next}")]
    StopSign {
        /// The configuration that ends.
        config_id: ConfigId,
        /// The one that its StopSign names.
        next: ConfigId,
    },
    /// A length without room for the StopSign, one that overflows, or another than the anchor's.
    #[error("configuration {config_id} cannot have {len} records")]
    Length {
        /// The configuration.
        config_id: ConfigId,
        /// How many records it is said to have.
        len: u64,
    },
}

/// Two things that cannot both be true. Somebody forced a configuration while its majority was
/// alive, or a disk was set back. This server does nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Conflict {
    /// Two ends of one configuration.
    #[error(
        "configuration {} ended after {} records ({:?}) here, and after {} records ({:?}) there",
        .ours.config_id, .ours.len, .ours.stop_sign.nodes, .theirs.len, .theirs.stop_sign.nodes
    )]
    Ended {
        /// As it is known here.
        ours: Box<Ended>,
        /// As somebody else, or the own log, says.
        theirs: Box<Ended>,
    },
    /// More is decided in the own log than the configuration had, or its StopSign elsewhere.
    #[error(
        "{end} records of configuration {config_id} are decided here, and it ended after {len}"
    )]
    Decided {
        /// The configuration.
        config_id: ConfigId,
        /// How many are decided here.
        end: u64,
        /// How many it had.
        len: u64,
    },
}

/// Why histories do not go together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum MergeError {
    /// The other one is impossible: it says nothing about either.
    #[error(transparent)]
    Impossible(#[from] HistoryError),
    /// They contradict each other.
    #[error(transparent)]
    Conflict(#[from] Box<Conflict>),
}

/// Why a server's configurations cannot be taken up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ConfigurationsStartError {
    /// The server has pid 0.
    #[error("pid 0 is no server")]
    PidZero,
    /// A limit or timeout that must be at least 1 is 0.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// The history that was found is impossible.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// There is a log of a configuration that the history does not know: the history was lost, or
    /// set back.
    #[error("there is a log of configuration {0}, which the history does not know")]
    UnknownLog(ConfigId),
}

/// Why a first configuration was refused. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// It is impossible.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// This server has a history already.
    #[error("this server has a history already, which begins with configuration {0}")]
    HasHistory(ConfigId),
    /// This server is no member of it.
    #[error("server {0} is no member of it")]
    NoMember(NodeId),
}

/// Why a message was dropped. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ServerMessageError {
    /// The message is for another server.
    #[error("message for server {0}")]
    OtherReceiver(NodeId),
    /// The sender is this server, or pid 0, or another one than within.
    #[error("message in the name of server {0}")]
    Sender(NodeId),
    /// More ends of configurations than one message may have.
    #[error("{0} ends of configurations in one message")]
    TooMany(usize),
    /// A history that cannot be.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A history that begins with another configuration than the one here: of another cluster, or
    /// one of the two was given a wrong first configuration.
    #[error(
        "a history that begins with configuration {} of {:?}, not {} of {:?}",
        .theirs.config_id, .theirs.nodes, .ours.config_id, .ours.nodes
    )]
    OtherCluster {
        /// The first configuration here.
        ours: Box<Configuration>,
        /// The other one.
        theirs: Box<Configuration>,
    },
    /// An answer of a donor that fits no migration here.
    #[error(transparent)]
    Migration(#[from] MigrationMessageError),
    /// A server's stage in a configuration of which it is no member.
    #[error("server {pid} is no member of configuration {config_id}")]
    NoMember {
        /// The server.
        pid: NodeId,
        /// The configuration.
        config_id: ConfigId,
    },
}
