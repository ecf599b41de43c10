//! A member that lags far behind catches up: how long it takes, and what memory it takes.
//!
//! Each measurement runs in a process of its own ([`step`]), so that its peak is its own. In one
//! thread, beside the crate `omnipaxos`, it is [`lag`]; over TCP
//! and on real disks it is [`tcp`].

pub mod lag;
pub mod memory;
mod node;
mod ours;
mod reader;
pub mod servers;
pub mod step;
pub mod tcp;
mod theirs;
