//! The wire decoder on any bytes.

use bytes::{BufMut as _, BytesMut};
use omnipaxos_core::configurations::{Configuration, Ended, HistoryPart, Role, ServerBody, Stage};
use omnipaxos_core::leader_election::{BallotLeaderElection, ElectionConfig, Leader};
use omnipaxos_core::migration::{
    IndexRange, MigrationBody, MigrationMessage, Segment, SegmentRequest,
};
use omnipaxos_core::paxos::{Ballot, NodeId, Paxos, PaxosConfig};
use omnipaxos_core::storage::{
    Entry, MemorySequence, MemoryState, ProposalId, RecordsBuilder, StopSign, Storage,
};
use omnipaxos_kompact::identity::StorageId;
use omnipaxos_kompact::wire::{
    Frame, Incoming, JoinRefusal, Limits, Packet, ServerPacket, ServerTalk, Storages,
};
use std::net::SocketAddr;

/// Reads `bytes` as a packet, as a server does that gets them from anyone.
///
/// # Panics
/// When the decoder does, when a packet exceeds the limits that it was read with, or when a decoded
/// packet does not survive being encoded and decoded again.
pub fn wire(bytes: &[u8]) {
    let limits = Limits::for_frames(1 << 10, 200);
    let Ok(incoming) = Incoming::read(&mut &bytes[..]) else {
        return;
    };
    let cluster_id = incoming.envelope().cluster_id;
    if incoming.check(cluster_id, &limits).is_err() {
        return;
    }
    assert!(incoming.check(cluster_id.wrapping_add(1), &limits).is_err());
    let storages = incoming.envelope().storages();
    let (Ok(packet), Ok(storages)) = (incoming.decode(&limits), storages) else {
        return;
    };
    let records = match packet.clone() {
        Packet::Paxos(mut message) => message.take_records(),
        Packet::Server(mut packet) => packet.talk.take_records(),
        _ => None,
    };
    if let Some(records) = records {
        let count: u64 = records.runs().iter().map(|run| run.count).sum();
        assert_eq!(count, records.len(), "identities and entries differ in number");
        assert!(records.len() as usize <= limits.entries);
        let too_large = |size: u64| size > limits.entry_bytes + 1024;
        assert!(records.entries().iter().all(|entry| !too_large(entry.cost())));
    }
    let frame = Frame::encode(cluster_id, storages, packet.clone());
    let frame = frame.expect("what was decoded fits a packet");
    let again = Incoming::read(&mut &written(&frame)[..]).and_then(|i| i.decode(&limits));
    assert_eq!(again.as_ref(), Ok(&packet), "a packet differs from itself");
}

fn written(frame: &Frame) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(frame.encoded_len()).limit(frame.encoded_len());
    frame.write(&mut buffer);
    buffer.into_inner()
}

/// What servers say to each other when one joins, fetches a log and is handed leadership.
fn talks() -> Vec<ServerTalk> {
    let id = ProposalId { proposer: 1, session: 1, number: 1 };
    let mut records = RecordsBuilder::new();
    records.push(id, Entry::from(vec![7; 20]));
    let records = records.build();
    let stop_sign = StopSign {
        config_id: 2,
        nodes: vec![1, 2],
        learners: vec![3],
        metadata: Some(vec![1; 10].into()),
        digest: None,
        skip_prepare_use_leader: Some(Leader::new(Ballot::new(1, 0, 1))),
    };
    let round = Ballot::new(1, 0, 1);
    let ended = Ended { config_id: 1, len: 2, stop_sign, anchor: None, round, forced: false };
    let history = HistoryPart { first: Configuration::first(1, vec![1]), ended: vec![ended] };
    let range = IndexRange::new(0, 2);
    let migration = [
        MigrationBody::InventoryRequest,
        MigrationBody::SegmentRequest(SegmentRequest { range, max_cost: 4096 }),
        MigrationBody::Segment(Segment { start: 0, records }),
        MigrationBody::Refused,
    ];
    let migration = migration.map(|body| {
        let message = MigrationMessage { config_id: 1, from: 1, to: 2, body };
        ServerTalk::Life(ServerBody::Migration(message))
    });
    let stage = Stage::Synced { leader: Some(2) };
    let mut talks = vec![
        ServerTalk::Identify,
        ServerTalk::Identity,
        ServerTalk::Join { role: Role::Learner },
        ServerTalk::JoinRefused { reason: JoinRefusal::NotMember, ask: vec![] },
        ServerTalk::TakeLead { config_id: 3 },
        ServerTalk::Life(ServerBody::Hello { newest: 1 }),
        ServerTalk::Life(ServerBody::History(history)),
        ServerTalk::Life(ServerBody::StageRequest { config_id: 2 }),
        ServerTalk::Life(ServerBody::Stage { config_id: 2, stage }),
    ];
    talks.extend(migration);
    talks
}

/// Packets that three servers really send each other, to begin from.
#[must_use]
pub fn packets() -> Vec<Vec<u8>> {
    let pids: [NodeId; 3] = [1, 2, 3];
    let peers = |pid: NodeId| pids.iter().copied().filter(|peer| *peer != pid).collect::<Vec<_>>();
    let mut packets = Vec::new();
    let storages = StorageId::new(5).map(|from| Storages { from, to: StorageId::new(6) });
    let mut send = |packet: Packet| {
        let frame = storages.map(|storages| Frame::encode(7, storages, packet));
        packets.extend(frame.and_then(Result::ok).map(|frame| written(&frame).to_vec()));
    };
    let replica = |pid: NodeId| {
        let storage = Storage::with(MemorySequence::new(), MemoryState::new());
        Paxos::with(1, pid, peers(pid), storage, PaxosConfig::default())
    };
    let mut replicas = pids.map(replica);
    replicas[1].handle_leader(Leader::new(Ballot::new(3, 1, 2)));
    for round in 0..60 {
        for at in 0..3 {
            replicas[at].tick();
            match round {
                10 | 20 => drop(replicas[at].propose_normal(vec![round; usize::from(round)])),
                30 => replicas[at].handle_leader(Leader::new(Ballot::new(9, 0, 3))),
                40 => drop(replicas[at].propose_reconfiguration(vec![1, 2, 4])),
                _ => {}
            }
            for message in replicas[at].get_outgoing_msgs() {
                send(Packet::Paxos(message.clone()));
                // One of the links loses every other message.
                if message.to != 1 || round % 2 == 0 {
                    drop(replicas[message.to as usize - 1].handle_message(message));
                }
            }
        }
    }
    for pid in pids {
        let election = BallotLeaderElection::with(1, pid, peers(pid), ElectionConfig::default());
        if let Ok(mut election) = election {
            for _ in 0..4 {
                // Whom it elects does not matter here.
                let _ = election.tick();
                election.get_outgoing_msgs().into_iter().map(Packet::Heartbeat).for_each(&mut send);
            }
        }
    }
    if let Some(storage_id) = StorageId::new(5) {
        for talk in talks() {
            let address = SocketAddr::from(([10, 0, 0, 1], 4000));
            send(Packet::Server(ServerPacket { from: 1, to: 2, storage_id, address, talk }));
        }
    }
    packets.sort();
    packets.dedup();
    packets
}
