//! What a server keeps beside its logs.

use crate::wire::{EncodeError, Member, WireError, decode_notes, encode_notes};
use omnipaxos_core::configurations::History;
use serde::{Deserialize, Serialize};

/// The history of configurations, and where servers are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::server) struct Notes {
    /// What is known of the configurations.
    pub(in crate::server) history: Option<History>,
    /// Whether this server has retired.
    pub(in crate::server) retired: bool,
    /// Where servers are.
    pub(in crate::server) members: Vec<Member>,
}

impl Notes {
    pub(in crate::server) fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        encode_notes(self)
    }

    pub(in crate::server) fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        decode_notes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use omnipaxos_core::configurations::Configuration;
    use std::net::SocketAddr;

    #[test]
    fn notes_come_back_and_other_versions_are_refused() {
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let notes = Notes {
            history: Some(History::new(Configuration::first(1, vec![1, 2]))),
            retired: true,
            members: vec![Member { pid: 2, storage_id: None, address }],
        };
        let mut bytes = notes.encode().unwrap();
        assert_eq!(Notes::decode(&bytes), Ok(notes));
        assert!(Notes::decode(&bytes[..bytes.len() - 1]).is_err());
        bytes[0] += 1;
        assert_eq!(Notes::decode(&bytes), Err(WireError::Version { theirs: 2 }));
    }
}
