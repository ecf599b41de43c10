//! Completing a log: records from many donors, handed on in order.

use super::command::Command;
use super::history::Ended;
use super::life::Configurations;
use super::log::Replica;
use super::messages::ServerBody;
use crate::ballot::{Ballot, NodeId};
use crate::digest::{Anchor, Block};
use crate::migration::{
    IndexRange, Migration, MigrationCommand, MigrationConfig, MigrationMessage,
    MigrationMessageError, Progress, Ranges, Target,
};
use crate::storage::{ConfigId, Records};
use std::collections::BTreeMap;

/// The log that is being completed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fetch {
    target: Target,
    round: Ballot,
    migration: Migration,
    /// What arrived and is not durable here, by its first index; none overlap.
    staged: BTreeMap<u64, Records>,
    /// Everything below was handed on.
    next: u64,
    /// Everything below is durable.
    end: u64,
    /// The last thing to do was handed on.
    sealing: bool,
    /// What was told last about progress.
    told: Option<(u64, u64)>,
}

impl Fetch {
    pub(super) fn config_id(&self) -> ConfigId {
        self.target.config_id
    }

    pub(super) fn handle_message(
        &mut self,
        message: MigrationMessage,
    ) -> Result<(), MigrationMessageError> {
        if message.config_id == self.config_id() {
            self.migration.handle_message(message)?;
        }
        Ok(())
    }

    /// The log is durable up to `end`, wherever that came from.
    pub(super) fn stored(&mut self, end: u64) {
        if end <= self.end {
            return;
        }
        self.end = end;
        while let Some(entry) = self.staged.first_entry()
            && *entry.key() < end
        {
            let (start, records) = entry.remove_entry();
            if start + records.len() > end {
                self.staged.insert(end, records.skip(end - start));
            }
        }
        self.next = self.next.max(end);
        self.migration.stored(end);
    }

    /// The next records in order, while less than `limit` bytes wait for the disk.
    fn next_store(&mut self, limit: u64) -> Option<(u64, Records)> {
        let waiting: u64 = self.staged.range(..self.next).map(|(_, records)| records.cost()).sum();
        if waiting >= limit {
            return None;
        }
        let (start, records) = self.staged.get_key_value(&self.next)?;
        self.next = start + records.len();
        Some((*start, records.clone()))
    }
}

impl Configurations {
    /// V4: the first log that this server lacks, in order: what is not here is fetched.
    pub(super) fn fetch(&mut self) {
        let lacking = self.lacking().filter(|_| !self.retired);
        let ended =
            lacking.and_then(|config_id| Some(self.history.as_ref()?.ended(config_id)?.clone()));
        let mut goes_on = false;
        if let Some(fetch) = &self.fetch {
            let (config_id, to) = (fetch.config_id(), fetch.target.range.to);
            let end = self.logs.get(&config_id).map_or(0, |log| log.end);
            let wanted = match &ended {
                Some(ended) => ended.config_id == config_id && to == ended.len,
                // A replica that lags behind its own configuration.
                None => {
                    let newest = self.newest.as_ref().map(|newest| newest.config_id);
                    Some(config_id) == newest && end < to
                }
            };
            if !wanted {
                // One that lagged behind goes on: now it is known where the log ends.
                goes_on = ended.as_ref().is_some_and(|ended| ended.config_id == config_id);
                self.fetch = None;
            }
        }
        if let (None, Some(ended)) = (&self.fetch, ended) {
            self.fetch_ended(&ended, goes_on);
        }
        self.drive_fetch();
    }

    /// Where a replica runs it may still learn the rest from its leader, unless it is known to be
    /// far behind.
    fn fetch_ended(&mut self, ended: &Ended, behind: bool) {
        let log = self.logs.entry(ended.config_id).or_default();
        let patience = u64::from(self.config.patience_ticks);
        let due = match log.replica {
            Replica::None => !log.started,
            Replica::Runs => {
                let waited = self.now.saturating_sub(log.progressed) >= patience;
                log.end < ended.len && (behind || waited)
            }
            Replica::Starting | Replica::Stopping => false,
        };
        if due {
            let range = IndexRange::new(log.end, ended.len);
            self.begin_fetch(ended.config_id, range, ended.anchor, ended.round);
        }
    }

    /// See [`catch_up`](Configurations::catch_up).
    pub(super) fn fetch_for_replica(
        &mut self,
        config_id: ConfigId,
        from: u64,
        to: u64,
        round: Ballot,
    ) {
        let Some(history) = self.history.as_ref().filter(|_| !self.halted && !self.retired) else {
            return;
        };
        let first = self.lacking().unwrap_or(history.newest_id());
        let Some(log) = self.logs.get_mut(&config_id) else { return };
        log.stored(from, self.now);
        let runs = log.replica == Replica::Runs && config_id == first;
        if !runs || self.fetch.is_some() {
            return;
        }
        let (to, anchor, round) = match history.ended(config_id) {
            Some(ended) => (ended.len, ended.anchor, ended.round),
            None => (to, None, round),
        };
        let range = IndexRange::new(log.end, to);
        if !range.is_empty() {
            self.begin_fetch(config_id, range, anchor, round);
        }
    }

    fn begin_fetch(
        &mut self,
        config_id: ConfigId,
        range: IndexRange,
        anchor: Option<Anchor>,
        round: Ballot,
    ) {
        let target = Target { config_id, range, anchor };
        let config = MigrationConfig { max_snapshot_bytes: 0, ..self.config.migration.clone() };
        // Pid and limits were checked, and the range is possible.
        let Ok(mut migration) = Migration::new(self.pid, target.clone(), &Ranges::new(), config)
        else {
            return;
        };
        // Nothing waits for the disk yet.
        migration.stored(range.from);
        for donor in self.donors(config_id) {
            // Neither 0 nor this server.
            let _ = migration.add_donor(donor);
        }
        self.fetch = Some(Fetch {
            target,
            round,
            migration,
            staged: BTreeMap::new(),
            next: range.from,
            end: range.from,
            sealing: false,
            told: None,
        });
    }

    /// Whoever may have the log of `config_id`: its members, and those of later configurations.
    fn donors(&self, config_id: ConfigId) -> Vec<NodeId> {
        let Some(history) = &self.history else { return Vec::new() };
        let later = history.configurations_from(config_id);
        later.flat_map(|c| c.peers(self.pid)).collect()
    }

    pub(super) fn tick_fetch(&mut self) {
        let Some(fetch) = &self.fetch else { return };
        let donors = self.donors(fetch.config_id());
        let Some(fetch) = &mut self.fetch else { return };
        for donor in donors {
            let _ = fetch.migration.add_donor(donor);
        }
        fetch.migration.tick();
        let config_id = fetch.config_id();
        let patience = u64::from(self.config.patience_ticks);
        if let Some(log) = self.logs.get_mut(&config_id)
            && log.replica == Replica::Runs
            && fetch.end < fetch.next
            && self.now.saturating_sub(log.progressed) >= patience
        {
            // A replica takes nothing while it leads in a round of its own.
            log.progressed = self.now;
            fetch.next = fetch.end;
        }
        let progress = fetch.migration.progress();
        let told = Some((progress.have, progress.bytes));
        if fetch.told != told {
            fetch.told = told;
            self.commands.push_back(Command::Progress(config_id, progress));
        }
    }

    /// Hands on what the migration says, and what is next in order.
    fn drive_fetch(&mut self) {
        let Some(fetch) = &mut self.fetch else { return };
        let config_id = fetch.config_id();
        while let Some(command) = fetch.migration.next_command() {
            match command {
                MigrationCommand::Send(message) => {
                    let (from, to) = (message.from, message.to);
                    let body = ServerBody::Migration(message);
                    let message = super::ServerMessage { from, to, body };
                    self.commands.push_back(Command::Send(message));
                }
                MigrationCommand::Store { start, records } => {
                    // The replica may have learned a part of them meanwhile.
                    let known = fetch.next.saturating_sub(start);
                    if known < records.len() {
                        fetch.staged.insert(start + known, records.skip(known));
                    }
                }
                MigrationCommand::Blame { donor, blame } => {
                    self.commands.push_back(Command::Blame { config_id, donor, blame });
                }
                MigrationCommand::NeedsSnapshot { below } => {
                    self.commands.push_back(Command::Trimmed { config_id, below });
                }
                // No snapshot is ever small enough.
                MigrationCommand::StoreSnapshot { .. }
                | MigrationCommand::DiscardSnapshot(_)
                | MigrationCommand::InstallSnapshot(_)
                | MigrationCommand::Done => {}
            }
        }
        let (round, limit) = (fetch.round, self.config.store_bytes);
        while let Some((start, records)) = fetch.next_store(limit) {
            self.commands.push_back(Command::Store { config_id, start, records, round });
        }
        let end = fetch.target.range.to;
        let started = self.logs.get(&config_id).is_some_and(|log| log.started);
        if fetch.end == end && !fetch.sealing && !started {
            fetch.sealing = true;
            self.commands.push_back(Command::Seal { config_id, end, round });
        }
    }

    /// How far the migration has come that is under way; `None` where none is.
    #[must_use]
    pub fn progress(&self) -> Option<(ConfigId, Progress)> {
        let fetch = self.fetch.as_ref()?;
        Some((fetch.config_id(), fetch.migration.progress()))
    }

    /// What was fetched of the log of `config_id` and is not durable yet, and its blocks.
    pub(super) fn staged(
        &self,
        config_id: ConfigId,
    ) -> Option<(&BTreeMap<u64, Records>, &[Block])> {
        let fetch = self.fetch.as_ref().filter(|fetch| fetch.config_id() == config_id)?;
        Some((&fetch.staged, fetch.migration.blocks().unwrap_or_default()))
    }
}
