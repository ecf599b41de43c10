//! Replicas over real loopback TCP, each server a Kompact system of its own.

mod bad_bytes;
mod basics;
pub(crate) mod cluster;
mod election;
mod failures;
mod identity;
mod links;
mod lost_directory;
mod reconfiguration;
pub(crate) mod recorder;
mod storage;
