//! Trimming a long log in small steps.

use super::group::GroupError;
use omnipaxos::storage::{Entry, NoSnapshot};
use omnipaxos::util::LogEntry;
use omnipaxos::{ClusterConfig, OmniPaxosConfig, ServerConfig};
use omnipaxos_core::leader_election::{Ballot, Leader};
use omnipaxos_core::paxos::{Paxos, PaxosConfig};
use omnipaxos_core::storage::{MemorySequence, MemoryState, Storage};
use omnipaxos_storage::memory_storage::MemoryStorage;
use std::time::{Duration, Instant};

/// Entries of the log.
pub const ENTRIES: u64 = 1_000_000;

/// Entries that each trim removes.
pub const STEP: u64 = 1_000;

const PAYLOAD: [u8; 16] = [7; 16];

/// How long it takes a server of its own, ours, to trim its log.
///
/// # Errors
/// [`GroupError`] where it refuses something.
pub fn ours() -> Result<Duration, GroupError> {
    let storage = Storage::with(MemorySequence::new(), MemoryState::new());
    let mut replica =
        Paxos::try_with(1, 1, vec![], storage, PaxosConfig::default()).map_err(GroupError::new)?;
    replica.handle_leader(Leader { ballot: Ballot { n: 1, priority: 0, pid: 1 } });
    for _ in 0..ENTRIES / STEP {
        for _ in 0..STEP {
            replica.propose_normal(&PAYLOAD[..]).map_err(GroupError::new)?;
        }
        drop(replica.get_outgoing_msgs());
        drop(replica.get_decided_entries());
        drop(replica.take_outcomes());
    }
    let start = Instant::now();
    for to in (STEP..=ENTRIES).step_by(STEP as usize) {
        replica.trim(to).map_err(GroupError::new)?;
        drop(replica.get_outgoing_msgs());
    }
    let took = start.elapsed();
    if replica.first_index() == ENTRIES { Ok(took) } else { Err(GroupError::new("not trimmed")) }
}

#[derive(Clone, Debug)]
struct Command(#[allow(dead_code, reason = "carried, never looked into")] Vec<u8>);

impl Entry for Command {
    type Snapshot = NoSnapshot;
}

/// How long the same takes the leader of two servers of the crate `omnipaxos`.
///
/// # Errors
/// [`GroupError`] where it refuses something.
pub fn theirs() -> Result<Duration, GroupError> {
    let failed = |error: &dyn std::fmt::Debug| GroupError(format!("{error:?}"));
    let server = |pid| {
        let config = OmniPaxosConfig {
            cluster_config: ClusterConfig {
                configuration_id: 1,
                nodes: vec![1, 2],
                ..ClusterConfig::default()
            },
            server_config: ServerConfig { pid, ..ServerConfig::default() },
        };
        config.build(MemoryStorage::<Command>::default()).map_err(|e| failed(&e))
    };
    let mut servers = [server(1)?, server(2)?];
    let mut buffer = Vec::new();
    let mut exchange = |servers: &mut [omnipaxos::OmniPaxos<Command, _>; 2]| {
        loop {
            for server in servers.iter_mut() {
                server.take_outgoing_messages(&mut buffer);
            }
            if buffer.is_empty() {
                return;
            }
            for message in std::mem::take(&mut buffer) {
                servers[message.get_receiver() as usize - 1].handle_incoming(message);
            }
        }
    };
    let mut leader = None;
    while leader.is_none() {
        servers.iter_mut().for_each(omnipaxos::OmniPaxos::tick);
        exchange(&mut servers);
        leader = servers[0].get_current_leader().filter(|(_, accepts)| *accepts);
    }
    let at = leader.map_or(0, |(pid, _)| pid as usize - 1);
    for _ in 0..ENTRIES / STEP {
        for _ in 0..STEP {
            servers[at].append(Command(PAYLOAD.to_vec())).map_err(|e| failed(&e))?;
        }
        exchange(&mut servers);
    }
    let start = Instant::now();
    for to in (STEP..=ENTRIES).step_by(STEP as usize) {
        servers[at].trim(Some(to as usize)).map_err(|e| failed(&e))?;
        exchange(&mut servers);
    }
    let took = start.elapsed();
    match servers[at].read(ENTRIES as usize - 1) {
        Some(LogEntry::Trimmed(_)) => Ok(took),
        other => Err(GroupError(format!("the last entry is {other:?}"))),
    }
}
