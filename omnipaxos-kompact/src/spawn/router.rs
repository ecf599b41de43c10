//! The routers of one server.

use super::{PATIENCE, SpawnError, connect, wait};
use crate::components::{
    HeartbeatLane, IdentityComponent, IdentityLane, IdentityRequest, Lane, LeaderElectionComponent,
    Members, PaxosLane, Router, RouterMessage, RouterOptions, ServerLane,
};
use crate::config::OmniPaxosConfig;
use crate::counters::Counters;
use crate::identity::{Binding, MemberStore, MemoryMembers, StorageId};
use crate::ports::{HeartbeatPort, IdentityPort, PaxosPort, RouterEventPort, ServerPort};
use kompact::prelude::*;
use kompact_net::NetworkDispatcher;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::ConfigId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// The way of one server to its peers: a router each for heartbeats, for the replicas' messages and
/// for introductions, and the component that knows who is who. All configurations of the server
/// share it. Cheap to clone.
#[derive(Clone)]
pub struct RouterHandle {
    pid: NodeId,
    storage_id: StorageId,
    config: OmniPaxosConfig,
    heartbeats: RouterLane<HeartbeatLane>,
    paxos: RouterLane<PaxosLane>,
    introductions: RouterLane<IdentityLane>,
    servers: RouterLane<ServerLane>,
    identity: Arc<Component<IdentityComponent>>,
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
    /// Spawns the routers of server `pid`, whose replicas keep their storage in memory, and
    /// registers them at the system's dispatcher. Waits until they run: not to be called inside a
    /// component.
    ///
    /// Each call is a new storage. A server that is started again with what its predecessor had
    /// stored needs [`spawn_with_members`](Self::spawn_with_members), or the others refuse it.
    ///
    /// # Errors
    /// [`SpawnError`] for a wrong setting, a system without networking, or where Kompact refuses.
    pub fn spawn(
        system: &KompactSystem,
        pid: NodeId,
        config: OmniPaxosConfig,
    ) -> Result<Self, SpawnError> {
        Self::spawn_with_members(system, pid, MemoryMembers::random()?, config)
    }

    /// As [`spawn`](Self::spawn), for a server whose storage has the identity and knows the members
    /// that `members` holds.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn), and where `members` cannot be read.
    pub fn spawn_with_members(
        system: &KompactSystem,
        pid: NodeId,
        members: impl MemberStore,
        config: OmniPaxosConfig,
    ) -> Result<Self, SpawnError> {
        config.validate()?;
        let storage_id = members.storage_id();
        let component =
            IdentityComponent::new(pid, Box::new(members), config.introduction_period())
                .map_err(SpawnError::MemberStore)?;
        let options = RouterOptions { pid, storage_id, config };
        let heartbeats = RouterLane::spawn(system, options.clone())?;
        let paxos = RouterLane::spawn(system, options.clone())?;
        let introductions = RouterLane::spawn(system, options.clone())?;
        let servers = RouterLane::<ServerLane>::spawn(system, options.clone())?;
        servers.listen(system, ServerLane::anybody(options.config.cluster_id))?;
        let gated = vec![heartbeats.router.actor_ref(), paxos.router.actor_ref()];
        let identity = system.create(move || component.gates(gated));
        connect::<IdentityPort, _, _>(&introductions.router, &identity);
        connect::<RouterEventPort, _, _>(&heartbeats.router, &identity);
        connect::<RouterEventPort, _, _>(&paxos.router, &identity);
        wait(system.start_notify(&identity), "starting the identity component")?;
        let config = options.config;
        Ok(Self { pid, storage_id, config, heartbeats, paxos, introductions, servers, identity })
    }

    /// This server.
    #[must_use]
    pub fn pid(&self) -> NodeId {
        self.pid
    }

    /// This server's storage.
    #[must_use]
    pub fn storage_id(&self) -> StorageId {
        self.storage_id
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
        self.introductions.tell(RouterMessage::SetPeer { pid, address });
        self.servers.tell(RouterMessage::SetPeer { pid, address });
    }

    /// Forgets a server: nothing goes to it or is taken from it any more.
    pub fn remove_peer(&self, pid: NodeId) {
        self.heartbeats.tell(RouterMessage::RemovePeer { pid });
        self.paxos.tell(RouterMessage::RemovePeer { pid });
        self.introductions.tell(RouterMessage::RemovePeer { pid });
        self.servers.tell(RouterMessage::RemovePeer { pid });
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

    /// What became of messages about who is who.
    #[must_use]
    pub fn identity_counters(&self) -> &Counters {
        &self.introductions.counters
    }

    /// What became of messages between servers.
    #[must_use]
    pub fn server_counters(&self) -> &Counters {
        &self.servers.counters
    }

    /// Connects a component that speaks with other servers, strangers among them.
    pub fn connect_server<C>(&self, server: &Arc<Component<C>>)
    where
        C: ComponentDefinition + Require<ServerPort> + RequireRef<ServerPort> + 'static,
    {
        connect::<ServerPort, _, _>(&self.servers.router, server);
    }

    /// Connects a component that wants to know of messages that no replica here wants.
    pub fn subscribe<C>(&self, subscriber: &Arc<Component<C>>)
    where
        C: ComponentDefinition + Require<RouterEventPort> + RequireRef<RouterEventPort> + 'static,
    {
        connect::<RouterEventPort, _, _>(&self.paxos.router, subscriber);
        connect::<RouterEventPort, _, _>(&self.introductions.router, subscriber);
    }

    /// What this server durably knows of the others' storages.
    #[must_use]
    pub fn bindings(&self) -> BTreeMap<NodeId, Binding> {
        self.identity.on_definition(|identity| identity.bindings())
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

    /// A configuration runs here. Its messages come and go once all of its servers have introduced
    /// themselves to each other, and from then on at once, also after restarts.
    ///
    /// # Errors
    /// [`SpawnError::Timeout`] where a component does not answer.
    pub fn register(&self, config_id: ConfigId, nodes: &[NodeId]) -> Result<(), SpawnError> {
        self.register_as(config_id, nodes.to_vec(), Members::Nodes(nodes.to_vec()))
    }

    /// As [`register`](Self::register), where the storages of all members are a decided fact: they
    /// need not introduce themselves.
    ///
    /// # Errors
    /// [`SpawnError::Members`] where this server is not the one that is meant, or knows a member
    /// with another storage; [`SpawnError::Timeout`] where a component does not answer.
    pub fn register_members(
        &self,
        config_id: ConfigId,
        members: &BTreeMap<NodeId, StorageId>,
    ) -> Result<(), SpawnError> {
        let nodes = members.keys().copied().collect();
        let registered = self.register_as(config_id, nodes, Members::Decided(members.clone()));
        if registered.is_err() {
            self.unregister(config_id);
        }
        registered
    }

    fn register_as(
        &self,
        config_id: ConfigId,
        nodes: Vec<NodeId>,
        members: Members,
    ) -> Result<(), SpawnError> {
        // The routers first: they are told where this server stands.
        self.heartbeats.register(config_id, nodes.clone())?;
        self.paxos.register(config_id, nodes.clone())?;
        self.introductions.register(config_id, nodes)?;
        let (done, registered) = promise();
        self.identity.actor_ref().tell(IdentityRequest::Register { config_id, members, done });
        wait(registered, "registering a configuration")??;
        Ok(())
    }

    /// Drops the messages of a configuration from now on.
    pub fn unregister(&self, config_id: ConfigId) {
        self.heartbeats.tell(RouterMessage::Unregister { config_id });
        self.paxos.tell(RouterMessage::Unregister { config_id });
        self.introductions.tell(RouterMessage::Unregister { config_id });
        self.identity.actor_ref().tell(IdentityRequest::Unregister { config_id });
    }

    /// Ends the routers, and what records whom they know. Replicas that still use them are cut off.
    pub fn stop(self, system: &KompactSystem) {
        for done in [
            system.kill_notify(self.identity),
            system.kill_notify(self.heartbeats.router),
            system.kill_notify(self.paxos.router),
            system.kill_notify(self.introductions.router),
            system.kill_notify(self.servers.router),
        ] {
            // One that is dead already does not answer; there is nothing else to do.
            let _ = done.wait_timeout(PATIENCE);
        }
    }
}

impl<L: Lane> RouterLane<L> {
    fn spawn(system: &KompactSystem, options: RouterOptions) -> Result<Self, SpawnError> {
        let counters = Counters::default();
        let alias = RouterOptions::alias::<L>(options.config.cluster_id, options.pid);
        let of_router = counters.clone();
        let (router, registered) =
            system.create_and_register(move || Router::<L>::new(options, of_router));
        wait(registered, "registering a router")?
            .map_err(|e| SpawnError::Registration(format!("{e:?}")))?;
        let lane = Self { router, counters };
        lane.listen(system, alias)?;
        let router = &lane.router;
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
        wait(system.start_notify(router), "starting a router")?;
        Ok(lane)
    }

    /// Lets the router be reached under an alias. One of a router that was stopped stays until its
    /// successor takes it over.
    fn listen(&self, system: &KompactSystem, alias: Vec<String>) -> Result<(), SpawnError> {
        let registered = system.update_alias_registration(&self.router, alias.join("/"));
        wait(registered, "registering a router's alias")?
            .map_err(|e| SpawnError::Registration(format!("{e:?}")))
            .map(|_| ())
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
