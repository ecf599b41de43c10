//! What the driver needs of a server, whatever library it is made of.

use thiserror::Error;

/// Servers are numbered from 1.
pub type NodeId = u64;

/// Who leads, and in which ballot or term: ordered, and never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leadership {
    /// The ballot's number, or the term.
    pub round: u64,
    /// The server that leads.
    pub pid: NodeId,
}

/// A library failed where it must not.
#[derive(Debug, Error)]
#[error("server {pid}: {what}")]
pub struct PeerError {
    /// The server.
    pub pid: NodeId,
    /// What happened.
    pub what: String,
}

impl PeerError {
    /// An error of server `pid`.
    pub fn new(pid: NodeId, what: impl ToString) -> Self {
        let what = what.to_string();
        Self { pid, what }
    }
}

/// One server: inputs come in any order, and after each of them its outputs are taken.
pub trait Peer {
    /// What servers send each other.
    type Message;

    /// A tick of this server's clock.
    ///
    /// # Errors
    /// [`PeerError`] when the library fails.
    fn tick(&mut self) -> Result<(), PeerError>;

    /// A message arrives.
    ///
    /// # Errors
    /// [`PeerError`] when the library fails.
    fn receive(&mut self, message: Self::Message) -> Result<(), PeerError>;

    /// A client asks for `command` to be decided. A library may drop it.
    ///
    /// # Errors
    /// [`PeerError`] when the library fails.
    fn propose(&mut self, command: u64) -> Result<(), PeerError>;

    /// Makes everything durable and appends what is to be sent, with its receivers.
    ///
    /// # Errors
    /// [`PeerError`] when the library fails.
    fn take_outgoing(&mut self, to: &mut Vec<(NodeId, Self::Message)>) -> Result<(), PeerError>;

    /// Appends the commands that were decided since the last call, in the order of the log.
    fn take_decided(&mut self, to: &mut Vec<u64>);

    /// The leader that this server's log is bound to, itself perhaps.
    fn leadership(&self) -> Option<Leadership>;

    /// A few words on the server's state, for a timeline.
    fn status(&self) -> String;
}

/// The number of the command in a payload, if it is one.
pub(crate) fn command_in(payload: &[u8]) -> Option<u64> {
    payload.try_into().ok().map(u64::from_le_bytes)
}
