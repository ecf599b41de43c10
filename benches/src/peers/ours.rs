//! This repository's core: an election and a replica, in memory.

use super::others;
use crate::peer::{Leadership, NodeId, Peer, PeerError, command_in};
use crate::units::{HEARTBEAT_TICKS, RESEND_TICKS, TIMEOUT_TICKS};
use omnipaxos_core::leader_election::{
    BallotLeaderElection, ElectionConfig, HeartbeatMessage, Leader,
};
use omnipaxos_core::paxos::{Message, Paxos, PaxosConfig};
use omnipaxos_core::storage::{Entry, MemorySequence, MemoryState, Storage};

const CONFIG: u64 = 1;

/// A server of omnipaxos-core.
pub struct OurPeer {
    pid: NodeId,
    election: BallotLeaderElection,
    replica: Paxos<MemorySequence, MemoryState>,
}

/// What two such servers send each other.
pub enum OurMessage {
    /// Between the elections.
    Heartbeat(HeartbeatMessage),
    /// Between the replicas.
    Replica(Message),
}

impl OurPeer {
    /// Server `pid` of 1 ..= `servers`.
    ///
    /// # Errors
    /// [`PeerError`] when the settings are refused.
    pub fn start(pid: NodeId, servers: u64) -> Result<Self, PeerError> {
        let failed = |error: &dyn ToString| PeerError::new(pid, error.to_string());
        let mut config = ElectionConfig::default();
        config.timeout_ticks = TIMEOUT_TICKS;
        config.heartbeat_ticks = Some(HEARTBEAT_TICKS);
        let election = BallotLeaderElection::with(CONFIG, pid, others(pid, servers), config)
            .map_err(|error| failed(&error))?;
        let mut config = PaxosConfig::default();
        config.resend_ticks = RESEND_TICKS;
        let storage = Storage::with(MemorySequence::new(), MemoryState::new());
        let replica = Paxos::try_with(CONFIG, pid, others(pid, servers), storage, config)
            .map_err(|error| failed(&error))?;
        Ok(Self { pid, election, replica })
    }

    fn elected(&mut self, leader: Option<Leader>) {
        if let Some(leader) = leader {
            self.replica.handle_leader(leader);
        }
    }

    fn failed(&self, error: impl ToString) -> PeerError {
        PeerError::new(self.pid, error)
    }
}

impl Peer for OurPeer {
    type Message = OurMessage;

    fn tick(&mut self) -> Result<(), PeerError> {
        let leader = self.election.tick();
        self.elected(leader);
        self.replica.tick();
        Ok(())
    }

    fn receive(&mut self, message: OurMessage) -> Result<(), PeerError> {
        match message {
            OurMessage::Heartbeat(heartbeat) => {
                let handled = self.election.handle_message(heartbeat);
                let leader = handled.map_err(|error| self.failed(error))?;
                self.elected(leader);
            }
            OurMessage::Replica(message) => {
                let handled = self.replica.handle_message(message);
                handled.map_err(|error| self.failed(error))?;
            }
        }
        Ok(())
    }

    fn propose(&mut self, command: u64) -> Result<(), PeerError> {
        let payload = command.to_le_bytes().to_vec();
        let proposed = self.replica.propose_normal(payload);
        proposed.map(|_| ()).map_err(|error| self.failed(error))
    }

    fn take_outgoing(&mut self, to: &mut Vec<(NodeId, OurMessage)>) -> Result<(), PeerError> {
        let messages = self.replica.get_outgoing_msgs();
        self.election.handle_promised(self.replica.promised());
        if self.replica.is_leader() {
            self.election.handle_prepared(self.replica.promised());
        }
        let heartbeats = self.election.get_outgoing_msgs();
        to.extend(heartbeats.into_iter().map(|m| (m.to, OurMessage::Heartbeat(m))));
        to.extend(messages.into_iter().map(|m| (m.to, OurMessage::Replica(m))));
        // An outcome for each proposal: the log itself is what is measured.
        drop(self.replica.take_outcomes());
        match self.replica.halted() {
            Some(halted) => Err(self.failed(halted)),
            None => Ok(()),
        }
    }

    fn take_decided(&mut self, to: &mut Vec<u64>) {
        for entry in self.replica.get_decided_entries() {
            if let Entry::Normal(payload) = entry {
                to.extend(command_in(&payload));
            }
        }
    }

    fn leadership(&self) -> Option<Leadership> {
        let promised = self.replica.promised();
        (promised.n > 0).then_some(Leadership { round: promised.n, pid: promised.pid })
    }

    fn status(&self) -> String {
        let promised = self.replica.promised();
        let synchronised = self.replica.leader().is_some();
        let connected = self.election.is_quorum_connected();
        format!(
            "{}, promised {promised}{}",
            if connected { "quorum-connected" } else { "no quorum" },
            if synchronised { ", in sync" } else { "" },
        )
    }
}
