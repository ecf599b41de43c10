//! The crate `raft` with its memory storage.

use crate::dice::{Dice, Use};
use crate::peer::{Leadership, NodeId, Peer, PeerError, command_in};
use crate::units::{HEARTBEAT_TICKS, TIMEOUT_TICKS};
use raft::prelude::{ConfState, Config, Entry, Message};
use raft::storage::MemStorage;
use raft::{Error, RawNode, StateRole};
use slog::{Discard, Logger, o};

/// Whether pre-vote and check-quorum are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaftMode {
    /// Both off: the crate's defaults.
    Plain,
    /// Both on.
    PreVoteCheckQuorum,
}

/// Above any election timeout that is ever used: raft's own dice, which have no seed, draw from
/// `TIMEOUT_TICKS` up to here, and a number of ours takes the place of each of theirs.
const DRAWN_BY_RAFT: usize = usize::MAX / 2;

/// A server of the crate `raft`.
pub struct RaftPeer {
    pid: NodeId,
    node: RawNode<MemStorage>,
    dice: Dice,
    /// How many election timeouts were drawn.
    drawn: u64,
    decided: Vec<u64>,
}

impl RaftPeer {
    /// Server `pid` of 1 ..= `servers`; its election timeouts come from `dice`.
    ///
    /// # Errors
    /// [`PeerError`] when the settings are refused.
    pub fn start(pid: NodeId, servers: u64, mode: RaftMode, dice: Dice) -> Result<Self, PeerError> {
        let steady = mode == RaftMode::PreVoteCheckQuorum;
        let config = Config {
            id: pid,
            election_tick: TIMEOUT_TICKS as usize,
            heartbeat_tick: HEARTBEAT_TICKS as usize,
            max_election_tick: DRAWN_BY_RAFT,
            pre_vote: steady,
            check_quorum: steady,
            max_size_per_msg: 1 << 20,
            ..Config::default()
        };
        let voters: Vec<NodeId> = (1..=servers).collect();
        let members = ConfState::from((voters, Vec::new()));
        let storage = MemStorage::new_with_conf_state(members);
        let logger = Logger::root(Discard, o!());
        let node = RawNode::new(&config, storage, &logger);
        let mut peer = Self {
            pid,
            node: node.map_err(|error| PeerError::new(pid, error))?,
            dice,
            drawn: 0,
            decided: Vec::new(),
        };
        peer.draw_timeout();
        Ok(peer)
    }

    /// Replaces a timeout of raft's own dice by one of `dice`, from the same range as the crate's
    /// default: 1 to 2 election timeouts.
    fn draw_timeout(&mut self) {
        let timeout = TIMEOUT_TICKS as usize;
        if self.node.raft.randomized_election_timeout() >= 2 * timeout {
            let of = [self.pid, self.drawn, 0];
            let more = self.dice.below(u64::from(TIMEOUT_TICKS), Use::RaftTimeout, of);
            self.node.raft.set_randomized_election_timeout(timeout + more as usize);
            self.drawn += 1;
        }
    }

    fn failed(&self, error: impl ToString) -> PeerError {
        PeerError::new(self.pid, error)
    }

    fn commit(&mut self, entries: &[Entry]) -> Result<(), PeerError> {
        // A leader's first entry is empty.
        for entry in entries.iter().filter(|entry| !entry.data.is_empty()) {
            let command = command_in(&entry.data).ok_or_else(|| self.failed("a foreign entry"))?;
            self.decided.push(command);
        }
        Ok(())
    }

    fn handle_ready(&mut self, to: &mut Vec<(NodeId, Message)>) -> Result<(), PeerError> {
        let mut send = |messages: Vec<Message>| to.extend(messages.into_iter().map(|m| (m.to, m)));
        let mut ready = self.node.ready();
        send(ready.take_messages());
        let store = self.node.raft.raft_log.store.clone();
        let stored = store.wl().append(ready.entries());
        stored.map_err(|error| self.failed(error))?;
        if let Some(hard_state) = ready.hs() {
            store.wl().set_hardstate(hard_state.clone());
        }
        let committed = ready.take_committed_entries();
        self.commit(&committed)?;
        send(ready.take_persisted_messages());
        let mut rest = self.node.advance(ready);
        if let Some(commit) = rest.commit_index() {
            store.wl().mut_hard_state().set_commit(commit);
        }
        send(rest.take_messages());
        let committed = rest.take_committed_entries();
        self.commit(&committed)?;
        self.node.advance_apply();
        Ok(())
    }
}

impl Peer for RaftPeer {
    type Message = Message;

    fn tick(&mut self) -> Result<(), PeerError> {
        self.node.tick();
        self.draw_timeout();
        Ok(())
    }

    fn receive(&mut self, message: Message) -> Result<(), PeerError> {
        let stepped = self.node.step(message);
        self.draw_timeout();
        match stepped {
            // A forwarded proposal that met no leader.
            Ok(()) | Err(Error::ProposalDropped) => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn propose(&mut self, command: u64) -> Result<(), PeerError> {
        let payload = command.to_le_bytes().to_vec();
        match self.node.propose(Vec::new(), payload) {
            Ok(()) | Err(Error::ProposalDropped) => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn take_outgoing(&mut self, to: &mut Vec<(NodeId, Message)>) -> Result<(), PeerError> {
        while self.node.has_ready() {
            self.handle_ready(to)?;
        }
        Ok(())
    }

    fn take_decided(&mut self, to: &mut Vec<u64>) {
        to.append(&mut self.decided);
    }

    fn leadership(&self) -> Option<Leadership> {
        let raft = &self.node.raft;
        (raft.leader_id != 0).then_some(Leadership { round: raft.term, pid: raft.leader_id })
    }

    fn status(&self) -> String {
        let raft = &self.node.raft;
        let role = match raft.state {
            StateRole::Leader => "leader".to_owned(),
            StateRole::PreCandidate => "pre-candidate".to_owned(),
            StateRole::Candidate => "candidate".to_owned(),
            StateRole::Follower if raft.leader_id == 0 => "follower of nobody".to_owned(),
            StateRole::Follower => format!("follower of {}", raft.leader_id),
        };
        format!("{role}, term {}", raft.term)
    }
}

#[cfg(test)]
mod tests {
    use super::{RaftMode, RaftPeer};
    use crate::dice::Dice;
    use crate::peer::Peer;
    use crate::units::TIMEOUT_TICKS;

    #[test]
    fn timeouts_come_from_the_seed_alone() {
        let timeouts = |seed| {
            let dice = Dice::new(seed);
            let mut peer = RaftPeer::start(1, 3, RaftMode::Plain, dice).unwrap();
            let mut timeouts = Vec::new();
            for _ in 0..20 * TIMEOUT_TICKS {
                peer.tick().unwrap();
                peer.take_outgoing(&mut Vec::new()).unwrap();
                timeouts.push(peer.node.raft.randomized_election_timeout());
            }
            timeouts.dedup();
            timeouts
        };
        let drawn = timeouts(1);
        assert!(drawn.len() > 5, "{drawn:?}");
        assert!(drawn.iter().all(|t| (10..20).contains(t)), "{drawn:?}");
        assert_eq!(drawn, timeouts(1));
        assert_ne!(drawn, timeouts(2));
    }
}
