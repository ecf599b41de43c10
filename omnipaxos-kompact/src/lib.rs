//! Kompact components around `omnipaxos-core`: a replicated log over TCP.

pub mod components;
pub mod config;
pub mod counters;
pub mod network;
pub mod ports;
pub mod spawn;
pub mod wire;
