//! Clients of the server that leads: they propose the numbers that follow those of the preload, and
//! take note of what becomes of each.

use super::RunError;
use super::server::Node;
use omnipaxos_core::paxos::{ProposalOutcome, ProposeError};
use omnipaxos_core::storage::{ConfigId, ProposalId};
use std::collections::{BTreeMap, VecDeque};

/// All clients together.
#[derive(Debug)]
pub struct Clients {
    /// The number that is proposed next.
    next: u64,
    first: u64,
    /// Waits for a configuration in which it can be proposed.
    held: VecDeque<u64>,
    open: BTreeMap<(ConfigId, ProposalId), u64>,
    /// When decisions came, and how many at once.
    decisions: Vec<(u64, u64)>,
}

impl Clients {
    /// Clients that propose `first`, `first + 1`, ...
    #[must_use]
    pub fn new(first: u64) -> Self {
        let (held, open) = (VecDeque::new(), BTreeMap::new());
        Self { next: first, first, held, open, decisions: Vec::new() }
    }

    /// So many more proposals, as long as no more than `most` are open: whoever waits for so many
    /// answers asks for nothing more.
    pub fn want(&mut self, count: u64, most: u64) {
        let open = (self.held.len() + self.open.len()) as u64;
        let count = count.min(most.saturating_sub(open));
        self.held.extend(self.next..self.next + count);
        self.next += count;
    }

    /// Whether everything that was proposed is decided.
    #[must_use]
    pub fn idle(&self) -> bool {
        self.held.is_empty() && self.open.is_empty()
    }

    /// Proposes what waits at this replica, as far as it takes it.
    ///
    /// # Errors
    /// [`RunError`] where it refuses for ever.
    pub fn propose(&mut self, config_id: ConfigId, node: &mut Node) -> Result<(), RunError> {
        while let Some(number) = self.held.front() {
            match node.paxos.propose_normal(number.to_le_bytes().to_vec()) {
                Ok(id) => {
                    self.open.insert((config_id, id), *number);
                    self.held.pop_front();
                }
                Err(
                    ProposeError::Sealed { .. }
                    | ProposeError::Reconfiguring { .. }
                    | ProposeError::Overloaded { .. },
                ) => break,
                Err(error) => return Err(RunError::new(error)),
            }
        }
        Ok(())
    }

    /// What has become of proposals at this replica at `now`.
    pub fn hear(&mut self, now: u64, config_id: ConfigId, node: &mut Node) {
        let mut decided = 0;
        let mut dropped = Vec::new();
        for (id, outcome) in node.paxos.take_outcomes() {
            // The change itself is none of theirs.
            let Some(number) = self.open.remove(&(config_id, id)) else { continue };
            match outcome {
                ProposalOutcome::Decided(_) => decided += 1,
                ProposalOutcome::Dropped => dropped.push(number),
            }
        }
        while let Some(number) = dropped.pop() {
            self.held.push_front(number);
        }
        if decided > 0 {
            self.decisions.push((now, decided));
        }
    }

    /// When decisions came, and how many at once.
    #[must_use]
    pub fn decisions(&self) -> &[(u64, u64)] {
        &self.decisions
    }

    /// The numbers that were proposed.
    #[must_use]
    pub fn proposed(&self) -> std::ops::Range<u64> {
        self.first..self.next
    }
}
