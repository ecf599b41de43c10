//! Entries as runs, lengths and one blob.

use super::{Limits, WireError};
use bytes::Bytes;
use omnipaxos_core::storage::{Entry, Records, Run, StopSign};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Everything about [`Records`] but their payloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RecordsHead {
    runs: Vec<Run>,
    /// Bytes of each Normal entry.
    lengths: Vec<u32>,
    /// The StopSign behind them, without its metadata.
    stop_sign: Option<StopSign>,
    /// Bytes of the StopSign's metadata, which ends the blob.
    metadata: Option<u32>,
}

impl RecordsHead {
    /// The head of `records`, and the bytes of their blob; `None` where a length exceeds 32 bits.
    pub(super) fn of(records: &Records) -> Option<(Self, u64)> {
        Self::of_part(records, 0..records.entries().len())
    }

    /// The same of the records at these positions, which exist.
    pub(super) fn of_part(records: &Records, part: Range<usize>) -> Option<(Self, u64)> {
        let mut head = RecordsHead {
            runs: runs_of(records.runs(), part.start as u64, part.end as u64),
            lengths: Vec::with_capacity(part.len()),
            stop_sign: None,
            metadata: None,
        };
        let mut blob = 0u64;
        for entry in &records.entries()[part] {
            match entry {
                Entry::Normal(data) => {
                    head.lengths.push(u32::try_from(data.len()).ok()?);
                    blob += data.len() as u64;
                }
                Entry::StopSign(ss) => {
                    let metadata = ss.metadata.as_ref();
                    if let Some(data) = metadata {
                        head.metadata = Some(u32::try_from(data.len()).ok()?);
                        blob += data.len() as u64;
                    }
                    head.stop_sign = Some(StopSign {
                        config_id: ss.config_id,
                        nodes: ss.nodes.clone(),
                        learners: ss.learners.clone(),
                        metadata: None,
                        digest: ss.digest,
                        skip_prepare_use_leader: ss.skip_prepare_use_leader,
                    });
                }
            }
        }
        Some((head, blob))
    }

    /// The records of this head with payloads sliced out of `blob`.
    pub(super) fn join(self, blob: Bytes, limits: &Limits) -> Result<Records, WireError> {
        let count = self.lengths.len() + usize::from(self.stop_sign.is_some());
        if count > limits.entries {
            return Err(WireError::TooManyEntries { entries: count, limit: limits.entries });
        }
        let mut blob = Blob { rest: blob, limits };
        let mut entries = Vec::with_capacity(count);
        for length in self.lengths {
            entries.push(Entry::Normal(blob.take(length)?));
        }
        match (self.stop_sign, self.metadata) {
            (Some(ss), metadata) => {
                let metadata = metadata.map(|length| blob.take(length)).transpose()?;
                entries.push(Entry::stop_sign(StopSign { metadata, ..ss }));
            }
            (None, None) => {}
            (None, Some(_)) => {
                return Err(WireError::Undecodable("metadata without a StopSign".to_owned()));
            }
        }
        if !blob.rest.is_empty() {
            let left = blob.rest.len();
            return Err(WireError::Undecodable(format!(
                "{left} bytes of payload belong to no entry"
            )));
        }
        Records::new(entries, self.runs).map_err(|e| WireError::Undecodable(e.to_string()))
    }
}

/// The runs of positions `[from, to)` of the sequence that `runs` describe.
fn runs_of(runs: &[Run], from: u64, to: u64) -> Vec<Run> {
    let mut start = 0;
    let part = runs.iter().filter_map(|run| {
        let end = start + run.count;
        let (lo, hi) = (start.max(from), end.min(to));
        let skip = lo - start;
        start = end;
        run.skip(skip).and_then(|run| run.take(hi.saturating_sub(lo)))
    });
    part.collect()
}

/// What is left of a blob.
struct Blob<'a> {
    rest: Bytes,
    limits: &'a Limits,
}

impl Blob<'_> {
    fn take(&mut self, length: u32) -> Result<Bytes, WireError> {
        let limit = self.limits.entry_bytes;
        if u64::from(length) > limit {
            return Err(WireError::EntryTooLarge { bytes: u64::from(length), limit });
        }
        match usize::try_from(length) {
            Ok(length) if length <= self.rest.len() => Ok(self.rest.split_to(length)),
            _ => Err(WireError::Undecodable("the payloads are shorter than announced".to_owned())),
        }
    }
}
