//! A link whose far end dies in the middle of a frame.

use crate::tcp::cluster::{DEADLINE, Server, eventually, loopback};
use kompact::net::frames::{FRAME_HEAD_LEN, MAGIC_NUM};
use kompact::prelude::*;
use omnipaxos_core::leader_election::{Ballot, NodeId};
use omnipaxos_core::paxos::{Body, Learn, Message};
use omnipaxos_core::storage::{Entry, ProposalId, Records, Run};
use omnipaxos_kompact::identity::{Binding, MemberStore as _, MemoryMembers, StorageId};
use omnipaxos_kompact::ports::{LinkIndication, PaxosPort};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const HELLO: u8 = 4;
const ACK: u8 = 6;
/// The part of a Start frame behind its head: address and session.
const START_BYTES: usize = 1 + 4 + 2 + 16;

fn learn(start: u64, bytes: usize) -> Message {
    let id = ProposalId { proposer: 1, session: 1, number: 1 };
    let run = Run { first: id, count: 1 };
    Message {
        config_id: 1,
        from: 1,
        to: 2,
        body: Body::Learn(Learn {
            start,
            entries: Records::new(vec![Entry::from(vec![0; bytes])], vec![run]).unwrap(),
            decided: start + 1,
            decided_round: Ballot::new(1, 0, 1),
        }),
    }
}

/// Sends what it is told, then a small message now and again; counts what arrives.
#[derive(ComponentDefinition)]
struct Talker {
    ctx: ComponentContext<Self>,
    port: RequiredPort<PaxosPort>,
    received: Arc<AtomicU64>,
    talks: bool,
}

impl Talker {
    fn spawn(server: &Server, talks: bool) -> (Arc<Component<Self>>, Arc<AtomicU64>) {
        let received = Arc::new(AtomicU64::new(0));
        let of_talker = Arc::clone(&received);
        let talker = server.system.create(move || Self {
            ctx: ComponentContext::uninitialised(),
            port: RequiredPort::uninitialised(),
            received: of_talker,
            talks,
        });
        server.router.connect_replica(&talker);
        server.router.register(1, &[1, 2]).unwrap();
        let started = server.system.start_notify(&talker);
        started.wait_timeout(DEADLINE).unwrap();
        (talker, received)
    }
}

impl ComponentLifecycle for Talker {
    fn on_start(&mut self) -> HandlerResult {
        if self.talks {
            let pause = Duration::from_millis(20);
            self.schedule_periodic(pause, pause, |this, _| {
                this.port.trigger(vec![learn(0, 10)]);
                Handled::OK
            });
        }
        Handled::OK
    }
}

impl Actor for Talker {
    type Message = Message;

    fn receive_local(&mut self, message: Message) -> HandlerResult {
        self.port.trigger(vec![message]);
        Handled::OK
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        Handled::OK
    }
}

impl Require<PaxosPort> for Talker {
    fn handle(&mut self, indication: LinkIndication<Message>) -> HandlerResult {
        if let LinkIndication::Message(_) = indication {
            self.received.fetch_add(1, Ordering::Relaxed);
        }
        Handled::OK
    }
}

fn head(kind: u8, length: u32) -> Vec<u8> {
    let mut head = MAGIC_NUM.to_be_bytes().to_vec();
    head.extend(length.to_be_bytes());
    head.push(kind);
    head
}

/// Completes Kompact's handshake, and then reads nothing.
fn accept_and_stall(listener: &TcpListener, own: SocketAddr) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    let mut hello = head(HELLO, 7);
    hello.push(4);
    hello.extend(Ipv4Addr::LOCALHOST.octets());
    hello.extend(own.port().to_be_bytes());
    stream.write_all(&hello).unwrap();
    let mut start = [0; FRAME_HEAD_LEN as usize + START_BYTES];
    stream.read_exact(&mut start).unwrap();
    stream.write_all(&head(ACK, 0)).unwrap();
    stream
}

/// A server of the two that knows the other one already.
fn acquainted(pid: NodeId, listen: SocketAddr) -> Server {
    let id = |pid: NodeId| StorageId::new(pid.into()).unwrap();
    let other = 3 - pid;
    let mut known = MemoryMembers::new(id(pid));
    known.record(other, Binding { storage_id: id(other), confirmed: true }).unwrap();
    Server::start_with(pid, listen, known)
}

#[test]
fn a_link_heals_after_its_far_end_died_in_the_middle_of_a_frame() {
    let sender = acquainted(1, loopback());
    let listener = TcpListener::bind(loopback()).unwrap();
    let address = listener.local_addr().unwrap();
    sender.router.set_peer(2, address);
    let (talker, _) = Talker::spawn(&sender, true);
    let stalled = accept_and_stall(&listener, address);
    for start in 0..64 {
        talker.actor_ref().tell(learn(start, 256 << 10));
    }
    let counters = sender.router.paxos_counters();
    eventually("more than the sockets hold is sent", || counters.sent() >= 64);
    // A partial frame is what makes this link hard to heal: see that there is one.
    let mut seen = vec![0; 1 << 20];
    (&stalled).read_exact(&mut seen).unwrap();
    drop((stalled, listener));

    let receiver = acquainted(2, address);
    receiver.router.set_peer(1, sender.address());
    let (_listener, received) = Talker::spawn(&receiver, false);
    eventually("messages arrive again", || received.load(Ordering::Relaxed) >= 10);
    sender.system.kill_system().unwrap();
    receiver.system.kill_system().unwrap();
}
