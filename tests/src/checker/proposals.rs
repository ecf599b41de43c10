//! What was proposed: by whom, and under which identities.

use super::{Check, Checker, Key, Who, key_of};
use omnipaxos_core::paxos::ProposalOutcome;
use omnipaxos_core::storage::{ConfigId, Entry, ProposalId, StopSign};

/// An entry that somebody proposed. One that waits between configurations may be proposed in
/// several of them, each time under another identity; it is decided in one at most.
#[derive(Clone, Debug)]
pub(super) struct Proposal {
    pub(super) entry: Entry,
    /// Whose line it waits in; `None` where a replica was asked directly.
    pub(super) line: Option<Who>,
    pub(super) attempts: Vec<Attempt>,
    /// Where it was decided.
    pub(super) place: Option<(ConfigId, u64)>,
    /// What its line was told.
    pub(super) acknowledged: Option<(ConfigId, u64)>,
    /// Its line goes nowhere any more.
    pub(super) given_up: bool,
}

/// One replica took a proposal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) who: Who,
    pub(super) config_id: ConfigId,
    pub(super) id: ProposalId,
    pub(super) outcome: Option<ProposalOutcome>,
}

impl Proposal {
    /// Whether `entry` is what was proposed. The leader completes a StopSign: see
    /// [`StopSign::digest`] and [`StopSign::skip_prepare_use_leader`].
    pub(super) fn is(&self, entry: &Entry) -> bool {
        match (&self.entry, entry) {
            (Entry::StopSign(ours), Entry::StopSign(theirs)) => {
                let StopSign { digest, skip_prepare_use_leader, .. } = **ours;
                **ours == StopSign { digest, skip_prepare_use_leader, ..StopSign::clone(theirs) }
            }
            (ours, theirs) => ours == theirs,
        }
    }
}

impl Checker {
    /// The key that the next proposal is to carry.
    #[must_use]
    pub fn next_key(&self) -> Key {
        self.proposals.len() as u64 + 1
    }

    /// A replica took a proposal.
    pub fn proposed(&mut self, who: Who, config_id: ConfigId, id: ProposalId, entry: Entry) {
        let key = self.submit(None, entry);
        self.attempted(key, who, config_id, id);
    }

    /// A server took a proposal, to propose it when and where it can.
    pub fn waits(&mut self, who: Who, entry: Entry) -> Key {
        self.submit(Some(who), entry)
    }

    fn submit(&mut self, line: Option<Who>, entry: Entry) -> Key {
        self.proposals.push(Proposal {
            entry,
            line,
            attempts: Vec::new(),
            place: None,
            acknowledged: None,
            given_up: false,
        });
        self.proposals.len() as u64
    }

    /// A replica took a proposal that had waited. Returns its key.
    pub fn again(&mut self, who: Who, config_id: ConfigId, id: ProposalId, entry: &Entry) -> Key {
        let key = key_of(entry);
        self.attempted(key, who, config_id, id);
        key
    }

    /// Whether a proposal waits, or has waited, in a line.
    #[must_use]
    pub fn is_in_line(&self, key: Key) -> bool {
        self.proposal(key).is_some_and(|proposal| proposal.line.is_some())
    }

    /// A replica of `who` took the proposal `key`.
    fn attempted(&mut self, key: Key, who: Who, config_id: ConfigId, id: ProposalId) {
        let place = (who.slot, who.incarnation, config_id, id.session, id.number);
        if self.by_id.insert(place, key).is_some() {
            self.fail(Check::AtMostOnce, format!("{who} gives {id} twice"));
        }
        if let Some(proposal) = self.proposal_mut(key) {
            proposal.attempts.push(Attempt { who, config_id, id, outcome: None });
        }
    }

    /// The line in which `key` waited was told where it was decided.
    pub fn acknowledged(&mut self, who: Who, key: Key, config_id: ConfigId, index: u64) {
        let Some(proposal) = self.proposal_mut(key) else {
            return self.fail(Check::NeverLost, format!("{who} never proposed {key}"));
        };
        let (line, decided) = (proposal.line, proposal.place);
        let earlier = proposal.acknowledged.replace((config_id, index));
        if line != Some(who) || earlier.is_some() {
            let detail = format!("{key} of {line:?}: {who} is told {index}, before {earlier:?}");
            self.fail(Check::NeverLost, detail);
        }
        if decided != Some((config_id, index)) {
            let detail =
                format!("{key} of {who} is not at {index} of {config_id}, but at {decided:?}");
            self.fail(Check::Acknowledged, detail);
        }
    }

    /// Nothing more will be said about these proposals.
    pub fn given_up(&mut self, keys: &[Key]) {
        for key in keys {
            if let Some(proposal) = self.proposal_mut(*key) {
                proposal.given_up = true;
            }
        }
    }

    /// What the proposals of `who` that waited in a line, and are not acknowledged, are.
    #[must_use]
    pub fn waiting(&self, who: Who) -> Vec<Key> {
        let open = self.proposals.iter().zip(1..);
        let open =
            open.filter(|(p, _)| p.line == Some(who) && p.acknowledged.is_none() && !p.given_up);
        open.map(|(_, key)| key).collect()
    }

    pub(super) fn proposal(&self, key: Key) -> Option<&Proposal> {
        self.proposals.get(usize::try_from(key.checked_sub(1)?).ok()?)
    }

    pub(super) fn proposal_mut(&mut self, key: Key) -> Option<&mut Proposal> {
        self.proposals.get_mut(usize::try_from(key.checked_sub(1)?).ok()?)
    }
}
