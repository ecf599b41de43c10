//! One server: a Kompact system with a router and, per configuration, a replica.

use crate::collector::{Collector, Log, SharedLog};
use crate::data::CLUSTER_ID;
use crate::error::QuickstartError;
use crate::wait::wait_for;
use kompact::KompactLogger;
use kompact::prelude::{BlockingFutureExt as _, Drain as _, KompactSystem, Logger, o};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::{ConfigId, Entry, StopSign};
use omnipaxos_kompact::config::OmniPaxosConfig;
use omnipaxos_kompact::durable::{DurableSequence, DurableState, Engine};
use omnipaxos_kompact::network::kompact_config;
use omnipaxos_kompact::ports::ReadFailure;
use omnipaxos_kompact::spawn::{
    PreparedReplica, ReplicaClient, ReplicaHandle, ReplicaSpec, RouterHandle,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// A user's own file could say the same; this is all that the program needs.
fn toml() -> String {
    format!("[kompact.runtime]\nthreads = 2\n\n[omnipaxos]\ncluster-id = {CLUSTER_ID}\n")
}

/// One server of the cluster.
pub(crate) struct Server {
    pub(crate) pid: NodeId,
    pub(crate) log: SharedLog,
    system: KompactSystem,
    router: RouterHandle,
    engine: Engine,
    replicas: BTreeMap<ConfigId, ReplicaHandle<DurableSequence, DurableState>>,
}

impl Server {
    /// Starts a server over its storage, on a free loopback port. `earlier` is what configurations
    /// before the present one have decided.
    pub(crate) fn start(
        engine: Engine,
        earlier: Log,
        show_log: bool,
    ) -> Result<Self, QuickstartError> {
        let pid = engine.owner().pid;
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut kompact = kompact_config(listen, &toml())?;
        if !show_log {
            let nowhere = slog_async::Async::default(slog::Discard);
            let logger: KompactLogger = Logger::root_typed(Arc::new(nowhere.fuse()), o!());
            kompact.logger(logger);
        }
        let system =
            kompact.build().wait().map_err(|e| QuickstartError::Kompact(format!("{e:?}")))?;
        let config = OmniPaxosConfig::from_config(system.config())?;
        let members = engine.members()?;
        let router = RouterHandle::spawn_with_members(&system, pid, members, config)?;
        let (log, replicas) = (SharedLog::of(earlier), BTreeMap::new());
        Ok(Self { pid, log, system, router, engine, replicas })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.system.system_path().socket_address()
    }

    /// Tells where the other servers are.
    pub(crate) fn meet(&self, servers: &BTreeMap<NodeId, Server>) {
        for peer in servers.values().filter(|peer| peer.pid != self.pid) {
            self.router.set_peer(peer.pid, peer.address());
        }
    }

    /// Runs this server's replica of a configuration, and collects what it decides.
    pub(crate) fn join(
        &mut self,
        config_id: ConfigId,
        nodes: &[NodeId],
    ) -> Result<(), QuickstartError> {
        let storage = self.engine.storage(config_id)?;
        let spec = ReplicaSpec::new(config_id, nodes.to_vec(), storage);
        let prepared = PreparedReplica::prepare(&self.system, &self.router, spec)?;
        let log = self.log.clone();
        let collector = self.system.create(move || Collector::new(log));
        prepared.subscribe(&collector);
        self.system.start(&collector);
        self.replicas.insert(config_id, prepared.start(&self.system)?);
        Ok(())
    }

    /// Fetches the sealed log of configuration `config_id` from a donor, part by part. (A server
    /// component will do this by itself, from several donors at once.)
    pub(crate) fn fetch(&self, donor: &Server, config_id: ConfigId) -> Result<(), QuickstartError> {
        let failed = |source| QuickstartError::Fetch { donor: donor.pid, source };
        let client = donor.client(config_id).map_err(|e| failed(ReadFailure::from(e)))?;
        let mut from = 0;
        loop {
            let answer = client.read_decided(from, u64::MAX);
            let batch = wait_for("the old log", answer)?.map_err(failed)?;
            from += batch.entries.len() as u64;
            let mut log = self.log.lock();
            for entry in batch.entries.iter() {
                match entry {
                    Entry::Normal(data) => log.entries.push((config_id, data.clone())),
                    Entry::StopSign(stop_sign) => {
                        let at = log.entries.len();
                        log.stop_signs.push((at, Arc::new((**stop_sign).clone())));
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Asks the replica of a configuration.
    pub(crate) fn client(
        &self,
        config_id: ConfigId,
    ) -> Result<&ReplicaClient, omnipaxos_kompact::ports::Stopped> {
        let replica = self.replicas.get(&config_id);
        replica.map(ReplicaHandle::client).ok_or(omnipaxos_kompact::ports::Stopped)
    }

    /// The newest configuration here, and whom its replica follows.
    pub(crate) fn leader(&self) -> Result<(ConfigId, Option<NodeId>), QuickstartError> {
        let Some((config_id, replica)) = self.replicas.last_key_value() else {
            return Ok((0, None));
        };
        let status = wait_for("a replica's status", replica.client().status())??;
        Ok((*config_id, status.leader))
    }

    /// Whether the log of configuration `config_id` is sealed; `None` while its end is undecided.
    pub(crate) fn is_over(&self, config_id: ConfigId) -> Result<Option<bool>, QuickstartError> {
        let status = wait_for("a replica's status", self.client(config_id)?.status())??;
        let settled = status.decided_index == status.log_len;
        Ok(settled.then_some(status.stop_sign.is_some()))
    }

    /// The StopSign that ended configuration `config_id`, if it is decided here.
    pub(crate) fn stop_sign(&self, config_id: ConfigId) -> Option<Arc<StopSign>> {
        let log = self.log.lock();
        log.stop_signs.iter().map(|(_, ss)| ss).find(|ss| ss.config_id == config_id + 1).cloned()
    }

    /// Kills the whole system, as a crash would: no goodbyes, nothing is flushed.
    pub(crate) fn kill(self) -> Result<(), QuickstartError> {
        let killed = self.system.kill_system();
        killed.map_err(|e| QuickstartError::Kompact(format!("{e:?}")))
    }

    /// Ends the server in peace.
    pub(crate) fn shutdown(self) -> Result<(), QuickstartError> {
        for replica in self.replicas.into_values() {
            replica.stop(&self.system)?;
        }
        self.router.stop(&self.system);
        wait_for("a shutdown", self.system.shutdown())?
            .map_err(|e| QuickstartError::Kompact(format!("{e:?}")))
    }
}
