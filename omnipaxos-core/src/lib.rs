//! Omni-Paxos without I/O.

mod ballot;
pub mod leader_election;
pub mod paxos;
mod quorum;
pub mod storage;

pub use quorum::{Quorum, QuorumError};
