//! Servers that have nothing to do.

use super::group::GroupError;
use omnipaxos_core::leader_election::{BallotLeaderElection, ElectionConfig, NodeId};
use omnipaxos_core::paxos::{Paxos, PaxosConfig};
use omnipaxos_core::storage::{MemorySequence, MemoryState, Storage};

/// How many of them.
pub const SERVERS: u64 = 9;

/// Ticks that are looked at.
const TICKS: u64 = 1_000;

/// Ticks after which they have a leader, and have settled.
const SETTLED: u64 = 1_000;

struct Server {
    election: BallotLeaderElection,
    replica: Paxos<MemorySequence, MemoryState>,
}

impl Server {
    fn start(pid: NodeId) -> Result<Self, GroupError> {
        let peers: Vec<NodeId> = (1..=SERVERS).filter(|peer| *peer != pid).collect();
        let config = ElectionConfig::default();
        let election = BallotLeaderElection::with(1, pid, peers.clone(), config);
        let storage = Storage::with(MemorySequence::new(), MemoryState::new());
        let replica = Paxos::try_with(1, pid, peers, storage, PaxosConfig::default());
        Ok(Self {
            election: election.map_err(GroupError::new)?,
            replica: replica.map_err(GroupError::new)?,
        })
    }

    fn tick(&mut self) {
        if let Some(leader) = self.election.tick() {
            self.replica.handle_leader(leader);
        }
        self.replica.tick();
    }
}

/// Lets all servers tick, and counts with `allocations` what those ticks allocate at which nobody
/// has anything to say: the ticks, and the allocations in them.
///
/// # Errors
/// [`GroupError`] where a server does not start, or there is no such tick.
pub fn ticks(allocations: impl Fn() -> u64) -> Result<(u64, u64), GroupError> {
    let servers: Result<Vec<_>, _> = (1..=SERVERS).map(Server::start).collect();
    let mut servers = servers?;
    let (mut idle, mut allocated) = (0, 0);
    for tick in 0..SETTLED + TICKS {
        let before = allocations();
        servers.iter_mut().for_each(Server::tick);
        let spoken = exchange(&mut servers)?;
        if tick >= SETTLED && !spoken {
            idle += 1;
            allocated += allocations() - before;
        }
    }
    if idle == 0 {
        return Err(GroupError::new("somebody speaks at each tick"));
    }
    if servers.iter().any(|server| server.replica.leader().is_none()) {
        return Err(GroupError::new("no leader"));
    }
    Ok((idle, allocated))
}

/// Delivers messages until there are none; whether there were any.
fn exchange(servers: &mut [Server]) -> Result<bool, GroupError> {
    let mut spoken = false;
    loop {
        let mut quiet = true;
        for at in 0..servers.len() {
            let heartbeats = servers[at].election.get_outgoing_msgs();
            let messages = servers[at].replica.get_outgoing_msgs();
            quiet &= heartbeats.is_empty() && messages.is_empty();
            for message in heartbeats {
                let to = &mut servers[message.to as usize - 1];
                let elected = to.election.handle_message(message).map_err(GroupError::new)?;
                if let Some(leader) = elected {
                    to.replica.handle_leader(leader);
                }
            }
            for message in messages {
                let to = &mut servers[message.to as usize - 1].replica;
                to.handle_message(message).map_err(GroupError::new)?;
            }
        }
        if quiet {
            return Ok(spoken);
        }
        spoken = true;
    }
}
