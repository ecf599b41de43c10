//! The components: who runs the core, who talks to the network, and what wakes them.

mod election;
mod gate;
mod health;
mod identity;
mod replica;
mod round_trips;
mod router;

pub use election::LeaderElectionComponent;
pub(crate) use gate::{Gate, PROPOSAL_OVERHEAD, Permit};
pub use health::ReplicaHealth;
pub use identity::{IdentityComponent, IdentityRequest, Members};
pub use replica::{
    FlushMode, Outcome, Proposal, Propose, Read, ReadRecords, Reconfigure, ReplicaComponent,
    ReplicaMessage, ReplicaOptions, ReplicaStatus, Trim,
};
pub use round_trips::{RoundTripCounts, RoundTrips};
pub use router::{
    HeartbeatLane, IdentityLane, Lane, PaxosLane, Router, RouterMessage, RouterOptions, ServerLane,
};
