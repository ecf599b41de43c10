//! Servers of the crate `omnipaxos`.

use super::servers::Server;
use crate::compare::group::GroupError;
use crate::compare::omnipaxos_crate::{OmniPaxosGroup, Replica};
use bytes::Bytes;
use omnipaxos::messages::Message;
use omnipaxos::messages::sequence_paxos::PaxosMsg;
use omnipaxos::storage::Entry;
use omnipaxos::util::NodeId;

/// Entries that are read at once: a reader that takes all of them at once would need memory for
/// all of them.
const READ: usize = 1024;

/// A server, and how many decided entries were read.
pub(super) struct Theirs<P: Entry> {
    replica: Replica<P>,
    read: usize,
}

impl<P: Entry + From<Bytes>> Server for Theirs<P> {
    type Message = Message<P>;

    fn group(servers: u64) -> Result<(Vec<Self>, usize), GroupError> {
        let (replicas, leader) = OmniPaxosGroup::<P>::start(servers)?.into_replicas();
        let servers = replicas.into_iter().map(|replica| Self { replica, read: 0 });
        Ok((servers.collect(), leader))
    }

    fn propose(&mut self, payload: Bytes) -> Result<(), GroupError> {
        self.replica.append(payload.into()).map_err(|e| GroupError(format!("{e:?}")))
    }

    fn outgoing(&mut self) -> Vec<Message<P>> {
        let mut messages = Vec::new();
        self.replica.take_outgoing_messages(&mut messages);
        messages
    }

    fn look(message: &mut Message<P>) -> (usize, u64) {
        let to = message.get_receiver() as usize - 1;
        let entries = match message {
            Message::SequencePaxos(message) => match &message.msg {
                PaxosMsg::Promise(m) => m.log_sync.as_ref().map_or(0, |sync| sync.suffix.len()),
                PaxosMsg::AcceptSync(m) => m.log_sync.suffix.len(),
                PaxosMsg::AcceptDecide(m) => m.entries.len(),
                _ => 0,
            },
            Message::BLE(_) => 0,
        };
        (to, entries as u64)
    }

    fn receive(&mut self, message: Message<P>) -> Result<(), GroupError> {
        self.replica.handle_incoming(message);
        Ok(())
    }

    fn tick(&mut self) {
        self.replica.tick();
    }

    fn reconnected(&mut self, peer: usize) {
        self.replica.reconnected(peer as NodeId + 1);
    }

    fn elected(&mut self, _: usize) {
        // Its own election is at work, in its ticks.
    }

    fn read_decided(&mut self) -> u64 {
        let (before, decided) = (self.read, self.replica.get_decided_idx());
        while self.read < decided {
            let to = decided.min(self.read + READ);
            let entries = self.replica.read_entries(self.read..to);
            self.read += entries.map_or(0, |entries| entries.len()).max(1);
        }
        (self.read - before) as u64
    }
}
