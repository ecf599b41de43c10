//! What became of proposals: each has one outcome, and it is true.

use super::{Check, Checker, Key, Who};
use omnipaxos_core::paxos::ProposalOutcome;
use omnipaxos_core::storage::{ConfigId, ProposalId};

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
        let sealed = self.configurations.get(&config_id).is_some_and(|c| c.sealed);
        let log = self.configurations.get(&config_id).map(|c| &c.log);
        let at = match outcome {
            ProposalOutcome::Decided(index) => log.and_then(|log| log.get(index as usize)).copied(),
            ProposalOutcome::Dropped => None,
        };
        let proposal = self.proposals.get_mut(key.checked_sub(1)? as usize)?;
        let decided = proposal.place;
        if let Some(earlier) = proposal.outcome.replace(outcome) {
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

    /// The proposals of `who` without an outcome.
    #[must_use]
    pub fn unresolved(&self, who: Who, config_id: ConfigId) -> Vec<ProposalId> {
        let low = (who.slot, who.incarnation, config_id, 0, 0);
        let high = (who.slot, who.incarnation, config_id, u64::MAX, u64::MAX);
        let keys = self.by_id.range(low..=high).map(|(_, key)| *key);
        let open = keys.filter_map(|key| self.proposal(key).filter(|p| p.outcome.is_none()));
        debug_assert!(open.clone().all(|p| p.who == who));
        open.map(|p| p.id).collect()
    }

    /// How many proposals of `who` lie below `decided` of its log, and still have no outcome.
    #[must_use]
    pub fn unheard(&self, who: Who, config_id: ConfigId, decided: u64) -> usize {
        let keys = self.by_id.values().filter_map(|key| self.proposal(*key));
        let ours = keys.filter(|p| p.who == who && p.outcome.is_none());
        let decided = ours
            .filter(|p| p.place.is_some_and(|(config, at)| config == config_id && at < decided));
        decided.count()
    }

    /// What became of a proposal so far.
    #[must_use]
    pub fn outcome_of(&self, key: Key) -> Option<ProposalOutcome> {
        self.proposal(key).and_then(|p| p.outcome)
    }
}
