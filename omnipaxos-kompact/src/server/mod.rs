//! A server: one log across all configurations, and everything that happens to its members.
//!
//! [`ServerHandle::spawn`] puts one into a Kompact system. It runs the replica of each
//! configuration that it is a member of, fetches what it lacks from the others, hands over from one
//! configuration to the next, and stops what nobody needs any more. Its user sees one log: the
//! events of [`LogPort`] have a global index without gaps or repeats, and
//! [proposals](ServerClient::propose) are decided in whichever configuration they meet. The
//! membership changes by [one call](ServerClient) to any member, and a new server
//! [joins](Start::Join) by itself.
//!
//! ```
//! use kompact::prelude::BlockingFutureExt;
//! use omnipaxos_kompact::config::OmniPaxosConfig;
//! use omnipaxos_kompact::network::build_system;
//! use omnipaxos_kompact::server::{MemoryServer, ServerHandle, ServerSpec};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut servers: Vec<(_, ServerHandle)> = Vec::new();
//! for pid in 1..=3 {
//!     let system = build_system("127.0.0.1:0".parse()?, "")?;
//!     let (config, storage) = (OmniPaxosConfig::default(), MemoryServer::new()?);
//!     // The first one begins a cluster; the others join it, wherever they run.
//!     let spec = match servers.first() {
//!         None => ServerSpec::bootstrap(pid, config, storage),
//!         Some((_, first)) => ServerSpec::join(pid, config, storage, first.address()),
//!     };
//!     let server = ServerHandle::spawn(&system, spec)?;
//!     servers.push((system, server));
//! }
//! // Held until there is somebody to decide it, and decided in any configuration.
//! servers[2].1.client().propose("hello").wait()?;
//! # for (system, server) in servers { system.kill_system()?; server.release(); }
//! # Ok(())
//! # }
//! ```
//!
//! A component of Kompact's speaks for the server, and a thread does whatever may block: Kompact's
//! threads never wait for a disk.

mod change;
mod client;
mod component;
mod driver;
mod error;
#[cfg(feature = "durable")]
mod force;
mod handle;
mod held;
mod messages;
mod port;
mod spec;
mod store;
mod stream;

pub use change::{Change, Seat};
pub use client::ServerClient;
pub use component::ServerComponent;
pub use error::{ChangeError, LogReadError, ProposalError, ServerHalted, ServerStartError};
#[cfg(feature = "durable")]
pub use force::{ForceError, Forced, force_configuration};
pub use handle::{PreparedServer, ServerHandle};
pub use messages::{
    Changed, FromDriver, LogSlice, ProposeData, ReadLog, ServerRequest, ServerStatus,
};
pub use port::{LogBatch, LogPort, LogRequest, ServerEvent};
pub use spec::{ServerSpec, Start};
pub use store::{MemoryServer, ServerStorage};
pub use stream::Cursor;
