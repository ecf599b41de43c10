//! S1-S4: how a replica whose storage is suspect gets its vote back (docs/PROTOCOL.md, "Suspect
//! storage").
//!
//! Its last flush may be missing, and with it a promise or an acceptance that others count on. So
//! it asks every other member which round that one has promised, and then follows only a leader of
//! such a round or a later one, in an attempt that was begun after the loss.

use super::messages::{Body, RecoverReply, RecoverRequest, SyncSession};
use super::replica::{Fault, Replica};
use super::{Paxos, Role};
use crate::ballot::{Ballot, NodeId};
use crate::storage::{PaxosState, Sequence};
use std::collections::BTreeMap;

/// What a replica that [recovers](Paxos::is_recovering) waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecoveryStage {
    /// The answers of these members. One that is gone for good has to be replaced by a
    /// reconfiguration: this replica votes in the next configuration, whatever becomes of this one.
    Asking {
        /// Who has not answered.
        missing: Vec<NodeId>,
    },
    /// So many members are suspect at once that what was chosen may be nowhere any more: only the
    /// operator can help
    /// ([`Storage::trust_suspect`](crate::storage::Storage::trust_suspect)).
    QuorumSuspect {
        /// The suspect members, this one among them.
        suspects: Vec<NodeId>,
    },
    /// A leader of this round or a later one, which is to synchronise it.
    Leader {
        /// The highest round that any member has promised.
        bound: Ballot,
    },
}

/// What a suspect replica has found out since it started. All of it is volatile: after a restart it
/// asks again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Recovery {
    /// The present question.
    nonce: u64,
    /// What was answered to it.
    answers: BTreeMap<NodeId, Answer>,
    /// Peers that said that they are suspect, and since which of their sessions.
    suspects: BTreeMap<NodeId, u64>,
    /// The highest round of all answers, once they are complete.
    bound: Option<Ballot>,
    /// The highest round whose leader has answered, and from which attempt on it knew of the loss.
    fresh: Option<(Ballot, SyncSession)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Answer {
    promised: Ballot,
    suspect: bool,
}

impl Recovery {
    /// Sessions are begun once, so their questions have names that were never used.
    pub(super) fn new(session: u64) -> Self {
        Self {
            nonce: session << 32,
            answers: BTreeMap::new(),
            suspects: BTreeMap::new(),
            bound: None,
            fresh: None,
        }
    }

    /// Whether attempt `s` of round `n` may synchronise this replica (S3). That `n` is not below
    /// the bound is checked like any promise: the bound is promised.
    pub(super) fn accepts(&self, n: Ballot, s: SyncSession) -> bool {
        let fresh = self.fresh.is_some_and(|(round, first)| n == round && s >= first);
        self.bound.is_some() && fresh
    }

    /// Takes an answer in; `false` when every peer has to be asked once more.
    fn insert(&mut self, from: NodeId, m: &RecoverReply) -> bool {
        // What was true once stays good enough: what matters happened before the own loss.
        let known = self.answers.get(&from);
        if self.bound.is_some() || known.is_some_and(|answer| !answer.suspect) {
            return true;
        }
        if let Some(session) = m.suspect_session
            && self.suspects.get(&from).is_none_or(|known| *known < session)
        {
            // Until its loss it may have led, with promises that the others have given since they
            // answered: only what they answer from now on shows them.
            self.suspects.insert(from, session);
            self.answers.clear();
            self.nonce += 1;
            return false;
        }
        let answer = Answer { promised: m.promised, suspect: m.suspect_session.is_some() };
        self.answers.insert(from, answer);
        true
    }

    fn suspects<S: Sequence, P: PaxosState>(&self, r: &Replica<S, P>) -> Vec<NodeId> {
        let peers = self.answers.iter().filter(|(_, answer)| answer.suspect).map(|(peer, _)| *peer);
        let mut suspects: Vec<NodeId> =
            peers.chain([r.pid]).filter(|pid| r.is_voter(*pid)).collect();
        suspects.sort_unstable();
        suspects
    }

    fn stage<S: Sequence, P: PaxosState>(&self, r: &Replica<S, P>) -> RecoveryStage {
        let suspects = self.suspects(r);
        let lacks = |peer: &NodeId| r.is_voter(*peer) && !self.answers.contains_key(peer);
        let missing: Vec<NodeId> = r.peers.iter().copied().filter(lacks).collect();
        if suspects.len() >= r.quorum.prepare().min(r.quorum.accept()) {
            return RecoveryStage::QuorumSuspect { suspects };
        }
        if !missing.is_empty() {
            return RecoveryStage::Asking { missing };
        }
        let promised = self.answers.values().map(|answer| answer.promised);
        let bound = promised.fold(r.promised(), Ballot::max);
        RecoveryStage::Leader { bound: self.bound.unwrap_or(bound) }
    }
}

impl<S: Sequence, P: PaxosState> Replica<S, P> {
    /// S1. `false` when this replica does not recover.
    pub(super) fn ask_to_recover(&mut self, peer: NodeId) -> bool {
        let Some(recovery) = &self.recovery else {
            return false;
        };
        let request = RecoverRequest { nonce: recovery.nonce };
        self.send_durable(peer, Body::RecoverRequest(request));
        true
    }

    /// S4, with the accepted round of the leader that has synchronised this replica.
    pub(super) fn recovered(&mut self) {
        self.recovery = None;
        self.storage.recovered();
    }
}

impl<S: Sequence, P: PaxosState> Paxos<S, P> {
    /// Whether this replica's storage was suspect, and others have not synchronised it since: then
    /// it neither votes nor leads. To be reported to its leader election, which is not to count on
    /// it (`BallotLeaderElection::set_voting`). It learns what is decided, serves it, and forwards
    /// proposals.
    #[must_use]
    pub fn is_recovering(&self) -> bool {
        self.replica.recovery.is_some()
    }

    /// What this replica waits for while it [recovers](Self::is_recovering). In a sealed log there
    /// is nothing to vote on, and nothing to wait for.
    #[must_use]
    pub fn recovery(&self) -> Option<RecoveryStage> {
        self.replica.recovery.as_ref().map(|recovery| recovery.stage(&self.replica))
    }

    /// S2: tells which round is promised here. A leader begins a new attempt, so that the other one
    /// can tell it from those before its loss.
    pub(super) fn on_recover_request(&mut self, from: NodeId, m: &RecoverRequest) {
        let r = &mut self.replica;
        let attempt = match &mut self.role {
            Role::Leader(leading) => Some(leading.attempt_after_loss(from, m.nonce)),
            Role::Follower(_) => None,
        };
        let state = r.storage.state();
        let reply = RecoverReply {
            nonce: m.nonce,
            promised: state.promised,
            attempt: attempt.map(|(s, _)| s),
            suspect_session: state.recovering.then_some(state.suspect_session),
        };
        r.send_durable(from, Body::RecoverReply(reply));
        if let (Role::Leader(leading), Some((_, true))) = (&self.role, attempt) {
            leading.prepare(r, from);
        }
    }

    /// S3, the bound: once all have answered, rounds below are left.
    pub(super) fn on_recover_reply(&mut self, from: NodeId, m: &RecoverReply) -> Result<(), Fault> {
        let r = &mut self.replica;
        let owner = m.promised.pid;
        if m.promised != Ballot::default() && !r.is_voter(owner) {
            return Err(Fault::Impossible("a round of a server that does not vote"));
        }
        let Some(recovery) = r.recovery.as_mut().filter(|recovery| recovery.nonce == m.nonce)
        else {
            return Ok(());
        };
        if let Some(s) = m.attempt
            && m.promised.pid == from
            && recovery.fresh.is_none_or(|(n, _)| n < m.promised)
        {
            recovery.fresh = Some((m.promised, s));
        }
        if !recovery.insert(from, m) {
            for at in 0..r.peers.len() {
                r.ask_to_recover(r.peers[at]);
            }
            return Ok(());
        }
        let Some(recovery) = r.recovery.as_ref().filter(|recovery| recovery.bound.is_none()) else {
            return Ok(());
        };
        let RecoveryStage::Leader { bound } = recovery.stage(r) else {
            return Ok(());
        };
        r.storage.promise(bound);
        if let Some(recovery) = &mut r.recovery {
            recovery.bound = Some(bound);
        }
        Ok(())
    }
}
