//! Three of our servers, in one process, over loopback TCP.

use super::load::{Proposer, Run};
use super::system;
use super::{Outcome, PATIENCE, no_answer};
use crate::compare::group::{GroupError, Place};
use kompact::prelude::*;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::{PaxosState, Sequence, Storage};
use omnipaxos_kompact::components::RoundTripCounts;
use omnipaxos_kompact::config::OmniPaxosConfig;
use omnipaxos_kompact::spawn::{
    PreparedReplica, ReplicaClient, ReplicaHandle, ReplicaSpec, RouterHandle,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Decided entries in logs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retained {
    /// In the leader's.
    pub leader: u64,
    /// In those of all others together.
    pub followers: u64,
}

impl Retained {
    /// In all logs.
    #[must_use]
    pub fn all(self) -> u64 {
        self.leader + self.followers
    }
}

struct Server<S, P>
where
    S: Sequence + Send + 'static,
    P: PaxosState + Send + 'static,
    P::Commit: Send + 'static,
{
    system: KompactSystem,
    router: RouterHandle,
    replica: Option<ReplicaHandle<S, P>>,
    proposer: Arc<Component<Proposer>>,
}

/// Servers with a leader.
pub struct Cluster<S, P>
where
    S: Sequence + Send + 'static,
    P: PaxosState + Send + 'static,
    P::Commit: Send + 'static,
{
    servers: BTreeMap<NodeId, Server<S, P>>,
    leader: NodeId,
}

impl<S, P> Cluster<S, P>
where
    S: Sequence + Send + 'static,
    P: PaxosState + Send + 'static,
    P::Commit: Send + 'static,
{
    /// Three servers over `storage`, once all of them follow a leader.
    ///
    /// # Errors
    /// [`GroupError`] where one does not start, or there is no leader.
    pub fn start(
        storage: impl FnMut(NodeId) -> Result<Storage<S, P>, GroupError>,
    ) -> Result<Self, GroupError> {
        Self::start_of(3, storage)
    }

    /// As [`start`](Self::start), of so many servers.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_of(
        count: u64,
        mut storage: impl FnMut(NodeId) -> Result<Storage<S, P>, GroupError>,
    ) -> Result<Self, GroupError> {
        let nodes: Vec<NodeId> = (1..=count).collect();
        let mut servers = BTreeMap::new();
        for pid in nodes.iter().copied() {
            let system = system::start()?;
            let config = OmniPaxosConfig::from_config(system.config()).map_err(GroupError::new)?;
            let router = RouterHandle::spawn(&system, pid, config).map_err(GroupError::new)?;
            let proposer = system.create(Proposer::new);
            let started = system.start_notify(&proposer).wait_timeout(PATIENCE);
            started.map_err(|_| no_answer("a proposer"))?;
            servers.insert(pid, Server { system, router, replica: None, proposer });
        }
        let addresses: Vec<_> = servers
            .iter()
            .map(|(pid, server)| (*pid, server.system.system_path().socket_address()))
            .collect();
        for (pid, server) in &mut servers {
            for (peer, address) in addresses.iter().filter(|(peer, _)| peer != pid) {
                server.router.set_peer(*peer, *address);
            }
            let spec = ReplicaSpec::new(1, nodes.clone(), storage(*pid)?);
            let prepared = PreparedReplica::prepare(&server.system, &server.router, spec)
                .map_err(GroupError::new)?;
            prepared.subscribe(&server.proposer);
            server.replica = Some(prepared.start(&server.system).map_err(GroupError::new)?);
        }
        let mut cluster = Self { servers, leader: 0 };
        for pid in nodes {
            let (leader, told) = promise();
            cluster.tell(pid, Run::Leader(leader))?;
            cluster.leader = told.wait_timeout(PATIENCE).map_err(|_| no_answer("a leader"))?;
        }
        Ok(cluster)
    }

    fn tell(&self, pid: NodeId, run: Run) -> Result<(), GroupError> {
        let server = self.servers.get(&pid).ok_or_else(|| GroupError::new("no such server"))?;
        server.proposer.actor_ref().tell(run);
        Ok(())
    }

    /// Proposes `count` entries of `payload` bytes, `window` of them open at once.
    ///
    /// # Errors
    /// [`GroupError`] where one is not decided.
    pub fn run(
        &self,
        at: Place,
        payload: usize,
        window: u64,
        count: u64,
    ) -> Result<Outcome, GroupError> {
        let follower = self.servers.keys().copied().find(|pid| *pid != self.leader);
        let pid = match at {
            Place::Leader => self.leader,
            Place::Follower => follower.unwrap_or(self.leader),
        };
        let (done, outcome) = promise();
        self.tell(pid, Run::Propose { payload, window, count, done })?;
        let outcome = outcome.wait_timeout(PATIENCE).map_err(|_| no_answer("proposals"))?;
        outcome.map_err(GroupError)
    }

    /// Servers keep so many decided entries in memory from now on.
    ///
    /// # Errors
    /// [`GroupError`] where a server is not there.
    pub fn keep(&self, entries: u64) -> Result<(), GroupError> {
        self.servers.keys().try_for_each(|pid| self.tell(*pid, Run::Keep(entries)))
    }

    /// How often a server has followed another leader, or none, since the start.
    ///
    /// # Errors
    /// [`GroupError`] where a server does not answer.
    pub fn leader_changes(&self) -> Result<u64, GroupError> {
        let count = |pid: &NodeId| {
            let (promise, changes) = promise();
            self.tell(*pid, Run::LeaderChanges(promise))?;
            changes.wait_timeout(PATIENCE).map_err(|_| no_answer("a proposer"))
        };
        self.servers.keys().map(count).sum()
    }

    /// The round trips of all servers' heartbeats so far.
    #[must_use]
    pub fn round_trips(&self) -> RoundTripCounts {
        let replicas = self.servers.values().filter_map(|server| server.replica.as_ref());
        let round_trips = replicas.filter_map(ReplicaHandle::round_trips);
        round_trips.fold(RoundTripCounts::default(), |all, of_one| all.and(&of_one.counts()))
    }

    /// Decided entries in the logs of all servers.
    ///
    /// # Errors
    /// [`GroupError`] where a server does not answer.
    pub fn retained(&self) -> Result<Retained, GroupError> {
        let mut all = Retained::default();
        for replica in self.servers.values().filter_map(|server| server.replica.as_ref()) {
            let status = replica.client().status().wait_timeout(PATIENCE);
            let status = status.map_err(|_| no_answer("a replica"))?.map_err(GroupError::new)?;
            let entries = status.decided_index.saturating_sub(status.first_index);
            match status.pid == self.leader {
                true => all.leader += entries,
                false => all.followers += entries,
            }
        }
        Ok(all)
    }

    /// Asks the leader.
    ///
    /// # Errors
    /// [`GroupError`] where there is none.
    pub fn client(&self) -> Result<&ReplicaClient, GroupError> {
        let leader = self.servers.get(&self.leader).and_then(|server| server.replica.as_ref());
        leader.map(ReplicaHandle::client).ok_or_else(|| no_answer("the leader"))
    }

    /// The settings.
    ///
    /// # Errors
    /// [`GroupError`] where there is no server.
    pub fn config(&self) -> Result<&OmniPaxosConfig, GroupError> {
        let server = self.servers.values().next().ok_or_else(|| no_answer("a server"))?;
        Ok(server.router.config())
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`GroupError`] where a system does not end.
    pub fn stop(self) -> Result<(), GroupError> {
        for server in self.servers.into_values() {
            server.system.kill_system().map_err(GroupError::new)?;
        }
        Ok(())
    }
}
