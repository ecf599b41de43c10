//! An AcceptSync that arrives in parts (F2).

use crate::paxos::messages::AcceptSync;
use crate::paxos::replica::{Fault, Replica};
use crate::storage::{PaxosState, Records, Sequence};

/// An AcceptSync that arrives in parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sync {
    /// The log equals the leader's up to here. Behind it there may be a tail that is to be
    /// replaced.
    pub(super) equal_to: u64,
    /// The leader's entries from `equal_to` on, not in the log yet: they enter it together with the
    /// accepted round, in one atomic step (F2).
    staged: Vec<Records>,
    /// The first index that neither the log nor `staged` holds.
    pub(super) next: u64,
    /// The round is accepted once `next` gets here.
    pub(super) end: u64,
}

impl Sync {
    /// The first part of one that ends at `end`; the log equals the leader's up to `equal_to`.
    pub(super) fn new(equal_to: u64, end: u64) -> Self {
        Self { equal_to, staged: Vec::new(), next: equal_to, end }
    }

    /// D1 has brought the log to `decided`. What was staged may overlap what was learned: the log
    /// equals the leader's up to there now, and the rest is fetched from there.
    pub(super) fn learned(&mut self, decided: u64) {
        if self.equal_to < decided {
            self.staged.clear();
            self.equal_to = decided;
            self.next = decided;
        }
    }

    /// Takes a part in that starts at `next` or before.
    pub(super) fn take_in<S: Sequence, P: PaxosState>(
        &mut self,
        r: &mut Replica<S, P>,
        m: &AcceptSync,
    ) -> Result<(), Fault> {
        let lacking = m.suffix.skip(self.next.saturating_sub(m.start).min(m.suffix.len()));
        let decided = if self.staged.is_empty() {
            m.decided.saturating_sub(self.next).min(lacking.len())
        } else {
            0
        };
        r.adopt_decided(self.equal_to, &lacking.slice(0, decided), m.n)?;
        self.equal_to += decided;
        let rest = lacking.skip(decided);
        let staged = self.staged.last();
        if !rest.is_empty() && staged.is_some_and(|part| part.stop_sign().is_some()) {
            // Found out only when all of it is applied, it would cut the log for nothing.
            return Err(Fault::Impossible("entries behind a StopSign"));
        }
        self.next = self.equal_to + self.staged.iter().map(Records::len).sum::<u64>() + rest.len();
        if !rest.is_empty() {
            self.staged.push(rest);
        }
        r.decide(m.decided.min(self.equal_to), m.n);
        Ok(())
    }

    /// All parts are there: the log becomes the leader's.
    pub(super) fn apply<S: Sequence, P: PaxosState>(
        self,
        r: &mut Replica<S, P>,
    ) -> Result<(), Fault> {
        r.storage.truncate(self.equal_to.max(r.decided()))?;
        for records in self.staged {
            r.append(records)?;
        }
        Ok(())
    }
}
