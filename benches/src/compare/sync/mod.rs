//! A member that lags far behind catches up: how long it takes, and what memory it takes.
//!
//! Each measurement runs in a process of its own ([`step`]), so that its peak is its own. In one
//! thread, beside the crate `omnipaxos`, it is [`lag`].

pub mod lag;
pub mod memory;
mod ours;
pub mod servers;
pub mod step;
mod theirs;
