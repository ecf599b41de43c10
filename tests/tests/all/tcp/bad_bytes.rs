//! Anyone may write to the port.

use crate::tcp::cluster::{Cluster, eventually};
use kompact::net::frames::MAGIC_NUM;
use kompact::prelude::*;
use omnipaxos_kompact::components::{PaxosLane, RouterOptions};
use omnipaxos_kompact::counters::DropReason;
use omnipaxos_kompact::wire::PROTOCOL_VERSION;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const DATA: u8 = 2;

fn frame(kind: u8, length: u32, body: &[u8]) -> Vec<u8> {
    let mut frame = MAGIC_NUM.to_be_bytes().to_vec();
    frame.extend(length.to_be_bytes());
    frame.push(kind);
    frame.extend(body);
    frame
}

/// Writes to a port; the server may close the connection in the middle.
fn write(to: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(to).unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.flush();
}

fn still_decides(cluster: &Cluster, from: u64) {
    for server in cluster.servers.values() {
        cluster.propose(server.pid, from + 10 * server.pid..from + 10 * server.pid + 10);
    }
}

#[test]
fn a_cluster_decides_after_bad_bytes_on_its_ports() {
    let cluster = Cluster::start(3);
    still_decides(&cluster, 0);
    let garbage: Vec<u8> = (0..10_000u32).map(|i| (i * 7919 % 251) as u8).collect();
    let huge = frame(DATA, u32::MAX, &[0; 1000]);
    let early = frame(DATA, 12, &[0; 12]);
    let unknown = frame(99, 4, &[1, 2, 3, 4]);
    for (round, bytes) in [garbage, huge, early, unknown].into_iter().enumerate() {
        for server in cluster.servers.values() {
            write(server.address(), &bytes);
        }
        still_decides(&cluster, 1000 * (round as u64 + 1));
    }
    cluster.same_log(150);
}

/// Speaks Kompact, but not our format.
#[derive(ComponentDefinition)]
struct Babbler {
    ctx: ComponentContext<Self>,
    to: ActorPath,
}

impl Babbler {
    fn babble(&mut self) {
        self.to.tell("hello".to_owned(), self);
        self.to.tell(Babble(vec![1, 0, 1]), self);
        self.to.tell(Babble(vec![9; 100]), self);
        let mut packet = vec![0; 75];
        packet[..2].copy_from_slice(&PROTOCOL_VERSION.to_le_bytes());
        packet[2] = 1;
        packet[3] = 99;
        packet[35] = 1;
        self.to.tell(Babble(packet.clone()), self);
        packet[3] = 77;
        self.to.tell(Babble(packet.clone()), self);
        packet[27] = 1;
        self.to.tell(Babble(packet), self);
    }
}

impl ComponentLifecycle for Babbler {
    fn on_start(&mut self) -> HandlerResult {
        // Again and again: while a link is being established messages may be lost.
        let pause = Duration::from_millis(50);
        self.schedule_periodic(Duration::ZERO, pause, |this, _| {
            this.babble();
            Handled::OK
        });
        Handled::OK
    }
}

impl Actor for Babbler {
    type Message = Never;

    fn receive_local(&mut self, message: Never) -> HandlerResult {
        match message {}
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        Handled::OK
    }
}

/// Bytes under the serialisation id of our packets.
#[derive(Clone, Debug)]
struct Babble(Vec<u8>);

impl Serialisable for Babble {
    fn ser_id(&self) -> SerId {
        use omnipaxos_kompact::wire::{Incoming, WireCodec, WireError};
        <WireCodec as Deserialiser<Result<Incoming, WireError>>>::SER_ID
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }

    fn serialise(&self, buf: &mut dyn BufMut) -> Result<(), SerError> {
        buf.put_slice(&self.0);
        Ok(())
    }

    fn local(self: Box<Self>) -> Result<Box<dyn Any + Send>, Box<dyn Serialisable>> {
        Err(self)
    }
}

#[test]
fn packets_that_are_not_ours_are_counted_by_their_reason() {
    let cluster = Cluster::start(3);
    let stranger = crate::tcp::cluster::start_system(crate::tcp::cluster::loopback());
    let alias = RouterOptions::alias::<PaxosLane>(77, 1);
    let to = NamedPath::with_socket(Transport::Tcp, cluster.server(1).address(), alias);
    let babbler =
        stranger.create(move || Babbler { ctx: ComponentContext::uninitialised(), to: to.into() });
    stranger.start(&babbler);
    let counters = cluster.server(1).router.paxos_counters().clone();
    for reason in [
        DropReason::Undecodable,
        DropReason::Length,
        DropReason::Version,
        DropReason::Cluster,
        DropReason::Receiver,
        DropReason::Sender,
    ] {
        eventually(reason.name(), || counters.dropped(reason) > 0);
    }
    stranger.kill_system().unwrap();
    still_decides(&cluster, 0);
    cluster.same_log(30);
}
