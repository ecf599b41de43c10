//! Servers of omnipaxos-core.

use super::servers::Server;
use crate::compare::group::GroupError;
use crate::compare::ours::{OurGroup, Replica};
use bytes::Bytes;
use omnipaxos_core::leader_election::{Ballot, Leader, NodeId};
use omnipaxos_core::paxos::Message;

impl Server for Replica {
    type Message = Message;

    fn group(servers: u64) -> Result<(Vec<Self>, usize), GroupError> {
        Ok((OurGroup::start(servers)?.into_replicas(), 0))
    }

    fn propose(&mut self, payload: Bytes) -> Result<(), GroupError> {
        self.propose_normal(payload).map(drop).map_err(GroupError::new)
    }

    fn outgoing(&mut self) -> Vec<Message> {
        self.get_outgoing_msgs()
    }

    fn look(message: &mut Message) -> (usize, u64) {
        let records = message.take_records().unwrap_or_default();
        let entries = records.len();
        message.put_records(records);
        (message.to as usize - 1, entries)
    }

    fn receive(&mut self, message: Message) -> Result<(), GroupError> {
        self.handle_message(message).map_err(GroupError::new)
    }

    fn tick(&mut self) {
        Self::tick(self);
    }

    fn reconnected(&mut self, peer: usize) {
        Self::reconnected(self, peer as NodeId + 1);
    }

    fn elected(&mut self, leader: usize) {
        let ballot = Ballot { n: 2, priority: 0, pid: leader as NodeId + 1 };
        self.handle_leader(Leader { ballot });
    }

    fn read_decided(&mut self) -> u64 {
        let decided = self.get_decided_entries().len() as u64;
        drop(self.take_outcomes());
        decided
    }
}
