//! One adapter for each library.

mod omnipaxos_crate;
mod ours;
mod raft_crate;

pub use omnipaxos_crate::OmniPaxosPeer;
pub use ours::OurPeer;
pub use raft_crate::{RaftMode, RaftPeer};

use crate::peer::NodeId;

/// All servers but `pid`.
fn others(pid: NodeId, servers: u64) -> Vec<NodeId> {
    (1..=servers).filter(|other| *other != pid).collect()
}
