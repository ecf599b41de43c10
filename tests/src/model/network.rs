//! Which messages can still do something.
//!
//! States that differ only in messages that no receiver will ever react to are the same state for
//! every property, so such messages are taken off the network. What is durable is never taken
//! back, which is why only durable promises count here.

use super::scope::Scope;
use super::shared::Shared;
use super::state::State;
use omnipaxos_core::paxos::{Ballot, Body, Message, NodeId, SyncSession};

/// Takes messages off the network that nobody will ever react to again.
pub(super) fn prune(scope: &Scope, state: &mut State) {
    if scope.fault.is_some() {
        return;
    }
    let all = std::mem::take(&mut state.network);
    let promised = |pid: NodeId| {
        let at = scope.pids.iter().position(|known| *known == pid);
        at.map(|at| state.servers[at].written.promised).unwrap_or_default()
    };
    let prepared_again = |m: &Message, n: Ballot, s: SyncSession| {
        all.iter().any(|other| match &other.body {
            Body::Prepare(p) => (p.n, other.to) == (n, m.from) && p.s > s,
            _ => false,
        })
    };
    let is_led = |m: &Message, n: Ballot| promised(m.to) <= n || promised(n.pid) <= n;
    let alive = |m: &Message| match &m.body {
        // Whoever promised more leads this round no more (L1), and a new attempt makes answers to
        // earlier ones late.
        Body::Promise(b) => promised(m.to) <= b.n && !prepared_again(m, b.n, b.s),
        Body::Accepted(b) => promised(m.to) <= b.n && !prepared_again(m, b.n, b.s),
        Body::SyncRequest(b) => promised(m.to) <= b.n && !prepared_again(m, b.n, b.s),
        Body::Refuse(b) => promised(m.to) <= b.n,
        // It would be refused, and the refusal ignored.
        Body::Prepare(b) => is_led(m, b.n),
        Body::AcceptSync(b) => is_led(m, b.n),
        Body::Accept(b) => is_led(m, b.n),
        Body::Decide(b) => is_led(m, b.n),
        // Only a leader answers.
        Body::PrepareReq(_) => {
            let owned = scope.ballots.iter().filter(|ballot| ballot.pid == m.to);
            owned.max().is_some_and(|ballot| promised(m.to) <= *ballot)
        }
        Body::LearnRequest(_)
        | Body::Learn(_)
        | Body::Propose(_)
        | Body::RecoverRequest(_)
        | Body::RecoverReply(_) => true,
    };
    let kept: Vec<Shared<Message>> = all.iter().filter(|m| alive(m)).cloned().collect();
    state.network = kept;
}

/// The Prepare attempt that a message belongs to.
pub(super) fn attempt(message: &Message) -> SyncSession {
    match &message.body {
        Body::Prepare(m) => m.s,
        Body::Promise(m) => m.s,
        Body::AcceptSync(m) => m.s,
        Body::SyncRequest(m) => m.s,
        Body::Accept(m) => m.s,
        Body::Accepted(m) => m.s,
        Body::Decide(m) => m.s,
        Body::PrepareReq(_)
        | Body::Refuse(_)
        | Body::LearnRequest(_)
        | Body::Learn(_)
        | Body::Propose(_)
        | Body::RecoverRequest(_)
        | Body::RecoverReply(_) => 0,
    }
}
