//! Kompact components around [`omnipaxos_core`]: a replicated log over TCP.
//!
//! A server is a Kompact system with networking, a router for each kind of traffic, a component
//! that knows [who is who](identity), and a replica with its leader election for each configuration
//! that runs there:
//!
//! ```text
//!            your component
//!       DecidedPort │ or ReplicaClient
//!               ┌───┴─────┐ LeaderElectionPort ┌──────────┐
//!               │ replica ├────────────────────┤ election │
//!               └───┬─────┘                    └────┬─────┘
//!        PaxosPort  │                HeartbeatPort  │
//!               ┌───┴─────┐                    ┌────┴─────┐
//!               │ router  │                    │  router  │   one of each lane per server
//!               └───┬─────┘                    └────┬─────┘
//!                   └───────── kompact-net ─────────┘
//! ```
//!
//! # Embedding it
//!
//! Here three servers share a process, for the sake of the example. Each of yours does what the
//! body of the first loop does.
//!
//! ```
//! use kompact::prelude::{BlockingFutureExt, KompactSystem};
//! use omnipaxos_core::paxos::ProposalOutcome;
//! use omnipaxos_core::storage::{MemorySequence, MemoryState, Storage};
//! use omnipaxos_kompact::config::OmniPaxosConfig;
//! use omnipaxos_kompact::network::build_system;
//! use omnipaxos_kompact::spawn::{ReplicaHandle, ReplicaSpec, RouterHandle};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let toml = r#"
//!     [omnipaxos]
//!     cluster-id = 42
//!     election-timeout = "200 ms"
//! "#;
//! let mut servers = Vec::new();
//! for pid in 1..=3 {
//!     let system = build_system("127.0.0.1:0".parse()?, toml)?;
//!     let config = OmniPaxosConfig::from_config(system.config())?;
//!     let router = RouterHandle::spawn(&system, pid, config)?;
//!     let storage = Storage::with(MemorySequence::new(), MemoryState::new());
//!     let spec = ReplicaSpec::new(1, vec![1, 2, 3], storage);
//!     let replica = ReplicaHandle::spawn(&system, &router, spec)?;
//!     servers.push((system, router, replica));
//! }
//! // Where the others are may be told at any time.
//! for (_, router, _) in &servers {
//!     for (system, peer, _) in &servers {
//!         if peer.pid() != router.pid() {
//!             router.set_peer(peer.pid(), system.system_path().socket_address());
//!         }
//!     }
//! }
//! let client = servers[0].2.client().clone();
//! assert_eq!(client.propose("hello").wait()?, ProposalOutcome::Decided(0));
//! let batch = client.read_decided(0, 1).wait()?;
//! assert_eq!(batch.entries[0], "hello".into());
//! # for (system, ..) in servers { system.kill_system()?; }
//! # Ok(())
//! # }
//! ```
//!
//! Futures are Kompact's: `.await` them inside a component or any executor, or wait for them with
//! `BlockingFutureExt`.
//!
//! # Starting a server again
//!
//! The three above begin to decide once they know each other: which storage speaks in the name of
//! which pid. A server that is started again needs that knowledge as much as its log:
//! [`spawn_with_members`](spawn::RouterHandle::spawn_with_members) takes it. To the others a server
//! without it is one that lost its disk and forgot what it promised. They refuse it, it takes no
//! part, and its replica [says so](identity::Admission::Refused).
//!
//! # Following the log
//!
//! A component that requires [`ports::DecidedPort`] is told every decided entry, in order:
//!
//! ```no_run
//! use kompact::prelude::*;
//! use omnipaxos_kompact::ports::{DecidedPort, ReplicaEvent};
//!
//! #[derive(ComponentDefinition)]
//! struct Application {
//!     ctx: ComponentContext<Self>,
//!     decided: RequiredPort<DecidedPort>,
//! }
//! # impl ComponentLifecycle for Application {}
//! # impl Actor for Application {
//! #     type Message = Never;
//! #     fn receive_local(&mut self, message: Never) -> HandlerResult { match message {} }
//! #     fn receive_network(&mut self, _: NetMessage) -> HandlerResult { Handled::OK }
//! # }
//!
//! impl Require<DecidedPort> for Application {
//!     fn handle(&mut self, event: ReplicaEvent) -> HandlerResult {
//!         match event {
//!             ReplicaEvent::Decided(batch) => {
//!                 for (index, payload) in (batch.first_index..).zip(batch.entries.iter()) {
//!                     info!(self.log(), "decided"; "index" => index, "bytes" => payload.len());
//!                 }
//!             }
//!             ReplicaEvent::StopSign { stop_sign, .. } => {
//!                 info!(self.log(), "over"; "next" => stop_sign.config_id);
//!             }
//!             _ => {}
//!         }
//!         Handled::OK
//!     }
//! }
//! ```
//!
//! To miss nothing, [prepare](spawn::PreparedReplica::prepare) the replica,
//! [subscribe](spawn::PreparedReplica::subscribe), and then [start](spawn::PreparedReplica::start)
//! it. A late [subscriber](spawn::ReplicaHandle::subscribe) learns the index from which its
//! indications start, and [reads](spawn::ReplicaClient::read_decided) what is below.
//!
//! # Another leader election
//!
//! Any component that provides [`ports::LeaderElectionPort`] can take the place of ours: see
//! [`spawn::PreparedReplica::prepare_with_election`].
//!
//! # What the network must be
//!
//! Packets are neither encrypted nor authenticated: let only the cluster's servers reach the port.
//! Never build with `panic = "abort"`: kompact-net panics on some bytes that anybody can send, and
//! recovers only where panics unwind.

mod chunks;
pub mod components;
pub mod config;
pub mod counters;
#[cfg(feature = "durable")]
pub mod durable;
pub mod identity;
pub mod network;
pub mod ports;
pub mod server;
pub mod spawn;
pub mod timer;
pub mod wire;

/// The README's example compiles and runs.
#[cfg(all(doctest, feature = "durable"))]
#[doc = include_str!("../../README.md")]
struct Readme;
