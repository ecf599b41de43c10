//! Disks that lose the flush that was acknowledged last, and say so.

use super::cluster::Sim;
use super::plan::Fault;
use super::server::Node;
use omnipaxos_core::storage::ConfigId;

impl Sim {
    /// Whether a server can be counted on in a configuration: it is not down for good, and no flush
    /// of its disk is missing.
    pub(super) fn is_sound(&self, slot: usize, config_id: ConfigId) -> bool {
        let server = &self.servers[slot];
        !server.dead && server.disks.get(&config_id).is_none_or(|disk| !disk.is_suspect())
    }

    /// Whether disks lose flushes in this run.
    pub(super) fn loses_flushes(&self) -> bool {
        self.plan.faults.contains(&Fault::LostFlush)
    }

    /// Whether logs are trimmed in this run: not where disks lose flushes, because what all have
    /// trimmed nobody can learn again (docs/PROTOCOL.md, "Suspect storage"), nor where servers
    /// come new and need all of it.
    pub(super) fn trims(&self) -> bool {
        !self.loses_flushes() && self.plan.reconfigurations == 0
    }

    /// A server crashes, and its last flush is gone; never so many at a time that a configuration
    /// has no quorum of others left.
    pub(super) fn lose_flush(&mut self, slot: usize) -> bool {
        let Some(config_id) = self.newest_node(slot) else {
            return false;
        };
        let disk = self.servers[slot].disks.get(&config_id).cloned();
        let Some(disk) = disk.filter(|_| self.is_spare(slot)) else {
            return false;
        };
        let recovers = disk.is_suspect();
        if !disk.lose_last_flush() {
            return false;
        }
        if recovers {
            self.stats.path("flush lost while recovering");
        }
        if disk.is_suspect() {
            let who = self.servers[slot].who();
            self.checker.lost_flush(who, config_id, &disk);
        }
        self.crash_for_a_while(slot);
        true
    }
}

impl Node {
    /// Tells the election whether this server is fit to lead, and whether its replica votes.
    pub(super) fn set_healthy(&mut self, healthy: bool) {
        if let Some(election) = &mut self.election {
            election.set_healthy(healthy);
            election.set_voting(!self.paxos.is_recovering());
        }
    }
}
