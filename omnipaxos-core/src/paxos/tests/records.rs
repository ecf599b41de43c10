//! What a codec does with a message: it takes the records out, writes them on their own, and puts
//! them back.

use super::lab::{
    accept, accept_sync, accepted, ballot, decide, learn, learn_request, message, prepare,
    prepare_req, promise, propose, refuse, sync_request,
};
use crate::ballot::Ballot;
use crate::storage::Records;

#[test]
fn records_are_taken_out_of_a_message_and_put_back() {
    let n = ballot(5, 1);
    let with_records = [
        promise(n, 1, Ballot::default(), 2, 0, &["a", "b"]),
        accept_sync(n, 1, 0, &["a", "b"], 2, 0),
        accept(n, 1, 0, &["a", "b"], 0),
        learn(0, &["a", "b"], 2, n),
        propose(1, &["a", "b"]),
    ];
    for body in with_records {
        let whole = message(2, body);
        let mut message = whole.clone();
        let records = message.take_records().unwrap();
        assert_eq!(records.len(), 2, "{}", whole.body.name());
        assert_eq!(message.take_records(), Some(Records::default()), "they were moved");
        assert_ne!(message, whole);
        assert!(message.put_records(records));
        assert_eq!(message, whole);
    }
}

#[test]
fn most_messages_have_no_place_for_records() {
    let n = ballot(5, 1);
    let without = [
        prepare(n, 1, n, 0, 0, None),
        sync_request(n, 1, 0),
        accepted(n, 1, 0, 0),
        decide(n, 1, 0, false),
        prepare_req(n),
        refuse(n, ballot(6, 2)),
        learn_request(0),
    ];
    for body in without {
        let whole = message(2, body);
        let mut message = whole.clone();
        assert_eq!(message.take_records(), None);
        assert!(!message.put_records(super::lab::records(1, &["a"])), "{}", whole.body.name());
        assert_eq!(message, whole);
    }
}
