//! Servers, their uplinks, and the clients, in virtual time.

use super::RunError;
use super::agenda::{Agenda, MILLISECOND};
use super::client::Clients;
use super::preload::{FIRST, LEADER, Preload};
use super::server::{Server, Settings};
use super::uplink::{Purpose, Sent, Uplink};
use super::wire::Wire;
use omnipaxos_core::configurations::Configuration;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::paxos::Reconfiguration;
use omnipaxos_core::storage::ConfigId;
use std::collections::BTreeMap;

/// The network.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// Bytes a second of each server's uplink.
    pub bytes_per_second: u64,
    /// Nanoseconds until what has left it arrives.
    pub delay: u64,
    /// Nanoseconds of a tick.
    pub tick: u64,
    /// Nanoseconds for which clients go on without answers.
    pub patience: u64,
}

/// All of it.
#[derive(Debug)]
pub struct World {
    agenda: Agenda<Event>,
    network: Network,
    servers: BTreeMap<NodeId, Server>,
    uplinks: BTreeMap<NodeId, Uplink>,
    /// The clients.
    pub clients: Clients,
    /// How many proposals they make in a millisecond.
    load: u64,
    /// When each new server's replica was first in sync with a leader.
    votes: BTreeMap<NodeId, u64>,
}

#[derive(Debug)]
enum Event {
    Tick(NodeId),
    Deliver(Wire),
    Propose,
}

impl World {
    /// The members of the first configuration, which have the preload, and servers that stand by.
    ///
    /// # Errors
    /// [`RunError`] where a server does not start.
    pub fn new(
        network: Network,
        preload: &Preload,
        members: &[NodeId],
        newcomers: &[NodeId],
        settings: &Settings,
    ) -> Result<Self, RunError> {
        let first = Configuration::first(FIRST, members.to_vec());
        let mut servers = BTreeMap::new();
        for pid in members {
            let server = Server::member(*pid, first.clone(), preload, settings.clone())?;
            servers.insert(*pid, server);
        }
        for pid in newcomers {
            servers.insert(*pid, Server::newcomer(*pid, settings.clone())?);
        }
        let uplink = Uplink::new(network.bytes_per_second, network.delay);
        let uplinks = servers.keys().map(|pid| (*pid, uplink.clone())).collect();
        let mut agenda = Agenda::new();
        let count = servers.len() as u64;
        for (at, pid) in servers.keys().enumerate() {
            // Clocks are out of step.
            agenda.push(network.tick * at as u64 / count, Event::Tick(*pid));
        }
        agenda.push(0, Event::Propose);
        let (clients, votes) = (Clients::new(preload.entries()), BTreeMap::new());
        Ok(Self { agenda, network, servers, uplinks, clients, load: 0, votes })
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.agenda.now()
    }

    /// From now on clients make so many proposals in a millisecond.
    pub fn load(&mut self, load: u64) {
        self.load = load;
    }

    /// Only `pid` answers servers that migrate.
    pub fn only_donor(&mut self, pid: NodeId) {
        let others = self.servers.iter_mut().filter(|(other, _)| **other != pid);
        others.for_each(|(_, server)| server.refuse());
    }

    /// A server.
    #[must_use]
    pub fn server(&self, pid: NodeId) -> Option<&Server> {
        self.servers.get(&pid)
    }

    /// All servers.
    pub fn servers(&self) -> impl Iterator<Item = (NodeId, &Server)> {
        self.servers.iter().map(|(pid, server)| (*pid, server))
    }

    /// What this server has sent so far.
    #[must_use]
    pub fn sent(&self, pid: NodeId) -> Sent {
        self.uplinks.get(&pid).map_or_else(Sent::default, Uplink::sent)
    }

    /// When the replica of the second configuration of each server was first in sync with a leader.
    #[must_use]
    pub fn votes(&self) -> &BTreeMap<NodeId, u64> {
        &self.votes
    }

    /// The leader is asked to go on with these servers.
    ///
    /// # Errors
    /// [`RunError`] where it refuses.
    pub fn reconfigure(&mut self, nodes: &[NodeId]) -> Result<(), RunError> {
        let server = self.servers.get_mut(&LEADER).ok_or_else(|| RunError::new("no leader"))?;
        let node = server.node(FIRST).ok_or_else(|| RunError::new("no replica"))?;
        let next = Reconfiguration::from(nodes.to_vec());
        node.paxos.propose_reconfiguration(next).map_err(RunError::new)?;
        server.settle(FIRST)?;
        self.after(LEADER)
    }

    /// Goes on until `time`.
    ///
    /// # Errors
    /// [`RunError`] where a server failed.
    pub fn run_until(&mut self, time: u64) -> Result<(), RunError> {
        while self.agenda.now() < time {
            self.step()?;
        }
        Ok(())
    }

    /// Does what comes next.
    ///
    /// # Errors
    /// [`RunError`] where a server failed.
    pub fn step(&mut self) -> Result<(), RunError> {
        match self.agenda.pop() {
            None => Ok(()),
            Some(Event::Tick(pid)) => {
                self.agenda.push(self.now() + self.network.tick, Event::Tick(pid));
                if let Some(server) = self.servers.get_mut(&pid) {
                    server.tick()?;
                }
                self.after(pid)
            }
            Some(Event::Deliver(wire)) => {
                let (_, to) = wire.ends();
                if let Some(server) = self.servers.get_mut(&to) {
                    server.handle(wire)?;
                }
                self.after(to)
            }
            Some(Event::Propose) => {
                self.agenda.push(self.now() + MILLISECOND, Event::Propose);
                self.clients.want(self.load, self.load * self.network.patience / MILLISECOND);
                self.after(LEADER)
            }
        }
    }

    /// What follows an input into a server.
    fn after(&mut self, pid: NodeId) -> Result<(), RunError> {
        let now = self.agenda.now();
        let Some(server) = self.servers.get_mut(&pid) else { return Ok(()) };
        if pid == LEADER {
            for config_id in [FIRST, SECOND] {
                let Some(node) = server.node(config_id) else { continue };
                self.clients.hear(now, config_id, node);
                self.clients.propose(config_id, node)?;
                server.settle(config_id)?;
                let Some(node) = server.node(config_id) else { continue };
                self.clients.hear(now, config_id, node);
            }
        }
        if !self.votes.contains_key(&pid) && server.votes(SECOND) {
            self.votes.insert(pid, now);
        }
        let Some(uplink) = self.uplinks.get_mut(&pid) else { return Ok(()) };
        for wire in server.take_out() {
            let purpose = match &wire {
                Wire::Server(_) => Purpose::Change,
                Wire::Paxos(_) | Wire::Heartbeat(_) => Purpose::Replication,
            };
            let arrives = uplink.send(now, wire.bytes()?, purpose);
            self.agenda.push(arrives, Event::Deliver(wire));
        }
        Ok(())
    }
}

/// The configuration after the first one.
pub const SECOND: ConfigId = FIRST + 1;
