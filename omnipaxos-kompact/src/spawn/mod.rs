//! From a Kompact system to a running replica in a few calls.

mod client;
mod replica;
mod router;

pub use client::{Answer, ReplicaClient};
pub use replica::{PreparedReplica, ReplicaHandle, ReplicaSpec, StopError};
pub use router::RouterHandle;

use crate::config::ConfigError;
use crate::identity::{MembersError, NoRandomness};
use kompact::prelude::*;
use omnipaxos_core::leader_election::{ElectionError, NodeId};
use omnipaxos_core::paxos::StartError;
use omnipaxos_core::storage::{ConfigId, StorageError};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Why a router or a replica could not be spawned.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The replica could not start, for instance because its storage could not be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The election could not start.
    #[error(transparent)]
    Election(#[from] ElectionError),
    /// This server is no member of the configuration.
    #[error("server {pid} is no member of configuration {config_id}")]
    NotMember {
        /// This server.
        pid: NodeId,
        /// The configuration.
        config_id: ConfigId,
    },
    /// The Kompact system has no network of kompact-net: see [`crate::network`].
    #[error("the Kompact system was built without networking")]
    NoNetwork,
    /// The members that were given are not those that this server knows, or it is not the one that
    /// is meant.
    #[error(transparent)]
    Members(#[from] MembersError),
    /// What this server knows of the others could not be read.
    #[error("whom this server knows cannot be read: {0}")]
    MemberStore(#[source] StorageError),
    /// No storage id could be drawn.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// Kompact refused to register a router.
    #[error("the router could not be registered: {0}")]
    Registration(String),
    /// A component did not answer in time.
    #[error("{what} took longer than {PATIENCE:?}")]
    Timeout {
        /// What was waited for.
        what: &'static str,
    },
}

/// How long to wait for a component to start, stop or answer. Far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn wait<T: Send>(future: KFuture<T>, what: &'static str) -> Result<T, SpawnError> {
    future.wait_timeout(PATIENCE).map_err(|_| SpawnError::Timeout { what })
}

/// Connects two components whether they run or not. Kompact's own way fails where one of them is
/// busy at that moment.
fn connect<P, A, B>(provider: &Arc<Component<A>>, requirer: &Arc<Component<B>>)
where
    P: Port + 'static,
    A: ComponentDefinition + Provide<P> + ProvideRef<P> + 'static,
    B: ComponentDefinition + Require<P> + RequireRef<P> + 'static,
{
    let required = requirer.on_definition(RequireRef::<P>::required_ref);
    let provided = provider.on_definition(|p| {
        ProvideRef::<P>::connect_to_required(p, required);
        ProvideRef::<P>::provided_ref(p)
    });
    requirer.on_definition(|r| RequireRef::<P>::connect_to_provided(r, provided));
}
