//! What the media of the members hold covers what is decided.

use super::{Check, Checker, Who, key_of};
use crate::sim::Disk;
use omnipaxos_core::storage::ConfigId;

impl Checker {
    /// Whatever prepare quorum a new leader hears, the best log among its media has all that is
    /// decided.
    ///
    /// A server whose log lacks something decided must not be the best of any prepare quorum: fewer
    /// than that many servers have logs that are no better.
    pub fn recoverable(&mut self, config_id: ConfigId) {
        let Some(configuration) = self.configurations.get(&config_id) else {
            return;
        };
        let decided = configuration.log.len() as u64;
        let fresh = configuration.members.continued.unwrap_or_default();
        let mut logs = Vec::new();
        for pid in &configuration.members.voters {
            let Some(disk) = configuration.disks.get(pid) else {
                logs.push(((fresh, 0), decided == 0, *pid));
                continue;
            };
            if disk.is_suspect() {
                // It is in no prepare quorum, and leads nothing.
                continue;
            }
            let medium = disk.medium();
            let equal = |at: u64| {
                let record = medium.record(at).map(|(id, entry)| (key_of(entry), *id));
                record == configuration.log.get(at as usize).copied()
            };
            let complete = medium.end() >= decided && (medium.first()..decided).all(equal);
            let started = medium.state.is_some() || medium.end() > 0;
            let round = if started { medium.accepted_round() } else { fresh };
            logs.push(((round, medium.end()), complete, *pid));
        }
        for (best, complete, pid) in &logs {
            let others = logs.iter().filter(|(log, _, _)| log <= best).count();
            if !complete && others >= configuration.prepare {
                let detail = format!(
                    "the disk of {pid} lacks some of the {decided} decided entries of \
                     {config_id}, but could be adopted: {logs:?}"
                );
                return self.fail(Check::Recoverable, detail);
            }
        }
    }

    /// Each decided entry is on the media of an accept quorum, still.
    pub fn covered(&mut self, config_id: ConfigId) {
        let Some(configuration) = self.configurations.get(&config_id) else {
            return;
        };
        for ((key, _), at) in configuration.log.iter().zip(0..) {
            let covered = configuration.covered(at, *key);
            if covered < configuration.accept {
                let detail = format!("{covered} disks hold index {at} of {config_id}");
                return self.fail(Check::QuorumDurable, detail);
            }
        }
    }

    /// What holds at any time, looked at now.
    pub fn survey(&mut self) {
        let configurations: Vec<ConfigId> = self.configurations.keys().copied().collect();
        for config_id in configurations {
            self.recoverable(config_id);
            self.covered(config_id);
        }
    }

    /// `who` may have trimmed its log.
    pub fn trimmed(&mut self, who: Who, config_id: ConfigId, disk: &Disk) {
        let Some(configuration) = self.configurations.get_mut(&config_id) else {
            return;
        };
        let first = disk.cache().first();
        if configuration.trimmed.insert(who.slot, first) == Some(first) {
            return;
        }
        let behind = configuration.members.all().find(|pid| {
            let disk = configuration.disks.get(pid);
            disk.map_or(0, |disk| disk.medium().decided()) < first
        });
        if let (Some(behind), 1..) = (behind, first) {
            let detail = format!("{who} trimmed to {first} of {config_id}, {behind} is behind");
            self.fail(Check::TrimmedLate, detail);
        }
    }
}
