//! An operator ends a configuration whose majority is lost.

use crate::ballot::{Ballot, Leader};
use crate::configurations::{Configuration, ForceEndError, History, force_end};
use crate::digest::BlockDigests;
use crate::paxos::{AcceptSync, Body, Message, Paxos, PaxosConfig, Prepare};
use crate::storage::{
    Entry, MemorySequence, MemoryState, ProposalId, RecordsBuilder, Sequence as _, StopSign,
    Storage,
};

type Disk = Storage<MemorySequence, MemoryState>;

fn empty() -> Disk {
    Storage::with(MemorySequence::new(), MemoryState::new())
}

fn replica(peers: &[u64], disk: Disk) -> Paxos<MemorySequence, MemoryState> {
    Paxos::with(1, 1, peers.to_vec(), disk, PaxosConfig::default())
}

fn next(nodes: &[u64]) -> StopSign {
    StopSign {
        config_id: 2,
        nodes: nodes.to_vec(),
        learners: vec![],
        metadata: None,
        digest: None,
        skip_prepare_use_leader: None,
    }
}

/// A server that has accepted more from leader 2 than it knows to be decided.
fn survivor(stop_sign: Option<StopSign>) -> Disk {
    let n = Ballot::new(1, 0, 2);
    let mut records = RecordsBuilder::new();
    let entries = ["a", "b", "c"].map(Entry::from).into_iter();
    for (number, entry) in (1..).zip(entries.chain(stop_sign.map(Entry::stop_sign))) {
        records.push(ProposalId { proposer: 2, session: 1, number }, entry);
    }
    let suffix = records.build();
    let mut replica = replica(&[2, 3], empty());
    let prepare = Prepare {
        n,
        s: 1,
        accepted_round: Ballot::default(),
        len: 0,
        decided: 0,
        suffix_from: None,
    };
    let end = suffix.len();
    let sync = AcceptSync { n, s: 1, first: true, start: 0, suffix, end, decided: 2 };
    for body in [Body::Prepare(Box::new(prepare)), Body::AcceptSync(Box::new(sync))] {
        replica.handle_message(Message { config_id: 1, from: 2, to: 1, body }).unwrap();
        replica.get_outgoing_msgs();
    }
    assert_eq!((replica.decided_index(), replica.log_len()), (2, end));
    replica.into_storage()
}

#[test]
fn what_is_there_is_decided_and_the_rest_is_told() {
    let forced = force_end(1, 1, survivor(None), next(&[1])).unwrap();
    assert_eq!((forced.ended.len, forced.decided_before), (4, 2));
    assert_eq!(forced.accepted_round, Ballot::new(1, 0, 2));
    assert!(forced.ended.round > forced.accepted_round && forced.ended.forced);
    assert_eq!(forced.discarded, None);
    assert_eq!(forced.ended.anchor.map(|anchor| anchor.end), Some(4));
    let (sequence, _) = survivor(None).into_parts();
    let mut digests = BlockDigests::new(1);
    digests.push(&sequence.read(0, 3, u64::MAX).unwrap());
    assert_eq!(forced.ended.stop_sign.digest, Some(digests.anchor().digest));
    let mut history = History::new(Configuration::first(1, vec![1, 2, 3]));
    assert_eq!(history.merge(&[forced.ended]), Ok(true));
    assert_eq!(history.newest().nodes, [1]);
}

#[test]
fn an_undecided_stop_sign_makes_way() {
    let forced = force_end(1, 1, survivor(Some(next(&[7, 8]))), next(&[1])).unwrap();
    assert_eq!(forced.ended.len, 4);
    assert_eq!(forced.discarded, Some(next(&[7, 8])));
    assert_eq!(forced.ended.stop_sign.nodes, [1]);
}

#[test]
fn what_is_over_stays_as_it_is() {
    let mut alone = replica(&[], empty());
    alone.handle_leader(Leader::new(Ballot::new(1, 0, 1)));
    alone.propose_reconfiguration(vec![1, 2]).unwrap();
    alone.get_outgoing_msgs();
    assert!(alone.stop_sign().is_some());
    let forced = force_end(1, 1, alone.into_storage(), next(&[1]));
    assert_eq!(forced, Err(ForceEndError::Sealed(2)));
}
