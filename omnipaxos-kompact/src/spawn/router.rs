//! The routers of one server.

use super::{PATIENCE, SpawnError, connect, wait};
use crate::components::{
    HeartbeatLane, Lane, LeaderElectionComponent, PaxosLane, Router, RouterMessage, RouterOptions,
};
use crate::config::OmniPaxosConfig;
use crate::counters::Counters;
use crate::ports::{HeartbeatPort, PaxosPort, RouterEventPort};
use kompact::prelude::*;
use kompact_net::NetworkDispatcher;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::ConfigId;
use std::net::SocketAddr;
use std::sync::Arc;

/// The way of one server to its peers: one router for heartbeats, one for the replicas' messages.
/// All configurations of the server share it. Cheap to clone.
#[derive(Clone)]
pub struct RouterHandle {
    pid: NodeId,
    config: OmniPaxosConfig,
    heartbeats: RouterLane<HeartbeatLane>,
    paxos: RouterLane<PaxosLane>,
}

struct RouterLane<L: Lane> {
    router: Arc<Component<Router<L>>>,
    counters: Counters,
}

impl<L: Lane> Clone for RouterLane<L> {
    fn clone(&self) -> Self {
        Self { router: Arc::clone(&self.router), counters: self.counters.clone() }
    }
}

impl RouterHandle {
    /// Spawns the routers of server `pid` and registers them at the system's dispatcher. Waits
    /// until they run: not to be called inside a component.
    ///
    /// # Errors
    /// [`SpawnError`] for a wrong setting, a system without networking, or where Kompact refuses.
    pub fn spawn(
        system: &KompactSystem,
        pid: NodeId,
        config: OmniPaxosConfig,
    ) -> Result<Self, SpawnError> {
        config.validate()?;
        let options = RouterOptions { pid, config };
        let heartbeats = RouterLane::spawn(system, options.clone())?;
        let paxos = RouterLane::spawn(system, options.clone())?;
        Ok(Self { pid, config: options.config, heartbeats, paxos })
    }

    /// This server.
    #[must_use]
    pub fn pid(&self) -> NodeId {
        self.pid
    }

    /// The settings that all replicas of this server share.
    #[must_use]
    pub fn config(&self) -> &OmniPaxosConfig {
        &self.config
    }

    /// Tells where a server is, now or at any later time; replaces an earlier address.
    pub fn set_peer(&self, pid: NodeId, address: SocketAddr) {
        self.heartbeats.tell(RouterMessage::SetPeer { pid, address });
        self.paxos.tell(RouterMessage::SetPeer { pid, address });
    }

    /// Forgets a server: nothing goes to it or is taken from it any more.
    pub fn remove_peer(&self, pid: NodeId) {
        self.heartbeats.tell(RouterMessage::RemovePeer { pid });
        self.paxos.tell(RouterMessage::RemovePeer { pid });
    }

    /// What became of messages between elections.
    #[must_use]
    pub fn heartbeat_counters(&self) -> &Counters {
        &self.heartbeats.counters
    }

    /// What became of messages between replicas.
    #[must_use]
    pub fn paxos_counters(&self) -> &Counters {
        &self.paxos.counters
    }

    /// Connects a component that wants to know of messages that no replica here wants.
    pub fn subscribe<C>(&self, subscriber: &Arc<Component<C>>)
    where
        C: ComponentDefinition + Require<RouterEventPort> + RequireRef<RouterEventPort> + 'static,
    {
        connect::<RouterEventPort, _, _>(&self.paxos.router, subscriber);
    }

    /// Connects an election to its peers.
    pub fn connect_election(&self, election: &Arc<Component<LeaderElectionComponent>>) {
        connect::<HeartbeatPort, _, _>(&self.heartbeats.router, election);
    }

    /// Connects a replica to its peers.
    pub fn connect_replica<C>(&self, replica: &Arc<Component<C>>)
    where
        C: ComponentDefinition + Require<PaxosPort> + RequireRef<PaxosPort> + 'static,
    {
        connect::<PaxosPort, _, _>(&self.paxos.router, replica);
    }

    /// Lets the messages of a configuration in.
    ///
    /// # Errors
    /// [`SpawnError::Timeout`] where a router does not answer.
    pub fn register(&self, config_id: ConfigId, nodes: &[NodeId]) -> Result<(), SpawnError> {
        self.heartbeats.register(config_id, nodes.to_vec())?;
        self.paxos.register(config_id, nodes.to_vec())
    }

    /// Drops the messages of a configuration from now on.
    pub fn unregister(&self, config_id: ConfigId) {
        self.heartbeats.tell(RouterMessage::Unregister { config_id });
        self.paxos.tell(RouterMessage::Unregister { config_id });
    }

    /// Ends both routers. Replicas that still use them are cut off.
    pub fn stop(self, system: &KompactSystem) {
        for done in
            [system.kill_notify(self.heartbeats.router), system.kill_notify(self.paxos.router)]
        {
            // A router that is dead already does not answer; there is nothing else to do.
            let _ = done.wait_timeout(PATIENCE);
        }
    }
}

impl<L: Lane> RouterLane<L> {
    fn spawn(system: &KompactSystem, options: RouterOptions) -> Result<Self, SpawnError> {
        let counters = Counters::default();
        let alias = RouterOptions::alias::<L>(options.config.cluster_id, options.pid).join("/");
        let of_router = counters.clone();
        let (router, registered) =
            system.create_and_register(move || Router::<L>::new(options, of_router));
        wait(registered, "registering a router")?
            .map_err(|e| SpawnError::Registration(format!("{e:?}")))?;
        // An alias of a router that was stopped stays until its successor takes it over.
        wait(system.update_alias_registration(&router, alias), "registering a router's alias")?
            .map_err(|e| SpawnError::Registration(format!("{e:?}")))?;
        let mut connected = false;
        system.with_dispatcher_definition(|dispatcher| {
            if let Some(network) = dispatcher.downcast_mut::<NetworkDispatcher>() {
                router.on_definition(|r| {
                    biconnect_ports(network.network_status_port(), r.network_port());
                });
                connected = true;
            }
        });
        if !connected {
            return Err(SpawnError::NoNetwork);
        }
        wait(system.start_notify(&router), "starting a router")?;
        Ok(Self { router, counters })
    }

    fn tell(&self, message: RouterMessage) {
        self.router.actor_ref().tell(message);
    }

    fn register(&self, config_id: ConfigId, nodes: Vec<NodeId>) -> Result<(), SpawnError> {
        let (done, registered) = promise();
        self.tell(RouterMessage::Register { config_id, nodes, done });
        wait(registered, "registering a configuration")
    }
}
