//! What the cores cost: omnipaxos-core, the crate `omnipaxos` and the crate `raft`, each with all
//! its servers in one thread, storage in memory, and messages handed over as they are.
//!
//! A server's messages are taken and delivered until nothing is left to deliver; then the next
//! window of proposals is made. Nothing is encoded, nobody waits for anything: what is measured is
//! the library alone, with a harness around it that is the same for all. What is measured, and how,
//! is in docs/PERFORMANCE.md.

pub mod args;
pub mod cluster;
pub mod count;
pub mod group;
pub mod guard;
pub mod idle;
pub mod omnipaxos_crate;
pub mod ours;
pub mod raft_crate;
pub mod row;
pub mod speed;
pub mod sync;
pub mod trims;
pub mod workload;
