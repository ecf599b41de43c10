//! Where the peers are, and what is held back for them.

use crate::wire::Frame;
use kompact::prelude::{ActorPath, NamedPath, SessionId, Transport};
use omnipaxos_core::leader_election::NodeId;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// One peer: its path, and the frames for which there was no buffer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) path: ActorPath,
    pub(super) session: Option<SessionId>,
    held: VecDeque<Frame>,
    held_bytes: u64,
}

impl Peer {
    pub(super) fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    pub(super) fn first_held(&self) -> Option<&Frame> {
        self.held.front()
    }

    /// Holds a frame back behind the earlier ones; returns how many of the oldest were dropped to
    /// stay within `limit` bytes. One frame always fits.
    pub(super) fn hold(&mut self, frame: Frame, limit: u64) -> u64 {
        self.held_bytes += frame.encoded_len() as u64;
        self.held.push_back(frame);
        let mut dropped = 0;
        while self.held_bytes > limit && self.held.len() > 1 {
            self.release();
            dropped += 1;
        }
        dropped
    }

    /// Forgets the oldest frame.
    pub(super) fn release(&mut self) {
        if let Some(frame) = self.held.pop_front() {
            self.held_bytes -= frame.encoded_len() as u64;
        }
    }
}

/// The peers by pid and by address.
#[derive(Debug, Default)]
pub(super) struct Peers {
    by_pid: BTreeMap<NodeId, Peer>,
}

impl Peers {
    /// Sets the address of a peer; what is held back for it goes to the new one.
    pub(super) fn set(&mut self, pid: NodeId, address: SocketAddr, alias: Vec<String>) {
        let path: ActorPath = NamedPath::with_socket(Transport::Tcp, address, alias).into();
        match self.by_pid.get_mut(&pid) {
            Some(peer) if peer.address == address => {}
            Some(peer) => {
                peer.address = address;
                peer.path = path;
                peer.session = None;
            }
            None => {
                let peer =
                    Peer { address, path, session: None, held: VecDeque::new(), held_bytes: 0 };
                self.by_pid.insert(pid, peer);
            }
        }
    }

    pub(super) fn remove(&mut self, pid: NodeId) {
        self.by_pid.remove(&pid);
    }

    pub(super) fn knows(&self, pid: NodeId) -> bool {
        self.by_pid.contains_key(&pid)
    }

    pub(super) fn get_mut(&mut self, pid: NodeId) -> Option<&mut Peer> {
        self.by_pid.get_mut(&pid)
    }

    /// All peers for which something is held back.
    pub(super) fn holding(&self) -> Vec<NodeId> {
        self.by_pid.iter().filter(|(_, peer)| peer.has_held()).map(|(pid, _)| *pid).collect()
    }

    /// Notes the session of a link that was established; the pids behind it for which it is not the
    /// first one.
    pub(super) fn established(&mut self, address: SocketAddr, session: SessionId) -> Vec<NodeId> {
        let mut again = Vec::new();
        for (pid, peer) in &mut self.by_pid {
            if peer.address != address {
                continue;
            }
            let before = peer.session.replace(session);
            if before.is_some_and(|before| before != session) {
                again.push(*pid);
            }
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::StorageId;
    use crate::wire::{Packet, Storages};
    use omnipaxos_core::leader_election::{Heartbeat, HeartbeatMessage};

    fn frame(round: u64) -> Frame {
        let message =
            HeartbeatMessage { config_id: 1, from: 1, to: 2, body: Heartbeat::Request { round } };
        let storages = Storages { from: StorageId::new(1).unwrap(), to: None };
        Frame::encode(0, storages, Packet::Heartbeat(message)).unwrap()
    }

    fn peers() -> Peers {
        let mut peers = Peers::default();
        peers.set(2, SocketAddr::from(([127, 0, 0, 1], 9)), vec!["a".to_owned()]);
        peers
    }

    #[test]
    fn the_oldest_frames_go_first_and_are_dropped_first() {
        let mut peers = peers();
        let peer = peers.get_mut(2).unwrap();
        let limit = 3 * frame(1).encoded_len() as u64;
        for round in 1..=3 {
            assert_eq!(peer.hold(frame(round), limit), 0);
        }
        assert_eq!(peer.hold(frame(4), limit), 1);
        assert_eq!(peer.first_held(), Some(&frame(2)));
        peer.release();
        assert_eq!(peer.first_held(), Some(&frame(3)));
        assert_eq!(peers.holding(), vec![2]);
    }

    #[test]
    fn one_frame_is_held_whatever_its_size() {
        let mut peers = peers();
        let peer = peers.get_mut(2).unwrap();
        assert_eq!(peer.hold(frame(1), 1), 0);
        assert!(peer.has_held());
        assert_eq!(peer.hold(frame(2), 1), 1);
        assert_eq!(peer.first_held(), Some(&frame(2)));
    }

    #[test]
    fn a_second_session_is_a_reconnect_and_a_new_address_starts_anew() {
        let mut peers = peers();
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let first = SessionId::from_u128(1);
        let second = SessionId::from_u128(2);
        assert!(peers.established(address, first).is_empty());
        assert!(peers.established(address, first).is_empty());
        assert_eq!(peers.established(address, second), vec![2]);
        let moved = SocketAddr::from(([127, 0, 0, 1], 10));
        peers.set(2, moved, vec!["a".to_owned()]);
        assert!(peers.established(address, first).is_empty());
        assert!(peers.established(moved, first).is_empty());
    }
}
