//! The crate `omnipaxos` with the memory storage of `omnipaxos_storage`.

use crate::peer::{Leadership, NodeId, Peer, PeerError};
use crate::units::{RESEND_TICKS, TIMEOUT_TICKS};
use omnipaxos::messages::Message;
use omnipaxos::storage::{Entry, NoSnapshot};
use omnipaxos::util::LogEntry;
use omnipaxos::{ClusterConfig, OmniPaxos, OmniPaxosConfig, ServerConfig};
use omnipaxos_storage::memory_storage::MemoryStorage;

/// An entry of its log.
#[derive(Clone, Debug)]
pub struct Command(u64);

impl Entry for Command {
    type Snapshot = NoSnapshot;
}

/// A server of the crate `omnipaxos`.
pub struct OmniPaxosPeer {
    pid: NodeId,
    server: OmniPaxos<Command, MemoryStorage<Command>>,
    buffer: Vec<Message<Command>>,
    /// How many decided entries were taken.
    taken: usize,
}

impl OmniPaxosPeer {
    /// Server `pid` of 1 ..= `servers`.
    ///
    /// # Errors
    /// [`PeerError`] when the settings are refused.
    pub fn start(pid: NodeId, servers: u64) -> Result<Self, PeerError> {
        let config = OmniPaxosConfig {
            cluster_config: ClusterConfig {
                configuration_id: 1,
                nodes: (1..=servers).collect(),
                ..ClusterConfig::default()
            },
            server_config: ServerConfig {
                pid,
                election_tick_timeout: u64::from(TIMEOUT_TICKS),
                resend_message_tick_timeout: u64::from(RESEND_TICKS),
                ..ServerConfig::default()
            },
        };
        let server = config.build(MemoryStorage::default());
        Ok(Self {
            pid,
            server: server.map_err(|error| PeerError::new(pid, format!("{error:?}")))?,
            buffer: Vec::new(),
            taken: 0,
        })
    }
}

impl Peer for OmniPaxosPeer {
    type Message = Message<Command>;

    fn tick(&mut self) -> Result<(), PeerError> {
        self.server.tick();
        Ok(())
    }

    fn receive(&mut self, message: Message<Command>) -> Result<(), PeerError> {
        self.server.handle_incoming(message);
        Ok(())
    }

    fn propose(&mut self, command: u64) -> Result<(), PeerError> {
        let appended = self.server.append(Command(command));
        appended.map_err(|error| PeerError::new(self.pid, format!("{error:?}")))
    }

    fn take_outgoing(&mut self, to: &mut Vec<(NodeId, Message<Command>)>) -> Result<(), PeerError> {
        self.server.take_outgoing_messages(&mut self.buffer);
        to.extend(self.buffer.drain(..).map(|m| (m.get_receiver(), m)));
        Ok(())
    }

    fn take_decided(&mut self, to: &mut Vec<u64>) {
        if self.server.get_decided_idx() <= self.taken {
            return;
        }
        let suffix = self.server.read_decided_suffix(self.taken);
        for entry in suffix.unwrap_or_default() {
            self.taken += 1;
            if let LogEntry::Decided(Command(command)) = entry {
                to.push(command);
            }
        }
    }

    fn leadership(&self) -> Option<Leadership> {
        let promised = self.server.get_promise();
        (promised.pid != 0)
            .then_some(Leadership { round: u64::from(promised.n), pid: promised.pid })
    }

    fn status(&self) -> String {
        let promised = self.server.get_promise();
        let accepts = self.server.get_current_leader().is_some_and(|(_, accepts)| accepts);
        let phase = if accepts { ", phase Accept" } else { "" };
        format!("promised {}@{}{phase}", promised.n, promised.pid)
    }
}
