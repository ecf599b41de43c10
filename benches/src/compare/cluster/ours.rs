//! Three of our servers, in one process, over loopback TCP.

use super::load::{Proposer, Run};
use super::system;
use super::{Outcome, PATIENCE, no_answer};
use crate::compare::group::{GroupError, Place};
use kompact::prelude::*;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::{PaxosState, Sequence, Storage};
use omnipaxos_kompact::config::OmniPaxosConfig;
use omnipaxos_kompact::spawn::{PreparedReplica, ReplicaHandle, ReplicaSpec, RouterHandle};
use std::collections::BTreeMap;
use std::sync::Arc;

const NODES: [NodeId; 3] = [1, 2, 3];

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
        mut storage: impl FnMut(NodeId) -> Result<Storage<S, P>, GroupError>,
    ) -> Result<Self, GroupError> {
        let mut servers = BTreeMap::new();
        for pid in NODES {
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
            let spec = ReplicaSpec::new(1, NODES.to_vec(), storage(*pid)?);
            let prepared = PreparedReplica::prepare(&server.system, &server.router, spec)
                .map_err(GroupError::new)?;
            prepared.subscribe(&server.proposer);
            server.replica = Some(prepared.start(&server.system).map_err(GroupError::new)?);
        }
        let mut cluster = Self { servers, leader: 0 };
        for pid in NODES {
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
        let follower = NODES.iter().copied().find(|pid| *pid != self.leader);
        let pid = match at {
            Place::Leader => self.leader,
            Place::Follower => follower.unwrap_or(self.leader),
        };
        let (done, outcome) = promise();
        self.tell(pid, Run::Propose { payload, window, count, done })?;
        let outcome = outcome.wait_timeout(PATIENCE).map_err(|_| no_answer("proposals"))?;
        outcome.map_err(GroupError)
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
