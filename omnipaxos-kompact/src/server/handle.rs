//! From a Kompact system to a running server.

use super::client::ServerClient;
use super::component::ServerComponent;
use super::driver::{Driver, Parts};
use super::error::ServerStartError;
use super::messages::Input;
use super::port::LogPort;
use super::spec::ServerSpec;
use super::store::ServerStorage;
use crate::components::Gate;
use crate::spawn::{RouterHandle, SpawnError, wait};
use kompact::prelude::*;
use omnipaxos_core::leader_election::NodeId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

/// A server that is wired but does not run yet: subscribe now, and nothing is missed.
pub struct PreparedServer<E: ServerStorage> {
    driver: Driver<E>,
    handle: Running,
}

/// A server that runs. Dropping it leaves the server running.
pub struct ServerHandle {
    running: Running,
    thread: JoinHandle<()>,
}

struct Running {
    system: KompactSystem,
    server: Arc<Component<ServerComponent>>,
    router: RouterHandle,
    inputs: Sender<Input>,
    /// How much of its clients' proposals may wait for the component.
    gate: Gate,
}

impl<E: ServerStorage> PreparedServer<E> {
    /// Reads what is on disk, and spawns the server's routers and its component. Not to be called
    /// inside a component.
    ///
    /// # Errors
    /// [`ServerStartError`].
    pub fn prepare(system: &KompactSystem, spec: ServerSpec<E>) -> Result<Self, ServerStartError> {
        let (pid, config, pace) = (spec.pid, spec.config.clone(), spec.pace);
        let members = spec.storage.members()?;
        let pending = config.max_pending;
        let router = RouterHandle::spawn_with_members(system, pid, members, config)?;
        let (inputs, received) = channel();
        let of_component = inputs.clone();
        let server = system.create(move || ServerComponent::new(pid, of_component, pending, pace));
        let parts = Parts {
            system: system.clone(),
            router: router.clone(),
            server: Arc::clone(&server),
            inputs: received,
        };
        let driver = match Driver::prepare(spec, parts) {
            Ok(driver) => driver,
            Err(error) => {
                router.stop(system);
                return Err(error);
            }
        };
        router.connect_server(&server);
        router.subscribe(&server);
        let gate = Gate::new(pending);
        let handle = Running { system: system.clone(), server, router, inputs, gate };
        Ok(Self { driver, handle })
    }

    /// Connects a subscriber, whose indications start with the global index that the
    /// [specification](ServerSpec::deliver_from) says.
    pub fn subscribe<C>(&self, subscriber: &Arc<Component<C>>)
    where
        C: ComponentDefinition + Require<LogPort> + RequireRef<LogPort> + 'static,
    {
        self.handle.subscribe(subscriber);
    }

    /// Lets the server run.
    ///
    /// # Errors
    /// [`ServerStartError`] where its component does not start, or there is no thread for it.
    pub fn start(self) -> Result<ServerHandle, ServerStartError> {
        let Self { driver, handle } = self;
        wait(handle.system.start_notify(&handle.server), "starting a server")?;
        let thread = std::thread::Builder::new()
            .name(format!("server-{}", handle.router.pid()))
            .spawn(move || driver.run())
            .map_err(|e| ServerStartError::NoThread(e.to_string()))?;
        Ok(ServerHandle { running: handle, thread })
    }
}

impl ServerHandle {
    /// Prepares and starts a server. Not to be called inside a component.
    ///
    /// # Errors
    /// [`ServerStartError`].
    pub fn spawn<E: ServerStorage>(
        system: &KompactSystem,
        spec: ServerSpec<E>,
    ) -> Result<Self, ServerStartError> {
        PreparedServer::prepare(system, spec)?.start()
    }

    /// This server.
    #[must_use]
    pub fn pid(&self) -> NodeId {
        self.running.router.pid()
    }

    /// Where its system listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.system.system_path().socket_address()
    }

    /// The routers of this server, for their counters.
    #[must_use]
    pub fn router(&self) -> &RouterHandle {
        &self.running.router
    }

    /// Asks this server: proposals, reads, changes of membership, status.
    #[must_use]
    pub fn client(&self) -> ServerClient {
        ServerClient::new(self.running.server.actor_ref(), self.running.gate.clone())
    }

    /// Connects a subscriber while the server runs; returns the global index from which on its
    /// indications will start. What is below can be [read](ServerClient::read).
    ///
    /// Not to be called inside `subscriber`.
    pub fn subscribe<C>(&self, subscriber: &Arc<Component<C>>) -> u64
    where
        C: ComponentDefinition + Require<LogPort> + RequireRef<LogPort> + 'static,
    {
        self.running.subscribe(subscriber)
    }

    /// Stops the server: its replicas, its routers, and its component. Its storage is free
    /// afterwards. Not to be called inside a component.
    ///
    /// # Errors
    /// [`SpawnError::Timeout`] where the component does not end.
    pub fn stop(self) -> Result<(), SpawnError> {
        let Self { running, thread } = self;
        // A thread that is gone has stopped before.
        let _ = running.inputs.send(Input::Stop);
        let _ = thread.join();
        wait(running.system.kill_notify(running.server), "stopping a server")
    }

    /// Gives the storage of a server free whose system was killed.
    pub fn release(self) {
        let Self { running, thread } = self;
        let _ = running.inputs.send(Input::Release);
        let _ = thread.join();
    }
}

impl Running {
    fn subscribe<C>(&self, subscriber: &Arc<Component<C>>) -> u64
    where
        C: ComponentDefinition + Require<LogPort> + RequireRef<LogPort> + 'static,
    {
        let provided = self.server.on_definition(ProvideRef::<LogPort>::provided_ref);
        let required = subscriber.on_definition(|c| {
            c.connect_to_provided(provided);
            c.required_ref()
        });
        self.server.on_definition(|server| server.subscribe(required))
    }
}
