//! What became of proposals: each has one outcome, and it is true.

use super::proposals::Attempt;
use super::{Check, Checker, Key, Who};
use omnipaxos_core::paxos::ProposalOutcome;
use omnipaxos_core::storage::{ConfigId, ProposalId};

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing yet.
    Open,
    /// It is decided.
    Decided,
    /// It never will be.
    Dropped,
}

impl Checker {
    /// `who` was told what became of its proposal. Returns the proposal's key.
    pub fn outcome(
        &mut self,
        who: Who,
        config_id: ConfigId,
        id: ProposalId,
        outcome: ProposalOutcome,
    ) -> Option<Key> {
        let place = (who.slot, who.incarnation, config_id, id.session, id.number);
        let Some(key) = self.by_id.get(&place).copied() else {
            self.fail(Check::NeverLost, format!("{who} never proposed {id}"));
            return None;
        };
        let sealed = self.configurations.get(&config_id).is_some_and(|c| c.sealed.is_some());
        let log = self.configurations.get(&config_id).map(|c| &c.log);
        let at = match outcome {
            ProposalOutcome::Decided(index) => log.and_then(|log| log.get(index as usize)).copied(),
            ProposalOutcome::Dropped => None,
        };
        let at = at.map(|(key, _)| key);
        let proposal = self.proposal_mut(key)?;
        let decided = proposal.place.filter(|(config, _)| *config == config_id);
        let mut attempts = proposal.attempts.iter_mut();
        let attempt = attempts.find(|a| (a.who, a.config_id, a.id) == (who, config_id, id))?;
        if let Some(earlier) = attempt.outcome.replace(outcome) {
            let detail = format!("{id} of {who}: {outcome:?} after {earlier:?}");
            self.fail(Check::NeverLost, detail);
        }
        match outcome {
            ProposalOutcome::Decided(index) if at != Some(key) => {
                let detail = format!("{id} of {who} is not at {index}, which is {at:?}");
                self.fail(Check::Acknowledged, detail);
            }
            ProposalOutcome::Dropped if !sealed || decided.is_some() => {
                let detail = format!("{id} of {who} dropped, sealed {sealed}, at {decided:?}");
                self.fail(Check::DroppedRightly, detail);
            }
            _ => {}
        }
        Some(key)
    }

    /// The proposals of a replica of `who` without an outcome.
    #[must_use]
    pub fn unresolved(&self, who: Who, config_id: ConfigId) -> Vec<ProposalId> {
        let low = (who.slot, who.incarnation, config_id, 0, 0);
        let high = (who.slot, who.incarnation, config_id, u64::MAX, u64::MAX);
        let keys = self.by_id.range(low..=high).map(|(_, key)| *key);
        let attempts = keys.filter_map(|key| self.attempt(key, who, config_id));
        attempts.filter(|attempt| attempt.outcome.is_none()).map(|attempt| attempt.id).collect()
    }

    fn attempt(&self, key: Key, who: Who, config_id: ConfigId) -> Option<&Attempt> {
        let mut attempts = self.proposal(key)?.attempts.iter();
        attempts.find(|attempt| (attempt.who, attempt.config_id) == (who, config_id))
    }

    /// How many proposals of `who` lie below `decided` of its log, and still have no outcome.
    #[must_use]
    pub fn unheard(&self, who: Who, config_id: ConfigId, decided: u64) -> usize {
        let low = (who.slot, who.incarnation, config_id, 0, 0);
        let high = (who.slot, who.incarnation, config_id, u64::MAX, u64::MAX);
        let keys = self.by_id.range(low..=high).map(|(_, key)| *key);
        let open = keys.filter(|key| {
            self.attempt(*key, who, config_id).is_some_and(|attempt| attempt.outcome.is_none())
        });
        let places = open.filter_map(|key| self.proposal(key)?.place);
        places.filter(|(config, at)| *config == config_id && *at < decided).count()
    }

    /// What became of a proposal so far, as its proposer was told.
    #[must_use]
    pub fn fate(&self, key: Key) -> Fate {
        let Some(proposal) = self.proposal(key) else { return Fate::Open };
        if proposal.line.is_some() {
            return if proposal.acknowledged.is_some() { Fate::Decided } else { Fate::Open };
        }
        match proposal.attempts.first().and_then(|attempt| attempt.outcome) {
            Some(ProposalOutcome::Decided(_)) => Fate::Decided,
            Some(ProposalOutcome::Dropped) => Fate::Dropped,
            None => Fate::Open,
        }
    }
}
