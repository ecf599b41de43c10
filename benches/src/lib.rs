//! Partial connectivity in virtual time: the same clocks, delays, clients and faults drive
//! omnipaxos-core, the crate `omnipaxos` and the crate `raft`, one after the other.
//!
//! A run is a function of its seed: nothing there reads a clock or rolls dice of its own. What is
//! measured, and how each library is set up, is in docs/PERFORMANCE.md.
//!
//! [`durable`] is another measurement: commits to a real disk. [`compare`] is what the cores cost,
//! [`reconfiguration`] how members are changed,
//! [`scale`] how speed depends on servers, entries and proposers.

pub mod cluster;
pub mod compare;
pub mod dice;
pub mod durable;
pub mod experiment;
pub mod history;
pub mod library;
pub mod links;
pub mod output;
pub mod peer;
pub mod peers;
pub mod queue;
pub mod reconfiguration;
pub mod report;
pub mod scale;
pub mod scenario;
pub mod summary;
pub mod units;
