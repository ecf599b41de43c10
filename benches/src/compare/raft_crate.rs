//! Servers of the crate `raft`, with its memory storage.

use super::group::{Group, GroupError, Place};
use bytes::Bytes;
use raft::prelude::{ConfState, Config, Entry, Message};
use raft::storage::MemStorage;
use raft::{RawNode, StateRole};
use slog::{Discard, Logger, o};

/// The first server leads.
pub struct RaftGroup {
    nodes: Vec<RawNode<MemStorage>>,
    decided: Vec<u64>,
    outgoing: Vec<Message>,
}

impl RaftGroup {
    /// A group of `servers` with a leader.
    ///
    /// # Errors
    /// [`GroupError`] where a server does not start or lead.
    pub fn start(servers: u64) -> Result<Self, GroupError> {
        let logger = Logger::root(Discard, o!());
        let node = |id| {
            let config = Config {
                id,
                max_size_per_msg: 1 << 20,
                max_inflight_msgs: 1 << 10,
                ..Config::default()
            };
            let members = ConfState::from(((1..=servers).collect::<Vec<u64>>(), Vec::new()));
            RawNode::new(&config, MemStorage::new_with_conf_state(members), &logger)
        };
        let nodes: Result<Vec<_>, _> = (1..=servers).map(node).collect();
        let nodes = nodes.map_err(GroupError::new)?;
        let mut group = Self { decided: vec![0; nodes.len()], nodes, outgoing: Vec::new() };
        group.nodes[0].campaign().map_err(GroupError::new)?;
        group.exchange()?;
        if group.nodes[0].raft.state != StateRole::Leader {
            return Err(GroupError("the first server does not lead".to_owned()));
        }
        Ok(group)
    }

    fn commit(&mut self, at: usize, entries: &[Entry]) {
        // A leader's first entry is empty.
        self.decided[at] += entries.iter().filter(|entry| !entry.data.is_empty()).count() as u64;
    }

    fn handle_ready(&mut self, at: usize) -> Result<(), GroupError> {
        let node = &mut self.nodes[at];
        let mut ready = node.ready();
        self.outgoing.extend(ready.take_messages());
        let store = node.raft.raft_log.store.clone();
        store.wl().append(ready.entries()).map_err(GroupError::new)?;
        if let Some(hard_state) = ready.hs() {
            store.wl().set_hardstate(hard_state.clone());
        }
        self.outgoing.extend(ready.take_persisted_messages());
        let committed = ready.take_committed_entries();
        let mut rest = node.advance(ready);
        if let Some(commit) = rest.commit_index() {
            store.wl().mut_hard_state().set_commit(commit);
        }
        self.outgoing.extend(rest.take_messages());
        let last = rest.take_committed_entries();
        node.advance_apply();
        self.commit(at, &committed);
        self.commit(at, &last);
        Ok(())
    }
}

impl Group for RaftGroup {
    fn propose(&mut self, at: Place, payload: Bytes) -> Result<(), GroupError> {
        let node = &mut self.nodes[usize::from(at == Place::Follower)];
        // Its entries own their bytes.
        node.propose(Vec::new(), payload.to_vec()).map_err(GroupError::new)
    }

    fn exchange(&mut self) -> Result<(), GroupError> {
        loop {
            let mut quiet = true;
            for at in 0..self.nodes.len() {
                while self.nodes[at].has_ready() {
                    quiet = false;
                    self.handle_ready(at)?;
                }
                for message in std::mem::take(&mut self.outgoing) {
                    let to = &mut self.nodes[message.to as usize - 1];
                    to.step(message).map_err(GroupError::new)?;
                }
            }
            if quiet {
                return Ok(());
            }
        }
    }

    fn tick(&mut self) -> Result<(), GroupError> {
        for node in &mut self.nodes {
            node.tick();
        }
        Ok(())
    }

    fn decided(&self) -> u64 {
        self.decided.iter().copied().min().unwrap_or(0)
    }
}
