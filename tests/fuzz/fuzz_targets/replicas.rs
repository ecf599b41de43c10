//! Sequences of inputs to three replicas.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| omnipaxos_tests::fuzz::replicas(bytes));
