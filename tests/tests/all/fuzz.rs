//! The fuzz targets over the corpus in the repository: what fuzzing has found stays found.

use omnipaxos_kompact::wire::{Incoming, Limits};
use omnipaxos_tests::fuzz::{corpus, packets, replicas, wire};
use std::panic::catch_unwind;

fn replay(name: &str, target: fn(&[u8])) {
    let inputs = corpus(name).unwrap();
    assert!(inputs.len() >= 50, "the corpus of {name} is gone");
    for (path, input) in inputs {
        let target = || target(&input);
        assert!(catch_unwind(target).is_ok(), "{name} fails on {}", path.display());
    }
}

#[test]
fn replicas_bear_the_corpus() {
    replay("replicas", replicas);
}

#[test]
fn the_decoder_bears_the_corpus() {
    replay("wire", wire);
}

/// What the targets begin with is what they are about: real packets, which pass all the way.
#[test]
fn real_packets_pass() {
    let packets = packets();
    assert!(packets.len() > 50);
    for packet in packets {
        let incoming = Incoming::read(&mut &packet[..]).unwrap();
        incoming.decode(&Limits::for_frames(1 << 10, 200)).unwrap();
        wire(&packet);
    }
}
