//! What follows from what came in: persist, fetch, start, stop, retire, ask.

use super::command::Command;
use super::life::Configurations;
use super::log::Replica;
use super::messages::{ServerBody, ServerMessage, Stage};
use crate::ballot::NodeId;
use crate::quorum::Quorum;
use crate::storage::ConfigId;
use std::collections::BTreeSet;

/// How many times as long as the first one the pause between two rounds of questions becomes.
const BACK_OFF: u64 = 10;

impl Configurations {
    /// Does everything that the last input made possible. Calling it again changes nothing.
    pub(super) fn plan(&mut self) {
        if self.halted {
            return;
        }
        self.persist();
        if self.persisting.under_way.is_some() {
            return;
        }
        self.count_sealed();
        self.start();
        self.fetch();
        self.stop();
        self.retire();
        self.tell_stage();
        self.poll();
        self.ask_on();
    }

    pub(super) fn send(&mut self, to: NodeId, body: ServerBody) {
        let from = self.pid;
        self.commands.push_back(Command::Send(ServerMessage { from, to, body }));
    }

    /// V1: one version at a time; what changes meanwhile goes with the next one.
    fn persist(&mut self) {
        if !self.persisting.dirty || self.persisting.under_way.is_some() {
            return;
        }
        let Some(history) = self.history.clone() else { return };
        self.persisting.dirty = false;
        self.persisting.version += 1;
        self.persisting.under_way = Some(history.ended.len());
        let (version, retired) = (self.persisting.version, self.retired);
        self.commands.push_back(Command::Persist { version, history, retired });
    }

    fn count_sealed(&mut self) {
        let Some(history) = &self.history else { return };
        let rest = history.ended.iter().skip(self.complete);
        let sealed = |config_id| self.logs.get(&config_id).is_some_and(|log| log.sealed);
        self.complete += rest.take_while(|ended| sealed(ended.config_id)).count();
    }

    /// The first log that this server still has to complete before it can go on. One that was left
    /// out completes what its replicas have begun, and no more.
    pub(super) fn lacking(&self) -> Option<ConfigId> {
        let history = self.history.as_ref()?;
        let lacks = |config_id: &ConfigId| !self.logs.get(config_id).is_some_and(|log| log.sealed);
        let rest = history.ended.iter().skip(self.complete);
        let first = rest.map(|ended| ended.config_id).find(lacks)?;
        let begun = || self.logs.get(&first).is_some_and(|log| log.started);
        (self.is_member() || begun()).then_some(first)
    }

    /// V3: the replica of the newest configuration, once all logs before it are here; and that of
    /// an earlier one which is still to be completed, where one has begun it.
    fn start(&mut self) {
        let Some(history) = self.history.as_ref().filter(|_| !self.retired) else { return };
        let configuration = match self.lacking() {
            Some(config_id) => history.configuration(config_id).filter(|configuration| {
                self.logs.get(&configuration.config_id).is_some_and(|log| log.started)
            }),
            None => self.newest.clone(),
        };
        let configuration = configuration.filter(|c| c.role(self.pid).is_some());
        let Some(configuration) = configuration else { return };
        let log = self.logs.entry(configuration.config_id).or_default();
        if log.replica == Replica::None {
            log.replica = Replica::Starting;
            // From now on the storage is the replica's, whatever becomes of this.
            log.started = true;
            self.commands.push_back(Command::StartReplica { configuration });
        }
    }

    /// V6: replicas that nobody needs any more here, and all of a server that has retired.
    fn stop(&mut self) {
        let (now, linger) = (self.now, u64::from(self.config.linger_ticks));
        for config_id in self.taken_over() {
            if let Some(log) = self.logs.get_mut(&config_id) {
                log.idle_since.get_or_insert(now);
            }
        }
        for (config_id, log) in &mut self.logs {
            let idle = log.idle_since.is_some_and(|since| now.saturating_sub(since) >= linger);
            if log.replica == Replica::Runs && (self.retired || idle) {
                log.replica = Replica::Stopping;
                self.commands.push_back(Command::StopReplica { config_id: *config_id });
            }
        }
    }

    /// The configurations whose logs are sealed here, and whose replicas still run although this
    /// server has gone on, or has nowhere to go on to.
    fn taken_over(&self) -> Vec<ConfigId> {
        let Some((history, newest)) = self.history.as_ref().zip(self.newest.as_ref()) else {
            return Vec::new();
        };
        let gone_on = |config_id: ConfigId| {
            let next = config_id.saturating_add(1);
            let member = history.configuration(next).is_some_and(|c| c.role(self.pid).is_some());
            let runs = self.logs.get(&next).is_some_and(|log| log.replica == Replica::Runs);
            next < newest.config_id || !member || runs
        };
        let ended = self.logs.iter().filter(|(id, log)| {
            log.replica == Replica::Runs && log.sealed && **id < newest.config_id && gone_on(**id)
        });
        ended.map(|(id, _)| *id).collect()
    }

    /// V7: a server that was left out goes once nobody needs it.
    fn retire(&mut self) {
        if self.retired {
            let stopped = self.logs.values().all(|log| log.replica == Replica::None);
            if stopped && !self.retired_told {
                self.retired_told = true;
                self.commands.push_back(Command::Retired);
            }
            return;
        }
        let Some(newest) = self.newest.as_ref().filter(|_| self.served && !self.is_member()) else {
            return;
        };
        let holds = |pid: &NodeId| self.stages.get(pid).is_some_and(|stage| stage.holds());
        let voters = newest.nodes.iter().filter(|pid| holds(pid)).count();
        if voters < Quorum::majority(newest.nodes.len()).accept() {
            return;
        }
        let all = newest.members().all(|pid| holds(&pid)) && self.lacking().is_none();
        let since = *self.quorum_since.get_or_insert(self.now);
        let waited = self.now.saturating_sub(since) >= u64::from(self.config.retire_ticks);
        if all || waited {
            self.retired = true;
            self.fetch = None;
            self.persisting.dirty = true;
            self.persist();
        }
    }

    pub(super) fn poll_at_once(&mut self) {
        self.polls.next = self.now;
        self.polls.wait = u64::from(self.config.poll_ticks);
    }

    /// Something may have changed elsewhere.
    pub(super) fn poll_soon(&mut self) {
        let wait = u64::from(self.config.poll_ticks);
        self.polls.wait = wait;
        self.polls.next = self.polls.next.min(self.now.saturating_add(wait));
    }

    /// V2: members are asked how far they are until they are in sync, and whoever may know more
    /// while this server is not.
    fn poll(&mut self) {
        if self.now < self.polls.next || self.retired {
            return;
        }
        let first = u64::from(self.config.poll_ticks);
        let wait = self.polls.wait.clamp(first, first.saturating_mul(BACK_OFF));
        self.polls.next = self.now.saturating_add(wait);
        self.polls.wait = wait.saturating_mul(2);
        let mut ask = self.contacts.clone();
        if let Some(history) = &self.history {
            let recent = history.configurations_from(history.newest_id().saturating_sub(1));
            ask.extend(recent.flat_map(|c| c.peers(self.pid)));
        }
        if let Some(newest) = self.newest.clone().filter(|_| self.served) {
            let config_id = newest.config_id;
            for pid in newest.peers(self.pid) {
                let stage = self.stages.get(&pid).copied().unwrap_or_default();
                if !matches!(stage, Stage::Synced { .. }) {
                    ask.remove(&pid);
                    self.polls.ask.remove(&pid);
                    self.send(pid, ServerBody::StageRequest { config_id });
                }
            }
        }
        if self.leader.is_none() {
            self.polls.ask.append(&mut ask);
        }
    }

    /// V2: tells whoever would ask how far this server is, as soon as it gets there.
    fn tell_stage(&mut self) {
        let stage = self.stage();
        if !stage.holds() || stage.rank() <= self.told.rank() {
            return;
        }
        self.told = stage;
        let Some(history) = &self.history else { return };
        let config_id = history.newest_id();
        let recent = history.configurations_from(config_id.saturating_sub(1));
        let tell: BTreeSet<NodeId> = recent.flat_map(|c| c.peers(self.pid)).collect();
        for pid in tell {
            self.send(pid, ServerBody::Stage { config_id, stage });
        }
    }
}
