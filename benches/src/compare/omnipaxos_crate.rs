//! Servers of the crate `omnipaxos`, with the memory storage of `omnipaxos_storage`.

use super::group::{Group, GroupError, Place};
use super::trims::Trim;
use bytes::Bytes;
use omnipaxos::messages::Message;
use omnipaxos::storage::{Entry, NoSnapshot};
use omnipaxos::{ClusterConfig, OmniPaxos, OmniPaxosConfig, ServerConfig};
use omnipaxos_storage::memory_storage::MemoryStorage;

/// An entry of its log, which it clones as it likes.
#[derive(Clone, Debug)]
pub struct Payload<T>(#[allow(dead_code, reason = "carried, never looked into")] T);

impl<T: Clone + std::fmt::Debug> Entry for Payload<T> {
    type Snapshot = NoSnapshot;
}

/// An entry that owns its bytes: each clone copies them.
pub type Owned = Payload<Vec<u8>>;

/// An entry that shares its bytes.
pub type Shared = Payload<Bytes>;

impl From<Bytes> for Owned {
    fn from(bytes: Bytes) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<Bytes> for Shared {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

/// One server.
pub(super) type Replica<P> = OmniPaxos<P, MemoryStorage<P>>;

/// Whoever was elected leads.
pub struct OmniPaxosGroup<P: Entry> {
    replicas: Vec<Replica<P>>,
    leader: usize,
    taken: Vec<usize>,
    buffer: Vec<Message<P>>,
}

/// Rounds of ticks after which there is a leader.
const MOST_TICKS: u64 = 1000;

impl<P: Entry> OmniPaxosGroup<P> {
    /// A group of `servers` with a leader.
    ///
    /// # Errors
    /// [`GroupError`] where a replica does not start, or none leads.
    pub fn start(servers: u64) -> Result<Self, GroupError> {
        let replica = |pid| {
            let config = OmniPaxosConfig {
                cluster_config: ClusterConfig {
                    configuration_id: 1,
                    nodes: (1..=servers).collect(),
                    ..ClusterConfig::default()
                },
                server_config: ServerConfig { pid, ..ServerConfig::default() },
            };
            config.build(MemoryStorage::default()).map_err(|e| GroupError(format!("{e:?}")))
        };
        let replicas: Result<Vec<_>, _> = (1..=servers).map(replica).collect();
        let replicas = replicas?;
        let taken = vec![0; replicas.len()];
        let mut group = Self { replicas, leader: 0, taken, buffer: Vec::new() };
        for _ in 0..MOST_TICKS {
            group.replicas.iter_mut().for_each(OmniPaxos::tick);
            group.deliver();
            let leads = |replica: &Replica<P>| match replica.get_current_leader() {
                Some((pid, accepts)) => accepts.then_some(pid),
                None => None,
            };
            let leader = leads(&group.replicas[0]);
            if let Some(pid) = leader.filter(|_| group.replicas.iter().all(|r| leads(r) == leader))
            {
                group.leader = pid as usize - 1;
                return Ok(group);
            }
        }
        Err(GroupError("no server leads".to_owned()))
    }

    /// The servers, and which of them leads.
    pub(super) fn into_replicas(self) -> (Vec<Replica<P>>, usize) {
        (self.replicas, self.leader)
    }

    fn deliver(&mut self) {
        loop {
            let mut quiet = true;
            for at in 0..self.replicas.len() {
                self.replicas[at].take_outgoing_messages(&mut self.buffer);
                for message in self.buffer.drain(..) {
                    quiet = false;
                    self.replicas[message.get_receiver() as usize - 1].handle_incoming(message);
                }
                if self.replicas[at].get_decided_idx() > self.taken[at] {
                    let suffix = self.replicas[at].read_decided_suffix(self.taken[at]);
                    self.taken[at] += suffix.map_or(0, |suffix| suffix.len());
                }
            }
            if quiet {
                return;
            }
        }
    }
}

impl<P: Entry + From<Bytes>> Group for OmniPaxosGroup<P> {
    fn propose(&mut self, at: Place, payload: Bytes) -> Result<(), GroupError> {
        let at = match at {
            Place::Leader => self.leader,
            Place::Follower => (self.leader + 1) % self.replicas.len(),
        };
        self.replicas[at].append(payload.into()).map_err(|e| GroupError(format!("{e:?}")))
    }

    fn exchange(&mut self) -> Result<(), GroupError> {
        self.deliver();
        Ok(())
    }

    fn tick(&mut self) -> Result<(), GroupError> {
        self.replicas.iter_mut().for_each(OmniPaxos::tick);
        Ok(())
    }

    fn decided(&self) -> u64 {
        self.taken.iter().copied().min().unwrap_or(0) as u64
    }
}

impl<P: Entry + From<Bytes>> Trim for OmniPaxosGroup<P> {
    fn trim(&mut self, to: u64) -> Result<(), GroupError> {
        // While idle it may elect somebody else: only the leader trims.
        let leads = self.replicas.iter().find_map(OmniPaxos::get_current_leader);
        let at = leads.map_or(self.leader, |(pid, _)| pid as usize - 1);
        let trimmed = self.replicas[at].trim(Some(to as usize));
        trimmed.map_err(|e| GroupError(format!("{e:?}")))
    }
}
