//! Tests of one replica and of small clusters, message by message and at random.

mod cluster;
mod random;
