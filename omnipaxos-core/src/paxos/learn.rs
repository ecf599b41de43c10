//! D1: learning decided entries from any peer.
//!
//! Decided entries never change, so anyone who has them may serve them, and a server that does not
//! hear the leader still follows the log.

use super::messages::{Body, Learn, LearnRequest};
use super::replica::Fault;
use super::{CatchUp, LearnError, Paxos, Role, Sample};
use crate::ballot::{Ballot, NodeId};
use crate::storage::{PaxosState, Records, Sequence};

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
        let learned = self.learn(m.start, &m.entries, m.decided_round)?;
        let sample = Sample::of(&m.entries);
        if let Role::Follower(follower) = &mut self.role
            && learned
            && m.decided > end
            && !follower.is_far_behind(&self.replica, m.decided, m.decided_round, sample)
        {
            let request = LearnRequest { from: end };
            self.replica.send_early(from, Body::LearnRequest(request));
        }
        Ok(())
    }

    /// D1: takes decided entries in, which were chosen in `round` or before. `false` where they
    /// bring nothing.
    fn learn(&mut self, start: u64, entries: &Records, round: Ballot) -> Result<bool, Fault> {
        let Some(end) = start.checked_add(entries.len()) else {
            return Err(Fault::Impossible("an index beyond u64"));
        };
        if !self.replica.is_voter(round.pid) {
            return Err(Fault::Impossible("a round of a server that does not vote"));
        }
        let (promised, ours) = (self.replica.promised(), self.replica.decided());
        if start > ours || end <= ours || self.replica.storage.sealed().is_some() {
            return Ok(false);
        }
        let leads = matches!(&self.role, Role::Leader(leading) if leading.accepts());
        if leads && round <= promised && end > self.replica.storage.end_index() {
            // Its log has everything that was chosen before its round: this is forged.
            return Ok(false);
        }
        // Leaving older rounds comes first: a stale leader's Accept could overwrite what is
        // learned.
        self.replica.storage.promise(round);
        if round > promised && matches!(self.role, Role::Leader(_)) {
            self.follow(Some(round.pid));
        }
        let records = entries.skip(ours - start);
        self.replica.adopt_decided(ours, &records, round)?;
        self.replica.decide(end, round);
        match &mut self.role {
            Role::Follower(follower) => follower.learned(&mut self.replica, promised),
            Role::Leader(leading) => leading.advance(&mut self.replica)?,
        }
        Ok(true)
    }

    /// D1 for decided records that the caller got elsewhere, by a migration for instance: they
    /// start at `start`, which is at or below the decided index, and were chosen in `round` or
    /// before. What is known already changes nothing.
    ///
    /// # Errors
    /// [`LearnError`]; the records were not taken then.
    pub fn learn_decided(
        &mut self,
        start: u64,
        records: &Records,
        round: Ballot,
    ) -> Result<(), LearnError> {
        if let Some(halted) = &self.halted {
            return Err(halted.clone().into());
        }
        let decided = self.replica.decided();
        if start > decided {
            return Err(LearnError::Gap { start, decided });
        }
        let learned = self.learn(start, records, round).map(drop);
        match self.after(learned) {
            Some(reason) => Err(LearnError::Impossible(reason)),
            None => self.halted.clone().map_or(Ok(()), |halted| Err(halted.into())),
        }
    }

    /// What this replica is too far behind for, if [`PaxosConfig::catch_up`] says so: to be fetched
    /// by its driver and handed to [`learn_decided`](Self::learn_decided). The replica goes on with
    /// its leader once it has all of it, or where nothing comes for a while.
    ///
    /// [`PaxosConfig::catch_up`]: super::PaxosConfig::catch_up
    #[must_use]
    pub fn catch_up(&self) -> Option<CatchUp> {
        match &self.role {
            Role::Follower(follower) if self.halted.is_none() => {
                follower.catch_up(self.replica.decided())
            }
            _ => None,
        }
    }
}
