//! What users do: propose, reconfigure, read, trim, and use a register on top of the log.

use super::cluster::{Event, Sim};
use super::plan::members;
use crate::checker::{Check, Key, Members, Operation};
use crate::planted::Plant;
use bytes::Bytes;
use omnipaxos_core::paxos::{ProposeError, Reconfiguration, ReconfigureError};
use omnipaxos_core::storage::{ConfigId, Entry, StopSign};

impl Sim {
    /// One user's action, and when the next one comes.
    pub(super) fn work(&mut self) {
        if self.healing.is_some() {
            return;
        }
        let interval = self.plan.propose_interval;
        let next = self.rng.between(1, 2 * interval);
        self.schedule(next, Event::Work);
        let slot = self.rng.below(self.servers.len() as u64) as usize;
        let Some(newest) = self.newest_node(slot) else {
            // Between two configurations, or before the first one.
            if self.servers[slot].acts() && self.rng.chance(self.plan.lines) {
                self.queue_up(slot);
            }
            return;
        };
        let running = self.servers[slot].running();
        let config_id = match self.rng.chance(90) {
            true => newest,
            false => self.rng.pick(&running).unwrap_or(newest),
        };
        match self.rng.below(100) {
            0..70 => {
                for _ in 0..self.burst() {
                    self.propose(slot, config_id);
                }
            }
            70..85 => self.read(slot, config_id),
            85..93 => self.trim(slot, config_id),
            _ => self.operate(slot, newest),
        }
        if self.history.len() < self.plan.operations {
            self.operate(slot, newest);
        }
    }

    fn burst(&mut self) -> u64 {
        if self.rng.chance(10) { self.rng.between(2, 20) } else { 1 }
    }

    pub(super) fn payload(&mut self) -> (Key, Bytes) {
        let key = self.checker.next_key();
        let mut payload = key.to_be_bytes().to_vec();
        let longest = if self.rng.chance(5) { 200 } else { self.plan.payload };
        let extra = self.rng.below(longest) as usize;
        payload.resize(8 + extra, 0);
        (key, payload.into())
    }

    /// Proposes an entry, directly or in its server's line; the key of it when it was taken.
    pub(super) fn propose(&mut self, slot: usize, config_id: ConfigId) -> Option<Key> {
        if self.rng.chance(self.plan.lines) {
            return self.queue_up(slot);
        }
        let (key, payload) = self.payload();
        let who = self.servers[slot].who();
        let node = self.servers[slot].node(config_id)?;
        match node.paxos.propose_normal(payload.clone()) {
            Ok(id) => {
                self.checker.proposed(who, config_id, id, Entry::Normal(payload));
                self.log.line(self.now, format_args!("{} proposes {key} as {id}", who.pid));
                self.after_input(slot, config_id);
                Some(key)
            }
            Err(error) => {
                self.refused(&error);
                None
            }
        }
    }

    pub(super) fn refused(&mut self, error: &ProposeError) {
        self.stats.path(match error {
            ProposeError::Overloaded { .. } => "proposal refused: overloaded",
            ProposeError::Reconfiguring { .. } => "proposal refused: reconfiguring",
            ProposeError::Sealed { .. } => "proposal refused: sealed",
            _ => "proposal refused: otherwise",
        });
    }

    /// Proposes a next configuration at any server, in any state; now and then two of them at once.
    pub(super) fn reconfigure(&mut self, slot: usize) -> bool {
        let proposed = self.propose_next(slot);
        if self.rng.chance(30) {
            let other = self.rng.below(self.servers.len() as u64) as usize;
            self.propose_next(other);
        }
        proposed
    }

    /// Any of the servers that are not down for good, learners among them.
    fn next_members(&mut self) -> Members {
        let alive = self.servers.iter().filter(|server| !server.dead);
        let mut pids: Vec<_> = alive.map(|server| server.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        self.rng.shuffle(&mut pids);
        let size = self.rng.between(1, pids.len() as u64) as usize;
        members(&pids[..size], &mut self.rng)
    }

    fn propose_next(&mut self, slot: usize) -> bool {
        let Some(config_id) = self.newest_node(slot) else {
            return false;
        };
        if config_id > self.plan.reconfigurations {
            return false;
        }
        let Members { voters, learners, .. } = self.next_members();
        let key = self.checker.next_key();
        let metadata = Bytes::copy_from_slice(&key.to_be_bytes());
        let next = Reconfiguration::from(voters.clone()).with_learners(learners.clone());
        let next = next.with_metadata(metadata.clone());
        let who = self.servers[slot].who();
        let Some(node) = self.servers[slot].node(config_id) else {
            return false;
        };
        match node.paxos.propose_reconfiguration(next) {
            Ok(id) => {
                self.log.line(
                    self.now,
                    format_args!("{} proposes {voters:?} and {learners:?} as {id}", who.pid),
                );
                let ss = StopSign {
                    config_id: config_id + 1,
                    nodes: voters.clone(),
                    learners,
                    metadata: Some(metadata),
                    digest: None,
                    skip_prepare_use_leader: None,
                };
                self.checker.proposed(who, config_id, id, Entry::stop_sign(ss));
                self.proposed_sets.push((config_id + 1, voters));
                self.after_input(slot, config_id);
                true
            }
            Err(ReconfigureError::Propose(_)) => false,
            Err(error) => {
                self.checker.fail(Check::NoHalt, error.to_string());
                false
            }
        }
    }

    fn read(&mut self, slot: usize, config_id: ConfigId) {
        let who = self.servers[slot].who();
        let (from, count, most) = (self.rng.number(), self.rng.below(20), self.rng.below(500));
        let Some(node) = self.servers[slot].node(config_id) else {
            return;
        };
        let from = from % (node.paxos.decided_index() + 1);
        if let Ok(read) = node.paxos.read_decided(from, from + count, most) {
            self.stats.path("read of decided entries");
            for (at, entry) in (read.first_index..).zip(&read.entries) {
                self.checker.compare(who, config_id, at, entry);
            }
        }
    }

    fn trim(&mut self, slot: usize, config_id: ConfigId) {
        let share = self.rng.below(101);
        if !self.trims() {
            return;
        }
        let Some(node) = self.servers[slot].node(config_id) else {
            return;
        };
        let first = node.paxos.first_index();
        let to = node.paxos.decided_index() * share / 100;
        if node.paxos.trim(to).is_ok() && to > first {
            self.stats.path("log trimmed");
        }
        self.after_input(slot, config_id);
    }

    /// One of four clients uses the register, if it waits for nothing.
    fn operate(&mut self, slot: usize, config_id: ConfigId) {
        if self.history.len() >= self.plan.operations {
            return;
        }
        let client = self.rng.below(4) as usize;
        if self.clients.values().any(|busy| *busy == client) {
            return;
        }
        if self.plant == Some(Plant::StaleRead) && self.rng.chance(60) {
            return self.stale_read(slot, config_id);
        }
        // Invoked before it is proposed: a single server decides at once.
        let key = self.checker.next_key();
        let read = self.rng.chance(50);
        let operation = if read { Operation::Read } else { Operation::Write(key) };
        let before = self.history.clone();
        self.history.invoked(key, operation);
        self.clients.insert(key, client);
        if self.propose(slot, config_id) != Some(key) {
            self.history = before;
            self.clients.remove(&key);
        }
    }

    /// The planted fault: answers from what this server has decided so far.
    fn stale_read(&mut self, slot: usize, config_id: ConfigId) {
        let Some(node) = self.servers[slot].node(config_id) else {
            return;
        };
        let known = node.paxos.decided_index();
        let key = u64::MAX - self.history.len() as u64;
        let value = self.value_before(config_id, known);
        self.history.invoked(key, Operation::Read);
        self.history.returned(key, Some(value));
    }

    /// The register just before an index of the log.
    fn value_before(&self, config_id: ConfigId, index: u64) -> u64 {
        let before = self.checker.decided_keys();
        let before = before.take_while(|(config, at, _)| (*config, *at) < (config_id, index));
        let writes = before.filter_map(|(_, _, key)| match self.history.operation(key) {
            Some(Operation::Write(value)) => Some(value),
            _ => None,
        });
        writes.last().unwrap_or(0)
    }

    /// A proposal is decided: where it is an operation, its client hears of it.
    pub(super) fn returned(&mut self, key: Key, config_id: ConfigId, index: u64) {
        let Some(operation) = self.history.operation(key) else {
            return;
        };
        self.clients.remove(&key);
        let value = match operation {
            Operation::Read => Some(self.value_before(config_id, index)),
            Operation::Write(_) => None,
        };
        self.history.returned(key, value);
    }
}
