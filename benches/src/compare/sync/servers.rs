//! Servers of either library in one thread, on links that can be cut.

use crate::compare::group::GroupError;
use bytes::Bytes;

/// One server.
pub trait Server: Sized {
    /// What it sends.
    type Message;

    /// `servers` of them, all in sync with a leader, and which one that is.
    ///
    /// # Errors
    /// [`GroupError`] where one does not start, or there is no leader.
    fn group(servers: u64) -> Result<(Vec<Self>, usize), GroupError>;

    /// Proposes an entry.
    ///
    /// # Errors
    /// [`GroupError`] where it is refused.
    fn propose(&mut self, payload: Bytes) -> Result<(), GroupError>;

    /// What it has to send.
    fn outgoing(&mut self) -> Vec<Self::Message>;

    /// For which server a message is (0 is the first one), and how many entries are in it.
    fn look(message: &mut Self::Message) -> (usize, u64);

    /// A message arrives.
    ///
    /// # Errors
    /// [`GroupError`] where it is refused.
    fn receive(&mut self, message: Self::Message) -> Result<(), GroupError>;

    /// Time passes.
    fn tick(&mut self);

    /// The link to another server was cut and is there again.
    fn reconnected(&mut self, peer: usize);

    /// An election has named another leader, where elections are not this server's own.
    fn elected(&mut self, leader: usize);

    /// Reads what was decided since the last time; how many entries that was.
    fn read_decided(&mut self) -> u64;
}
