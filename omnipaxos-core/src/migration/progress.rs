//! How far a migration has come.

use super::error::Blame;
use crate::ballot::NodeId;

/// How far a migration has come. A rate is the caller's division: there is no clock here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Progress {
    /// Records that are here.
    pub have: u64,
    /// Records that are wanted.
    pub total: u64,
    /// Bytes (costs) of records that were fetched and handed to be stored.
    pub bytes: u64,
    /// Bytes of records that were fetched in vain: twice, or not to be believed.
    pub wasted_bytes: u64,
    /// Bytes of the wanted records, once their blocks are known.
    pub total_bytes: Option<u64>,
    /// Bytes fetched of the snapshot that is being fetched, and its length.
    pub snapshot: Option<(u64, u64)>,
    /// Records below this index were trimmed by everyone, and nobody offers a snapshot.
    pub needs_snapshot: Option<u64>,
    /// The donors, by pid.
    pub donors: Vec<DonorProgress>,
}

/// What one donor does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DonorProgress {
    /// The donor.
    pub pid: NodeId,
    /// Bytes of records and snapshots that came from it, for nothing or not.
    pub bytes: u64,
    /// Requests on their way to it.
    pub outstanding: usize,
    /// How many times in a row it has left requests unanswered.
    pub silences: u32,
    /// What it was last blamed for.
    pub blame: Option<Blame>,
    /// How often it was blamed.
    pub blames: u32,
}
