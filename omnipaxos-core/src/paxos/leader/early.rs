//! Proposals that came before those that their proposer made earlier.

use crate::ballot::NodeId;
use crate::storage::{NextProposal, ProposalId, Records};
use std::collections::BTreeMap;

/// What waits, per proposer, for the proposals before it: messages overtake each other, above all
/// where some of them come through a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Early(BTreeMap<NodeId, Waiting>);

/// Parts of one session, by the number of their first proposal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Waiting {
    session: u64,
    parts: BTreeMap<u64, Records>,
    cost: u64,
}

impl Early {
    /// Keeps `records`, consecutive proposals from `first` on. Of one proposer, `window` bytes are
    /// kept behind the first part; what has no room is left to its proposer, who sends it again.
    pub(super) fn put(&mut self, first: ProposalId, records: Records, window: u64) {
        let session = first.session;
        let none = || Waiting { session, parts: BTreeMap::new(), cost: 0 };
        let waiting = self.0.entry(first.proposer).or_insert_with(none);
        if waiting.session > session {
            return;
        }
        if waiting.session < session {
            *waiting = none();
        }
        waiting.cost += records.cost();
        if let Some(before) = waiting.parts.insert(first.number, records) {
            waiting.cost -= before.cost();
        }
        let room = window.saturating_add(waiting.parts.first_key_value().map_or(0, cost));
        while waiting.cost > room
            && let Some((_, last)) = waiting.parts.pop_last()
        {
            waiting.cost -= last.cost();
        }
    }

    /// What continues a log in which `next` comes next of `proposer`, if that is here.
    pub(super) fn take(&mut self, proposer: NodeId, next: NextProposal) -> Option<Records> {
        let waiting = self.0.get_mut(&proposer)?;
        // A lower session is over, a higher one begins at 1.
        let expected = match waiting.session.cmp(&next.session) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => next.number,
            std::cmp::Ordering::Greater => 1,
        };
        while let Some(part) = waiting.parts.first_entry() {
            // What the log has already is skipped; behind a gap everything waits.
            let known = expected.checked_sub(*part.key())?;
            let records = part.remove();
            waiting.cost -= records.cost();
            if known < records.len() {
                return Some(records.skip(known));
            }
        }
        self.0.remove(&proposer);
        None
    }
}

fn cost((_, records): (&u64, &Records)) -> u64 {
    records.cost()
}
