use super::*;
use crate::identity::Identity;
use bytes::{Bytes, BytesMut};
use omnipaxos_core::configurations::{Configuration, Ended, HistoryPart, Role, ServerBody, Stage};
use omnipaxos_core::digest::Block;
use omnipaxos_core::digest::Digest;
use omnipaxos_core::leader_election::{Ballot, Heartbeat, Leader};
use omnipaxos_core::migration::{
    Blocks, IndexRange, MigrationBody, MigrationMessage, Segment, SegmentRequest,
};
use omnipaxos_core::paxos::{Accept, Body, PrepareReq, Promise, RecoverReply, RecoverRequest};
use omnipaxos_core::storage::{Entry, ProposalId, Records, Run, StopSign};
use proptest::prelude::*;
use std::net::SocketAddr;

const CLUSTER: ClusterId = 0x0102_0304_0506_0708;

fn limits() -> Limits {
    Limits::for_frames(256 << 10, 1 << 20)
}

fn storages() -> Storages {
    Storages { from: StorageId::new(0x0201).unwrap(), to: StorageId::new(0x0403) }
}

fn bytes_of(packet: Packet) -> Bytes {
    let frame = Frame::encode(CLUSTER, storages(), packet).unwrap();
    let mut bytes = BytesMut::new();
    frame.write(&mut bytes);
    assert_eq!(bytes.len(), frame.encoded_len());
    bytes.freeze()
}

fn open(bytes: &[u8]) -> Result<Packet, WireError> {
    let incoming = Incoming::read(&mut &*bytes)?;
    incoming.check(CLUSTER, &limits())?;
    incoming.decode(&limits())
}

fn run(count: u64) -> Run {
    Run { first: ProposalId { proposer: 3, session: 1, number: 9 }, count }
}

fn accept(entries: Vec<Entry>, runs: Vec<Run>) -> Packet {
    Packet::Paxos(Message {
        config_id: 5,
        from: 1,
        to: 2,
        body: Body::Accept(Accept {
            n: Ballot::new(4, 0, 1),
            s: 1,
            start: 10,
            entries: Records::new(entries, runs).unwrap(),
            decided: 10,
            decided_by_all: 3,
        }),
    })
}

/// An Accept of `records` to `to`, in attempt `s`.
fn accept_to(to: NodeId, s: u64, records: &Records) -> Packet {
    let body = Body::Accept(Accept {
        n: Ballot::new(4, 0, 1),
        s,
        start: 10,
        entries: records.clone(),
        decided: 10,
        decided_by_all: 3,
    });
    Packet::Paxos(Message { config_id: 5, from: 1, to, body })
}

fn prepare_req(promised: Ballot) -> Packet {
    paxos(Body::PrepareReq(PrepareReq { promised }))
}

fn paxos(body: Body) -> Packet {
    Packet::Paxos(Message { config_id: 5, from: 2, to: 1, body })
}

#[test]
fn the_envelope_never_moves() {
    let bytes = bytes_of(prepare_req(Ballot::new(1, 0, 3)));
    let expected = [
        4, 0, // version
        1, // kind: Paxos
        8, 7, 6, 5, 4, 3, 2, 1, // cluster
        5, 0, 0, 0, 0, 0, 0, 0, // configuration
        2, 0, 0, 0, 0, 0, 0, 0, // sender
        1, 0, 0, 0, 0, 0, 0, 0, // receiver
        1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // the sender's storage
        3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // the receiver's storage
        4, 0, 0, 0, // head length
        0, 0, 0, 0, // blob length
        7, 1, 0, 3, // PrepareReq, ballot
    ];
    assert_eq!(&bytes[..], &expected[..]);
}

#[test]
fn payloads_are_one_blob_and_are_sliced_not_copied() {
    let entries = vec![Entry::from("ab"), Entry::from(""), Entry::from("cde")];
    let bytes = bytes_of(accept(entries.clone(), vec![run(3)]));
    assert!(bytes.ends_with(b"abcde"));
    let mut buf = bytes.clone();
    let incoming = Incoming::read(&mut buf).unwrap();
    let Packet::Paxos(mut message) = incoming.decode(&limits()).unwrap() else {
        panic!("another kind");
    };
    let records = message.take_records().unwrap();
    assert_eq!(records.entries(), entries);
    let Entry::Normal(last) = &records.entries()[2] else {
        panic!("no payload");
    };
    // `Bytes` gives slices of itself without a copy: the payload lies where the packet lies.
    assert!(bytes.as_ptr_range().contains(&last.as_ptr()));
}

#[test]
fn what_several_receivers_get_is_encoded_once_and_looks_as_if_it_were_not() {
    let records = |length: usize| {
        let entries = vec![Entry::Normal(vec![7; length].into()), Entry::Normal(Bytes::new())];
        Records::new(entries, vec![run(2)]).unwrap()
    };
    let (first, second) = (records(300), records(20));
    let packets = [
        (accept_to(2, 1, &first), 0),
        (accept_to(2, 1, &second), 0),
        (accept_to(3, 1, &first), 1),
        (accept_to(3, 1, &second), 2),
        // Brought into the round once more: the entries are the same, the words are not.
        (accept_to(4, 9, &first), 3),
        // Equal, but not the same memory: to find that out would cost more than it saves.
        (accept_to(5, 1, &records(300)), 3),
        (prepare_req(Ballot::new(4, 0, 1)), 3),
    ];
    let mut burst = Burst::new(CLUSTER);
    for (packet, shared) in packets {
        let frame = burst.encode(storages(), packet.clone()).unwrap();
        let mut bytes = BytesMut::new();
        frame.write(&mut bytes);
        assert_eq!(bytes.freeze(), bytes_of(packet));
        assert_eq!(burst.shared(), shared);
    }
}

#[test]
fn an_entry_of_the_maximum_size_travels_and_a_larger_one_does_not() {
    let largest = vec![7u8; 1 << 20];
    let bytes = bytes_of(accept(vec![Entry::from(largest)], vec![run(1)]));
    assert!(open(&bytes).is_ok());
    let larger = vec![7u8; (1 << 20) + 1];
    let bytes = bytes_of(accept(vec![Entry::from(larger)], vec![run(1)]));
    assert_eq!(
        open(&bytes),
        Err(WireError::EntryTooLarge { bytes: (1 << 20) + 1, limit: 1 << 20 })
    );
}

#[test]
fn a_frame_of_too_many_empty_entries_is_refused_before_they_exist() {
    let count = limits().entries + 1;
    let packet = accept(vec![Entry::from(""); count], vec![run(count as u64)]);
    assert_eq!(
        open(&bytes_of(packet)),
        Err(WireError::TooManyEntries { entries: count, limit: count - 1 })
    );
}

#[test]
fn a_full_chunk_of_empty_entries_of_alternating_proposers_fits() {
    let count = limits().entries;
    let runs = (0..count as u64)
        .map(|i| Run {
            first: ProposalId {
                proposer: u64::MAX - i % 2,
                session: u64::MAX,
                number: u64::MAX - 1 - i,
            },
            count: 1,
        })
        .collect();
    let bytes = bytes_of(accept(vec![Entry::from(""); count], runs));
    assert!(bytes.len() <= limits().packet_bytes);
    assert!(open(&bytes).is_ok());
}

#[test]
fn others_are_refused_by_name() {
    let good = bytes_of(prepare_req(Ballot::default())).to_vec();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(open(&with(0, 1)), Err(WireError::Version { theirs: 1 }));
    assert_eq!(open(&with(2, 99)), Err(WireError::Kind(99)));
    assert!(matches!(open(&with(3, 0)), Err(WireError::Cluster { ours: CLUSTER, .. })));
    assert!(matches!(open(&good[..20]), Err(WireError::Length { bytes: 20, .. })));
    assert!(matches!(open(&with(67, 200)), Err(WireError::Length { .. })));
    assert!(matches!(open(&with(75, 99)), Err(WireError::Undecodable(_))));
    let mut nobody = good.clone();
    nobody[35..51].fill(0);
    assert_eq!(open(&nobody), Err(WireError::NoStorage));
    let mut longer = good.clone();
    longer.push(0);
    assert!(matches!(open(&longer), Err(WireError::Length { .. })));
    // As a heartbeat the same head is something else, or nothing.
    assert!(!matches!(open(&with(2, 2)), Ok(Packet::Paxos(_))));
}

#[test]
fn a_small_packet_cannot_claim_much_memory() {
    // An Accept whose runs pretend to be 2^60 long.
    let packet = accept(vec![], vec![]);
    let bytes = bytes_of(packet).to_vec();
    let head = bytes.len() - ENVELOPE_BYTES;
    let records_head = 4; // no runs, no lengths, no StopSign, no metadata
    let mut bomb = bytes[..bytes.len() - records_head].to_vec();
    bomb.extend([253, 0, 0, 0, 0, 0, 0, 0, 16]);
    let head_len = u32::try_from(head - records_head + 9).unwrap();
    bomb[67..71].copy_from_slice(&head_len.to_le_bytes());
    assert!(matches!(open(&bomb), Err(WireError::Undecodable(_))));
}

fn any_ballot() -> impl Strategy<Value = Ballot> {
    (any::<u64>(), any::<u32>(), any::<u64>()).prop_map(|(n, p, pid)| Ballot::new(n, p, pid))
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn any_stop_sign() -> impl Strategy<Value = StopSign> {
    (
        any::<u64>(),
        prop::collection::vec(any::<u64>(), 0..6),
        prop::collection::vec(any::<u64>(), 0..3),
        prop::option::of(any_bytes()),
        prop::option::of(any::<[u8; 32]>().prop_map(Digest)),
        prop::option::of(any_ballot().prop_map(Leader::new)),
    )
        .prop_map(|(config_id, nodes, learners, metadata, digest, leader)| StopSign {
            config_id,
            nodes,
            learners,
            metadata,
            digest,
            skip_prepare_use_leader: leader,
        })
}

fn any_accept() -> impl Strategy<Value = Packet> {
    let payloads = prop::collection::vec(any_bytes(), 0..20);
    (payloads, prop::option::of(any_stop_sign())).prop_map(|(payloads, stop_sign)| {
        let mut entries: Vec<Entry> = payloads.into_iter().map(Entry::Normal).collect();
        entries.extend(stop_sign.map(Entry::stop_sign));
        let runs = match entries.len() as u64 {
            0 => vec![],
            1 => vec![run(1)],
            n => vec![run(1), run(n - 1)],
        };
        accept(entries, runs)
    })
}

fn any_identity() -> impl Strategy<Value = Identity> {
    let any_id = || (1..=u128::MAX).prop_map(|id| StorageId::new(id).unwrap());
    prop_oneof![
        Just(Identity::Hello),
        any_id().prop_map(|receiver| Identity::Known { receiver }),
        (any_id(), any_id()).prop_map(|(receiver, bound)| Identity::Refused { receiver, bound }),
    ]
}

fn any_promise() -> impl Strategy<Value = Packet> {
    (any_ballot(), any::<u64>(), any::<bool>()).prop_map(|(n, s, recovering)| {
        paxos(Body::Promise(Box::new(Promise {
            n,
            s,
            accepted_round: n,
            len: s,
            decided: 3,
            decided_round: Ballot::default(),
            start: 10,
            suffix: Records::new(vec![Entry::from("ab")], vec![run(1)]).unwrap(),
            recovering,
        })))
    })
}

fn any_recovery() -> impl Strategy<Value = Packet> {
    let reply = (
        any::<u64>(),
        any_ballot(),
        prop::option::of(any::<u64>()),
        prop::option::of(any::<u64>()),
    );
    prop_oneof![
        any::<u64>().prop_map(|nonce| paxos(Body::RecoverRequest(RecoverRequest { nonce }))),
        reply.prop_map(|(nonce, promised, attempt, suspect_session)| {
            paxos(Body::RecoverReply(RecoverReply { nonce, promised, attempt, suspect_session }))
        }),
    ]
}

fn any_member() -> impl Strategy<Value = Member> {
    (any::<u64>(), any::<u128>(), any::<[u8; 16]>(), any::<u16>()).prop_map(
        |(pid, id, ip, port)| {
            let address = SocketAddr::from((ip, port));
            Member { pid, storage_id: StorageId::new(id), address }
        },
    )
}

fn any_configuration() -> impl Strategy<Value = Configuration> {
    (prop::collection::vec(any::<u64>(), 0..4), prop::option::of(any_bytes()))
        .prop_map(|(nodes, metadata)| Configuration { metadata, ..Configuration::first(7, nodes) })
}

fn any_ended() -> impl Strategy<Value = Ended> {
    (any_stop_sign(), any_ballot(), any::<u64>(), any::<bool>()).prop_map(
        |(stop_sign, round, len, forced)| {
            let config_id = stop_sign.config_id.wrapping_sub(1);
            Ended { config_id, len, stop_sign, anchor: None, round, forced }
        },
    )
}

fn any_migration() -> impl Strategy<Value = MigrationBody> {
    prop_oneof![
        Just(MigrationBody::InventoryRequest),
        Just(MigrationBody::Refused),
        (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(from, to, max_cost)| {
            let range = IndexRange::new(from, to);
            MigrationBody::SegmentRequest(SegmentRequest { range, max_cost })
        }),
        (any::<u64>(), any_accept()).prop_map(|(start, accept)| {
            let Packet::Paxos(mut message) = accept else { unreachable!() };
            let records = message.take_records().unwrap();
            MigrationBody::Segment(Segment { start, records })
        }),
        any::<[u8; 32]>().prop_map(|digest| {
            let block = Block { end: 9, cost: 100, digest: Digest(digest) };
            MigrationBody::Blocks(Blocks { first: 0, end: 9, blocks: vec![block; 3] })
        }),
    ]
}

fn any_life() -> impl Strategy<Value = ServerBody> {
    let part = (any_configuration(), prop::collection::vec(any_ended(), 0..4));
    let leader = prop::option::of(any::<u64>());
    prop_oneof![
        any::<u64>().prop_map(|newest| ServerBody::Hello { newest }),
        any::<u64>().prop_map(|config_id| ServerBody::StageRequest { config_id }),
        (any::<u64>(), leader).prop_map(|(config_id, leader)| ServerBody::Stage {
            config_id,
            stage: Stage::Synced { leader },
        }),
        part.prop_map(|(first, ended)| ServerBody::History(HistoryPart { first, ended })),
        any_migration().prop_map(|body| {
            ServerBody::Migration(MigrationMessage { config_id: 5, from: 1, to: 2, body })
        }),
    ]
}

fn any_talk() -> impl Strategy<Value = ServerTalk> {
    let ask = prop::collection::vec(any_member(), 0..4);
    prop_oneof![
        4 => any_life().prop_map(ServerTalk::Life),
        1 => Just(ServerTalk::Identify),
        1 => Just(ServerTalk::Identity),
        1 => Just(ServerTalk::Join { role: Role::Learner }),
        1 => ask.prop_map(|ask| ServerTalk::JoinRefused { reason: JoinRefusal::Busy, ask }),
        1 => any::<u64>().prop_map(|config_id| ServerTalk::TakeLead { config_id }),
    ]
}

fn any_server() -> impl Strategy<Value = Packet> {
    (any_talk(), any::<[u8; 4]>(), any::<u16>()).prop_map(|(talk, ip, port)| {
        let address = SocketAddr::from((ip, port));
        Packet::Server(ServerPacket { from: 1, to: 2, storage_id: storages().from, address, talk })
    })
}

#[test]
fn records_of_a_segment_are_the_blob_and_none_may_be_in_the_head() {
    let records = Records::new(vec![Entry::from("ab"), Entry::from("c")], vec![run(2)]).unwrap();
    let body = MigrationBody::Segment(Segment { start: 7, records });
    let message = MigrationMessage { config_id: 5, from: 1, to: 2, body };
    let talk = ServerTalk::Life(ServerBody::Migration(message));
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    let storage_id = storages().from;
    let packet = Packet::Server(ServerPacket { from: 1, to: 2, storage_id, address, talk });
    assert!(bytes_of(packet.clone()).ends_with(b"abc"));
    // The same, with the records where they do not belong.
    let Packet::Server(ServerPacket { talk, .. }) = packet else { unreachable!() };
    let mut head = Vec::new();
    encode_onto(&mut head, &(address, &talk)).unwrap();
    let mut bytes = bytes_of(prepare_req(Ballot::default()))[..ENVELOPE_BYTES].to_vec();
    bytes[2] = 4;
    bytes[67..71].copy_from_slice(&u32::try_from(head.len()).unwrap().to_le_bytes());
    bytes.extend(head);
    assert_eq!(open(&bytes), Err(WireError::Undecodable("entries in the head".to_owned())));
}

fn any_packet() -> impl Strategy<Value = Packet> {
    prop_oneof![
        any_accept(),
        any_ballot().prop_map(prepare_req),
        any_promise(),
        any_recovery(),
        any::<u64>().prop_map(|round| Packet::Heartbeat(HeartbeatMessage {
            config_id: 5,
            from: 1,
            to: 2,
            body: Heartbeat::Request { round },
        })),
        any_server(),
        any_identity().prop_map(|body| Packet::Identity(IdentityMessage {
            config_id: 5,
            from: 1,
            to: 2,
            storage_id: storages().from,
            body,
        })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_sent_arrives(packet in any_packet()) {
        prop_assert_eq!(open(&bytes_of(packet.clone())), Ok(packet));
    }

    #[test]
    fn a_truncated_packet_is_an_error(packet in any_packet(), cut in any::<prop::sample::Index>()) {
        let bytes = bytes_of(packet);
        prop_assert!(open(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn flipped_bits_never_panic(
        packet in any_packet(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
    ) {
        let mut bytes = bytes_of(packet).to_vec();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        let _ = open(&bytes);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open(&bytes).is_err());
    }

    #[test]
    fn random_heads_never_panic(
        kind in 1u8..5,
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = bytes_of(prepare_req(Ballot::default()))[..ENVELOPE_BYTES].to_vec();
        let head_len = u32::try_from(body.len()).unwrap();
        bytes[2] = kind;
        bytes[67..71].copy_from_slice(&head_len.to_le_bytes());
        bytes.extend(body);
        let _ = open(&bytes);
    }
}
