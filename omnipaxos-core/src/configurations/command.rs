//! What a server's life tells its driver to do, and what the driver found on disk.

use super::configuration::Configuration;
use super::error::Conflict;
use super::history::History;
use super::messages::ServerMessage;
use crate::ballot::{Ballot, NodeId};
use crate::migration::{Blame, MigrationMessage, Progress};
use crate::storage::{ConfigId, Records};

/// What was on disk when the server started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Found {
    /// The history that was persisted last; `None` where none ever was.
    pub history: Option<History>,
    /// Whether it was persisted as retired.
    pub retired: bool,
    /// The logs, in any order; those without anything in them may be left out.
    pub logs: Vec<FoundLog>,
}

/// The log of one configuration on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FoundLog {
    /// Its configuration.
    pub config_id: ConfigId,
    /// How many of its records are decided and durable here.
    pub end: u64,
    /// Whether the last one of them is the StopSign, and this is durable.
    pub sealed: bool,
    /// Whether a replica of this server has ever run on it: it holds a promise, or a session.
    pub started: bool,
}

/// What the driver has to do, in this order. Each command says what acknowledges it, and what a
/// crash before that may lose.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Command {
    /// Make this durable, in the place of what was persisted before, atomically. Acknowledged by
    /// [`persisted`](super::Configurations::persisted); until then, nothing that depends on it
    /// comes. A crash may leave the old state or the new one.
    Persist {
        /// Names it in the acknowledgement.
        version: u64,
        /// The history.
        history: History,
        /// Whether this server has retired.
        retired: bool,
    },
    /// Start the replica of this configuration on its storage, which is created where there is
    /// none. Acknowledged by [`replica_started`](super::Configurations::replica_started). All
    /// earlier logs are sealed and durable here. A replica that finds its log sealed reports it
    /// ([`stop_sign_decided`](super::Configurations::stop_sign_decided)) like one that has just
    /// decided it.
    StartReplica {
        /// What it runs; this server is its voter or its learner.
        configuration: Configuration,
    },
    /// Stop the replica of this configuration; its log stays, and is served. Acknowledged by
    /// [`replica_stopped`](super::Configurations::replica_stopped).
    StopReplica {
        /// Which one.
        config_id: ConfigId,
    },
    /// Append these decided records. Where the replica of this configuration runs it takes them
    /// (`Paxos::learn_decided`), otherwise they go into the storage of a configuration in which
    /// this server has no replica. In order, without gaps. Acknowledged by
    /// [`stored`](super::Configurations::stored) once durable, several at once if need be; what is
    /// lost in a crash is fetched again.
    Store {
        /// The configuration.
        config_id: ConfigId,
        /// The index of the first one.
        start: u64,
        /// The records.
        records: Records,
        /// A round in which they were chosen, or a later one.
        round: Ballot,
    },
    /// Everything of this log, in which no replica runs, was stored, its StopSign last: note
    /// durably that all of it is decided. Acknowledged by
    /// [`sealed`](super::Configurations::sealed).
    Seal {
        /// The configuration.
        config_id: ConfigId,
        /// How many records it has.
        end: u64,
        /// A round in which they were chosen, or a later one.
        round: Ballot,
    },
    /// Send this. It may be lost, duplicated or overtaken.
    Send(ServerMessage),
    /// A migrating server asks this one: [`answer`](super::Configurations::answer) it, or don't.
    Serve(MigrationMessage),
    /// How far the migration of this log has come; after a tick in which it changed.
    Progress(ConfigId, Progress),
    /// This donor, or somebody in its name, did something wrong; log it.
    Blame {
        /// The configuration whose log is fetched.
        config_id: ConfigId,
        /// The donor.
        donor: NodeId,
        /// What it did.
        blame: Blame,
    },
    /// Everybody has trimmed the records of this log below `below`: tell the operator. It is looked
    /// for further on.
    Trimmed {
        /// The configuration whose log is fetched.
        config_id: ConfigId,
        /// The end of what cannot be had.
        below: u64,
    },
    /// This server was left out, nobody needs it any more, this is durable, and its replicas have
    /// stopped. It only answers questions from now on, and may be switched off. It comes to life
    /// again if a later configuration names it.
    Retired,
    /// Two things that cannot both be true: stop all replicas and call the operator. Nothing else
    /// will ever come.
    Conflict(Conflict),
}
