//! The same changes over real TCP: each server is a process in a network namespace of its own,
//! whose uplink the kernel shapes.
//!
//! The program starts itself again for each server; what they say to each other over standard input
//! and output is in [`talk`].

pub mod case;
pub mod cluster;
pub mod namespaces;
pub mod serve;
pub mod storage;
pub mod talk;
pub mod user;
