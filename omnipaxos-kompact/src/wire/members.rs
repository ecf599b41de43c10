//! What a StopSign's metadata says of the next configuration's servers, and what a server keeps
//! beside its logs.

use super::{EncodeError, WireError, decode_within, encode_onto, no_rest};
use crate::identity::StorageId;
use bytes::Bytes;
use omnipaxos_core::leader_election::NodeId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The version of these formats, in the first two bytes.
const VERSION: u16 = 1;

/// What bincode may claim for a list of members.
const MEMBERS_LIMIT: usize = 1 << 20;

/// What bincode may claim for what a server keeps beside its logs.
const NOTES_LIMIT: usize = 16 << 20;

/// One server of a configuration: who it is, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// The server.
    pub pid: NodeId,
    /// Its storage, where that is decided: then it needs no introduction.
    pub storage_id: Option<StorageId>,
    /// Where its Kompact system is reached.
    pub address: SocketAddr,
}

/// Encodes members as the metadata of a StopSign.
///
/// # Errors
/// [`EncodeError`] where bincode fails.
pub fn encode_members(members: &[Member]) -> Result<Bytes, EncodeError> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    encode_onto(&mut bytes, &members)?;
    Ok(bytes.into())
}

/// Reads what [`encode_members`] wrote.
///
/// # Errors
/// [`WireError::Version`] for metadata of a later version, [`WireError::Undecodable`] for any other
/// bytes.
pub fn decode_members(bytes: &[u8]) -> Result<Vec<Member>, WireError> {
    decode_versioned::<_, MEMBERS_LIMIT>(bytes)
}

/// Encodes what a server keeps beside its logs.
///
/// # Errors
/// [`EncodeError`] where bincode fails.
pub(crate) fn encode_notes<T: Serialize>(notes: &T) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    encode_onto(&mut bytes, notes)?;
    Ok(bytes)
}

/// Reads what [`encode_notes`] wrote.
///
/// # Errors
/// As [`decode_members`].
pub(crate) fn decode_notes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    decode_versioned::<T, NOTES_LIMIT>(bytes)
}

fn decode_versioned<T: DeserializeOwned, const LIMIT: usize>(bytes: &[u8]) -> Result<T, WireError> {
    let Some((version, rest)) = bytes.split_first_chunk::<2>() else {
        return Err(WireError::Undecodable("a value without a version".to_owned()));
    };
    let theirs = u16::from_le_bytes(*version);
    if theirs != VERSION {
        return Err(WireError::Version { theirs });
    }
    let (value, rest) = decode_within::<_, LIMIT>(rest)?;
    no_rest(rest)?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv6Addr};

    fn any_member() -> impl Strategy<Value = Member> {
        let ip = prop_oneof![
            any::<[u8; 4]>().prop_map(IpAddr::from),
            any::<u128>().prop_map(|ip| IpAddr::from(Ipv6Addr::from(ip))),
        ];
        (any::<u64>(), any::<u128>(), ip, any::<u16>()).prop_map(|(pid, id, ip, port)| Member {
            pid,
            storage_id: StorageId::new(id),
            address: SocketAddr::new(ip, port),
        })
    }

    proptest! {
        #[test]
        fn members_come_back(members in prop::collection::vec(any_member(), 0..10)) {
            let bytes = encode_members(&members).unwrap();
            prop_assert_eq!(decode_members(&bytes), Ok(members));
        }

        #[test]
        fn other_bytes_are_errors_or_other_members(
            members in prop::collection::vec(any_member(), 0..4),
            cut in any::<prop::sample::Index>(),
            flip in any::<prop::sample::Index>(),
        ) {
            let bytes = encode_members(&members).unwrap();
            prop_assert!(decode_members(&bytes[..cut.index(bytes.len())]).is_err());
            let mut flipped = bytes.to_vec();
            flipped[flip.index(bytes.len())] ^= 1;
            prop_assert_ne!(decode_members(&flipped), Ok(members));
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode_members(&bytes);
        }
    }

    #[test]
    fn a_later_version_is_said_so() {
        let mut bytes = encode_members(&[]).unwrap().to_vec();
        bytes[0] = 2;
        assert_eq!(decode_members(&bytes), Err(WireError::Version { theirs: 2 }));
        assert!(matches!(decode_members(&[1]), Err(WireError::Undecodable(_))));
    }
}
