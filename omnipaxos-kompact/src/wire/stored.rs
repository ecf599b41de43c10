//! The same encodings for what is kept on disk.

use super::records::RecordsHead;
use super::{EncodeError, Limits, WireError, decode_records, encode_onto, no_rest, undecodable};
use bytes::{Buf, Bytes};
use omnipaxos_core::storage::{Entry, Records};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::Range;

/// What bincode may claim for a value: far more than any state has.
const VALUE_LIMIT: usize = 16 << 20;

/// A disk holds what this server once took: its limits were checked then.
const NO_LIMITS: Limits =
    Limits { packet_bytes: usize::MAX, entries: usize::MAX, entry_bytes: u64::MAX };

/// Appends the records at these positions, which exist: the length of their head, the head, and the
/// payloads.
pub(crate) fn write_records(
    out: &mut Vec<u8>,
    records: &Records,
    part: Range<usize>,
) -> Result<(), EncodeError> {
    let too_long = || EncodeError::TooLong { bytes: records.cost() };
    let (head, blob) = RecordsHead::of_part(records, part.clone()).ok_or_else(too_long)?;
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    encode_onto(out, &head)?;
    let length = u32::try_from(out.len() - at - 4).map_err(|_| too_long())?;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
    out.reserve(usize::try_from(blob).map_err(|_| too_long())?);
    for entry in &records.entries()[part] {
        match entry {
            Entry::Normal(data) => out.extend_from_slice(data),
            Entry::StopSign(ss) => {
                out.extend_from_slice(ss.metadata.as_deref().unwrap_or_default());
            }
        }
    }
    Ok(())
}

/// Reads what [`write_records`] wrote, all of it; payloads are slices of `bytes`.
pub(crate) fn read_records(mut bytes: Bytes) -> Result<Records, WireError> {
    let short = || WireError::Undecodable("records without a head".to_owned());
    let length = bytes.try_get_u32_le().map_err(|_| short())? as usize;
    if length > bytes.len() {
        return Err(short());
    }
    let head = decode_records(&bytes.split_to(length))?;
    head.join(bytes, &NO_LIMITS)
}

/// Appends a value.
pub(crate) fn write_value<T: Serialize>(out: &mut Vec<u8>, value: &T) -> Result<(), EncodeError> {
    encode_onto(out, value)
}

/// Reads a value, which fills `bytes`.
pub(crate) fn read_value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    let config = bincode::config::standard().with_limit::<VALUE_LIMIT>();
    let (value, used) = bincode::serde::decode_from_slice(bytes, config).map_err(undecodable)?;
    no_rest(bytes.get(used..).unwrap_or_default())?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use omnipaxos_core::leader_election::NodeId;
    use omnipaxos_core::storage::{NextProposal, NextProposals};
    use std::collections::BTreeMap;

    /// Disks have maps.
    #[test]
    fn next_proposals_are_stored_as_a_map_is() {
        let next = |n: u64| (n * 300, NextProposal { session: n, number: n + 7 });
        for count in 0..4 {
            let map: BTreeMap<NodeId, NextProposal> = (0..count).map(next).collect();
            let row: NextProposals = (0..count).rev().map(next).collect();
            let (mut of_map, mut of_row) = (Vec::new(), Vec::new());
            write_value(&mut of_map, &map).unwrap();
            write_value(&mut of_row, &row).unwrap();
            assert_eq!(of_row, of_map);
            assert_eq!(read_value::<NextProposals>(&of_map).unwrap(), row);
        }
    }
}
