//! Digests of the log, computed a little at a time, off the path of accepts.

use super::Paxos;
use super::replica::{Fault, Replica};
use crate::digest::{Anchor, Block, BlockDigests};
use crate::storage::{PaxosState, Sequence};

/// The digests of the decided log from index 0 on. Volatile: after a restart they begin again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Digests {
    /// Nothing was digested yet.
    #[default]
    Unstarted,
    /// As far as they are.
    Kept(Box<BlockDigests>),
    /// What they would cover was trimmed before.
    Lost,
}

impl Digests {
    fn get(&self) -> Option<&BlockDigests> {
        match self {
            Digests::Kept(digests) => Some(digests),
            Digests::Unstarted | Digests::Lost => None,
        }
    }

    /// The records below `to` are about to be trimmed.
    pub(super) fn trim(&mut self, to: u64) {
        if self.get().map_or(0, BlockDigests::end) < to {
            *self = Digests::Lost;
        }
    }
}

/// Pushes records of `[digests.end(), to)` until they cost `max_cost` bytes, but one where there is
/// one.
/// Returns what they cost.
pub(super) fn push<S: Sequence, P: PaxosState>(
    r: &Replica<S, P>,
    digests: &mut BlockDigests,
    to: u64,
    max_cost: u64,
) -> Result<u64, Fault> {
    let mut cost = 0;
    while digests.end() < to && (cost < max_cost || cost == 0) {
        let chunk = (max_cost - cost).min(r.limits.sync_chunk_bytes);
        let records = r.storage.read(digests.end(), to, chunk)?;
        cost += records.cost();
        digests.push(&records);
    }
    Ok(cost)
}

impl<S: Sequence, P: PaxosState> Replica<S, P> {
    /// Goes on with the digests of what is decided and durable. Returns what that cost, and the
    /// digests once they are complete; `None` too where there will be none.
    pub(super) fn digest(&mut self, max_cost: u64) -> Result<(u64, Option<&BlockDigests>), Fault> {
        let to = self.readable();
        if self.digests == Digests::Unstarted {
            self.digests = match self.storage.first_index() {
                0 => Digests::Kept(Box::new(BlockDigests::new(self.config_id))),
                _ => Digests::Lost,
            };
        }
        let mut cost = 0;
        if let Digests::Kept(mut digests) = std::mem::replace(&mut self.digests, Digests::Lost) {
            cost = push(self, &mut digests, to, max_cost)?;
            self.digests = Digests::Kept(digests);
        }
        Ok((cost, self.digests.get().filter(|digests| digests.end() >= to)))
    }

    /// Whether the log was trimmed before it was digested.
    pub(super) fn has_no_digests(&self) -> bool {
        self.digests == Digests::Lost
    }
}

impl<S: Sequence, P: PaxosState> Paxos<S, P> {
    /// Goes on with the digests of what is decided and durable here, `max_cost` bytes at most, but
    /// one record where there is one. To be called at leisure, with each tick for instance: what is
    /// done beforehand does not hold up a reconfiguration. Whether all of it is done, or nothing
    /// can be.
    pub fn digest(&mut self, max_cost: u64) -> bool {
        if self.halted.is_some() {
            return true;
        }
        let digested = self.replica.digest(max_cost);
        let done = digested.map(|(_, digests)| digests.is_some());
        let (done, result) = match done {
            Ok(done) => (done, Ok(())),
            Err(fault) => (true, Err(fault)),
        };
        self.after(result);
        done || self.replica.has_no_digests()
    }

    /// The blocks of the log as far as [`digest`](Self::digest) has got; none where it was trimmed
    /// before.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        self.replica.digests.get().map(BlockDigests::blocks).unwrap_or_default()
    }

    /// What the whole sealed log must be: the root of trust for whoever migrates it. `None` while
    /// the log is not sealed, or where its StopSign carries no digest and the log was not digested
    /// to its end here.
    #[must_use]
    pub fn anchor_of_sealed(&self) -> Option<Anchor> {
        let r = &self.replica;
        let stop_sign = r.storage.sealed()?;
        let end = r.storage.end_index();
        match stop_sign.digest {
            Some(digest) => {
                let record = r.storage.read(end - 1, end, 0).ok()?;
                Anchor { end: end - 1, digest }.sealed(r.config_id, &record)
            }
            None => r.digests.get().filter(|d| d.end() == end).map(BlockDigests::anchor),
        }
    }
}
