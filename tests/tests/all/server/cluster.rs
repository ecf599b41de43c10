//! Servers on real directories and real sockets.

use crate::server::recorder::{LogEntry, Recorder, Records};
use crate::tcp::cluster::{DEADLINE, TOML, eventually, loopback, start_system_with};
use crate::tcp::recorder::payload;
use kompact::prelude::*;
use omnipaxos_core::configurations::Role;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::ConfigId;
use omnipaxos_kompact::config::OmniPaxosConfig;
use omnipaxos_kompact::durable::{Engine, OpenError, Options, Owner};
use omnipaxos_kompact::ports::Stopped;
use omnipaxos_kompact::server::{
    ChangeError, Changed, LogRequest, PreparedServer, ProposalError, ServerClient, ServerHandle,
    ServerSpec, ServerStatus, Start,
};
use omnipaxos_kompact::spawn::Answer;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// Settings that make servers settle within a test.
pub(crate) const QUICK: &str = r#"
linger = "300 ms"
retire-timeout = "20 s"
change-timeout = "20 s"
"#;

/// A server that runs.
pub(crate) struct Node {
    pub(crate) pid: NodeId,
    pub(crate) system: KompactSystem,
    pub(crate) handle: ServerHandle,
    pub(crate) records: Records,
    recorder: Arc<Component<Recorder>>,
    dir: TempDir,
    toml: String,
}

/// What is left of a server that was killed.
pub(crate) struct Remains {
    pid: NodeId,
    dir: TempDir,
    address: SocketAddr,
    toml: String,
}

fn options() -> Options {
    Options { segment_bytes: 1 << 20, prepare_ahead: false, ..Options::default() }
}

fn owner(pid: NodeId) -> Owner {
    Owner { cluster_id: 77, pid }
}

/// The process before may still be on its way out.
fn open(dir: &Path, pid: NodeId) -> Engine {
    let mut opened = None;
    eventually("the directory is free", || {
        let result = Engine::open(dir, owner(pid), options());
        let free = !matches!(result, Err(OpenError::InUse { .. }));
        opened = Some(result);
        free
    });
    opened.unwrap().unwrap()
}

impl Node {
    /// A server whose directory is new.
    pub(crate) fn start(pid: NodeId, start: Start) -> Self {
        Self::start_with(pid, start, "")
    }

    /// As [`start`](Self::start), with more settings.
    pub(crate) fn start_with(pid: NodeId, start: Start, settings: &str) -> Self {
        Self::start_on(pid, start, format!("{TOML}{QUICK}{settings}"))
    }

    /// As [`start`](Self::start), with these settings.
    pub(crate) fn start_on(pid: NodeId, start: Start, toml: String) -> Self {
        Self::create(pid, toml).run(start, |spec| spec)
    }

    /// A server whose user is told so many bytes at a time.
    pub(crate) fn paced(pid: NodeId, start: Start, bytes: u64) -> Self {
        Self::create(pid, format!("{TOML}{QUICK}")).run(start, |spec| spec.pace(bytes))
    }

    /// A server that answers nobody who lacks a part of a log.
    pub(crate) fn serving_nothing(pid: NodeId, start: Start) -> Self {
        Self::create(pid, format!("{TOML}{QUICK}")).run(start, ServerSpec::serve_nothing)
    }

    /// A server whose directory is new, which listens at `listen`.
    pub(crate) fn start_at(pid: NodeId, start: Start, listen: SocketAddr) -> Self {
        let remains = Self::create(pid, format!("{TOML}{QUICK}"));
        Remains { address: listen, ..remains }.run(start, |spec| spec)
    }

    /// A new directory.
    fn create(pid: NodeId, toml: String) -> Remains {
        let dir = TempDir::new().unwrap();
        Engine::create(dir.path(), owner(pid), options()).unwrap();
        Remains { pid, dir, address: loopback(), toml }
    }

    /// Stops the server and starts another one over its storage, in the same system.
    pub(crate) fn stop_and_start(self) -> Self {
        let Self { pid, system, handle, dir, toml, .. } = self;
        handle.stop().unwrap();
        Self::run_in(system, pid, Start::Resume, dir, toml, |spec| spec)
    }

    fn run_in(
        system: KompactSystem,
        pid: NodeId,
        start: Start,
        dir: TempDir,
        toml: String,
        more: impl FnOnce(ServerSpec<Engine>) -> ServerSpec<Engine>,
    ) -> Self {
        let engine = open(dir.path(), pid);
        let config = OmniPaxosConfig::from_config(system.config()).unwrap();
        let spec = more(ServerSpec::new(pid, config, engine, start));
        let prepared = PreparedServer::prepare(&system, spec).unwrap();
        let records = Records::default();
        let of_recorder = records.clone();
        let recorder = system.create(move || Recorder::new(of_recorder));
        system.start_notify(&recorder).wait_timeout(DEADLINE).unwrap();
        prepared.subscribe(&recorder);
        let handle = prepared.start().unwrap();
        Self { pid, system, handle, records, recorder, dir, toml }
    }

    pub(crate) fn request(&self, request: LogRequest) {
        self.recorder.actor_ref().tell(request);
    }

    pub(crate) fn client(&self) -> ServerClient {
        self.handle.client()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.handle.address()
    }

    pub(crate) fn status(&self) -> ServerStatus {
        self.client().status().wait_timeout(DEADLINE).unwrap().unwrap()
    }

    pub(crate) fn propose(&self, number: u64) -> Answer<u64, ProposalError> {
        self.client().propose(payload(number))
    }

    /// As after a crash: only what is on disk is left.
    pub(crate) fn kill(self) -> Remains {
        let Self { pid, system, handle, dir, toml, .. } = self;
        let address = handle.address();
        system.kill_system().unwrap();
        handle.release();
        Remains { pid, dir, address, toml }
    }
}

impl Remains {
    /// Starts the server again, where it was.
    pub(crate) fn restart(self) -> Node {
        self.run(Start::Resume, |spec| spec)
    }

    /// The same, for a user that has processed everything below this global index.
    pub(crate) fn restart_from(self, index: u64) -> Node {
        self.run(Start::Resume, |spec| spec.deliver_from(index))
    }

    fn run(
        self,
        start: Start,
        more: impl FnOnce(ServerSpec<Engine>) -> ServerSpec<Engine>,
    ) -> Node {
        let Self { pid, dir, address, toml } = self;
        Node::run_in(start_system_with(address, &toml), pid, start, dir, toml, more)
    }

    pub(crate) fn elsewhere(self) -> Self {
        Self { address: loopback(), ..self }
    }

    /// Its storage, for an operator.
    pub(crate) fn engine(&self) -> Engine {
        open(self.dir.path(), self.pid)
    }
}

/// Servers of one cluster.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    /// Of all that are started.
    settings: String,
}

impl Cluster {
    /// Server 1 begins, the others up to `n` join.
    pub(crate) fn grown(n: u64) -> Self {
        Self::grown_with(n, "")
    }

    /// The same, with more settings.
    pub(crate) fn grown_with(n: u64, settings: &str) -> Self {
        let mut cluster = Self { nodes: BTreeMap::new(), settings: settings.to_owned() };
        let start = Start::Bootstrap { servers: BTreeMap::new() };
        cluster.add(Node::start_with(1, start, settings));
        for pid in 2..=n {
            cluster.join(pid);
        }
        cluster
    }

    pub(crate) fn add(&mut self, node: Node) {
        self.nodes.insert(node.pid, node);
    }

    /// A server that joins as a voter; returns once it takes part.
    pub(crate) fn join(&mut self, pid: NodeId) {
        self.join_as(pid, Role::Voter);
    }

    pub(crate) fn join_as(&mut self, pid: NodeId, role: Role) {
        let contact = self.any().address();
        let start = Start::Join { contact, role: Some(role) };
        self.joined(Node::start_with(pid, start, &self.settings));
    }

    /// Adds a server that joins; returns once it takes part.
    pub(crate) fn joined(&mut self, node: Node) {
        let pid = node.pid;
        self.add(node);
        let node = self.node(pid);
        eventually("the server has joined", || {
            assert_eq!(node.records.lock().halted, None);
            node.records.lock().leader.is_some()
        });
    }

    /// A server that waits until it is named.
    pub(crate) fn stand_by(&mut self, pid: NodeId) -> SocketAddr {
        let contact = self.any().address();
        self.add(Node::start(pid, Start::Join { contact, role: None }));
        self.node(pid).address()
    }

    pub(crate) fn node(&self, pid: NodeId) -> &Node {
        &self.nodes[&pid]
    }

    /// Waits until all servers follow one of them; returns it.
    pub(crate) fn leader(&self) -> NodeId {
        let mut leader = None;
        eventually("a leader of all members", || {
            let members = self.nodes.values().filter_map(|node| node.records.lock().leader);
            let members: Vec<NodeId> = members.collect();
            leader = members.first().copied();
            members.iter().all(|pid| Some(*pid) == leader)
                && leader.is_some_and(|pid| self.nodes.contains_key(&pid))
        });
        leader.unwrap()
    }

    /// Waits until a server knows that it was removed.
    pub(crate) fn removed(&self, pid: NodeId) {
        let node = self.node(pid);
        eventually("the server knows that it was removed", || {
            node.status().newest.is_some_and(|newest| newest.role(pid).is_none())
        });
    }

    pub(crate) fn any(&self) -> &Node {
        self.nodes.values().next().unwrap()
    }

    /// Proposes numbers at one server, and waits until all of them are decided.
    pub(crate) fn propose(&self, at: NodeId, numbers: impl Iterator<Item = u64>) {
        let node = self.node(at);
        let answers: Vec<_> = numbers.map(|n| (n, node.propose(n))).collect();
        for (number, answer) in answers {
            decided(number, answer);
        }
    }

    /// Waits until these servers were told the same log, with all of these numbers once; returns
    /// the log.
    pub(crate) fn same_log(
        &self,
        at: &[NodeId],
        numbers: impl Iterator<Item = u64>,
    ) -> Vec<LogEntry> {
        let mut expected: Vec<u64> = numbers.collect();
        expected.sort_unstable();
        let length = |pid: &NodeId| self.node(*pid).records.len();
        eventually("the same log at all servers", || {
            let longest = at.iter().map(length).max().unwrap();
            let same = at.iter().all(|pid| length(pid) == longest);
            same && self.node(at[0]).records.numbers().len() >= expected.len()
        });
        let log = self.node(at[0]).records.log();
        for pid in at {
            let theirs = self.node(*pid).records.log();
            assert_eq!(self.node(*pid).records.lock().first, Some(0), "server {pid}");
            assert!(theirs == log, "server {pid} was told another log than server {}", at[0]);
        }
        let mut numbers = self.node(at[0]).records.numbers();
        numbers.sort_unstable();
        assert_eq!(numbers, expected);
        log
    }

    pub(crate) fn kill(&mut self, pid: NodeId) -> Remains {
        self.nodes.remove(&pid).unwrap().kill()
    }

    /// Waits until a server follows somebody in a configuration that is at least this one.
    pub(crate) fn takes_part(&self, pid: NodeId, config_id: ConfigId) {
        let node = self.node(pid);
        eventually("the server takes part", || {
            let status = node.status();
            status.newest.is_some_and(|newest| newest.config_id >= config_id)
                && status.leader.is_some()
                && status.replicas.last().is_some_and(|replica| *replica >= config_id)
        });
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in std::mem::take(&mut self.nodes).into_values() {
            let _ = node.system.kill_system();
            node.handle.release();
        }
    }
}

pub(crate) trait WaitDeadline {
    type Output;

    /// Waits for the answer.
    fn wait_deadline(self) -> Self::Output;
}

impl<T: Send, E: Send + From<Stopped>> WaitDeadline for Answer<T, E> {
    type Output = Result<T, E>;

    fn wait_deadline(self) -> Result<T, E> {
        self.wait_timeout(DEADLINE).unwrap_or_else(|_| panic!("no answer"))
    }
}

/// Waits for a proposal; returns its global index.
pub(crate) fn decided(number: u64, answer: Answer<u64, ProposalError>) -> u64 {
    answer.wait_deadline().unwrap_or_else(|error| panic!("{number} not decided: {error}"))
}

/// Waits for a change.
pub(crate) fn changed(answer: Answer<Changed, ChangeError>) -> Result<Changed, ChangeError> {
    answer.wait_deadline()
}
