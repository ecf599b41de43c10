//! Kompact systems without a log.

use super::PATIENCE;
use crate::compare::group::GroupError;
use kompact::KompactLogger;
use kompact::prelude::*;
use omnipaxos_kompact::network::kompact_config;
use slog::{Discard, Logger, o};
use std::net::SocketAddr;
use std::sync::Arc;

const TOML: &str = r#"
[kompact.runtime]
threads = 2

[omnipaxos]
cluster-id = 1
max-pending = "128 MiB"
"#;

/// The cluster of its settings.
pub const CLUSTER: u64 = 1;

/// A system that listens at a free port of this machine.
///
/// # Errors
/// [`GroupError`] where Kompact does not start.
pub fn start() -> Result<KompactSystem, GroupError> {
    start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// A system that listens there.
///
/// # Errors
/// [`GroupError`] where Kompact does not start.
pub fn start_at(listen: SocketAddr) -> Result<KompactSystem, GroupError> {
    let mut config = kompact_config(listen, TOML).map_err(GroupError::new)?;
    let drain = slog_async::Async::default(Discard);
    let logger: KompactLogger = Logger::root_typed(Arc::new(drain.fuse()), o!());
    config.logger(logger);
    let started = config.build().wait_timeout(PATIENCE);
    started.map_err(|_| super::no_answer("a Kompact system"))?.map_err(GroupError::new)
}
