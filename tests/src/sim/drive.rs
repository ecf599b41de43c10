//! Inputs into replicas and elections, and what comes out of them.

use super::cluster::{Event, Sim};
use super::describe::{Shown, ShownServer};
use super::disk::Disk;
use super::network::Wire;
use crate::checker::{Check, Who};
use crate::planted::{Plant, tamper_server};
use omnipaxos_core::leader_election::{BallotLeaderElection, Heartbeat, Leader};
use omnipaxos_core::paxos::{Body, Message, MessageError, NodeId, ProposalOutcome};
use omnipaxos_core::storage::{ConfigId, FlushId, ProposalId, StorageError};

impl Sim {
    pub(super) fn tick(&mut self, slot: usize, incarnation: u64) {
        let server = &mut self.servers[slot];
        if server.incarnation != incarnation || server.process.is_none() {
            return;
        }
        let rate = server.rate;
        self.schedule(rate, Event::Tick { slot, incarnation });
        if self.servers[slot].paused {
            return;
        }
        self.stats.ticks += 1;
        for config_id in self.servers[slot].running() {
            let Some(node) = self.servers[slot].node(config_id) else {
                continue;
            };
            let leader = node.election.as_mut().and_then(BallotLeaderElection::tick);
            node.paxos.tick();
            self.lead(slot, config_id, leader);
            self.after_input(slot, config_id);
        }
        self.tick_life(slot);
        if self.healing.is_some() {
            self.watch_recovery();
        }
    }

    pub(super) fn lead(&mut self, slot: usize, config_id: ConfigId, leader: Option<Leader>) {
        let (Some(leader), Some(node)) = (leader, self.servers[slot].node(config_id)) else {
            return;
        };
        node.paxos.handle_leader(leader);
        let pid = self.servers[slot].pid;
        self.stats.path(if leader.pid() == pid {
            "stood and was elected"
        } else {
            "elected a peer"
        });
        self.log.line(self.now, format_args!("{pid} elects {} in {config_id}", leader.ballot));
    }

    pub(super) fn deliver(&mut self, machine: usize, slot: usize, wire: Wire) {
        let to = self.servers[slot].machine;
        let Some(wire) = self.network.arrives(machine, to, wire) else {
            return;
        };
        let server = &mut self.servers[slot];
        if server.process.is_none() {
            return;
        }
        if server.paused {
            server.inbox.push_back(wire);
            return;
        }
        self.handle(slot, wire);
    }

    pub(super) fn handle(&mut self, slot: usize, wire: Wire) {
        match wire {
            Wire::Paxos(message) => self.handle_message(slot, message),
            Wire::Heartbeat(message) => {
                let config_id = message.config_id;
                let from = message.from;
                let Some(node) = self.servers[slot].node(config_id) else {
                    return self.tell(slot, |life| life.unregistered(config_id, from));
                };
                let Some(election) = &mut node.election else {
                    return self.odd(&format!("heartbeat from {from} at a learner"));
                };
                match election.handle_message(message) {
                    Ok(leader) => self.lead(slot, config_id, leader),
                    Err(error) => self.odd(&format!("heartbeat from {from}: {error}")),
                }
                self.after_input(slot, config_id);
            }
            Wire::Server(message) => self.handle_server(slot, message),
        }
    }

    fn handle_message(&mut self, slot: usize, message: Message) {
        let (config_id, from) = (message.config_id, message.from);
        let Some(node) = self.servers[slot].node(config_id) else {
            return self.tell(slot, |life| life.unregistered(config_id, from));
        };
        let name = message.body.name();
        let shows = matches!(&message.body, Body::Promise(m) if !m.suffix.is_empty());
        let learns = matches!(&message.body, Body::Learn(m) if !m.entries.is_empty());
        let (cuts, decided) = (node.disk.cuts(), node.paxos.decided_index());
        self.log.line(self.now, format_args!("got {}", Shown(&message)));
        let Some(node) = self.servers[slot].node(config_id) else {
            return;
        };
        let result = node.paxos.handle_message(message);
        let cut = node.disk.cuts() > cuts;
        let learned = learns && node.paxos.decided_index() > decided;
        if shows {
            self.stats.path("entries shown by a Promise");
        }
        if learned {
            self.stats.path("learned from a peer (D1)");
        }
        match name {
            "Promise" if cut => self.stats.path("tail replaced by an adopted one"),
            "Learn" if cut => self.stats.path("tail cut by D1"),
            _ if cut => self.stats.path("tail cut by an AcceptSync"),
            _ => {}
        }
        match result {
            Ok(()) | Err(MessageError::Halted(_)) => {}
            Err(error) => self.odd(&error.to_string()),
        }
        self.after_input(slot, config_id);
    }

    /// Somebody found something impossible: a violation where nobody lies.
    pub(super) fn odd(&mut self, what: &str) {
        if self.plant.is_some() {
            self.stats.path("message found impossible");
        } else {
            self.checker.fail(Check::HonestPeers, what);
        }
    }

    /// B5, claims, and the outputs: now, or a little later for several inputs together.
    pub(super) fn after_input(&mut self, slot: usize, config_id: ConfigId) {
        let server = &mut self.servers[slot];
        let (who, lazy) = (server.who(), server.process.as_ref().is_some_and(|p| p.lazy));
        let Some(node) = server.node(config_id) else {
            return;
        };
        let promised = node.paxos.promised();
        if promised > node.reported {
            node.reported = promised;
            if let Some(election) = &mut node.election {
                election.handle_promised(promised);
            }
        }
        if let Some(election) = node.election.as_mut().filter(|_| node.paxos.is_leader()) {
            election.handle_prepared(promised);
        }
        let recovered = node.recovering && !node.paxos.is_recovering();
        if recovered {
            node.recovering = false;
            node.set_healthy(true);
        }
        let (disk, decided) = (node.disk.clone(), node.paxos.decided_index());
        if recovered {
            self.stats.path("recovered from a lost flush");
            self.log.line(self.now, format_args!("{} recovered in {config_id}", who.pid));
        }
        self.decided(who, config_id, decided, &disk);
        if !lazy {
            return self.output(slot, config_id);
        }
        let Some(node) = self.servers[slot].node(config_id) else {
            return;
        };
        if !std::mem::replace(&mut node.dirty, true) {
            let incarnation = who.incarnation;
            let delay = self.rng.between(0, 20);
            self.schedule(delay, Event::Output { slot, incarnation, config_id });
        }
    }

    /// Takes everything out of a node.
    pub(super) fn output(&mut self, slot: usize, config_id: ConfigId) {
        let server = &mut self.servers[slot];
        let who = server.who();
        let Some(process) = server.process.as_mut() else {
            return;
        };
        let pipelined = process.pipelined;
        let Some(node) = process.nodes.get_mut(&config_id) else {
            return;
        };
        node.dirty = false;
        let mut flushes = false;
        let messages = if pipelined {
            if let Some(flush) = node.paxos.begin_flush() {
                node.flushing = Some(flush);
                flushes = true;
            }
            node.paxos.take_sendable()
        } else {
            node.paxos.get_outgoing_msgs()
        };
        let election = node.election.as_mut();
        let heartbeats = election.map_or_else(Vec::new, BallotLeaderElection::get_outgoing_msgs);
        let (disk, decided) = (node.disk.clone(), node.paxos.decided_index());
        self.decided(who, config_id, decided, &disk);
        self.checker.trimmed(who, config_id, &disk);
        if flushes {
            let delay = self.flush_duration();
            let incarnation = who.incarnation;
            self.schedule(delay, Event::FlushEnd { slot, incarnation, config_id });
        }
        if !messages.is_empty() && self.healing.is_none() && self.crash_here() {
            // After the flush, and before anything of it was said.
            return self.crash_for_a_while(slot);
        }
        for heartbeat in heartbeats {
            self.send(slot, Wire::Heartbeat(heartbeat));
        }
        for message in messages {
            self.checker.sent(who, &message, &disk);
            self.log.line(self.now, format_args!("{}", Shown(&message)));
            self.send(slot, Wire::Paxos(message));
        }
        self.take_decided(slot, config_id, who);
        self.check_halted(slot, config_id);
        if self.servers[slot].incarnation == who.incarnation {
            self.report(slot, config_id);
            self.feed(slot);
        }
    }

    fn decided(&mut self, who: Who, config_id: ConfigId, index: u64, disk: &Disk) {
        self.checker.decided(who, config_id, index, disk);
        self.register_next();
    }

    pub(super) fn flush_duration(&mut self) -> u64 {
        let longest =
            if self.healing.is_some() { self.plan.flush.min(30) } else { self.plan.flush };
        self.rng.between(0, longest)
    }

    pub(super) fn flush_ended(&mut self, slot: usize, config_id: ConfigId) {
        if self.import_flush_ended(slot, config_id) {
            return;
        }
        let paused = self.servers[slot].paused;
        let Some(node) = self.servers[slot].node(config_id) else {
            return;
        };
        let Some(flush) = node.flushing.take() else {
            return;
        };
        let id = flush.id();
        let result = flush.run();
        if paused {
            node.ended = Some((id, result));
        } else {
            self.finish_flush(slot, config_id, id, result);
        }
    }

    pub(super) fn finish_flush(
        &mut self,
        slot: usize,
        config_id: ConfigId,
        id: FlushId,
        result: Result<(), StorageError>,
    ) {
        let Some(node) = self.servers[slot].node(config_id) else {
            return;
        };
        if let Err(error) = node.paxos.finish_flush(id, result) {
            self.checker.fail(Check::NoHalt, error.to_string());
        }
        self.after_input(slot, config_id);
    }

    fn take_decided(&mut self, slot: usize, config_id: ConfigId, who: Who) {
        let most = if self.rng.chance(10) { self.rng.below(100) } else { u64::MAX };
        let Some(node) = self.servers[slot].node(config_id) else {
            return;
        };
        let disk = node.disk.clone();
        let taken = node.paxos.take_decided(most);
        let outcomes = node.paxos.take_outcomes();
        let mut entries = taken.entries;
        if self.plant == Some(Plant::SkippedEntry) && entries.len() > 1 && self.rng.chance(10) {
            entries.remove(0);
        }
        if !entries.is_empty() {
            let first = taken.first_index;
            self.checker.handed_out(who, config_id, first, &entries, &disk);
            self.log.line(
                self.now,
                format_args!("{} has {first}+{} of {config_id}", who.pid, entries.len()),
            );
        }
        for (id, outcome) in outcomes {
            self.outcome(who, config_id, id, outcome);
        }
    }

    fn outcome(&mut self, who: Who, config_id: ConfigId, id: ProposalId, outcome: ProposalOutcome) {
        if self.plant == Some(Plant::LostOutcome) && self.rng.chance(5) {
            return;
        }
        self.stats.path(match outcome {
            ProposalOutcome::Decided(_) => "outcome Decided",
            ProposalOutcome::Dropped => "outcome Dropped",
        });
        let Some(key) = self.checker.outcome(who, config_id, id, outcome) else { return };
        if self.checker.is_in_line(key) {
            self.line_outcome(who, id, outcome);
        } else if let ProposalOutcome::Decided(index) = outcome {
            self.returned(key, config_id, index);
        }
    }

    /// A halted replica is gone; its server may come back, or not.
    fn check_halted(&mut self, slot: usize, config_id: ConfigId) {
        let Some(node) = self.servers[slot].node(config_id) else {
            return;
        };
        let Some(halted) = node.paxos.halted() else {
            return;
        };
        let detail = halted.to_string();
        let expected = detail.contains("simulated");
        self.log.line(self.now, format_args!("{} halts: {detail}", self.servers[slot].pid));
        if !expected && self.plant.is_none() {
            return self.checker.fail(Check::NoHalt, detail);
        }
        self.stats.path("replica halted");
        self.broken(slot);
    }

    /// Sends something from a server.
    pub(super) fn send(&mut self, slot: usize, wire: Wire) {
        self.stats.message(match &wire {
            Wire::Paxos(message) => message.body.name(),
            Wire::Heartbeat(message) => match &message.body {
                Heartbeat::Request { .. } => "HeartbeatRequest",
                _ => "HeartbeatReply",
            },
            Wire::Server(message) => message.body.name(),
        });
        if let Wire::Paxos(message) = &wire
            && matches!(&message.body, Body::Accepted(m) if m.gap)
        {
            self.stats.path("gap reported");
        }
        if let Wire::Server(message) = &wire {
            let (who, page) = (self.servers[slot].who(), self.servers[slot].book.medium());
            self.checker.told(who, message, page.history.as_ref(), page.retired);
            self.log.line(self.now, format_args!("{}", ShownServer(message)));
        }
        match (self.plant, wire) {
            (Some(plant), Wire::Paxos(message)) => {
                for message in self.tamper.tamper(plant, message, &mut self.rng) {
                    self.transmit(slot, Wire::Paxos(message));
                }
            }
            (Some(plant), Wire::Server(message)) => {
                if let Some(message) = tamper_server(plant, message) {
                    self.transmit(slot, Wire::Server(message));
                }
            }
            (_, wire) => self.transmit(slot, wire),
        }
    }

    fn transmit(&mut self, slot: usize, wire: Wire) {
        let Some(to) = self.machine_of(wire.ends().1) else {
            return;
        };
        let from = self.servers[slot].machine;
        let now = self.now;
        let times = self.network.route((from, to), now, &mut self.rng, &mut self.stats);
        let mut twins = Vec::new();
        if self.servers.len() > self.network.size() {
            twins = self.slots(to);
        }
        for at in times.into_iter().flatten() {
            let slot = self.rng.pick(&twins).unwrap_or(to);
            let wire = wire.clone();
            self.schedule(at - now, Event::Deliver { machine: from, slot, wire });
        }
    }

    pub(super) fn machine_of(&self, pid: NodeId) -> Option<usize> {
        self.plan.pids.binary_search(&pid).ok()
    }
}
