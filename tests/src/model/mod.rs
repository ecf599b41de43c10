//! Model checking: all interleavings of a small world, on the unmodified core.
//!
//! A [`State`] holds the real replicas, their disks, and every message ever sent. [`World`] says
//! what can happen next; `stateright` explores it breadth first, so a run to depth `n` has seen
//! every state that `n` steps can reach. docs/TESTING.md says how the world is kept small.

mod coverage;
mod fault;
mod network;
mod properties;
mod run;
mod scope;
mod shared;
mod state;
mod steps;

pub use coverage::{Coverage, Event};
pub use fault::Fault;
pub use run::{Bounds, Outcome, Progress, explore};
pub use scope::{Proposal, Scope, What, normal};
pub use shared::Shared;
pub use state::{Disk, History, Replica, Server, State, Written};
pub use steps::{Action, Input, World};
