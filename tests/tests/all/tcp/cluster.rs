//! Servers of one test, and what a test does to them.

use crate::tcp::recorder::{Recorder, Records, payload};
use kompact::KompactLogger;
use kompact::prelude::*;
use kompact_net::{NetworkStatus, NetworkStatusPort, NetworkStatusRequest, NetworkSystemExt as _};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::paxos::ProposalOutcome;
use omnipaxos_core::storage::{ConfigId, MemorySequence, MemoryState, Storage};
use omnipaxos_kompact::config::OmniPaxosConfig;
use omnipaxos_kompact::identity::MemoryMembers;
use omnipaxos_kompact::network::kompact_config;
use omnipaxos_kompact::ports::{ProposalFailure, ReplicaRequest};
use omnipaxos_kompact::spawn::{
    Answer, PreparedReplica, ReplicaClient, ReplicaHandle, ReplicaSpec, RouterHandle,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) type MemoryStorage = Storage<MemorySequence, MemoryState>;

/// No test asserts on time; this is when one gives up.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const TOML: &str = r#"
[kompact.runtime]
threads = 2

[omnipaxos]
cluster-id = 77
tick = "10 ms"
election-timeout = "150 ms"
resend-timeout = "50 ms"
keepalive = "200 ms"
"#;

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "in vain: {what}");
        sleep(Duration::from_millis(2));
    }
}

pub(crate) fn memory() -> MemoryStorage {
    Storage::with(MemorySequence::new(), MemoryState::new())
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Set this variable to see Kompact's log.
const SHOW_LOG: &str = "SHOW_LOG";

pub(crate) fn start_system(listen: SocketAddr) -> KompactSystem {
    start_system_with(listen, TOML)
}

pub(crate) fn start_system_with(listen: SocketAddr, toml: &str) -> KompactSystem {
    let mut config = kompact_config(listen, toml).unwrap();
    if std::env::var_os(SHOW_LOG).is_none() {
        let drain = slog_async::Async::default(slog::Discard);
        let logger: KompactLogger = Logger::root_typed(Arc::new(drain.fuse()), o!());
        config.logger(logger);
    }
    config.build().wait().unwrap()
}

/// What runs on a server in one configuration.
pub(crate) struct Member {
    pub(crate) handle: ReplicaHandle<MemorySequence, MemoryState>,
    pub(crate) records: Records,
    pub(crate) recorder: Arc<Component<Recorder>>,
}

/// What a server that was killed leaves.
pub(crate) struct Remains {
    pub(crate) storages: BTreeMap<ConfigId, MemoryStorage>,
    /// Its identity, and whom it knows.
    pub(crate) known: MemoryMembers,
    pub(crate) address: SocketAddr,
}

impl Remains {
    /// Nothing but its address: its disk is lost.
    pub(crate) fn without_disk(self) -> Self {
        Self {
            storages: self.storages.into_keys().map(|config_id| (config_id, memory())).collect(),
            known: MemoryMembers::random().unwrap(),
            address: self.address,
        }
    }

    pub(crate) fn elsewhere(self) -> Self {
        Self { address: loopback(), ..self }
    }
}

pub(crate) struct Server {
    pub(crate) pid: NodeId,
    pub(crate) system: KompactSystem,
    pub(crate) router: RouterHandle,
    pub(crate) members: BTreeMap<ConfigId, Member>,
    known: MemoryMembers,
    cutter: Arc<Component<Cutter>>,
}

impl Server {
    /// A server with a disk that was never used.
    pub(crate) fn start(pid: NodeId, listen: SocketAddr) -> Self {
        Self::start_with(pid, listen, MemoryMembers::random().unwrap())
    }

    /// A server that knows whom it knew before.
    pub(crate) fn start_with(pid: NodeId, listen: SocketAddr, known: MemoryMembers) -> Self {
        let system = start_system(listen);
        let config = OmniPaxosConfig::from_config(system.config()).unwrap();
        let router = RouterHandle::spawn_with_members(&system, pid, known.clone(), config).unwrap();
        let cutter = system.create(Cutter::new);
        cutter.on_definition(|c| system.connect_network_status_port(&mut c.network));
        system.start_notify(&cutter).wait_timeout(DEADLINE).unwrap();
        Self { pid, system, router, members: BTreeMap::new(), known, cutter }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.system.system_path().socket_address()
    }

    /// A started component that writes down what it is told once it is subscribed.
    pub(crate) fn recorder(&self) -> (Arc<Component<Recorder>>, Records) {
        let records = Records::default();
        let of_recorder = records.clone();
        let recorder = self.system.create(move || Recorder::new(of_recorder));
        self.system.start_notify(&recorder).wait_timeout(DEADLINE).unwrap();
        (recorder, records)
    }

    pub(crate) fn join(&mut self, config_id: ConfigId, nodes: &[NodeId], storage: MemoryStorage) {
        let spec = ReplicaSpec::new(config_id, nodes.to_vec(), storage);
        let prepared = PreparedReplica::prepare(&self.system, &self.router, spec).unwrap();
        let (recorder, records) = self.recorder();
        prepared.subscribe(&recorder);
        let handle = prepared.start(&self.system).unwrap();
        let member = Member { handle, records, recorder };
        self.members.insert(config_id, member);
    }

    /// The newest configuration that runs here.
    pub(crate) fn member(&self) -> &Member {
        self.members.values().last().unwrap()
    }

    pub(crate) fn client(&self) -> &ReplicaClient {
        self.member().handle.client()
    }

    pub(crate) fn request(&self, request: ReplicaRequest) {
        self.member().recorder.actor_ref().tell(request);
    }

    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.member().records.numbers()
    }

    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.member().records.lock().leader
    }

    pub(crate) fn propose(&self, number: u64) -> Answer<ProposalOutcome, ProposalFailure> {
        self.client().propose(payload(number))
    }

    /// As after a crash: only what was in storage is left.
    pub(crate) fn kill(mut self) -> Remains {
        let address = self.address();
        self.system.kill_system().unwrap();
        let members = std::mem::take(&mut self.members);
        let storages = members
            .into_iter()
            .map(|(config_id, m)| (config_id, m.handle.into_storage().unwrap()))
            .collect();
        Remains { storages, known: self.known, address }
    }

    fn cut(&self, other: SocketAddr, cut: bool) {
        let path = SystemPath::with_socket(Transport::Tcp, other);
        let request = if cut {
            NetworkStatusRequest::BlockSystem(path)
        } else {
            NetworkStatusRequest::AllowSystem(path)
        };
        self.cutter.actor_ref().tell(Cut(request));
    }
}

/// Servers that know each other's addresses.
pub(crate) struct Cluster {
    pub(crate) servers: BTreeMap<NodeId, Server>,
}

impl Cluster {
    /// Servers 1 to `n`, all of them in configuration 1.
    pub(crate) fn start(n: u64) -> Self {
        let nodes: Vec<NodeId> = (1..=n).collect();
        let mut cluster = Self::without_replicas(n);
        for server in cluster.servers.values_mut() {
            server.join(1, &nodes, memory());
        }
        cluster
    }

    /// Servers 1 to `n` without a replica.
    pub(crate) fn without_replicas(n: u64) -> Self {
        let mut cluster = Self { servers: BTreeMap::new() };
        for pid in 1..=n {
            cluster.add(Server::start(pid, loopback()));
        }
        cluster
    }

    /// Makes a server and all the others known to each other.
    pub(crate) fn add(&mut self, server: Server) {
        for other in self.servers.values() {
            other.router.set_peer(server.pid, server.address());
            server.router.set_peer(other.pid, other.address());
        }
        self.servers.insert(server.pid, server);
    }

    pub(crate) fn server(&self, pid: NodeId) -> &Server {
        &self.servers[&pid]
    }

    pub(crate) fn any(&self) -> &Server {
        self.servers.values().next().unwrap()
    }

    /// Waits until all servers follow one of them; returns it.
    pub(crate) fn leader(&self) -> NodeId {
        let mut leader = None;
        eventually("a leader of all servers", || {
            leader = self.any().leader();
            leader.is_some_and(|pid| {
                self.servers.contains_key(&pid)
                    && self.servers.values().all(|s| s.leader() == Some(pid))
            })
        });
        leader.unwrap()
    }

    pub(crate) fn a_follower(&self) -> NodeId {
        let leader = self.leader();
        *self.servers.keys().find(|pid| **pid != leader).unwrap()
    }

    pub(crate) fn kill(&mut self, pid: NodeId) -> Remains {
        self.servers.remove(&pid).unwrap().kill()
    }

    /// Starts a server again where it was, with what its storage held.
    pub(crate) fn restart(&mut self, pid: NodeId, nodes: &[NodeId], remains: Remains) {
        self.add(Server::start_with(pid, remains.address, remains.known));
        let server = self.servers.get_mut(&pid).unwrap();
        for (config_id, storage) in remains.storages {
            server.join(config_id, nodes, storage);
        }
    }

    /// Cuts or heals the links between one server and all the others.
    pub(crate) fn isolate(&self, pid: NodeId, cut: bool) {
        for other in self.servers.values().filter(|s| s.pid != pid) {
            self.link(pid, other.pid, cut);
        }
    }

    /// Cuts or heals the link between two servers.
    pub(crate) fn link(&self, a: NodeId, b: NodeId, cut: bool) {
        let (a, b) = (self.server(a), self.server(b));
        a.cut(b.address(), cut);
        b.cut(a.address(), cut);
    }

    /// Proposes numbers at one server and waits until all of them are decided.
    pub(crate) fn propose(&self, at: NodeId, numbers: impl Iterator<Item = u64>) {
        let server = self.server(at);
        let answers: Vec<_> = numbers.map(|n| server.propose(n)).collect();
        for answer in answers {
            decided(answer);
        }
    }

    /// Waits until all servers were told the same `count` entries; returns them.
    pub(crate) fn same_log(&self, count: usize) -> Vec<u64> {
        eventually("all entries at all servers", || {
            self.servers.values().all(|s| s.numbers().len() >= count)
        });
        let log = self.any().numbers();
        for server in self.servers.values() {
            assert_eq!(server.numbers(), log, "server {}", server.pid);
        }
        assert_eq!(log.len(), count);
        log
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in std::mem::take(&mut self.servers).into_values() {
            let _ = server.system.kill_system();
        }
    }
}

/// Waits for a proposal; returns its index.
pub(crate) fn decided(answer: Answer<ProposalOutcome, ProposalFailure>) -> u64 {
    match answer.wait_timeout(DEADLINE) {
        Ok(Ok(ProposalOutcome::Decided(index))) => index,
        Ok(other) => panic!("not decided: {other:?}"),
        Err(_) => panic!("no answer to a proposal"),
    }
}

#[derive(Debug)]
struct Cut(NetworkStatusRequest);

/// Cuts links.
#[derive(ComponentDefinition)]
struct Cutter {
    ctx: ComponentContext<Self>,
    network: RequiredPort<NetworkStatusPort>,
}

impl Cutter {
    fn new() -> Self {
        Self { ctx: ComponentContext::uninitialised(), network: RequiredPort::uninitialised() }
    }
}

impl ComponentLifecycle for Cutter {}

impl Actor for Cutter {
    type Message = Cut;

    fn receive_local(&mut self, Cut(request): Cut) -> HandlerResult {
        self.network.trigger(request);
        Handled::OK
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        Handled::OK
    }
}

impl Require<NetworkStatusPort> for Cutter {
    fn handle(&mut self, _: NetworkStatus) -> HandlerResult {
        Handled::OK
    }
}
