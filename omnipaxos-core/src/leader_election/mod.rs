//! Ballot Leader Election: who should lead, judged by connectivity alone.
//!
//! Each server asks all others in rounds whether they are there. One that gets answers from a
//! quorum is *quorum-connected*, and only such a server may lead. No log is compared, no vote is
//! cast, and nobody repeats what others said about a leader: that is why a leader is found under
//! partial connectivity, wherever one can be. The lines B1 to B5 and LE1 to LE3 are those of
//! docs/PROTOCOL.md.

mod config;
mod election;
mod messages;
mod peer;
#[cfg(test)]
mod tests;
mod view;
mod wish;

pub use crate::ballot::{Ballot, Leader, NodeId};
pub use config::{ElectionConfig, ElectionError};
pub use election::BallotLeaderElection;
pub use messages::{Heartbeat, HeartbeatError, HeartbeatMessage};
