//! Which half of a replica takes a message: rounds are compared here, and refused (R4).

use super::follower::Follower;
use super::leader::{Leading, Leads};
use super::messages::{Body, Prepare, PrepareReq, Propose, Refuse};
use super::reconfiguration;
use super::replica::{Fault, Replica};
use super::{Paxos, Role};
use crate::ballot::{Ballot, NodeId};
use crate::storage::{Entry, PaxosState, Sequence};

impl<S: Sequence, P: PaxosState> Paxos<S, P> {
    #[inline]
    pub(super) fn dispatch(&mut self, from: NodeId, body: &mut Body) -> Result<(), Fault> {
        match body {
            Body::Prepare(m) if m.n.pid == from => self.on_prepare(m),
            Body::AcceptSync(m) if m.n.pid == from => {
                self.following(m.n, |follower, r| follower.on_accept_sync(r, m))
            }
            Body::Accept(m) if m.n.pid == from => {
                self.following(m.n, |follower, r| follower.on_accept(r, m))
            }
            Body::Decide(m) if m.n.pid == from => {
                self.following(m.n, |follower, r| follower.on_decide(r, m))
            }
            Body::Promise(m) => self.leading(m.n, |leading, r| leading.on_promise(r, from, m)),
            Body::SyncRequest(m) => {
                self.leading(m.n, |leading, r| leading.on_sync_request(r, from, m))
            }
            Body::Accepted(m) => self.leading(m.n, |leading, r| leading.on_accepted(r, from, m)),
            Body::Refuse(m) => self.on_refuse(from, m),
            Body::PrepareReq(m) => {
                self.on_prepare_req(from, m);
                Ok(())
            }
            Body::LearnRequest(m) => self.on_learn_request(from, m),
            Body::Learn(m) => self.on_learn(from, m),
            Body::Propose(m) => self.on_propose(from, m),
            Body::RecoverRequest(m) => {
                self.on_recover_request(from, m);
                Ok(())
            }
            Body::RecoverReply(m) => self.on_recover_reply(from, m),
            Body::Prepare(_) | Body::AcceptSync(_) | Body::Accept(_) | Body::Decide(_) => {
                Err(Fault::Impossible("a leader's message from a server that is not its owner"))
            }
        }
    }

    /// F1, or a refusal.
    fn on_prepare(&mut self, m: &Prepare) -> Result<(), Fault> {
        if m.decided > m.len || m.accepted_round > m.n {
            return Err(Fault::Impossible("a Prepare that contradicts itself"));
        }
        self.following(m.n, |follower, r| follower.on_prepare(r, m))
    }

    /// Hands a message of leader `n` to the follower, unless `n` has to be refused (R4). A leader
    /// that hears of a higher round follows.
    #[inline]
    fn following(
        &mut self,
        n: Ballot,
        handle: impl FnOnce(&mut Follower, &mut Replica<S, P>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if !self.replica.is_voter(n.pid) {
            return Err(Fault::Impossible("a round of a server that does not vote"));
        }
        if n < self.replica.promised() {
            self.refuse(n);
            return Ok(());
        }
        if matches!(self.role, Role::Leader(_)) {
            self.follow(Some(n.pid));
        }
        match &mut self.role {
            Role::Follower(follower) => handle(follower, &mut self.replica),
            Role::Leader(_) => Ok(()),
        }
    }

    /// Hands a message that answers leader `n` to that leader. One that answers an earlier
    /// leadership is late; one for another server's is impossible.
    #[inline]
    fn leading(
        &mut self,
        n: Ballot,
        handle: impl FnOnce(&mut Leading, &mut Replica<S, P>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if n.pid != self.replica.pid {
            return Err(Fault::Impossible("an answer to another server's round"));
        }
        match &mut self.role {
            Role::Leader(leading) if leading.ballot() == n => handle(leading, &mut self.replica),
            _ => Ok(()),
        }
    }

    /// R4.
    fn refuse(&mut self, n: Ballot) {
        let promised = self.replica.promised();
        self.replica.send_durable(n.pid, Body::Refuse(Refuse { n, promised }));
    }

    /// R4 at the leader: it follows once nothing can be decided in its round any more. The election
    /// is not told: chained leaders would alternate.
    fn on_refuse(&mut self, from: NodeId, m: &Refuse) -> Result<(), Fault> {
        if m.promised <= m.n {
            return Err(Fault::Impossible("a refusal in favour of a lower round"));
        }
        let mut leads = Leads::Yes;
        self.leading(m.n, |leading, r| {
            leads = leading.on_refused(r, from, m.promised);
            Ok(())
        })?;
        if leads == Leads::No {
            self.follow(None);
        }
        Ok(())
    }

    fn on_prepare_req(&mut self, from: NodeId, m: &PrepareReq) {
        if let Role::Leader(leading) = &mut self.role
            && leading.on_prepare_req(&mut self.replica, from, m.promised) == Leads::No
        {
            self.follow(None);
        }
    }

    fn on_propose(&mut self, from: NodeId, m: &Propose) -> Result<(), Fault> {
        let r = &mut self.replica;
        for run in m.proposals.runs() {
            if run.first.proposer != r.pid && !r.is_peer(run.first.proposer) {
                return Err(Fault::Impossible("a proposal of an unknown server"));
            }
        }
        for entry in m.proposals.entries() {
            match entry {
                Entry::Normal(data) if data.len() as u64 > r.limits.max_entry_bytes => {
                    return Err(Fault::Impossible("a proposal beyond the size limit"));
                }
                Entry::StopSign(ss) if !reconfiguration::follows(ss, r.config_id) => {
                    return Err(Fault::Impossible("a StopSign of an impossible configuration"));
                }
                _ => {}
            }
        }
        match &mut self.role {
            Role::Leader(leading) => leading.on_propose(r, m),
            Role::Follower(follower) => {
                follower.on_propose(r, from, m);
                Ok(())
            }
        }
    }
}
