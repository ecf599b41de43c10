//! D1: learning decided entries from any peer.
//!
//! Decided entries never change, so anyone who has them may serve them, and a server that does not
//! hear the leader still follows the log.

use super::messages::{Body, Learn, LearnRequest};
use super::replica::Fault;
use super::{Paxos, Role};
use crate::ballot::NodeId;
use crate::storage::{PaxosState, Sequence};

impl<S: Sequence, P: PaxosState> Paxos<S, P> {
    /// D1, the donor's side: decided entries never change, so anyone who has them may serve them.
    pub(super) fn on_learn_request(&mut self, from: NodeId, m: &LearnRequest) -> Result<(), Fault> {
        let r = &mut self.replica;
        let decided = r.decided();
        if m.from < r.storage.first_index() || m.from >= decided {
            return Ok(());
        }
        let entries = r.storage.read(m.from, decided, r.limits.sync_chunk_bytes)?;
        let decided_round = r.storage.state().decided_round;
        let learn = Learn { start: m.from, entries, decided, decided_round };
        r.send_early(from, Body::Learn(learn));
        Ok(())
    }

    /// D1, the learner's side.
    pub(super) fn on_learn(&mut self, from: NodeId, m: &Learn) -> Result<(), Fault> {
        let end = m.start.checked_add(m.entries.len()).filter(|end| *end <= m.decided);
        let Some(end) = end else {
            return Err(Fault::Impossible("learned entries beyond what is decided"));
        };
        let owner = m.decided_round.pid;
        if owner != self.replica.pid && !self.replica.is_peer(owner) {
            return Err(Fault::Impossible("a round of an unknown server"));
        }
        let (promised, ours) = (self.replica.promised(), self.replica.decided());
        if m.start > ours || end <= ours || self.replica.storage.sealed().is_some() {
            return Ok(());
        }
        if m.decided_round <= promised
            && matches!(&self.role, Role::Leader(leading) if leading.accepts())
        {
            // Its own round decides: its log has everything that was chosen before.
            return Ok(());
        }
        // Leaving older rounds comes first: a stale leader's Accept could overwrite what is
        // learned.
        self.replica.storage.promise(m.decided_round);
        if m.decided_round > promised && matches!(self.role, Role::Leader(_)) {
            self.follow(Some(m.decided_round.pid));
        }
        let records = m.entries.skip(ours - m.start);
        self.replica.adopt_decided(ours, &records, m.decided_round)?;
        self.replica.decide(end, m.decided_round);
        match &mut self.role {
            Role::Follower(follower) => {
                follower.learned(&mut self.replica, promised);
                if m.decided > end {
                    let request = LearnRequest { from: end };
                    self.replica.send_early(from, Body::LearnRequest(request));
                }
                Ok(())
            }
            Role::Leader(leading) => leading.advance(&mut self.replica),
        }
    }
}
