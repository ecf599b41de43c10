//! What a quiet replica does not do: write, send, or grow.

use super::lab::{Lab, ballot, decide, message};
use crate::paxos::PaxosConfig;

/// A decided index can be learned again, so it costs no flush of its own while others follow; but
/// once things are quiet it is written, because trimming and a restart count on it.
#[test]
fn a_decided_index_is_written_once_things_are_quiet_and_then_nothing_more() {
    let n = ballot(2, 2);
    let mut lab = Lab::follower(PaxosConfig::default(), n, &["a", "b"], 0);
    lab.get(2, decide(n, 1, 2, false));
    for tick in 1..PaxosConfig::default().resend_ticks {
        lab.paxos.tick();
        assert!(lab.paxos.begin_flush().is_none(), "a flush for an index, tick {tick}");
    }
    lab.paxos.tick();
    let flush = lab.paxos.begin_flush().expect("nothing else will write it");
    lab.paxos.finish_flush(flush.id(), Ok(())).unwrap();
    assert_eq!(lab.paxos.replica.storage.flushes().durable().decided, 2);
    for _ in 0..100 {
        lab.paxos.tick();
        assert!(lab.paxos.begin_flush().is_none(), "an idle replica writes");
    }
}

#[test]
fn what_is_durable_is_told_without_a_flush() {
    let n = ballot(2, 2);
    let mut lab = Lab::follower(PaxosConfig::default(), n, &["a", "b"], 1);
    for _ in 0..3 {
        lab.paxos.handle_message(message(2, decide(n, 1, 1, true))).unwrap();
        assert!(lab.paxos.begin_flush().is_none(), "it was durable before");
        assert_eq!(lab.paxos.take_sendable().len(), 1);
    }
    lab.paxos.handle_message(message(2, decide(n, 1, 2, true))).unwrap();
    assert!(lab.paxos.begin_flush().is_some(), "what is told has to be durable");
}
