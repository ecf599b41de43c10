//! Anyone may speak to a server.

use crate::server::cluster::{Cluster, Node, changed};
use crate::tcp::cluster::{eventually, loopback, start_system};
use kompact::prelude::*;
use omnipaxos_core::configurations::{Configuration, HistoryPart, Role, ServerBody};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::migration::{IndexRange, MigrationBody, MigrationMessage, SegmentRequest};
use omnipaxos_core::paxos::{Body, Message, PrepareReq};
use omnipaxos_kompact::components::{RouterOptions, ServerLane};
use omnipaxos_kompact::counters::DropReason;
use omnipaxos_kompact::identity::StorageId;
use omnipaxos_kompact::server::Start;
use omnipaxos_kompact::wire::{Frame, JoinRefusal, Packet, ServerPacket, ServerTalk, Storages};
use std::net::SocketAddr;
use std::time::Duration;

const CLUSTER: u64 = 77;

/// Sends the same packets again and again.
#[derive(ComponentDefinition)]
struct Stranger {
    ctx: ComponentContext<Self>,
    to: Vec<ActorPath>,
    frames: Vec<Frame>,
}

impl ComponentLifecycle for Stranger {
    fn on_start(&mut self) -> HandlerResult {
        // While a link is being established messages may be lost.
        self.schedule_periodic(Duration::ZERO, Duration::from_millis(20), |this, _| {
            for (to, frame) in
                this.to.iter().flat_map(|to| this.frames.iter().map(move |f| (to, f)))
            {
                to.tell(frame.clone(), this);
            }
            Handled::OK
        });
        Handled::OK
    }
}

impl Actor for Stranger {
    type Message = Never;

    fn receive_local(&mut self, message: Never) -> HandlerResult {
        match message {}
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        Handled::OK
    }
}

fn server(from: NodeId, to: NodeId, storage: u128, talk: ServerTalk) -> Packet {
    let storage_id = StorageId::new(storage).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    Packet::Server(ServerPacket { from, to, storage_id, address, talk })
}

fn frame(cluster_id: u64, packet: Packet) -> Frame {
    let from = match &packet {
        Packet::Server(packet) => packet.storage_id,
        _ => StorageId::new(5).unwrap(),
    };
    Frame::encode(cluster_id, Storages { from, to: None }, packet).unwrap()
}

fn life(body: ServerBody) -> ServerTalk {
    ServerTalk::Life(body)
}

/// What a stranger may say to server 1.
fn babble() -> Vec<Frame> {
    let segment = |config_id, from, to| {
        let range = IndexRange::new(from, to);
        let body = MigrationBody::SegmentRequest(SegmentRequest { range, max_cost: u64::MAX });
        life(ServerBody::Migration(MigrationMessage { config_id, from: 90, to: 1, body }))
    };
    let other = Configuration::first(1, vec![70, 71]);
    let history = life(ServerBody::History(HistoryPart { first: other, ended: vec![] }));
    let body = Body::PrepareReq(PrepareReq { promised: Default::default() });
    let mut frames = vec![
        // Not of this cluster, for somebody else, from nobody, from the server itself.
        frame(CLUSTER + 1, server(90, 1, 5, ServerTalk::Identify)),
        frame(CLUSTER, server(90, 2, 5, ServerTalk::Identify)),
        frame(CLUSTER, server(0, 1, 5, ServerTalk::Identify)),
        frame(CLUSTER, server(1, 1, 5, ServerTalk::Identify)),
        // Of another lane.
        frame(CLUSTER, Packet::Paxos(Message { config_id: 1, from: 90, to: 1, body })),
        // A member's pid, and another storage.
        frame(CLUSTER, server(2, 1, 5, ServerTalk::Join { role: Role::Voter })),
        frame(CLUSTER, server(2, 1, 5, ServerTalk::TakeLead { config_id: 3 })),
        frame(CLUSTER, server(2, 1, 5, life(ServerBody::Hello { newest: 9 }))),
        // Well-formed, and of no use.
        frame(CLUSTER, server(90, 1, 5, ServerTalk::Identity)),
        frame(CLUSTER, server(90, 1, 5, life(ServerBody::Hello { newest: u64::MAX }))),
        frame(CLUSTER, server(90, 1, 5, life(ServerBody::StageRequest { config_id: u64::MAX }))),
        frame(CLUSTER, server(90, 1, 5, history)),
        frame(CLUSTER, server(90, 1, 5, segment(1, 0, u64::MAX))),
        frame(CLUSTER, server(90, 1, 5, segment(u64::MAX, 5, 2))),
        frame(CLUSTER, server(90, 0, 5, ServerTalk::TakeLead { config_id: u64::MAX })),
    ];
    let refused = |bound| {
        let reason = JoinRefusal::OtherStorage { bound: StorageId::new(bound).unwrap() };
        ServerTalk::JoinRefused { reason, ask: vec![] }
    };
    frames.push(frame(CLUSTER, server(90, 1, 5, refused(9))));
    frames
}

#[test]
fn a_cluster_bears_strangers() {
    let mut cluster = Cluster::grown(3);
    cluster.propose(1, 0..10);
    let system = start_system(loopback());
    let address = cluster.node(1).address();
    let to = [ServerLane::anybody(CLUSTER), RouterOptions::alias::<ServerLane>(CLUSTER, 1)];
    let to = to.map(|alias| NamedPath::with_socket(Transport::Tcp, address, alias).into());
    let stranger = system.create(move || Stranger {
        ctx: ComponentContext::uninitialised(),
        to: to.to_vec(),
        frames: babble(),
    });
    system.start(&stranger);
    let counters = cluster.node(1).handle.router().server_counters().clone();
    for reason in
        [DropReason::Cluster, DropReason::Receiver, DropReason::Sender, DropReason::Undecodable]
    {
        eventually(reason.name(), || counters.dropped(reason) > 0);
    }
    for pid in 1..=3 {
        cluster.propose(pid, 10 * pid..10 * pid + 10);
    }
    // Members come and go as ever.
    cluster.join(4);
    cluster.propose(4, 40..50);
    cluster.same_log(&[1, 2, 3, 4], 0..50);
    let newest = cluster.node(1).status().newest.unwrap();
    assert_eq!((newest.nodes, newest.learners), (vec![1, 2, 3, 4], vec![]));
    system.kill_system().unwrap();
}

#[test]
fn a_server_that_lost_its_disk_does_not_join_under_its_old_pid() {
    let mut cluster = Cluster::grown(3);
    cluster.propose(3, 0..10);
    drop(cluster.kill(3));
    let contact = cluster.node(1).address();
    cluster.add(Node::start(3, Start::Join { contact, role: Some(Role::Voter) }));
    let records = cluster.node(3).records.clone();
    eventually("it is refused", || records.lock().halted.is_some());
    let why = records.lock().halted.clone().unwrap();
    assert!(why.contains("join under a new pid"), "{why}");
    cluster.propose(1, 10..20);
    cluster.same_log(&[1, 2], 0..20);
    // Under a new pid it replaces its old self.
    let address = cluster.stand_by(4);
    let client = cluster.node(2).client();
    changed(client.replace(3, 4, address)).unwrap();
    cluster.propose(4, 20..30);
    cluster.same_log(&[1, 2, 4], 0..30);
}

#[test]
fn a_server_that_asks_one_that_is_no_member_finds_the_members() {
    let mut cluster = Cluster::grown(3);
    cluster.propose(1, 0..10);
    changed(cluster.node(1).client().remove(1)).unwrap();
    cluster.removed(1);
    let contact = cluster.node(1).address();
    cluster.add(Node::start(4, Start::Join { contact, role: Some(Role::Voter) }));
    cluster.takes_part(4, 5);
    cluster.propose(4, 10..20);
    cluster.same_log(&[2, 3, 4], 0..20);
}
