//! Servers of omnipaxos-core.

use super::group::{Group, GroupError, Place};
use super::trims::Trim;
use bytes::Bytes;
use omnipaxos_core::leader_election::{Ballot, Leader};
use omnipaxos_core::paxos::{Message, Paxos, PaxosConfig};
use omnipaxos_core::storage::{MemorySequence, MemoryState, Storage};

/// One server.
pub(super) type Replica = Paxos<MemorySequence, MemoryState>;

/// The first server leads.
pub struct OurGroup {
    replicas: Vec<Replica>,
    decided: Vec<u64>,
    buffer: Vec<Message>,
}

impl OurGroup {
    /// A group of `servers` with a leader.
    ///
    /// # Errors
    /// [`GroupError`] where a replica does not start.
    pub fn start(servers: u64) -> Result<Self, GroupError> {
        let replica = |pid| {
            let peers = (1..=servers).filter(|peer| *peer != pid).collect();
            let storage = Storage::with(MemorySequence::new(), MemoryState::new());
            Paxos::try_with(1, pid, peers, storage, PaxosConfig::default())
        };
        let replicas: Result<Vec<_>, _> = (1..=servers).map(replica).collect();
        let replicas = replicas.map_err(GroupError::new)?;
        let mut group = Self { decided: vec![0; replicas.len()], replicas, buffer: Vec::new() };
        let leader = Leader { ballot: Ballot { n: 1, priority: 0, pid: 1 } };
        for replica in &mut group.replicas {
            replica.handle_leader(leader);
        }
        group.exchange()?;
        if !group.replicas[0].is_leader() {
            return Err(GroupError("the first server does not lead".to_owned()));
        }
        Ok(group)
    }

    /// The servers, the leader first.
    pub(super) fn into_replicas(self) -> Vec<Replica> {
        self.replicas
    }
}

impl Group for OurGroup {
    fn propose(&mut self, at: Place, payload: Bytes) -> Result<(), GroupError> {
        let replica = &mut self.replicas[usize::from(at == Place::Follower)];
        replica.propose_normal(payload).map(drop).map_err(GroupError::new)
    }

    fn exchange(&mut self) -> Result<(), GroupError> {
        loop {
            let mut quiet = true;
            for at in 0..self.replicas.len() {
                self.replicas[at].append_outgoing_msgs(&mut self.buffer);
                for message in self.buffer.drain(..) {
                    quiet = false;
                    let to = &mut self.replicas[message.to as usize - 1];
                    to.handle_message(message).map_err(GroupError::new)?;
                }
                let replica = &mut self.replicas[at];
                self.decided[at] += replica.take_decided_records(u64::MAX).records.len();
                drop(replica.drain_outcomes());
            }
            if quiet {
                return Ok(());
            }
        }
    }

    fn tick(&mut self) -> Result<(), GroupError> {
        self.replicas.iter_mut().for_each(Replica::tick);
        Ok(())
    }

    fn decided(&self) -> u64 {
        self.decided.iter().copied().min().unwrap_or(0)
    }
}

impl Trim for OurGroup {
    fn trim(&mut self, to: u64) -> Result<(), GroupError> {
        self.replicas[0].trim(to).map_err(GroupError::new)
    }
}
