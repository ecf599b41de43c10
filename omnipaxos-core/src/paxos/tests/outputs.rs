//! The ways to take outputs: into a buffer, shared, or as vectors of their own.

use super::lab::{Lab, ballot, decide, message};
use crate::paxos::{DecidedEntries, DecidedRecords, PaxosConfig, ProposalOutcome};

#[test]
fn a_buffer_gets_behind_what_it_holds_what_a_vector_would() {
    for held in 0..2 {
        let n = ballot(1, 1);
        let mut lab = Lab::leader(PaxosConfig::default(), n, &["a"]);
        lab.paxos.propose_normal("b").unwrap();
        let mut twin = lab.paxos.clone();
        let expected = twin.get_outgoing_msgs();
        assert!(!expected.is_empty());
        let held = vec![message(2, decide(n, 1, 0, false)); held];
        let mut messages = held.clone();
        lab.paxos.append_outgoing_msgs(&mut messages);
        assert_eq!(messages[..held.len()], held);
        assert_eq!(messages[held.len()..], expected);
        assert_eq!(lab.paxos, twin);
        messages.clear();
        lab.paxos.append_outgoing_msgs(&mut messages);
        assert_eq!(messages, [], "all of it was handed out");
    }
}

#[test]
fn decided_records_are_those_of_the_log_and_handed_out_once() {
    let n = ballot(2, 2);
    let mut lab = Lab::follower(PaxosConfig::default(), n, &["a", "b", "c"], 0);
    lab.get(2, decide(n, 1, 2, false));
    let mut twin = lab.paxos.clone();
    let DecidedEntries { first_index, entries } = twin.take_decided(u64::MAX);
    let decided = lab.paxos.take_decided_records(u64::MAX);
    assert_eq!((decided.first_index, decided.records.entries()), (first_index, &entries[..]));
    assert_eq!(decided.records, lab.paxos.read_records(0, 2, u64::MAX).unwrap());
    assert_eq!(lab.paxos, twin);
    let nothing = DecidedRecords { first_index: 2, ..DecidedRecords::default() };
    assert_eq!(lab.paxos.take_decided_records(u64::MAX), nothing);
    lab.get(2, decide(n, 1, 3, false));
    let one = lab.paxos.take_decided_records(0);
    assert_eq!((one.first_index, one.records.len()), (2, 1), "one always fits");
}

#[test]
fn outcomes_are_told_once() {
    let mut lab = Lab::leader(PaxosConfig::default(), ballot(1, 1), &[]);
    let id = lab.paxos.propose_normal("a").unwrap();
    assert_eq!(lab.paxos.drain_outcomes().count(), 0);
    lab.sent();
    lab.get(2, super::lab::accepted(ballot(1, 1), 1, 1, 0));
    let outcomes: Vec<_> = lab.paxos.drain_outcomes().collect();
    assert_eq!(outcomes, [(id, ProposalOutcome::Decided(0))]);
    assert_eq!(lab.paxos.take_outcomes(), []);
}
