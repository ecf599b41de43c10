//! One server: a Kompact system of its own, with a directory of its own.

use crate::collector::{Collector, SharedLog};
use crate::data::CLUSTER_ID;
use crate::error::QuickstartError;
use crate::wait::wait_for;
use kompact::KompactLogger;
use kompact::prelude::{BlockingFutureExt as _, Drain as _, KompactSystem, Logger, o};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_kompact::config::OmniPaxosConfig;
use omnipaxos_kompact::durable::Engine;
use omnipaxos_kompact::network::kompact_config;
use omnipaxos_kompact::server::{PreparedServer, ServerClient, ServerHandle, ServerSpec, Start};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// A user's own file could say the same; this is all that the program needs.
fn toml() -> String {
    format!("[kompact.runtime]\nthreads = 2\n\n[omnipaxos]\ncluster-id = {CLUSTER_ID}\n")
}

/// A system that listens at a free loopback port, for a server that is not started yet.
pub(crate) struct Place {
    system: KompactSystem,
    config: OmniPaxosConfig,
}

impl Place {
    pub(crate) fn new(show_log: bool) -> Result<Self, QuickstartError> {
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
        Ok(Self { system, config })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.system.system_path().socket_address()
    }
}

/// One server of the cluster.
pub(crate) struct Server {
    pub(crate) pid: NodeId,
    pub(crate) log: SharedLog,
    system: KompactSystem,
    handle: ServerHandle,
}

impl Server {
    /// Starts a server over its storage. `others` is where servers are that may have been somewhere
    /// else in an earlier run.
    pub(crate) fn start(
        place: Place,
        engine: Engine,
        start: Start,
        others: &BTreeMap<NodeId, SocketAddr>,
    ) -> Result<Self, QuickstartError> {
        let Place { system, config } = place;
        let pid = engine.owner().pid;
        let mut spec = ServerSpec::new(pid, config, engine, start);
        for (other, address) in others.iter().filter(|(other, _)| **other != pid) {
            spec = spec.locate(*other, *address);
        }
        let prepared = PreparedServer::prepare(&system, spec)?;
        let log = SharedLog::default();
        let of_collector = log.clone();
        let collector = system.create(move || Collector::new(of_collector));
        prepared.subscribe(&collector);
        system.start(&collector);
        let handle = prepared.start()?;
        Ok(Self { pid, log, system, handle })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.handle.address()
    }

    pub(crate) fn client(&self) -> ServerClient {
        self.handle.client()
    }

    /// Kills the whole system, as a crash would: no goodbyes, nothing is flushed.
    pub(crate) fn kill(self) -> Result<(), QuickstartError> {
        let killed = self.system.kill_system();
        self.handle.release();
        killed.map_err(|e| QuickstartError::Kompact(format!("{e:?}")))
    }

    /// Ends the server in peace.
    pub(crate) fn shutdown(self) -> Result<(), QuickstartError> {
        self.handle.stop()?;
        wait_for("a shutdown", self.system.shutdown())?
            .map_err(|e| QuickstartError::Kompact(format!("{e:?}")))
    }
}
