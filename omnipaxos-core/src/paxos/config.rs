//! What a caller can set about a replica.

use super::error::StartError;
use crate::ballot::{Leader, NodeId};
use crate::quorum::Quorum;

/// Limits and timeouts of a replica. Bytes are costs: payload plus
/// [`ENTRY_OVERHEAD`](crate::storage::ENTRY_OVERHEAD) an entry. Each limit lets one entry through,
/// however large.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PaxosConfig {
    /// Quorum sizes among the servers that vote; a majority of them when `None`.
    pub quorum: Option<Quorum>,
    /// Which of the servers get the log and do not vote: this one, or some of its peers.
    pub learners: Vec<NodeId>,
    /// The leader that the StopSign before this configuration names (C5): it leads at once, without
    /// an election and a Prepare, where its storage is new. The same at each member and each start,
    /// or `None` at all of them. One that does not vote here is ignored.
    pub continued: Option<Leader>,
    /// Ticks without progress after which something is sent again. At least 1.
    pub resend_ticks: u32,
    /// Ticks after which an idle leader shows itself to its followers; a follower that hears
    /// nothing for twice as long looks for decided entries elsewhere. At least 1.
    pub keepalive_ticks: u32,
    /// Bytes of entries in one Accept or one Propose.
    pub accept_frame_bytes: u64,
    /// Bytes of entries in one Promise, AcceptSync or Learn.
    pub sync_chunk_bytes: u64,
    /// Bytes of entries on their way to one follower, and from one proposer to the leader.
    pub window_bytes: u64,
    /// Bytes of the undecided tail of the log.
    pub max_undecided_bytes: u64,
    /// Bytes of this server's proposals that are not decided yet.
    pub max_pending_bytes: u64,
    /// Bytes of one entry's payload.
    pub max_entry_bytes: u64,
    /// How far behind a replica may be for its leader to bring it up; further behind, it waits for
    /// its driver to fetch what is decided from several servers
    /// ([`Paxos::catch_up`](super::Paxos::catch_up)). `None`: its leader brings everything.
    pub catch_up: Option<CatchUpLimit>,
    /// The index from which `get_decided_entries` starts; the first retained one when `None`.
    pub read_from: Option<u64>,
}

/// How much may be lacking of what the leader has decided. Both should exceed what `window_bytes`
/// holds, or a follower that is merely busy counts as a laggard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CatchUpLimit {
    /// How many entries.
    pub entries: u64,
    /// Their cost, judged by that of the entries at hand.
    pub bytes: u64,
}

impl Default for PaxosConfig {
    fn default() -> Self {
        Self {
            quorum: None,
            learners: Vec::new(),
            continued: None,
            resend_ticks: 5,
            keepalive_ticks: 50,
            accept_frame_bytes: 32 << 10,
            sync_chunk_bytes: 256 << 10,
            window_bytes: 1 << 20,
            max_undecided_bytes: 32 << 20,
            max_pending_bytes: 32 << 20,
            max_entry_bytes: 1 << 20,
            catch_up: None,
            read_from: None,
        }
    }
}

impl PaxosConfig {
    /// The quorums of a replica with these limits, unless something about it is impossible.
    pub(super) fn check(&self, pid: NodeId, peers: &[NodeId]) -> Result<Quorum, StartError> {
        if pid == 0 || peers.contains(&0) {
            return Err(StartError::PidZero);
        }
        let twice = peers.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        if let Some(pid) = twice.or(peers.contains(&pid).then_some(pid)) {
            return Err(StartError::DuplicatePid(pid));
        }
        let limits = [
            ("resend_ticks", u64::from(self.resend_ticks)),
            ("keepalive_ticks", u64::from(self.keepalive_ticks)),
            ("accept_frame_bytes", self.accept_frame_bytes),
            ("sync_chunk_bytes", self.sync_chunk_bytes),
            ("window_bytes", self.window_bytes),
            ("max_undecided_bytes", self.max_undecided_bytes),
            ("max_pending_bytes", self.max_pending_bytes),
            ("max_entry_bytes", self.max_entry_bytes),
        ];
        if let Some((name, _)) = limits.iter().find(|(_, limit)| *limit == 0) {
            return Err(StartError::Zero(name));
        }
        let mut voters = peers.len() + 1;
        for (at, learner) in self.learners.iter().enumerate() {
            if self.learners[..at].contains(learner) {
                return Err(StartError::DuplicatePid(*learner));
            }
            if *learner != pid && !peers.contains(learner) {
                return Err(StartError::UnknownLearner(*learner));
            }
            voters -= 1;
        }
        if voters == 0 {
            return Err(StartError::NoVoter);
        }
        match self.quorum {
            Some(quorum) => Ok(Quorum::flexible(quorum.prepare(), quorum.accept(), voters)?),
            None => Ok(Quorum::majority(voters)),
        }
    }
}
