//! Proposals that wait between configurations, and go from one to the next.

use super::cluster::Sim;
use crate::checker::{Key, Who};
use crate::planted::Plant;
use omnipaxos_core::configurations::History;
use omnipaxos_core::paxos::ProposalOutcome;
use omnipaxos_core::storage::{Entry, ProposalId};

impl Sim {
    /// A proposal gets into its server's line; the key of it when it was taken.
    pub(super) fn queue_up(&mut self, slot: usize) -> Option<Key> {
        let (key, payload) = self.payload();
        let who = self.servers[slot].who();
        let process = self.servers[slot].process.as_mut()?;
        if process.life.is_retired() || process.line.submit(payload.clone(), key).is_err() {
            self.stats.path("proposal refused: a full line");
            return None;
        }
        self.checker.waits(who, Entry::Normal(payload));
        self.log.line(self.now, format_args!("{} queues {key} up", who.pid));
        self.feed(slot);
        Some(key)
    }

    /// The replica of the newest configuration takes what waits in its server's line.
    pub(super) fn feed(&mut self, slot: usize) {
        let who = self.servers[slot].who();
        let Some(process) = &mut self.servers[slot].process else { return };
        let Some(newest) = process.life.history().map(History::newest_id) else { return };
        if process.line.is_empty() || !process.nodes.contains_key(&newest) {
            return;
        }
        process.line.start(newest);
        let mut fed = false;
        while let Some(data) = process.line.next().cloned() {
            let Some(node) = process.nodes.get_mut(&newest) else { break };
            match node.paxos.propose_normal(data.clone()) {
                Ok(id) => {
                    process.line.handed(id);
                    let key = self.checker.again(who, newest, id, &Entry::Normal(data));
                    self.log.line(self.now, format_args!("{} proposes {key} as {id}", who.pid));
                    fed = true;
                }
                Err(_) => break,
            }
        }
        if fed {
            self.after_input(slot, newest);
        }
    }

    /// What became of a proposal that had waited in a line.
    pub(super) fn line_outcome(&mut self, who: Who, id: ProposalId, outcome: ProposalOutcome) {
        let repeats = self.plant == Some(Plant::RepeatedLine) && self.rng.chance(20);
        let Some(process) = &mut self.servers[who.slot].process else { return };
        match outcome {
            ProposalOutcome::Decided(_) if repeats => process.line.dropped(id),
            ProposalOutcome::Decided(index) => {
                let Some(decided) = process.line.decided(id, index) else { return };
                let (key, config_id, index) = (decided.token, decided.config_id, decided.index);
                self.checker.acknowledged(who, key, config_id, index);
                self.stats.path("proposal in a line decided");
                self.returned(key, config_id, index);
            }
            ProposalOutcome::Dropped => {
                process.line.dropped(id);
                self.stats.path("proposal goes on into the next configuration");
            }
        }
    }
}
