//! Tests of one replica and of small clusters, message by message and at random.

mod cluster;
mod every_message;
mod lab;
mod random;
