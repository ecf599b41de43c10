//! Omni-Paxos (EuroSys 2023) without I/O: a replicated log that stays available under partial
//! network partitions, as plain structs that any runtime can drive.
//!
//! * [`paxos`]: Sequence Paxos, one replica of the log of one configuration.
//! * [`leader_election`]: Ballot Leader Election, which needs nothing but heartbeats.
//! * [`storage`]: the log and the state behind two traits, and a backend in memory. Whoever writes
//!   another one runs the tests of `storage::contract` (feature `contract`) against it.
//! * [`migration`]: a part of a log, fetched from many donors at once.
//! * [`configurations`]: the life of one server across configurations.
//! * [`digest`]: digests of a log, by which a stranger's copy of it is verified.
//!
//! There is no clock, no thread, no socket, no file and no randomness in this crate: messages,
//! leader events and ticks go in, messages and decided entries come out, and the same inputs give
//! the same outputs.
//!
//! # Three replicas in one loop
//! ```
//! use omnipaxos_core::{leader_election::*, paxos::*, storage::*};
//! use std::collections::BTreeMap;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config_id = 1;
//! let servers = [1, 2, 3];
//! let mut elections = BTreeMap::new();
//! let mut replicas = BTreeMap::new();
//! for pid in servers {
//!     let peers: Vec<NodeId> = servers.into_iter().filter(|peer| *peer != pid).collect();
//!     let (sequence, paxos_state) = (MemorySequence::new(), MemoryState::new());
//!     let storage = Storage::with(sequence, paxos_state); // S: Sequence, P: PaxosState
//!     let config = PaxosConfig::default();
//!     let paxos = Paxos::with(config_id, pid, peers.clone(), storage, config);
//!     let election =
//!         BallotLeaderElection::with(config_id, pid, peers, ElectionConfig::default())?;
//!     replicas.insert(pid, paxos);
//!     elections.insert(pid, election);
//! }
//!
//! // Moves every message until one server leads. A runtime does the same with sockets and a timer.
//! let mut leader = None;
//! while leader.is_none() {
//!     let mut heartbeats = Vec::new();
//!     for pid in servers {
//!         let election = elections.get_mut(&pid).ok_or("a server without an election")?;
//!         leader = election.tick().or(leader);
//!         heartbeats.extend(election.get_outgoing_msgs());
//!     }
//!     while let Some(heartbeat) = heartbeats.pop() {
//!         let to = elections.get_mut(&heartbeat.to).ok_or("an unknown receiver")?;
//!         leader = to.handle_message(heartbeat)?.or(leader);
//!         heartbeats.extend(to.get_outgoing_msgs());
//!     }
//! }
//! let l = leader.ok_or("no leader")?;
//!
//! // The leader event goes to every replica, from our election or anybody's.
//! for paxos in replicas.values_mut() {
//!     paxos.handle_leader(l);
//! }
//!
//! // Any replica takes proposals; this one follows, so they are forwarded.
//! let data: Vec<u8> = b"hello".to_vec();
//! let follower = servers.into_iter().find(|pid| *pid != l.pid()).ok_or("no follower")?;
//! let paxos = replicas.get_mut(&follower).ok_or("an unknown server")?;
//! paxos.propose_normal(data)?;
//! paxos.propose_reconfiguration(vec![1, 2, 4])?;
//!
//! loop {
//!     let mut in_flight = Vec::new();
//!     for paxos in replicas.values_mut() {
//!         for out_msg in paxos.get_outgoing_msgs() {
//!             in_flight.push((out_msg.to, out_msg)); // storage was flushed first
//!         }
//!     }
//!     if in_flight.is_empty() {
//!         break;
//!     }
//!     for (to, message) in in_flight {
//!         replicas.get_mut(&to).ok_or("an unknown receiver")?.handle_message(message)?;
//!     }
//! }
//!
//! for paxos in replicas.values_mut() {
//!     let mut decided = Vec::new();
//!     for entry in paxos.get_decided_entries() {
//!         match entry {
//!             Entry::Normal(data) => decided.push(data),
//!             Entry::StopSign(ss) => assert_eq!((ss.config_id, ss.nodes), (2, vec![1, 2, 4])),
//!         }
//!     }
//!     assert_eq!(decided, ["hello"]);
//!     // The log is sealed: configuration 2 goes on.
//!     assert!(matches!(paxos.propose_normal("late"), Err(ProposeError::Sealed { config_id: 2 })));
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod ballot;
pub mod configurations;
pub mod digest;
mod hash;
pub mod leader_election;
pub mod migration;
pub mod paxos;
mod quorum;
pub mod storage;

pub use quorum::{Quorum, QuorumError};
