//! One server: its life across configurations, and its replicas. Storage is in memory, and
//! whatever the life says is done at once.

use super::RunError;
use super::disk::{Disk, Shelf};
use super::preload::{FIRST, LEADER, Preload};
use super::wire::Wire;
use omnipaxos_core::configurations::{
    Command, Configuration, Configurations, ConfigurationsConfig, Ended, Found, FoundLog, History,
    ServerMessage,
};
use omnipaxos_core::digest::{Block, BlockDigests};
use omnipaxos_core::leader_election::{BallotLeaderElection, ElectionConfig, Leader, NodeId};
use omnipaxos_core::migration::MigrationMessage;
use omnipaxos_core::paxos::{Ballot, CatchUp, Message, Paxos, PaxosConfig};
use omnipaxos_core::storage::{ConfigId, Importer, Records, Sequence as _};
use std::collections::BTreeMap;

/// Bytes of a log that are digested at once.
const DIGEST_BYTES: u64 = 4 << 20;

/// Settings of all servers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of their lives.
    pub life: ConfigurationsConfig,
    /// Of their replicas.
    pub paxos: PaxosConfig,
    /// Of their elections.
    pub election: ElectionConfig,
}

/// A server.
#[derive(Debug)]
pub struct Server {
    pid: NodeId,
    settings: Settings,
    /// Whether it answers servers that migrate.
    donates: bool,
    life: Configurations,
    nodes: BTreeMap<ConfigId, Node>,
    imports: BTreeMap<ConfigId, Importer<Disk, Disk>>,
    disks: BTreeMap<ConfigId, Disk>,
    /// The blocks of sealed logs.
    blocks: BTreeMap<ConfigId, Vec<Block>>,
    out: Vec<Wire>,
}

/// A replica and its election.
#[derive(Debug)]
pub struct Node {
    /// The replica.
    pub paxos: Paxos<Disk, Disk>,
    election: BallotLeaderElection,
    /// The promise that the election was told last.
    reported: Ballot,
    /// Whom it follows, and that its log has ended, as the life was told.
    told_leader: Option<NodeId>,
    told_end: bool,
}

impl Server {
    /// A member of the first configuration.
    ///
    /// # Errors
    /// [`RunError`] where something does not start.
    pub fn member(
        pid: NodeId,
        first: Configuration,
        preload: &Preload,
        settings: Settings,
    ) -> Result<Self, RunError> {
        let end = preload.entries();
        let log = FoundLog { config_id: FIRST, end, sealed: false, started: true };
        let found = Found { history: Some(History::new(first)), retired: false, logs: vec![log] };
        let mut server = Self::new(pid, found, settings)?;
        server.disks.insert(FIRST, preload.disk()?);
        server.drive()?;
        Ok(server)
    }

    /// A server that knows nothing, and waits until somebody names it.
    ///
    /// # Errors
    /// [`RunError`] for impossible settings.
    pub fn newcomer(pid: NodeId, settings: Settings) -> Result<Self, RunError> {
        Self::new(pid, Found::default(), settings)
    }

    fn new(pid: NodeId, found: Found, settings: Settings) -> Result<Self, RunError> {
        let life = Configurations::new(pid, found, settings.life.clone()).map_err(RunError::new)?;
        Ok(Self {
            pid,
            settings,
            donates: true,
            life,
            nodes: BTreeMap::new(),
            imports: BTreeMap::new(),
            disks: BTreeMap::new(),
            blocks: BTreeMap::new(),
            out: Vec::new(),
        })
    }

    /// It refuses whoever migrates.
    pub fn refuse(&mut self) {
        self.donates = false;
    }

    /// The replica of this configuration, where one runs.
    pub fn node(&mut self, config_id: ConfigId) -> Option<&mut Node> {
        self.nodes.get_mut(&config_id)
    }

    /// Whether its replica of this configuration is in sync with a leader: it votes.
    #[must_use]
    pub fn votes(&self, config_id: ConfigId) -> bool {
        self.nodes.get(&config_id).is_some_and(|node| node.paxos.leader().is_some())
    }

    /// The log of this configuration, where there is one.
    #[must_use]
    pub fn disk(&self, config_id: ConfigId) -> Option<&Disk> {
        self.disks.get(&config_id)
    }

    /// How its life sees the cluster.
    #[must_use]
    pub fn life(&self) -> &Configurations {
        &self.life
    }

    /// What it sends.
    pub fn take_out(&mut self) -> Vec<Wire> {
        std::mem::take(&mut self.out)
    }

    /// One tick.
    ///
    /// # Errors
    /// [`RunError`] where something failed.
    pub fn tick(&mut self) -> Result<(), RunError> {
        for config_id in self.running() {
            let Some(node) = self.nodes.get_mut(&config_id) else { continue };
            let leader = node.election.tick();
            node.paxos.tick();
            node.paxos.digest(DIGEST_BYTES);
            node.lead(leader);
            self.settle(config_id)?;
            let Some(node) = self.nodes.get(&config_id) else { continue };
            let (decided, lag) = (node.paxos.decided_index(), node.paxos.catch_up());
            self.life.stored(config_id, decided);
            if let Some(CatchUp { from, to, round }) = lag {
                self.life.catch_up(config_id, from, to, round);
            }
        }
        self.life.tick();
        self.drive()
    }

    /// Takes a message.
    ///
    /// # Errors
    /// [`RunError`] where something failed.
    pub fn handle(&mut self, wire: Wire) -> Result<(), RunError> {
        match wire {
            Wire::Paxos(message) => self.handle_paxos(message),
            Wire::Heartbeat(message) => {
                let (config_id, from) = (message.config_id, message.from);
                let Some(node) = self.nodes.get_mut(&config_id) else {
                    self.life.unregistered(config_id, from);
                    return self.drive();
                };
                let leader = node.election.handle_message(message).map_err(RunError::new)?;
                node.lead(leader);
                self.settle(config_id)
            }
            Wire::Server(message) => {
                self.life.handle_message(message).map_err(RunError::new)?;
                self.drive()
            }
        }
    }

    fn handle_paxos(&mut self, message: Message) -> Result<(), RunError> {
        let (config_id, from) = (message.config_id, message.from);
        let Some(node) = self.nodes.get_mut(&config_id) else {
            self.life.unregistered(config_id, from);
            return self.drive();
        };
        node.paxos.handle_message(message).map_err(RunError::new)?;
        self.settle(config_id)
    }

    /// What follows an input into a replica or its election: what it sends, and what it tells.
    ///
    /// # Errors
    /// [`RunError`] where something failed.
    pub fn settle(&mut self, config_id: ConfigId) -> Result<(), RunError> {
        let Some(node) = self.nodes.get_mut(&config_id) else { return Ok(()) };
        let promised = node.paxos.promised();
        if promised > node.reported {
            node.reported = promised;
            node.election.handle_promised(promised);
        }
        if node.paxos.is_leader() {
            node.election.handle_prepared(promised);
        }
        let messages = node.paxos.get_outgoing_msgs();
        self.out.extend(messages.into_iter().map(Wire::Paxos));
        self.out.extend(node.election.get_outgoing_msgs().into_iter().map(Wire::Heartbeat));
        if let Some(halted) = node.paxos.halted() {
            return Err(RunError::new(halted));
        }
        let leader = node.paxos.leader();
        let follows = std::mem::replace(&mut node.told_leader, leader) != leader;
        let ended = node.paxos.stop_sign().is_some() && !node.told_end;
        node.told_end |= ended;
        if ended {
            self.ended(config_id)?;
        }
        if follows {
            self.life.following(config_id, leader);
        }
        if ended || follows { self.drive() } else { Ok(()) }
    }

    fn ended(&mut self, config_id: ConfigId) -> Result<(), RunError> {
        let Some(node) = self.nodes.get(&config_id) else { return Ok(()) };
        let Some(stop_sign) = node.paxos.stop_sign().cloned() else { return Ok(()) };
        let ended = Ended {
            config_id,
            len: node.paxos.decided_index(),
            stop_sign,
            anchor: node.paxos.anchor_of_sealed(),
            round: node.paxos.promised(),
            forced: false,
        };
        self.life.stop_sign_decided(ended).map_err(RunError::new)
    }

    /// The blocks of a log that was sealed here.
    fn list(&mut self, config_id: ConfigId) -> Result<(), RunError> {
        let sealed = self.life.history().and_then(|history| history.ended(config_id));
        let end = self.decided(config_id);
        let disk = self.disks.get(&config_id);
        let disk = disk.filter(|_| sealed.is_some_and(|ended| ended.len == end));
        let Some(disk) = disk.filter(|_| !self.blocks.contains_key(&config_id)) else {
            return Ok(());
        };
        let mut digests = match self.nodes.get_mut(&config_id) {
            Some(node) => {
                while !node.paxos.digest(u64::MAX) {}
                self.blocks.insert(config_id, node.paxos.blocks());
                return Ok(());
            }
            None => BlockDigests::new(config_id),
        };
        while digests.end() < end {
            digests.push(&disk.read(digests.end(), end, DIGEST_BYTES)?);
        }
        self.blocks.insert(config_id, digests.blocks());
        Ok(())
    }

    fn decided(&self, config_id: ConfigId) -> u64 {
        match (self.nodes.get(&config_id), self.imports.get(&config_id)) {
            (Some(node), _) => node.paxos.decided_index(),
            (None, Some(importer)) => importer.durable(),
            // It was sealed and its replica has stopped.
            (None, None) => self.disks.get(&config_id).map_or(0, Disk::end_index),
        }
    }

    fn running(&self) -> Vec<ConfigId> {
        self.nodes.keys().copied().collect()
    }

    fn drive(&mut self) -> Result<(), RunError> {
        while let Some(command) = self.life.next_command() {
            self.carry_out(command)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, command: Command) -> Result<(), RunError> {
        match command {
            Command::Persist { version, .. } => self.life.persisted(version),
            Command::StartReplica { configuration } => self.start(&configuration)?,
            Command::StopReplica { config_id } => {
                self.nodes.remove(&config_id);
                self.life.replica_stopped(config_id);
            }
            Command::Store { config_id, start, records, round } => {
                self.store(config_id, start, &records, round)?;
            }
            Command::Seal { config_id, round, .. } => {
                if let Some(mut importer) = self.imports.remove(&config_id) {
                    importer.seal(round).map_err(RunError::new)?;
                    flush(&mut importer)?;
                }
                self.life.sealed(config_id);
            }
            Command::Send(message) => self.out.push(Wire::Server(message)),
            Command::Serve(request) => {
                let answer = self.answer(&request)?;
                self.out.push(Wire::Server(answer));
            }
            Command::Progress(..) | Command::Retired => {}
            other => return Err(RunError(format!("server {}: {other:?}", self.pid))),
        }
        Ok(())
    }

    fn answer(&mut self, request: &MigrationMessage) -> Result<ServerMessage, RunError> {
        if !self.donates {
            return Ok(Configurations::refuse(request));
        }
        let config_id = request.config_id;
        self.list(config_id)?;
        let most = self.settings.life.migration.segment_bytes;
        let shelf = self.disks.get(&config_id).map(|disk| Shelf {
            disk,
            end: self.decided(config_id),
            blocks: self.blocks.get(&config_id).map_or(&[], Vec::as_slice),
        });
        self.life.answer(request, shelf.as_ref(), most).map_err(RunError::new)
    }

    fn start(&mut self, configuration: &Configuration) -> Result<(), RunError> {
        let config_id = configuration.config_id;
        let disk = self.disks.entry(config_id).or_default().clone();
        let peers = configuration.peers(self.pid);
        let mut config = self.settings.paxos.clone();
        config.read_from = Some(disk.end_index());
        config.continued = configuration.leader;
        let paxos = Paxos::try_with(config_id, self.pid, peers.clone(), disk.storage(), config)
            .map_err(RunError::new)?;
        let promised = paxos.promised();
        let mut config = self.settings.election.clone();
        config.promised = promised;
        config.continued = configuration.leader.map(|leader| leader.ballot);
        // Everybody would rather have the leader that there is.
        config.priority = u32::from(self.pid == LEADER);
        let election = BallotLeaderElection::with(config_id, self.pid, peers, config)
            .map_err(RunError::new)?;
        let (reported, told_leader, told_end) = (promised, None, false);
        let node = Node { paxos, election, reported, told_leader, told_end };
        self.nodes.insert(config_id, node);
        self.life.replica_started(config_id);
        self.settle(config_id)
    }

    fn store(
        &mut self,
        config_id: ConfigId,
        start: u64,
        records: &Records,
        round: Ballot,
    ) -> Result<(), RunError> {
        if let Some(node) = self.nodes.get_mut(&config_id) {
            node.paxos.learn_decided(start, records, round).map_err(RunError::new)?;
            self.settle(config_id)?;
        } else {
            let disk = self.disks.entry(config_id).or_default();
            let importer = match self.imports.entry(config_id) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(Importer::open(disk.storage())?)
                }
            };
            importer.append(start, records, round).map_err(RunError::new)?;
            flush(importer)?;
        }
        let end = self.decided(config_id);
        self.life.stored(config_id, end);
        Ok(())
    }
}

impl Node {
    fn lead(&mut self, leader: Option<Leader>) {
        if let Some(leader) = leader {
            self.paxos.handle_leader(leader);
        }
    }
}

fn flush(importer: &mut Importer<Disk, Disk>) -> Result<(), RunError> {
    while let Some(flush) = importer.begin_flush()? {
        let id = flush.id();
        importer.finish_flush(id, flush.run()).map_err(RunError::new)?;
    }
    Ok(())
}
