//! Replicas over real loopback TCP, each server a Kompact system of its own.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod bad_bytes;
mod basics;
mod cluster;
mod election;
mod failures;
mod links;
mod reconfiguration;
mod recorder;
mod storage;
