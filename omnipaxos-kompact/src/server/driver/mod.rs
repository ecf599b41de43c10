//! The thread of a server: everything about it that may block.
//!
//! It drives the server's life ([`Configurations`]): carries out its commands with the replicas,
//! the storage and the network, and tells it what came of them. It also makes the changes of
//! membership that users ask for. The component tells it what happens, and it tells the component
//! what to say.

mod book;
mod changes;
mod commands;
mod donor;
mod joining;
mod logs;
mod notes;
mod packets;
mod requests;

pub(super) use notes::Notes;

use super::component::ServerComponent;
use super::error::{ServerHalted, ServerStartError};
use super::messages::{FromDriver, Input, ServerRequest};
use super::port::ServerEvent;
use super::spec::{ServerSpec, Start};
use super::store::ServerStorage;
use super::stream::Cursor;
use crate::identity::StorageId;
use crate::spawn::RouterHandle;
use crate::wire::{Member, ServerMail, ServerPacket, ServerTalk, decode_members};
use book::Book;
use changes::Changes;
use joining::Joining;
use kompact::prelude::*;
use logs::Place;
use omnipaxos_core::configurations::{Configuration, Configurations, Found, FoundLog, History};
use omnipaxos_core::digest::BlockDigests;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::paxos::CatchUp;
use omnipaxos_core::storage::{ConfigId, SealedLog, Storage, StorageError};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Inputs that are handled together, so that what they cause is flushed once.
const BURST: usize = 256;

/// The state of a server's thread.
pub(super) struct Driver<E: ServerStorage> {
    pid: NodeId,
    storage_id: StorageId,
    /// Where others reach this server.
    address: SocketAddr,
    system: KompactSystem,
    router: RouterHandle,
    server: Arc<Component<ServerComponent>>,
    inputs: Receiver<Input>,
    storage: E,
    life: Configurations,
    logs: BTreeMap<ConfigId, Place<E>>,
    /// Whether it answers servers that lack a part of a log.
    serves: bool,
    /// The digests of logs that somebody wants to have served.
    digests: BTreeMap<ConfigId, BlockDigests>,
    book: Book,
    /// What is on disk of it.
    notes: Notes,
    changes: Changes,
    joining: Option<Joining>,
    /// The leader of each configuration that runs here.
    leaders: BTreeMap<ConfigId, Option<NodeId>>,
    /// The first record of each log with a replica, and the index after the last decided one.
    bounds: BTreeMap<ConfigId, (u64, u64)>,
    /// How far replicas have come, until the server's life is told.
    decided: BTreeMap<ConfigId, u64>,
    /// What replicas lack that their leaders shall not bring.
    behind: BTreeMap<ConfigId, CatchUp>,
    /// The newest configuration whose replica was started.
    started: Option<ConfigId>,
    /// The newest configuration that the rest of the server was told of.
    told: Option<ConfigId>,
    /// Where the stream is to begin, until it does.
    deliver_from: Option<u64>,
    /// What the stream waits for and could not be read yet.
    wanted: Option<(ConfigId, u64)>,
    halted: bool,
    next_tick: Instant,
}

/// What a thread is made of.
pub(super) struct Parts {
    pub(super) system: KompactSystem,
    pub(super) router: RouterHandle,
    pub(super) server: Arc<Component<ServerComponent>>,
    pub(super) inputs: Receiver<Input>,
}

impl<E: ServerStorage> Driver<E> {
    /// Reads what is on disk, or begins where nothing is.
    pub(super) fn prepare(spec: ServerSpec<E>, parts: Parts) -> Result<Self, ServerStartError> {
        let Parts { system, router, server, inputs } = parts;
        let ServerSpec { pid, config, storage, start, advertise, located, .. } = spec;
        let (deliver_from, serves) = (spec.deliver_from, spec.serves);
        let notes = match storage.history()? {
            Some(bytes) => Notes::decode(&bytes).map_err(ServerStartError::History)?,
            None => Notes::default(),
        };
        let mut logs = BTreeMap::new();
        let mut found = Vec::new();
        for config_id in storage.configurations() {
            let (log, started) = read(&storage, config_id)?;
            let member = notes.history.as_ref().and_then(|h| h.configuration(config_id));
            let member = member.is_some_and(|c| c.role(pid).is_some());
            found.push(FoundLog {
                config_id,
                end: log.end(),
                sealed: log.is_sealed(),
                started: started && member,
            });
            logs.insert(config_id, Place::Rest(log));
        }
        let found = Found { history: notes.history.clone(), retired: notes.retired, logs: found };
        let is_new = found.history.is_none();
        let life = Configurations::new(pid, found, config.configurations())?;
        let address = advertise.unwrap_or_else(|| system.system_path().socket_address());
        let mut driver = Self {
            pid,
            storage_id: router.storage_id(),
            address,
            system,
            router,
            server,
            inputs,
            storage,
            life,
            logs,
            serves,
            digests: BTreeMap::new(),
            book: Book::default(),
            notes,
            changes: Changes::default(),
            joining: None,
            leaders: BTreeMap::new(),
            bounds: BTreeMap::new(),
            decided: BTreeMap::new(),
            behind: BTreeMap::new(),
            started: None,
            told: None,
            deliver_from: Some(deliver_from),
            wanted: None,
            halted: false,
            next_tick: Instant::now(),
        };
        // What is said first counts.
        for (pid, address) in located {
            driver.note(Member { pid, storage_id: None, address });
        }
        for member in driver.notes.members.clone() {
            driver.note(member);
        }
        if is_new {
            driver.begin(start)?;
        } else if let Start::Join { contact, role } = start {
            // It may have been stopped before it was a member.
            driver.joining = Some(Joining::new(contact, role));
        }
        Ok(driver)
    }

    /// A server that has nothing on disk.
    fn begin(&mut self, start: Start) -> Result<(), ServerStartError> {
        match start {
            Start::Bootstrap { servers } => {
                let mut nodes: Vec<NodeId> = servers.keys().copied().chain([self.pid]).collect();
                nodes.sort_unstable();
                nodes.dedup();
                for (pid, address) in servers {
                    self.note(Member { pid, storage_id: None, address });
                }
                self.life.bootstrap(Configuration::first(1, nodes))?;
            }
            Start::Join { contact, role } => self.joining = Some(Joining::new(contact, role)),
            Start::Resume => return Err(ServerStartError::NothingToResume),
        }
        Ok(())
    }

    /// Runs until the server is stopped.
    pub(super) fn run(mut self) {
        self.work();
        loop {
            let wait = self.next_tick.saturating_duration_since(Instant::now());
            match self.inputs.recv_timeout(wait) {
                Ok(input) => {
                    if self.handle_burst(input) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.release(),
            }
            if self.life.progress().is_some() {
                // What a replica was given to learn makes room for more.
                self.tell_decided();
            }
            self.tick_if_due();
            self.work();
        }
    }

    /// Handles an input and what waits behind it; returns whether that was the last one.
    fn handle_burst(&mut self, first: Input) -> bool {
        let mut next = Some(first);
        for _ in 0..BURST {
            match next {
                Some(Input::Stop) => {
                    self.stop();
                    return true;
                }
                Some(Input::Release) => {
                    self.release();
                    return true;
                }
                Some(input) => self.handle(input),
                None => break,
            }
            next = self.inputs.try_recv().ok();
        }
        false
    }

    /// One tick at a time: a stall must not end in a burst of them.
    fn tick_if_due(&mut self) {
        let now = Instant::now();
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + self.router.config().tick;
        self.tell(FromDriver::Tick);
        if self.halted {
            return;
        }
        self.tell_decided();
        for (config_id, CatchUp { from, to, round }) in &self.behind {
            self.life.catch_up(*config_id, *from, *to, *round);
        }
        self.life.tick();
        self.push_digests();
        self.join(now);
        self.change(now);
        if let Some((config_id, from)) = self.wanted.take() {
            self.read_for_stream(config_id, from);
        }
    }

    /// The server's life learns how far replicas have decided.
    fn tell_decided(&mut self) {
        for (config_id, end) in std::mem::take(&mut self.decided) {
            self.life.stored(config_id, end);
        }
    }

    /// Does what the server's life says, until there is nothing more to do.
    fn work(&mut self) {
        while !self.halted {
            let mut idle = true;
            while let Some(command) = self.life.next_command() {
                idle = false;
                if let Err(reason) = self.carry_out(command) {
                    self.halt(reason);
                    return;
                }
            }
            match self.flush() {
                Ok(flushed) => idle &= !flushed,
                Err(error) => return self.halt(error.into()),
            }
            self.tell_of_history();
            if idle {
                return;
            }
        }
    }

    /// Makes imported records durable; returns whether there were any.
    fn flush(&mut self) -> Result<bool, StorageError> {
        let mut flushed = Vec::new();
        for (config_id, place) in &mut self.logs {
            if let Some(end) = place.flush()? {
                flushed.push((*config_id, end));
            }
        }
        for (config_id, end) in &flushed {
            self.life.stored(*config_id, *end);
            self.tell_of_log(*config_id);
        }
        Ok(!flushed.is_empty())
    }

    /// What follows for the rest of the server from a history that has grown.
    fn tell_of_history(&mut self) {
        let Some(newest) = self.life.history().map(History::newest) else {
            return;
        };
        if let Some(from) = self.deliver_from.take() {
            let (config_id, index) = self.local(from);
            self.tell(FromDriver::Begin(Cursor { global: from, config_id, index }));
            for config_id in self.logs.keys().copied().collect::<Vec<_>>() {
                self.tell_of_log(config_id);
            }
        }
        if self.told == Some(newest.config_id) {
            return;
        }
        self.told = Some(newest.config_id);
        self.note_members(&newest);
        // A server that was never a member may become one yet.
        if newest.role(self.pid).is_none() && self.joining.is_none() {
            self.tell(FromDriver::LeftOut { config_id: newest.config_id });
        }
    }

    fn local(&self, global: u64) -> (ConfigId, u64) {
        self.life.history().map_or((0, 0), |history| history.local(global))
    }

    fn base(&self, config_id: ConfigId) -> u64 {
        self.life.history().and_then(|history| history.base(config_id)).unwrap_or_default()
    }

    fn newest(&self) -> Option<Configuration> {
        self.life.history().map(History::newest)
    }

    /// Learns where the members of a configuration are.
    fn note_members(&mut self, configuration: &Configuration) {
        for member in members_of(configuration) {
            self.note(member);
        }
    }

    /// Learns where a server is.
    fn note(&mut self, member: Member) {
        if member.pid == self.pid {
            return;
        }
        self.book.note(member);
        self.set_peer(member.pid);
    }

    fn set_peer(&self, pid: NodeId) {
        if let Some(address) = self.book.address(pid) {
            self.router.set_peer(pid, address);
        }
    }

    fn tell(&self, message: FromDriver) {
        self.server.actor_ref().tell(ServerRequest::Driver(message));
    }

    fn indicate(&self, event: ServerEvent) {
        self.tell(FromDriver::Indicate(event));
    }

    /// The component learns how far a log without a replica can be read.
    fn tell_of_log(&self, config_id: ConfigId) {
        let bounds = self.logs.get(&config_id).and_then(Place::bounds);
        if let Some((_, end)) = bounds {
            let len = self.life.history().and_then(|h| h.ended(config_id)).map(|e| e.len);
            self.tell(FromDriver::Log { config_id, end, len });
        }
    }

    /// Sends to a server that is known, or has just spoken.
    fn send(&self, to: NodeId, talk: ServerTalk) {
        let at = if self.book.knows(to) { None } else { self.book.address(to) };
        self.mail(at, to, talk);
    }

    fn mail(&self, at: Option<SocketAddr>, to: NodeId, talk: ServerTalk) {
        let (from, storage_id, address) = (self.pid, self.storage_id, self.address);
        let packet = ServerPacket { from, to, storage_id, address, talk };
        self.tell(FromDriver::Send(ServerMail { at, packet }));
    }

    /// Nothing is done any more.
    fn halt(&mut self, reason: ServerHalted) {
        if std::mem::replace(&mut self.halted, true) {
            return;
        }
        error!(self.system.logger(), "server halted"; "pid" => self.pid, "reason" => %reason);
        self.tell(FromDriver::Over);
        self.changes.give_up();
        self.indicate(ServerEvent::Halted { reason: Arc::new(reason) });
        self.stop_replicas();
    }

    /// Stops the replicas; a log whose replica does not end is of no use any more.
    fn stop_replicas(&mut self) {
        for (config_id, place) in std::mem::take(&mut self.logs) {
            let storage = match place {
                Place::Replica(replica) => match replica.stop(&self.system) {
                    Ok(storage) => Some(storage),
                    Err(reason) => {
                        warn!(
                            self.system.logger(), "replica not stopped";
                            "pid" => self.pid, "config_id" => config_id, "reason" => %reason
                        );
                        None
                    }
                },
                other => other.into_storage(),
            };
            if let Some(log) = storage.and_then(|storage| SealedLog::open(storage).ok()) {
                self.logs.insert(config_id, Place::Rest(log));
            }
        }
    }

    fn stop(&mut self) {
        self.tell(FromDriver::Over);
        self.changes.give_up();
        self.stop_replicas();
        self.router.clone().stop(&self.system);
    }

    /// The system is gone: nobody is asked or told anything.
    fn release(&mut self) {
        for place in std::mem::take(&mut self.logs).into_values() {
            if let Place::Replica(replica) = place {
                // One that was stopped before has given its storage back.
                let _ = replica.into_storage();
            }
        }
    }
}

/// A log on disk, and whether a replica or an importer has opened it before.
#[allow(clippy::type_complexity)]
fn read<E: ServerStorage>(
    storage: &E,
    config_id: ConfigId,
) -> Result<(SealedLog<E::Sequence, E::State>, bool), StorageError> {
    use omnipaxos_core::storage::PaxosState as _;
    let (sequence, state) = storage.parts(config_id)?;
    let started = state.load()?.is_some_and(|state| state.session > 0);
    Ok((SealedLog::open(Storage::with(sequence, state))?, started))
}

/// What the metadata of a configuration says of its members; nothing where it is none of ours.
fn members_of(configuration: &Configuration) -> Vec<Member> {
    let metadata = configuration.metadata.as_ref();
    metadata.and_then(|bytes| decode_members(bytes).ok()).unwrap_or_default()
}

/// How long until something is tried again.
const RETRY: Duration = Duration::from_millis(200);
