//! The faults of the safety phase.

use super::cluster::{Event, Sim};
use super::plan::{Fault, TICK};
use crate::planted::Plant;
use omnipaxos_core::leader_election::Leader;
use omnipaxos_core::paxos::{Ballot, NodeId};
use omnipaxos_core::storage::ConfigId;

impl Sim {
    /// Injects one of the faults that this seed has on, and schedules the next.
    pub(super) fn inject(&mut self) {
        if self.healing.is_some() {
            return;
        }
        let interval = self.plan.fault_interval;
        let next = self.rng.between(1, 2 * interval);
        self.schedule(next, Event::Fault);
        if self.plant == Some(Plant::Twin) {
            self.twin();
        }
        let faults = std::mem::take(&mut self.plan.faults);
        let fault = self.rng.pick(&faults);
        self.plan.faults = faults;
        let Some(fault) = fault else {
            return;
        };
        if self.apply(fault) {
            self.stats.fault(fault.name());
            self.log.line(self.now, format_args!("fault: {}", fault.name()));
        }
    }

    fn apply(&mut self, fault: Fault) -> bool {
        let slot = self.rng.below(self.servers.len() as u64) as usize;
        match fault {
            Fault::Crash => {
                self.servers[slot].process.is_some() && {
                    self.crash_for_a_while(slot);
                    true
                }
            }
            Fault::Pause => self.pause(slot),
            Fault::Partition
            | Fault::OneWay
            | Fault::Partial
            | Fault::Hub
            | Fault::Chain
            | Fault::Heal => self.cut(fault),
            Fault::Hold => self.hold(),
            Fault::Clog => {
                let (from, to) = self.any_link();
                let until = self.now + self.rng.between(1, 40) * TICK;
                self.network.link(from, to).clogged_until = until;
                true
            }
            Fault::FlushFails | Fault::DiskFull => self.spoil_disk(slot, fault),
            Fault::Priority => self.change_priority(slot),
            Fault::Health => {
                let healthy = self.rng.chance(60);
                let newest = self.newest_node(slot);
                let node = newest.and_then(|config_id| self.servers[slot].node(config_id));
                node.map(|node| node.set_healthy(healthy)).is_some()
            }
            Fault::Spurious => self.spurious_leader(slot),
            Fault::Reconfigure => self.reconfigure(slot),
            Fault::Reconnect => self.reconnect(slot),
            Fault::LostFlush => self.lose_flush(slot),
            Fault::TakeOver => self.take_over(slot),
        }
    }

    /// The newest configuration that a server runs, if it acts.
    pub(super) fn newest_node(&self, slot: usize) -> Option<ConfigId> {
        let server = &self.servers[slot];
        if server.acts() { server.running().last().copied() } else { None }
    }

    /// Whether a process ends just here.
    pub(super) fn crash_here(&mut self) -> bool {
        self.plan.faults.contains(&Fault::Crash) && self.rng.rarely(1)
    }

    pub(super) fn crash_for_a_while(&mut self, slot: usize) {
        self.crash(slot);
        let down = self.rng.between(1, 60) * TICK;
        self.schedule(down, Event::Start { slot });
    }

    /// The process ends, and is started again soon.
    pub(super) fn crash_for_a_moment(&mut self, slot: usize) {
        self.crash(slot);
        let down = self.rng.between(1, 5) * TICK;
        self.schedule(down, Event::Start { slot });
    }

    fn pause(&mut self, slot: usize) -> bool {
        if !self.servers[slot].acts() {
            return false;
        }
        self.servers[slot].paused = true;
        let time = self.rng.between(5, 80) * TICK;
        self.schedule(time, Event::Wake { slot });
        true
    }

    fn any_link(&mut self) -> (usize, usize) {
        let size = self.network.size() as u64;
        (self.rng.below(size) as usize, self.rng.below(size) as usize)
    }

    fn cut(&mut self, fault: Fault) -> bool {
        let size = self.network.size();
        let one = self.rng.below(size as u64) as usize;
        let (outgoing, percent) = (self.rng.chance(50), self.rng.between(10, 60));
        let mut order: Vec<usize> = (0..size).collect();
        self.rng.shuffle(&mut order);
        let mut place = vec![0; size];
        for (at, machine) in order.iter().enumerate() {
            place[*machine] = at;
        }
        let split = self.rng.between(1, size as u64) as usize;
        for from in 0..size {
            for to in (0..size).filter(|to| *to != from) {
                let cut = match fault {
                    Fault::Partition => (place[from] < split) != (place[to] < split),
                    Fault::OneWay if outgoing => from == one,
                    Fault::OneWay => to == one,
                    Fault::Partial => self.rng.chance(percent),
                    Fault::Hub => from != one && to != one,
                    Fault::Chain => place[from].abs_diff(place[to]) > 1,
                    _ => false,
                };
                self.network.link(from, to).cut = cut;
            }
        }
        true
    }

    fn hold(&mut self) -> bool {
        let (from, to) = self.any_link();
        let link = self.network.link(from, to);
        if from == to || link.held.is_some() {
            return false;
        }
        link.held = Some(Vec::new());
        let time = self.rng.between(1, 60) * TICK;
        self.schedule(time, Event::Release { from, to });
        true
    }

    fn spoil_disk(&mut self, slot: usize, fault: Fault) -> bool {
        let Some(config_id) = self.newest_node(slot) else {
            return false;
        };
        let room = self.rng.below(10);
        let Some(disk) = self.servers[slot].disks.get(&config_id) else {
            return false;
        };
        match fault {
            Fault::FlushFails => disk.fail_next_flush(),
            _ => disk.set_room(Some(room)),
        }
        true
    }

    /// A replica halted: its process ends, and is started again on the same disk (with room on it)
    /// later, or never where that leaves enough other servers.
    pub(super) fn broken(&mut self, slot: usize) {
        for disk in self.servers[slot].disks.values() {
            disk.set_room(None);
        }
        self.crash(slot);
        // A flush that failed during a pause may come to light after the healing.
        if self.rng.chance(30) && self.healing.is_none() && self.is_spare(slot) {
            self.servers[slot].dead = true;
            self.stats.path("server down for good");
            return;
        }
        let down = self.rng.between(1, 60) * TICK;
        self.schedule(down, Event::Start { slot });
    }

    /// Whether each configuration keeps its quorums without this server.
    pub(super) fn is_spare(&self, slot: usize) -> bool {
        self.proposed_sets.iter().all(|(config_id, nodes)| {
            let sound = nodes.iter().filter(|pid| {
                let machine = self.machine_of(**pid);
                machine.is_some_and(|at| at != slot && self.is_sound(at, *config_id))
            });
            sound.count() >= self.needed(*config_id, nodes.len())
        })
    }

    /// How many connected servers elect a leader that can decide.
    pub(super) fn needed(&self, config_id: ConfigId, servers: usize) -> usize {
        let (prepare, accept) = self.plan.quorums(config_id, servers);
        prepare.max(accept)
    }

    fn change_priority(&mut self, slot: usize) -> bool {
        let priority = self.rng.below(4) as u32;
        self.servers[slot].priority = priority;
        let newest = self.newest_node(slot);
        let node = newest.and_then(|config_id| self.servers[slot].node(config_id));
        let election = node.and_then(|node| node.election.as_mut());
        election.map(|election| election.set_priority(priority)).is_some()
    }

    fn take_over(&mut self, slot: usize) -> bool {
        let Some(config_id) = self.newest_node(slot) else {
            return false;
        };
        let node = self.servers[slot].node(config_id);
        let Some(leader) = node.and_then(|node| node.election.as_mut()?.take_over()) else {
            return false;
        };
        self.lead(slot, config_id, Some(leader));
        self.after_input(slot, config_id);
        true
    }

    fn spurious_leader(&mut self, slot: usize) -> bool {
        let Some(config_id) = self.newest_node(slot) else {
            return false;
        };
        let (above, priority) = (self.rng.below(3), self.rng.below(3) as u32);
        let at = self.rng.number();
        let Some(node) = self.servers[slot].node(config_id) else {
            return false;
        };
        let owner = node.members[(at % node.members.len() as u64) as usize];
        let n = node.paxos.promised().n + above;
        let ballot = Ballot::new(n, priority, owner);
        node.paxos.handle_leader(Leader::new(ballot));
        // As if its election had elected that ballot: it follows none below.
        if let Some(election) = &mut node.election {
            election.handle_promised(ballot);
        }
        self.after_input(slot, config_id);
        true
    }

    fn reconnect(&mut self, slot: usize) -> bool {
        let Some(config_id) = self.newest_node(slot) else {
            return false;
        };
        let (_, to) = self.any_link();
        let peer: NodeId = self.plan.pids[to];
        if let Some(node) = self.servers[slot].node(config_id) {
            node.paxos.reconnected(peer);
        }
        self.after_input(slot, config_id);
        true
    }

    /// Two machines under one pid: a second process starts on a copy of a disk.
    fn twin(&mut self) {
        let size = self.network.size();
        if self.servers.len() > size || self.rng.chance(50) {
            return;
        }
        let machine = self.rng.below(size as u64) as usize;
        let original = &self.servers[machine];
        let (pid, rate) = (original.pid, original.rate);
        let mut twin = super::server::Server::new(size, pid, rate);
        twin.machine = machine;
        twin.started = original.started.clone();
        twin.book = original.book.clone();
        let disks = original.disks.iter();
        twin.disks = disks.map(|(id, disk)| (*id, disk.copy_medium())).collect();
        self.servers.push(twin);
        self.start(size);
    }
}
