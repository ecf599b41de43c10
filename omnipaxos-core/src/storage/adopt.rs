//! D1 in storage: a log takes decided records in, whatever it holds behind its decided index.

use super::{PaxosState, Records, Sequence, Storage, StorageError};
use crate::ballot::Ballot;

/// Why decided records were not taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AdoptError {
    /// The log shows that they cannot have been chosen.
    Impossible(&'static str),
    /// Storage failed.
    Storage(StorageError),
}

impl From<StorageError> for AdoptError {
    fn from(error: StorageError) -> Self {
        AdoptError::Storage(error)
    }
}

impl<S: Sequence, P: PaxosState> Storage<S, P> {
    /// D1: makes the log hold the decided `records` at `from`, which is not below the decided
    /// index; they were chosen in `round` or before. Keeps what is equal, cuts only at the first
    /// different entry: what follows equal entries may be chosen too. Compares `chunk` bytes at a
    /// time.
    pub(crate) fn adopt_decided(
        &mut self,
        from: u64,
        records: &Records,
        round: Ballot,
        chunk: u64,
    ) -> Result<(), AdoptError> {
        let to = self.end_index().min(from + records.len());
        let mut at = from;
        while at < to {
            let ours = self.read(at, to, chunk)?;
            let theirs = records.iter().skip((at - from) as usize);
            let equal = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count() as u64;
            at += equal;
            if equal < ours.len() {
                // What a round accepted holds everything chosen in earlier ones (SC2).
                if self.state().accepted_round >= round {
                    return Err(AdoptError::Impossible("decided entries that contradict the log"));
                }
                self.truncate(at)?;
                break;
            }
        }
        let rest = records.skip(at - from);
        if self.stop_sign().is_some() && !rest.is_empty() {
            return Err(AdoptError::Impossible("entries behind a StopSign"));
        }
        Ok(self.append(rest)?)
    }
}
