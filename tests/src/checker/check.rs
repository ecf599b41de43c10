//! What is stated, and what a violation looks like.

use std::fmt;

/// What a checker states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Only proposed entries are decided, under their own identity (SC1).
    OnlyProposed,
    /// A proposal is decided once at most.
    AtMostOnce,
    /// Proposals of one proposer are decided in its order, without gaps.
    ProposerOrder,
    /// Decided logs are prefixes of one log, over all time (SC2).
    OneLog,
    /// Nothing follows a decided StopSign.
    NothingAfterStopSign,
    /// What was handed out is still there after a restart (SC3).
    NeverShrinks,
    /// A ballot is led by one incarnation of one server.
    OneLeaderPerBallot,
    /// In one round, an index has one value.
    OneValuePerRound,
    /// A server that has answered a round answers no lower one, also after restarts.
    PromiseKept,
    /// A server whose last flush is missing accepts nothing before it has recovered, and its
    /// promises say so.
    VotesOnlySound,
    /// A promise answers a Prepare that its owner sent.
    AnswersPrepare,
    /// What a message says is on the sender's medium when it leaves.
    DurableFirst,
    /// What is decided is on the media of an accept quorum.
    QuorumDurable,
    /// Each prepare quorum's media lead a new leader to all that is decided.
    Recoverable,
    /// Nothing is trimmed before all members have it decided durably.
    TrimmedLate,
    /// A replica starts, and a server says so, only where all earlier logs are, durably: complete,
    /// and equal to what was decided byte for byte.
    CompleteLogs,
    /// What is said and done about a configuration is durably known before.
    HistoryFirst,
    /// A server retires once a quorum of the newest configuration has what came before it.
    RetiredLate,
    /// What was acknowledged as decided is decided there.
    Acknowledged,
    /// A proposal is dropped only when the sealed log lacks it.
    DroppedRightly,
    /// Each proposal of a live session has an outcome in the end, exactly one.
    NeverLost,
    /// A register on top of the log is linearizable.
    Linearizable,
    /// A healed quorum-connected core decides new proposals within the bound.
    Liveness,
    /// No server finds an honest peer's message impossible.
    HonestPeers,
    /// No replica halts without a storage fault.
    NoHalt,
    /// The core panics nowhere.
    NoPanic,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What was violated, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which check found it.
    pub check: Check,
    /// What it saw.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.detail)
    }
}
