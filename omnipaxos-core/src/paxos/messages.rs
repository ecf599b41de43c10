//! The messages of Sequence Paxos. docs/PROTOCOL.md has the table: who sends which, when, and what
//! must be durable first.

use crate::ballot::{Ballot, NodeId};
use crate::storage::{ConfigId, Records};
use serde::{Deserialize, Serialize};

/// Counts the Prepare attempts of one leader to one peer within one ballot. Whatever follows from
/// an attempt echoes its number, so that a late duplicate of an earlier attempt is recognised.
pub type SyncSession = u64;

/// A message between two replicas of one configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// The configuration both replicas belong to.
    pub config_id: ConfigId,
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// What it says.
    pub body: Body,
}

/// What a message says. Rare and large ones are boxed: the others are moved a lot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Body {
    /// Leader to peer (L1).
    Prepare(Box<Prepare>),
    /// Follower to leader (F1).
    Promise(Box<Promise>),
    /// Leader to follower (L2, L3).
    AcceptSync(Box<AcceptSync>),
    /// Follower to leader: the next part of an AcceptSync.
    SyncRequest(SyncRequest),
    /// Leader to follower (L4).
    Accept(Accept),
    /// Follower to leader (F2, F3).
    Accepted(Accepted),
    /// Leader to follower (L5).
    Decide(Decide),
    /// Anyone to anyone: whoever leads shall send a Prepare (R1, R2, R3).
    PrepareReq(PrepareReq),
    /// Follower to the leader of an older round (R4).
    Refuse(Refuse),
    /// Anyone to anyone: decided entries, please (D1).
    LearnRequest(LearnRequest),
    /// The answer to a LearnRequest (D1).
    Learn(Learn),
    /// Proposals on their way to the leader.
    Propose(Propose),
    /// A suspect replica to anyone (S1).
    RecoverRequest(RecoverRequest),
    /// The answer to a RecoverRequest (S2).
    RecoverReply(RecoverReply),
}

/// Asks a peer to promise round `n`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Prepare {
    /// The leader's ballot.
    pub n: Ballot,
    /// The attempt.
    pub s: SyncSession,
    /// The leader's accepted round.
    pub accepted_round: Ballot,
    /// The length of the leader's log.
    pub len: u64,
    /// The leader's decided index.
    pub decided: u64,
    /// Where the suffix shall start when the leader asks for the next part of one.
    pub suffix_from: Option<u64>,
}

/// Promises round `n`, and shows what the leader may lack.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Promise {
    /// The promised ballot.
    pub n: Ballot,
    /// The attempt that is answered.
    pub s: SyncSession,
    /// The follower's accepted round.
    pub accepted_round: Ballot,
    /// The length of the follower's log.
    pub len: u64,
    /// The follower's decided index.
    pub decided: u64,
    /// A round in which all entries below `decided` were already chosen.
    pub decided_round: Ballot,
    /// Where `suffix` starts.
    pub start: u64,
    /// As much of the follower's log from `start` on as fits a sync chunk.
    pub suffix: Records,
    /// The follower's storage is suspect: it wants to be synchronised, but its promise does not
    /// count (S3).
    pub recovering: bool,
}

/// Brings a promised follower to the leader's log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AcceptSync {
    /// The leader's ballot.
    pub n: Ballot,
    /// The attempt.
    pub s: SyncSession,
    /// Whether this is the first part. A later one continues what the follower has fetched in this
    /// attempt, and means nothing to one that has forgotten that.
    pub first: bool,
    /// Where `suffix` starts. In the first part: how far the follower's log can be trusted.
    pub start: u64,
    /// A part of the leader's log that fits a sync chunk.
    pub suffix: Records,
    /// The length of the leader's log: once the follower has as much as the first part says, it has
    /// accepted round `n`.
    pub end: u64,
    /// The leader's decided index.
    pub decided: u64,
}

/// Asks for the part of an AcceptSync that starts at `from`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SyncRequest {
    /// The leader's ballot.
    pub n: Ballot,
    /// The attempt.
    pub s: SyncSession,
    /// The first index that the follower lacks.
    pub from: u64,
}

/// New entries, in the order of the leader's log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Accept {
    /// The leader's ballot.
    pub n: Ballot,
    /// The attempt.
    pub s: SyncSession,
    /// The index of the first entry.
    pub start: u64,
    /// The entries.
    pub entries: Records,
    /// The leader's decided index.
    pub decided: u64,
    /// What all members have decided, as far as the leader knows: the log may be trimmed below.
    pub decided_by_all: u64,
}

/// The follower has durably accepted the leader's log up to `len`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Accepted {
    /// The accepted round.
    pub n: Ballot,
    /// The attempt.
    pub s: SyncSession,
    /// The length of the follower's log.
    pub len: u64,
    /// The follower's durable decided index.
    pub decided: u64,
    /// Something between was lost (R3): send again from `len` on.
    pub gap: bool,
}

/// All entries below `decided` are decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decide {
    /// The leader's ballot.
    pub n: Ballot,
    /// The attempt.
    pub s: SyncSession,
    /// The leader's decided index.
    pub decided: u64,
    /// What all members have decided, as far as the leader knows: the log may be trimmed below.
    pub decided_by_all: u64,
    /// Answer with an Accepted.
    pub answer: bool,
}

/// Asks whoever leads for a Prepare.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PrepareReq {
    /// The sender's promised ballot: a leader of an older round cannot help it.
    pub promised: Ballot,
}

/// Tells the leader of round `n` that a higher one was promised.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Refuse {
    /// The round that is refused.
    pub n: Ballot,
    /// The sender's promised ballot.
    pub promised: Ballot,
}

/// Asks for decided entries from `from` on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LearnRequest {
    /// The sender's decided index.
    pub from: u64,
}

/// Decided entries; may come from anyone who has them decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Learn {
    /// The index of the first entry.
    pub start: u64,
    /// Entries, all of them decided, as many as fit a sync chunk.
    pub entries: Records,
    /// The donor's decided index.
    pub decided: u64,
    /// A round in which all of them were already chosen.
    pub decided_round: Ballot,
}

/// Proposals of one or more proposers, on their way to the leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Propose {
    /// The proposals.
    pub proposals: Records,
    /// How many more servers may pass them on.
    pub hops: u8,
}

/// Asks a peer which round it has promised: the sender has lost what it promised itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RecoverRequest {
    /// Names this question of the sender for ever; later questions have higher ones.
    pub nonce: u64,
}

/// Answers a RecoverRequest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RecoverReply {
    /// The question that is answered.
    pub nonce: u64,
    /// The highest round that the sender has promised.
    pub promised: Ballot,
    /// Where the sender leads that round: its Prepare attempt to the receiver, begun after the
    /// question was asked.
    pub attempt: Option<SyncSession>,
    /// Where the sender's storage is suspect, too: since which of its sessions.
    pub suspect_session: Option<u64>,
}

impl Message {
    /// Moves the records out of this message and leaves none: a codec can then write the payloads
    /// as one blob, and give them back with [`put_records`](Self::put_records).
    pub fn take_records(&mut self) -> Option<Records> {
        self.body.records_mut().map(std::mem::take)
    }

    /// Puts records back into a message of a kind that has some; `false` where it has none.
    pub fn put_records(&mut self, records: Records) -> bool {
        match self.body.records_mut() {
            Some(place) => {
                *place = records;
                true
            }
            None => false,
        }
    }
}

impl Body {
    fn records_mut(&mut self) -> Option<&mut Records> {
        match self {
            Body::Promise(m) => Some(&mut m.suffix),
            Body::AcceptSync(m) => Some(&mut m.suffix),
            Body::Accept(m) => Some(&mut m.entries),
            Body::Learn(m) => Some(&mut m.entries),
            Body::Propose(m) => Some(&mut m.proposals),
            Body::Prepare(_)
            | Body::SyncRequest(_)
            | Body::Accepted(_)
            | Body::Decide(_)
            | Body::PrepareReq(_)
            | Body::Refuse(_)
            | Body::LearnRequest(_)
            | Body::RecoverRequest(_)
            | Body::RecoverReply(_) => None,
        }
    }

    /// The message's name, as in docs/PROTOCOL.md, logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Body::Prepare(_) => "Prepare",
            Body::Promise(_) => "Promise",
            Body::AcceptSync(_) => "AcceptSync",
            Body::SyncRequest(_) => "SyncRequest",
            Body::Accept(_) => "Accept",
            Body::Accepted(_) => "Accepted",
            Body::Decide(_) => "Decide",
            Body::PrepareReq(_) => "PrepareReq",
            Body::Refuse(_) => "Refuse",
            Body::LearnRequest(_) => "LearnRequest",
            Body::Learn(_) => "Learn",
            Body::Propose(_) => "Propose",
            Body::RecoverRequest(_) => "RecoverRequest",
            Body::RecoverReply(_) => "RecoverReply",
        }
    }
}
