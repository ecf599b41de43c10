//! The last resort where a majority is lost for good: an operator ends a configuration.

use super::history::Ended;
use crate::ballot::{Ballot, NodeId};
use crate::digest::BlockDigests;
use crate::storage::{
    ConfigId, Entry, PaxosState, ProposalId, Records, RecordsBuilder, Sequence, StopSign, Storage,
    StorageError,
};
use thiserror::Error;

/// What an operator's end of a configuration has made of its log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ForcedEnd {
    /// How the configuration ended, to be added to the server's history.
    pub ended: Ended,
    /// How many records were known to be decided before; the others up to the StopSign were only
    /// accepted here, and are decided by force.
    pub decided_before: u64,
    /// The round in which the log was accepted. A survivor with a higher one, or with the same one
    /// and a longer log, may hold more.
    pub accepted_round: Ballot,
    /// An undecided StopSign that lay at the end of the log and was removed.
    pub discarded: Option<StopSign>,
}

/// Why an operator cannot end a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ForceEndError {
    /// It is over: its successor is what has to be looked at.
    #[error("the configuration is over: configuration {0} has followed")]
    Sealed(ConfigId),
    /// The storage cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Ends configuration `config_id` with `stop_sign` on what server `pid` has of its log, decided or
/// not, and makes that durable: for the case that a majority of its servers is lost for good.
///
/// **This is not safe.** What only the lost servers had is lost, also where it was acknowledged,
/// and if one of them comes back, or this is done at two servers, there are two logs.
///
/// # Errors
/// [`ForceEndError`]; nothing is durable then, unless a flush failed.
pub fn force_end<S: Sequence, P: PaxosState>(
    config_id: ConfigId,
    pid: NodeId,
    storage: Storage<S, P>,
    stop_sign: StopSign,
) -> Result<ForcedEnd, ForceEndError> {
    let mut storage = storage.trust_suspect();
    storage.open()?;
    if let Some(sealed) = storage.sealed() {
        return Err(ForceEndError::Sealed(sealed.config_id));
    }
    let discarded = storage.stop_sign().cloned();
    if discarded.is_some() {
        storage.truncate(storage.end_index() - 1)?;
    }
    let (index, decided_before) = (storage.end_index(), storage.state().decided);
    let mut digests = BlockDigests::new(config_id);
    let whole = storage.first_index() == 0;
    let mut at = if whole { 0 } else { index };
    while at < index {
        let records = storage.read(at, index, READ_COST)?;
        digests.push(&records);
        at += records.len();
    }
    let digest = whole.then(|| digests.anchor().digest);
    let stop_sign = StopSign { digest, skip_prepare_use_leader: None, ..stop_sign };
    let record = of_operator(pid, storage.state().session, stop_sign.clone());
    digests.push(&record);
    let accepted_round = storage.state().accepted_round;
    let Ballot { n, .. } = storage.state().promised;
    let round = Ballot { n: n.saturating_add(1), priority: 0, pid };
    storage.append(record)?;
    storage.promise(round);
    storage.accept_round(round);
    storage.decide(index + 1, round, |_, _| {});
    if let Some(flush) = storage.begin_flush()? {
        flush.run()?;
    }
    let anchor = whole.then(|| digests.anchor());
    let ended = Ended { config_id, len: index + 1, stop_sign, anchor, round, forced: true };
    Ok(ForcedEnd { ended, decided_before, accepted_round, discarded })
}

/// How much of a log is read at once.
const READ_COST: u64 = 1 << 20;

/// The session began with the opening of the storage: it has proposed nothing yet.
fn of_operator(pid: NodeId, session: u64, stop_sign: StopSign) -> Records {
    let mut record = RecordsBuilder::new();
    let id = ProposalId { proposer: pid, session, number: 1 };
    record.push(id, Entry::stop_sign(stop_sign));
    record.build()
}
