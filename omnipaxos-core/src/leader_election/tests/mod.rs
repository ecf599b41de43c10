//! Tests of the election: one per line of the protocol, the paper's partitions, and dice.

mod harness;
mod scenarios;
