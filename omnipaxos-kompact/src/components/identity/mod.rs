//! Who is who, for all configurations of one server: a [`Handshake`] with a clock, a network and a
//! store.

mod recorder;

use super::router::RouterMessage;
use crate::counters::LogGate;
use crate::identity::{
    Admission, Binding, Handshake, IdentityMessage, MemberStore, MembersError, Output, StorageId,
};
use crate::ports::{IdentityPort, LinkIndication, RouterEvent, RouterEventPort};
use kompact::prelude::*;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::{ConfigId, StorageError};
use recorder::Recorder;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Introduces this server to the members of its configurations, and opens each configuration at the
/// routers once they all know each other.
#[derive(ComponentDefinition)]
pub struct IdentityComponent {
    ctx: ComponentContext<Self>,
    network: RequiredPort<IdentityPort>,
    events: RequiredPort<RouterEventPort>,
    handshake: Handshake,
    pid: NodeId,
    /// Until the recorder has it.
    store: Option<Box<dyn MemberStore>>,
    recorder: Option<Recorder>,
    /// The routers of the gated lanes.
    routers: Vec<ActorRef<RouterMessage>>,
    repeat: Duration,
    foreign: LogGate,
    ignored: LogGate,
}

/// What an [`IdentityComponent`] is told.
#[derive(Debug)]
#[non_exhaustive]
pub enum IdentityRequest {
    /// A configuration runs here from now on.
    Register {
        /// The configuration.
        config_id: ConfigId,
        /// Its servers.
        members: Members,
        /// Fulfilled once it is done, and the routers know where this server stands.
        done: KPromise<Result<(), MembersError>>,
    },
    /// A configuration no longer runs here.
    Unregister {
        /// The configuration.
        config_id: ConfigId,
    },
    /// From the recorder: a binding is durable, or could not be recorded.
    Recorded(NodeId, Binding, Result<(), StorageError>),
}

/// The servers of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// They introduce themselves to each other.
    Nodes(Vec<NodeId>),
    /// Their storages are a decided fact.
    Decided(BTreeMap<NodeId, StorageId>),
}

impl IdentityComponent {
    /// The identities of server `pid`, kept in `store`; introductions are repeated each `repeat`.
    ///
    /// # Errors
    /// [`StorageError`] where the store cannot be read.
    pub fn new(
        pid: NodeId,
        store: Box<dyn MemberStore>,
        repeat: Duration,
    ) -> Result<Self, StorageError> {
        let handshake = Handshake::new(pid, store.storage_id(), store.bindings()?);
        Ok(Self {
            ctx: ComponentContext::uninitialised(),
            network: RequiredPort::uninitialised(),
            events: RequiredPort::uninitialised(),
            handshake,
            pid,
            store: Some(store),
            recorder: None,
            routers: Vec::new(),
            repeat,
            foreign: LogGate::default(),
            ignored: LogGate::default(),
        })
    }

    /// The routers that are told where this server stands: those of the gated lanes.
    #[must_use]
    pub fn gates(mut self, routers: Vec<ActorRef<RouterMessage>>) -> Self {
        self.routers = routers;
        self
    }

    /// What this server durably knows of the others' storages.
    #[must_use]
    pub fn bindings(&self) -> BTreeMap<NodeId, Binding> {
        self.handshake.recorded_bindings().clone()
    }

    fn schedule_tick(&mut self) {
        let repeat = self.repeat;
        self.schedule_once(repeat, |this, _| {
            this.schedule_tick();
            this.handshake.tick();
            this.work_off();
            Handled::OK
        });
    }

    fn register(&mut self, config_id: ConfigId, members: Members) -> Result<(), MembersError> {
        match members {
            Members::Nodes(nodes) => self.handshake.register(config_id, &nodes),
            Members::Decided(members) => self.handshake.register_members(config_id, &members)?,
        }
        self.work_off();
        Ok(())
    }

    fn work_off(&mut self) {
        loop {
            let outputs = self.handshake.take_outputs();
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                self.work(output);
            }
        }
    }

    fn work(&mut self, output: Output) {
        match output {
            Output::Send(message) => self.network.trigger(vec![message]),
            Output::Record(pid, binding) => {
                let recorded = match &self.recorder {
                    Some(recorder) => recorder.record(pid, binding),
                    None => Err(recorder::cannot_record("the component does not run")),
                };
                if let Err(e) = recorded {
                    self.handshake.record_failed(e);
                }
            }
            Output::Admission(config_id, admission) => self.admit(config_id, admission),
            Output::Foreign { pid, presented, bound } => {
                if let Some(suppressed) = self.foreign.admit(Instant::now()) {
                    warn!(
                        self.log(), "server refused: its storage is not the one known here";
                        "pid" => self.pid, "peer" => pid, "presented" => %presented,
                        "known" => %bound, "suppressed" => suppressed
                    );
                }
            }
            Output::RefusalIgnored(refusal) => {
                if let Some(suppressed) = self.ignored.admit(Instant::now()) {
                    warn!(
                        self.log(), "refusal ignored: the member has confirmed this server before";
                        "pid" => self.pid, "peer" => refusal.by, "suppressed" => suppressed
                    );
                }
            }
        }
    }

    fn admit(&mut self, config_id: ConfigId, admission: Admission) {
        let pid = self.pid;
        match &admission {
            Admission::Waiting { peers } => debug!(
                self.log(), "waits for members to know each other";
                "pid" => pid, "config_id" => config_id, "peers" => ?peers
            ),
            Admission::Open => info!(
                self.log(), "takes part"; "pid" => pid, "config_id" => config_id
            ),
            Admission::Refused(refusal) => error!(
                self.log(), "refused";
                "pid" => pid, "config_id" => config_id, "reason" => %refusal
            ),
            Admission::Failed(e) => error!(
                self.log(), "members cannot be recorded";
                "pid" => pid, "config_id" => config_id, "reason" => %e
            ),
        }
        for router in &self.routers {
            let members = self.handshake.members(config_id);
            let admission = admission.clone();
            router.tell(RouterMessage::Admit { config_id, admission, members });
        }
    }
}

impl ComponentLifecycle for IdentityComponent {
    fn on_start(&mut self) -> HandlerResult {
        if let Some(store) = self.store.take() {
            let name = format!("members-{}", self.pid);
            match Recorder::start(name, store, self.ctx.actor_ref()) {
                Ok(recorder) => self.recorder = Some(recorder),
                Err(e) => self.handshake.record_failed(e),
            }
        }
        self.schedule_tick();
        self.work_off();
        Handled::OK
    }

    fn on_kill(&mut self) -> HandlerResult {
        if let Some(recorder) = self.recorder.take() {
            recorder.stop();
        }
        Handled::OK
    }
}

impl Actor for IdentityComponent {
    type Message = IdentityRequest;

    fn receive_local(&mut self, request: IdentityRequest) -> HandlerResult {
        match request {
            IdentityRequest::Register { config_id, members, done } => {
                let registered = self.register(config_id, members);
                // Whoever waits may have given up meanwhile.
                let _ = done.fulfil(registered);
            }
            IdentityRequest::Unregister { config_id } => self.handshake.unregister(config_id),
            IdentityRequest::Recorded(pid, binding, Ok(())) => {
                self.handshake.recorded(pid, binding);
                self.work_off();
            }
            IdentityRequest::Recorded(_, _, Err(e)) => {
                self.handshake.record_failed(e);
                self.work_off();
            }
        }
        Handled::OK
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        // The router speaks to the network; this component has no path that others could know.
        Handled::OK
    }
}

impl Require<IdentityPort> for IdentityComponent {
    fn handle(&mut self, indication: LinkIndication<IdentityMessage>) -> HandlerResult {
        if let LinkIndication::Message(message) = indication {
            self.handshake.handle_message(message);
            self.work_off();
        }
        Handled::OK
    }
}

impl Require<RouterEventPort> for IdentityComponent {
    fn handle(&mut self, event: RouterEvent) -> HandlerResult {
        if let RouterEvent::ForeignStorage { config_id, from, presented } = event {
            self.handshake.foreign(config_id, from, presented);
            self.work_off();
        }
        Handled::OK
    }
}
