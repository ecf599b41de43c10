//! A StopSign on its way into the log: nothing follows it, and it carries the digest of everything
//! before it.

use crate::ballot::{Ballot, Leader};
use crate::digest::BlockDigests;
use crate::paxos::digests;
use crate::paxos::replica::{Fault, Replica};
use crate::storage::{Entry, PaxosState, ProposalId, Records, RecordsBuilder, Sequence, StopSign};

/// The proposed StopSign that ends this leader's log. While it is held nothing is appended, so its
/// index and what lies before it stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Barrier {
    id: ProposalId,
    stop_sign: Box<StopSign>,
    /// The digests of the log, its undecided tail included, as far as they are.
    digests: Option<Box<BlockDigests>>,
}

/// What is digested at once while a StopSign waits, in bytes.
const DIGEST_COST: u64 = 4 << 20;

/// Appends proposals up to a StopSign, which is held.
pub(super) fn append<S: Sequence, P: PaxosState>(
    r: &mut Replica<S, P>,
    records: Records,
) -> Result<Option<Barrier>, Fault> {
    if records.stop_sign().is_none() {
        r.append(records)?;
        return Ok(None);
    }
    let before = records.len() - 1;
    r.append(records.slice(0, before))?;
    let last = records.skip(before);
    let held = last.iter().next().and_then(|(id, entry)| match entry {
        Entry::StopSign(stop_sign) => {
            Some(Barrier { id, stop_sign: stop_sign.clone(), digests: None })
        }
        Entry::Normal(_) => None,
    });
    Ok(held)
}

impl Barrier {
    /// Goes on with the digests, a bounded part each time; appends the StopSign behind the last
    /// one. `true` once it is in the log.
    pub(super) fn advance<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        n: Ballot,
    ) -> Result<bool, Fault> {
        let mut left = DIGEST_COST;
        if self.digests.is_none() {
            let (cost, decided) = r.digest(left)?;
            self.digests = decided.cloned().map(Box::new);
            left = left.saturating_sub(cost);
            if self.digests.is_none() && !r.has_no_digests() {
                return Ok(false);
            }
        }
        let end = r.storage.end_index();
        if let Some(digests) = &mut self.digests {
            if left > 0 {
                digests::push(r, digests, end, left)?;
            }
            if digests.end() < end {
                return Ok(false);
            }
        }
        // C5: in the next configuration this server goes on as it leads here.
        let leader = Leader::new(Ballot::new(1, n.priority, r.pid));
        let stop_sign = StopSign {
            digest: self.digests.as_ref().map(|digests| digests.anchor().digest),
            skip_prepare_use_leader: self.stop_sign.nodes.contains(&r.pid).then_some(leader),
            ..(*self.stop_sign).clone()
        };
        let mut builder = RecordsBuilder::new();
        builder.push(self.id, Entry::StopSign(Box::new(stop_sign)));
        r.append(builder.build())?;
        Ok(true)
    }
}
