//! Where servers are and which storages are theirs, as far as this server has heard.

use crate::identity::StorageId;
use crate::wire::{Member, ServerPacket};
use omnipaxos_core::leader_election::NodeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Addresses of strangers that are kept to answer them.
const MAX_STRANGERS: usize = 256;

/// The addresses and storages of servers.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    known: BTreeMap<NodeId, Known>,
    /// Servers that have spoken and are not known otherwise.
    strangers: BTreeMap<NodeId, Known>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    address: Option<SocketAddr>,
    storage_id: Option<StorageId>,
}

/// Who has sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A server that is known, from where it was.
    Known,
    /// A server that is known, from somewhere new.
    Moved,
    /// Nobody that is known.
    Stranger,
    /// Somebody under the pid of a server that has this storage.
    Foreign(StorageId),
}

impl Book {
    /// A server is somewhere, with a storage where that is decided. What it has said itself of its
    /// address counts more.
    pub(super) fn note(&mut self, member: Member) {
        let Member { pid, storage_id, address } = member;
        let heard = self.strangers.remove(&pid).unwrap_or_default();
        let known = self.known.entry(pid).or_default();
        let decided = storage_id.is_some() && storage_id != known.storage_id;
        if decided {
            known.storage_id = storage_id;
        }
        let said = heard.address.filter(|_| heard.storage_id == known.storage_id);
        known.address = known.address.or(said).or(Some(address));
    }

    /// A packet came; what its sender says of its address is believed where its storage fits.
    pub(super) fn heard(&mut self, packet: &ServerPacket) -> Heard {
        let (pid, address) = (packet.from, Some(packet.address));
        let Some(known) = self.known.get_mut(&pid) else {
            if self.strangers.len() < MAX_STRANGERS || self.strangers.contains_key(&pid) {
                let stranger = Known { address, storage_id: Some(packet.storage_id) };
                self.strangers.insert(pid, stranger);
            }
            return Heard::Stranger;
        };
        match known.storage_id {
            Some(bound) if bound != packet.storage_id => return Heard::Foreign(bound),
            _ => {}
        }
        if known.address == address {
            return Heard::Known;
        }
        known.address = address;
        Heard::Moved
    }

    /// Where a server is.
    pub(super) fn address(&self, pid: NodeId) -> Option<SocketAddr> {
        self.known.get(&pid).or_else(|| self.strangers.get(&pid))?.address
    }

    /// The decided storage of a server.
    pub(super) fn storage_id(&self, pid: NodeId) -> Option<StorageId> {
        self.known.get(&pid)?.storage_id
    }

    pub(super) fn knows(&self, pid: NodeId) -> bool {
        self.known.contains_key(&pid)
    }

    /// Where known servers are.
    pub(super) fn members(&self) -> impl Iterator<Item = Member> + '_ {
        self.known.iter().filter_map(|(pid, known)| {
            let address = known.address?;
            Some(Member { pid: *pid, storage_id: known.storage_id, address })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ServerTalk;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn packet(from: NodeId, storage: u128, port: u16) -> ServerPacket {
        let storage_id = StorageId::new(storage).unwrap();
        let (address, talk) = (at(port), ServerTalk::Identify);
        ServerPacket { from, to: 1, storage_id, address, talk }
    }

    fn member(pid: NodeId, storage: u128, port: u16) -> Member {
        Member { pid, storage_id: StorageId::new(storage), address: at(port) }
    }

    #[test]
    fn a_server_moves_and_an_impostor_does_not_move_it() {
        let mut book = Book::default();
        book.note(member(2, 7, 20));
        assert_eq!(book.heard(&packet(2, 7, 20)), Heard::Known);
        assert_eq!(book.heard(&packet(2, 7, 21)), Heard::Moved);
        assert_eq!(book.heard(&packet(2, 8, 22)), Heard::Foreign(StorageId::new(7).unwrap()));
        assert_eq!(book.address(2), Some(at(21)));
        // What a StopSign says later may be older than that.
        book.note(member(2, 7, 20));
        assert_eq!(book.address(2), Some(at(21)));
    }

    #[test]
    fn strangers_are_answered_and_never_too_many_are_kept() {
        let mut book = Book::default();
        assert_eq!(book.heard(&packet(9, 7, 20)), Heard::Stranger);
        assert_eq!(book.address(9), Some(at(20)));
        assert!(!book.knows(9));
        for pid in 10..2000 {
            book.heard(&packet(pid, 7, 20));
        }
        assert_eq!(book.strangers.len(), MAX_STRANGERS);
        // Once it is a member, what it said of itself counts.
        book.note(member(9, 7, 30));
        assert_eq!(book.address(9), Some(at(20)));
        book.note(member(10, 8, 30));
        assert_eq!(book.address(10), Some(at(30)));
    }
}
