//! The life of each server across configurations: what it is told, and what it has done.

use super::book::Page;
use super::cluster::{Event, Sim};
use super::network::Wire;
use super::shelf::{Shelf, digests};
use crate::checker::{Check, Members};
use crate::planted::Plant;
use omnipaxos_core::configurations::{
    Command, Configuration, Configurations, Found, FoundLog, ServerMessage,
};
use omnipaxos_core::migration::MigrationMessage;
use omnipaxos_core::paxos::CatchUp;
use omnipaxos_core::storage::ConfigId;

impl Sim {
    /// The life of a server whose process starts, from what is on its disks.
    pub(super) fn begin_life(&mut self, slot: usize) -> Option<Configurations> {
        let server = &mut self.servers[slot];
        let Page { history, retired } = server.book.medium().clone();
        server.retired = retired;
        let new = history.is_none();
        let logs = server.disks.iter().map(|(config_id, disk)| {
            let medium = disk.medium();
            let (end, sealed) = (medium.decided(), medium.is_sealed());
            let started = server.started.contains_key(config_id);
            FoundLog { config_id: *config_id, end, sealed, started }
        });
        let known = |log: &FoundLog| {
            history.as_ref().is_some_and(|h| h.configuration(log.config_id).is_some())
        };
        let logs = logs.filter(known).collect();
        let (pid, found) = (server.pid, Found { history, retired, logs });
        let mut life = match Configurations::new(pid, found, self.plan.life.clone()) {
            Ok(life) => life,
            Err(error) => {
                self.checker.fail(Check::NoHalt, format!("{pid} cannot start: {error}"));
                return None;
            }
        };
        if new && self.plan.first.contains(pid) {
            if let Err(error) = life.bootstrap(self.plan.first_configuration()) {
                self.checker.fail(Check::NoHalt, format!("{pid} cannot begin: {error}"));
            }
        } else if new {
            for _ in 0..self.rng.between(1, 2) {
                let known = self.plan.pids.clone();
                life.contact(self.rng.pick(&known).unwrap_or(pid));
            }
        }
        Some(life)
    }

    /// Something is said to a server's life, and what follows from it is done.
    pub(super) fn tell(&mut self, slot: usize, what: impl FnOnce(&mut Configurations)) {
        if let Some(process) = &mut self.servers[slot].process {
            what(&mut process.life);
        }
        self.drive(slot);
    }

    /// Carries out all commands.
    pub(super) fn drive(&mut self, slot: usize) {
        let incarnation = self.servers[slot].incarnation;
        loop {
            let alive = self.servers[slot].incarnation == incarnation;
            let Some(process) = self.servers[slot].process.as_mut().filter(|_| alive) else {
                return;
            };
            // What a command leads to is told while it is carried out; its commands come after.
            if process.driving {
                return;
            }
            let Some(command) = process.life.next_command() else { return };
            process.driving = true;
            let boundary = self.is_boundary(slot, &command);
            self.carry_out(slot, command);
            let alive = self.servers[slot].incarnation == incarnation;
            if let Some(process) = self.servers[slot].process.as_mut().filter(|_| alive) {
                process.driving = false;
                if boundary {
                    self.stats.path("crash at a command boundary");
                    return self.crash_for_a_moment(slot);
                }
            }
        }
    }

    /// Whether the process ends right behind this command: in turn behind its first one, after a
    /// restart behind the second one, and so on.
    fn is_boundary(&mut self, slot: usize, command: &Command) -> bool {
        let counts = match command {
            Command::Progress(..) | Command::Blame { .. } => false,
            Command::Send(_) | Command::Serve(_) => self.plan.boundaries_of_messages,
            _ => true,
        };
        let server = &mut self.servers[slot];
        let Some(process) = server.process.as_mut().filter(|_| counts) else { return false };
        process.commands += 1;
        let here =
            self.plan.boundaries && self.healing.is_none() && process.commands == server.boundary;
        server.boundary += u64::from(here);
        here
    }

    fn carry_out(&mut self, slot: usize, command: Command) {
        let (pid, now) = (self.servers[slot].pid, self.now);
        match command {
            Command::Persist { version, history, retired } => {
                self.log.line(
                    now,
                    format_args!("{pid} persists {} {retired} as {version}", history.newest_id()),
                );
                if retired && !self.servers[slot].retired {
                    self.checker.retires(self.servers[slot].who(), &history);
                }
                self.servers[slot].retired = retired;
                self.servers[slot].book.write(version, Page { history: Some(history), retired });
                let (incarnation, delay) = (self.servers[slot].incarnation, self.flush_duration());
                self.schedule(delay, Event::Written { slot, incarnation, version });
                if self.plant == Some(Plant::HastyBook) {
                    self.tell(slot, |life| life.persisted(version));
                }
            }
            Command::StartReplica { configuration } => self.start_replica(slot, &configuration),
            Command::StopReplica { config_id } => self.stop_replica(slot, config_id),
            Command::Store { config_id, start, records, round } => {
                self.log.line(
                    now,
                    format_args!("{pid} stores {start}+{} of {config_id}", records.len()),
                );
                self.store(slot, config_id, start, &records, round);
            }
            Command::Seal { config_id, end, round } => {
                self.log.line(now, format_args!("{pid} seals {config_id} at {end}"));
                self.seal(slot, config_id, round);
            }
            Command::Send(message) => self.send(slot, Wire::Server(message)),
            Command::Serve(request) => self.serve(slot, &request),
            Command::Progress(..) => {}
            Command::Blame { config_id, donor, blame } => {
                self.stats.path("donor blamed");
                self.log.line(now, format_args!("{pid} blames {donor}: {blame}"));
                if self.plant.is_none() {
                    let detail = format!("{pid} blames {donor} for {blame} of {config_id}");
                    self.checker.fail(Check::HonestPeers, detail);
                }
            }
            Command::Retired => {
                self.stats.path("server retired");
                self.log.line(now, format_args!("{pid} retires"));
                if let Some(process) = &mut self.servers[slot].process {
                    self.checker.given_up(&process.line.give_up());
                }
                if !self.servers[slot].book.medium().retired {
                    let detail = format!("{pid} has retired, not durably");
                    self.checker.fail(Check::HistoryFirst, detail);
                }
            }
            Command::Conflict(conflict) => {
                self.checker.fail(Check::OneLog, format!("{pid} finds {conflict}"));
            }
            Command::Trimmed { config_id, below } => {
                let detail = format!("{pid} finds {config_id} trimmed to {below} everywhere");
                self.checker.fail(Check::TrimmedLate, detail);
            }
            _ => self.checker.fail(Check::NoHalt, "an unknown command"),
        }
    }

    /// What a tick means for a server's life.
    pub(super) fn tick_life(&mut self, slot: usize) {
        for config_id in self.servers[slot].running() {
            let Some(node) = self.servers[slot].node(config_id) else { continue };
            if self.plan.digest_bytes > 0 {
                node.paxos.digest(self.plan.digest_bytes);
            }
            let (durable, lag) = (node.disk.medium().decided(), node.paxos.catch_up());
            let Some(process) = &mut self.servers[slot].process else { return };
            process.life.stored(config_id, durable);
            if let Some(CatchUp { from, to, round }) = lag {
                process.life.catch_up(config_id, from, to, round);
                self.stats.path("laggard asks for a migration");
            }
        }
        self.tell(slot, Configurations::tick);
    }

    /// A version of the book is durable.
    pub(super) fn written(&mut self, slot: usize, version: u64) {
        self.servers[slot].book.complete(version);
        if self.servers[slot].paused {
            self.servers[slot].unread = Some(version);
        } else {
            self.tell(slot, |life| life.persisted(version));
        }
    }

    fn start_replica(&mut self, slot: usize, configuration: &Configuration) {
        let config_id = configuration.config_id;
        let who = self.servers[slot].who();
        self.log.line(self.now, format_args!("{} starts in {config_id}", who.pid));
        let page = self.servers[slot].book.medium();
        self.checker.may_start(
            who,
            configuration,
            page.history.as_ref(),
            &self.servers[slot].disks,
        );
        if config_id > 1 && !self.servers[slot].started.contains_key(&config_id) {
            self.stats.path("server started in a next configuration");
        }
        let disk = self.disk_of(slot, config_id);
        let leads = configuration.leader.filter(|leader| leader.pid() == who.pid);
        if self.plant == Some(Plant::SecondTerm)
            && leads.is_some_and(|leader| leader.ballot == disk.medium().promised())
        {
            self.servers[slot].disks.remove(&config_id);
            self.disk_of(slot, config_id);
        }
        let server = &mut self.servers[slot];
        server.started.insert(config_id, configuration.clone());
        if let Some(process) = &mut server.process {
            process.imports.remove(&config_id);
        }
        self.start_node(slot, config_id);
        self.tell(slot, |life| life.replica_started(config_id));
    }

    fn stop_replica(&mut self, slot: usize, config_id: ConfigId) {
        self.stats.path("replica stopped");
        let who = self.servers[slot].who();
        self.log.line(self.now, format_args!("{} stops {config_id}", who.pid));
        self.output(slot, config_id);
        let Some(process) = self.servers[slot].process.as_mut() else { return };
        if let Some(mut node) = process.nodes.remove(&config_id) {
            // Its storage may be opened again: log and state go to the disk together before.
            let ended = node.flushing.take().map(|flush| (flush.id(), flush.run()));
            if let Some((id, result)) = node.ended.take().or(ended) {
                let _ = node.paxos.finish_flush(id, result);
            }
            drop(node.paxos.get_outgoing_msgs());
        }
        // One that has waited long enough goes without the rest of its log.
        let gives_up =
            process.life.is_retired() && !self.servers[slot].disks[&config_id].medium().is_sealed();
        self.checker.stopped(who, config_id, gives_up);
        self.tell(slot, |life| life.replica_stopped(config_id));
    }

    /// What a replica has come to, as far as it matters beyond its configuration.
    pub(super) fn report(&mut self, slot: usize, config_id: ConfigId) {
        let Some(node) = self.servers[slot].node(config_id) else { return };
        let leader = node.paxos.leader();
        let follows = std::mem::replace(&mut node.told_leader, leader) != leader;
        let ended = node.end();
        if let Some(ended) = &ended {
            node.told_end = true;
            self.stats.path("log sealed at a server");
            self.log
                .line(self.now, format_args!("{} has all of {config_id}", self.servers[slot].pid));
            let known = self.servers[slot].disks.get(&config_id).and_then(|disk| {
                digests(config_id, &disk.medium()).map(|digests| digests.anchor())
            });
            if ended.anchor != known && self.plant.is_none() {
                let detail = format!("{config_id} is {:?}, not {known:?}", ended.anchor);
                self.checker.fail(Check::CompleteLogs, detail);
            }
            let ended = self.plant.map_or(ended.clone(), |plant| plant.ended(ended.clone()));
            self.tell(slot, |life| {
                // Whether it is possible the checker knows better.
                let _ = life.stop_sign_decided(ended);
            });
        }
        if follows {
            self.tell(slot, |life| life.following(config_id, leader));
        }
    }

    /// Registers each configuration that a decided StopSign names.
    pub(super) fn register_next(&mut self) {
        while let Some(ss) = self.checker.stop_sign(self.registered) {
            let continued = ss.skip_prepare_use_leader;
            let continued = continued.filter(|leader| ss.nodes.contains(&leader.pid()));
            let members = Members {
                voters: ss.nodes.clone(),
                learners: ss.learners.clone(),
                continued: continued.map(|leader| leader.ballot),
            };
            self.registered = ss.config_id;
            self.register(self.registered, members);
        }
    }

    fn serve(&mut self, slot: usize, request: &MigrationMessage) {
        if self.plan.refusals && self.healing.is_none() && self.rng.chance(10) {
            let refusal = Configurations::refuse(request);
            return self.send(slot, Wire::Server(refusal));
        }
        let config_id = request.config_id;
        let most = self.plan.life.migration.segment_bytes;
        let server = &mut self.servers[slot];
        let disk = server.disks.get(&config_id).cloned();
        let Some(process) = &mut server.process else { return };
        let answer = match &disk {
            None => process.life.answer(request, None::<&Shelf<'_>>, most),
            Some(disk) => {
                let shelf = Shelf::new(config_id, disk, &mut process.blocks);
                process.life.answer(request, Some(&shelf), most)
            }
        };
        match answer {
            Ok(answer) => self.send(slot, Wire::Server(answer)),
            Err(error) => self.checker.fail(Check::HonestPeers, error.to_string()),
        }
    }

    pub(super) fn handle_server(&mut self, slot: usize, message: ServerMessage) {
        let Some(process) = &mut self.servers[slot].process else { return };
        let from = message.from;
        if let Err(error) = process.life.handle_message(message) {
            self.odd(&format!("from {from}: {error}"));
        }
        self.drive(slot);
    }
}
