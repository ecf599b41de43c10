//! What a server is no longer held to once the flush that it acknowledged last is missing.

use super::{Checker, Who};
use crate::sim::Disk;
use omnipaxos_core::paxos::Ballot;
use omnipaxos_core::storage::ConfigId;
use std::collections::BTreeSet;

impl Checker {
    /// The last flush of `who` is missing on `disk`.
    ///
    /// What it answered and accepted still binds it: it must know better before it votes again. It
    /// may hand out once more what it has forgotten to be decided. And a ballot of its own, of
    /// which nobody ever heard more than a Prepare, may be forgotten for good: it is void, its
    /// owner may lead it after all, and who has forgotten a promise of it owes nothing.
    pub fn lost_flush(&mut self, who: Who, config_id: ConfigId, disk: &Disk) {
        let Some(configuration) = self.configurations.get_mut(&config_id) else {
            return;
        };
        let medium = disk.medium();
        if let Some(handed) = configuration.handed.get_mut(&who.slot) {
            *handed = medium.decided().min(*handed);
        }
        let own = configuration.ballots.keys().filter(|n| {
            n.pid == who.pid && **n > medium.promised() && !configuration.accepting.contains(*n)
        });
        let void: BTreeSet<Ballot> = own.copied().collect();
        configuration.void.extend(void);
        for (pid, answered) in &mut configuration.answered {
            if configuration.disks.get(pid).is_some_and(Disk::is_suspect) {
                answered.retain(|n| !configuration.void.contains(n));
            }
        }
    }
}
