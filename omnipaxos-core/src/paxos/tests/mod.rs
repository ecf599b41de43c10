//! Tests of one replica and of small clusters, message by message and at random.

mod barrier;
mod chunks;
mod cluster;
mod continued;
mod early_sends;
mod every_message;
mod failures;
mod flat;
mod fuzz;
mod lab;
mod laggards;
mod learners;
mod learning;
mod limits;
mod lines_follower;
mod lines_leader;
mod partial;
mod patience;
mod properties;
mod proposals;
mod quiet;
mod random;
mod records;
mod storage_errors;
mod suspect;
mod suspect_peers;
