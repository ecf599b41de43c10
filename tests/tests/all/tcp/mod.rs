//! Replicas over real loopback TCP, each server a Kompact system of its own.

mod bad_bytes;
mod basics;
mod cluster;
mod election;
mod failures;
mod identity;
mod links;
mod lost_directory;
mod reconfiguration;
mod recorder;
mod storage;
