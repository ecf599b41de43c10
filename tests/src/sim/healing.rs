//! The second phase: a quorum-connected core is healed while all else stays broken.

use super::cluster::{Event, Sim};
use super::plan::{Plan, TICK};
use crate::checker::{Check, Fate, Key, Members};
use crate::planted::Plant;
use omnipaxos_core::configurations::History;
use omnipaxos_core::storage::ConfigId;
use std::collections::{BTreeMap, BTreeSet};

/// The core, and what it still has to do.
#[derive(Clone, Debug)]
pub(super) struct Healing {
    /// The healed servers.
    core: BTreeSet<usize>,
    /// The configurations of which a quorum is in the core.
    configurations: BTreeSet<ConfigId>,
    /// When it was healed.
    since: u64,
    /// Within how many units it has to do it.
    bound: u64,
    /// Per process of the core: what it proposed since.
    fresh: BTreeMap<(usize, u64), Key>,
    checked: u64,
    done: bool,
}

impl Healing {
    /// Whether everything that was asked of the core has happened.
    pub(super) fn done(&self) -> bool {
        self.done
    }
}

impl Plan {
    /// Units within which a healed core has to decide what is proposed, with `open` proposals of
    /// its servers undecided.
    ///
    /// Two hundred election timeouts of the slowest clock: what is left of the safety phase may
    /// hold a core back for most of a hundred ticks (zombies that wake up), and up to two sealed
    /// configurations have to be finished one after the other. New proposals come after the open
    /// ones of their server: where a window has room for one of them and the leader, outside the
    /// core, is reached through one peer only, each takes a resend period a server.
    #[must_use]
    pub fn bound(&self, open: u64) -> u64 {
        let slowest = self.ticks.iter().copied().max().unwrap_or(TICK);
        let turn = u64::from(self.paxos.resend_ticks) * self.pids.len() as u64;
        let life = &self.life;
        let polls = 40 * u64::from(life.poll_ticks) + u64::from(life.retire_ticks);
        let logs = (self.reconfigurations + 1)
            * u64::from(life.patience_ticks + 20 * life.migration.resend_ticks);
        let across = if self.reconfigurations > 0 { polls + logs } else { 0 };
        (200 * u64::from(self.election.timeout_ticks) + open * turn + across) * slowest
    }
}

impl Sim {
    /// Heals a random core that is able to decide. Returns within how many units it has to.
    pub(super) fn heal(&mut self) -> u64 {
        let (core, configurations) = self.choose_core();
        let open = core.iter().flat_map(|slot| {
            let who = self.servers[*slot].who();
            let open = |config_id: &ConfigId| self.checker.unresolved(who, *config_id).len() as u64;
            let process = self.servers[*slot].process.as_ref();
            let waiting = process.map_or(0, |process| process.line.len() as u64);
            configurations.iter().map(open).chain([waiting]).collect::<Vec<_>>()
        });
        let bound = self.plan.bound(open.sum());
        self.log.line(self.now, format_args!("heal {core:?}"));
        self.stats.path(match core.len() == self.servers.len() {
            true => "healed all servers",
            false => "healed a core only",
        });
        self.healing = Some(Healing {
            core: core.clone(),
            configurations,
            since: self.now,
            bound,
            fresh: BTreeMap::new(),
            checked: self.now,
            done: false,
        });
        for from in &core {
            for to in core.iter().filter(|to| *to != from) {
                let deaf = self.plant.is_some_and(Plant::leaves_cut);
                let held = self.network.link(*from, *to).heal();
                self.network.link(*from, *to).cut = deaf;
                for wire in held {
                    self.schedule(1, Event::Deliver { machine: *from, slot: *to, wire });
                }
            }
        }
        for slot in core {
            for disk in self.servers[slot].disks.values() {
                disk.mend();
            }
            self.start(slot);
            self.schedule(0, Event::Wake { slot });
            for config_id in self.servers[slot].running() {
                if let Some(node) = self.servers[slot].node(config_id) {
                    node.set_healthy(true);
                }
            }
        }
        bound
    }

    /// A quorum of the newest configuration and of each that may follow it; of the one before,
    /// too, where somebody has not got further yet; and so on.
    fn choose_core(&mut self) -> (BTreeSet<usize>, BTreeSet<ConfigId>) {
        let newest = self.checker.newest();
        let mut core = BTreeSet::new();
        let mut configurations = BTreeSet::new();
        let pending: Vec<_> = self.proposed_sets.clone();
        for (config_id, nodes) in pending.iter().filter(|(id, _)| *id == newest + 1) {
            self.add_quorum(*config_id, nodes, &mut core);
            configurations.insert(*config_id);
        }
        for config_id in (1..=newest).rev() {
            let voters = self.members(config_id).voters;
            let quorum = self.add_quorum(config_id, &voters, &mut core);
            configurations.insert(config_id);
            if quorum.iter().all(|slot| self.servers[*slot].started.contains_key(&config_id)) {
                break;
            }
        }
        (core, configurations)
    }

    fn members(&self, config_id: ConfigId) -> Members {
        self.checker.members(config_id).cloned().unwrap_or_default()
    }

    /// Whether all servers of a configuration are in the core and run its replica.
    fn all_started(&self, config_id: ConfigId, core: &BTreeSet<usize>) -> bool {
        let members = self.members(config_id);
        let mut machines = members.all().map(|pid| self.machine_of(pid));
        machines.all(|at| {
            at.is_some_and(|at| {
                core.contains(&at) && self.servers[at].started.contains_key(&config_id)
            })
        })
    }

    fn add_quorum(
        &mut self,
        config_id: ConfigId,
        nodes: &[u64],
        core: &mut BTreeSet<usize>,
    ) -> Vec<usize> {
        let machines = nodes.iter().filter_map(|pid| self.machine_of(*pid));
        let mut alive: Vec<usize> = machines.filter(|at| !self.servers[*at].dead).collect();
        self.rng.shuffle(&mut alive);
        // Those that vote come first.
        alive.sort_by_key(|at| !self.is_sound(*at, config_id));
        let least = self.needed(config_id, nodes.len());
        let extra = if self.rng.chance(50) { self.rng.below(3) as usize } else { 0 };
        alive.truncate(least + extra);
        core.extend(&alive);
        alive
    }

    /// Looks, from time to time, whether the core has done what it must; proposes where it has not.
    pub(super) fn watch_recovery(&mut self) {
        let Some(mut healing) = self.healing.take() else {
            return;
        };
        if self.now >= healing.checked + 2 * TICK && !healing.done {
            healing.checked = self.now;
            let newest = self.checker.newest();
            let mut done = true;
            for slot in healing.core.clone() {
                done &= self.has_recovered(slot, newest, &mut healing);
            }
            healing.done = done;
            if done {
                let slowest = self.plan.ticks.iter().copied().max().unwrap_or(TICK);
                self.stats.slowest_recovery = (self.now - healing.since) / slowest;
            }
        }
        self.healing = Some(healing);
    }

    fn has_recovered(&mut self, slot: usize, newest: ConfigId, healing: &mut Healing) -> bool {
        let who = self.servers[slot].who();
        let Some(process) = &self.servers[slot].process else {
            return false;
        };
        let (life, waiting) = (&process.life, process.line.len());
        let (retired, stage) = (life.is_retired(), life.stage());
        let knows = life.history().is_some_and(|history| history.newest_id() == newest);
        let mut recovered = true;
        for config_id in healing.configurations.clone() {
            recovered &= retired || self.checker.unresolved(who, config_id).is_empty();
            let decided = self.checker.decided_len(config_id);
            let all_there = self.all_started(config_id, &healing.core);
            if let Some(node) = self.servers[slot].node(config_id) {
                recovered &= node.paxos.decided_index() == decided;
                // It asks every member: one that is not healed keeps it waiting. A sealed log needs
                // no votes.
                recovered &= !node.recovering || !all_there || node.paxos.stop_sign().is_some();
            }
        }
        if !self.members(newest).contains(who.pid) {
            let served = (1..newest).any(|config_id| self.members(config_id).contains(who.pid));
            return recovered && (!served || retired);
        }
        recovered &= knows && stage.holds();
        if self.servers[slot].node(newest).is_none() {
            return false;
        }
        recovered &= waiting == 0;
        let fresh = healing.fresh.get(&(slot, who.incarnation)).map(|key| self.checker.fate(*key));
        match fresh {
            Some(Fate::Decided) => recovered,
            Some(Fate::Open) => false,
            Some(Fate::Dropped) | None => {
                if let Some(key) = self.propose(slot, newest) {
                    healing.fresh.insert((slot, who.incarnation), key);
                }
                false
            }
        }
    }

    /// The bound has passed: is it done?
    pub(super) fn judge_recovery(&mut self) {
        for slot in 0..self.servers.len() {
            let Some(process) = &self.servers[slot].process else { continue };
            let (in_line, who) = (process.line.len(), self.servers[slot].who());
            let waiting = self.checker.waiting(who);
            if waiting.len() != in_line {
                let detail = format!("{in_line} of {waiting:?} wait at {who}");
                self.checker.fail(Check::NeverLost, detail);
            }
        }
        let Some(healing) = &self.healing else {
            return;
        };
        if healing.done {
            return;
        }
        let (core, bound) = (healing.core.clone(), healing.bound);
        let newest = self.checker.newest();
        let mut states = Vec::new();
        let mut lost = 0;
        for slot in core {
            let who = self.servers[slot].who();
            if let Some(process) = &self.servers[slot].process {
                let life = &process.life;
                let newest = life.history().map(History::newest_id);
                states.push(format!(
                    "{} knows {newest:?}, {:?}{}, {} in line, fetches {:?}",
                    who.pid,
                    life.stage(),
                    if life.is_retired() { ", retired" } else { "" },
                    process.line.len(),
                    life.progress().map(|(config_id, progress)| {
                        (config_id, progress.have, progress.total)
                    })
                ));
            }
            for config_id in self.servers[slot].running() {
                let unresolved = self.checker.unresolved(who, config_id);
                let server = &mut self.servers[slot];
                let Some(node) = server.node(config_id) else {
                    continue;
                };
                let (decided, end) = (node.paxos.decided_index(), node.paxos.log_len());
                lost += self.checker.unheard(who, config_id, decided);
                states.push(format!(
                    "{} in {config_id}: {decided}/{end}, promised {}, follows {:?}, open {}{}",
                    who.pid,
                    node.paxos.promised(),
                    node.paxos.leader(),
                    unresolved.len(),
                    node.paxos.recovery().map(|at| format!(", {at:?}")).unwrap_or_default()
                ));
            }
        }
        let detail = format!("newest {newest}, within {bound} units: {}", states.join("; "));
        let check = if lost == 0 { Check::Liveness } else { Check::NeverLost };
        self.checker.fail(check, detail);
    }
}
