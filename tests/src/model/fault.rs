//! Faults that are planted from outside the core, to show that the properties notice them.

use super::state::Disk;
use omnipaxos_core::Quorum;
use omnipaxos_core::paxos::{Body, Message, NodeId, PaxosConfig};
use omnipaxos_core::storage::{PaxosState, Records};

/// Something that must not happen, and that Sequence Paxos is not made to survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Each Accepted claims one entry more than its sender has.
    ForgedAccepted,
    /// Each Promise says that its sender has accepted nothing.
    ForgedPromise,
    /// A crash takes back what the server promised.
    LostPromise,
    /// Flushes are reported as done and never reach the disk.
    LyingFlush,
    /// Server 1 decides on its own, while the others still prepare with a majority.
    LonelyQuorum,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ForgedAccepted,
        Self::ForgedPromise,
        Self::LostPromise,
        Self::LyingFlush,
        Self::LonelyQuorum,
    ];

    /// What becomes of a message on its way.
    pub(super) fn tamper(self, mut message: Message) -> Message {
        match (self, &mut message.body) {
            (Self::ForgedAccepted, Body::Accepted(m)) => m.len += 1,
            (Self::ForgedPromise, Body::Promise(m)) => {
                m.accepted_round = m.accepted_round.min(Default::default());
                (m.len, m.start, m.suffix) = (m.decided, m.decided, Records::default());
            }
            _ => {}
        }
        message
    }

    /// What a crash leaves, of a disk that should hold `disk`.
    pub(super) fn crash(self, mut disk: Disk) -> Disk {
        match self {
            Self::LostPromise => {
                if let Ok(Some(mut state)) = disk.state.load() {
                    state.promised = state.accepted_round.max(state.decided_round);
                    // A disk in memory cannot fail.
                    let _ = disk.state.store(&state);
                }
                disk
            }
            Self::LyingFlush => Disk::default(),
            Self::ForgedAccepted | Self::ForgedPromise | Self::LonelyQuorum => disk,
        }
    }

    /// How `pid` is set up.
    pub(super) fn configure(self, pid: NodeId, config: &mut PaxosConfig) {
        if self == Self::LonelyQuorum && pid == 1 {
            config.quorum = Quorum::flexible(3, 1, 3).ok();
        }
    }
}
