//! Packets from anyone.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| omnipaxos_tests::fuzz::wire(bytes));
