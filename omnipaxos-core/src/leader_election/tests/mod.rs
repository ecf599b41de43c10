//! Tests of the election: one per line of the protocol, the paper's partitions, preferences,
//! hostile input, and dice.

mod continued;
mod harness;
mod hostile;
mod lines;
mod preferences;
mod random;
mod scenarios;
