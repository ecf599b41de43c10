//! What clients proposed against what is decided.

use super::RunError;
use super::disk::Disk;
use omnipaxos_core::storage::{Entry, Sequence as _};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Proposals that are not what they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Proposed, and decided nowhere.
    pub lost: u64,
    /// Decided once more than once.
    pub doubled: u64,
    /// Decided after one that was proposed later.
    pub overtaken: u64,
}

impl Account {
    /// The worse of the two.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        Self {
            lost: self.lost.max(other.lost),
            doubled: self.doubled.max(other.doubled),
            overtaken: self.overtaken.max(other.overtaken),
        }
    }
}

/// No run proposes so many.
const MOST: u64 = 1 << 28;

/// The numbers that clients proposed, in the order in which one server has them decided.
#[derive(Clone, Debug)]
pub struct Ledger {
    first: u64,
    /// How often each was decided.
    seen: Vec<u32>,
    last: Option<u64>,
    overtaken: u64,
}

impl Ledger {
    /// Nothing is decided; clients propose `first` and what follows.
    #[must_use]
    pub fn new(first: u64) -> Self {
        Self { first, seen: Vec::new(), last: None, overtaken: 0 }
    }

    /// The next decided entry.
    ///
    /// # Errors
    /// [`RunError`] where it is none that clients propose.
    pub fn see(&mut self, data: &[u8]) -> Result<(), RunError> {
        let number = <[u8; 8]>::try_from(data).map(u64::from_le_bytes).ok();
        let at = number.and_then(|number| number.checked_sub(self.first));
        let (Some(number), Some(at)) = (number, at.filter(|at| *at < MOST)) else {
            return Err(RunError::new("an entry that nobody proposed"));
        };
        let at = at as usize;
        self.seen.resize(self.seen.len().max(at + 1), 0);
        self.seen[at] += 1;
        self.overtaken += u64::from(self.last.is_some_and(|last| number < last));
        self.last = Some(number);
        Ok(())
    }

    /// The number after the highest one that is decided.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first + self.seen.len() as u64
    }

    /// What became of the proposals below `end`, which are all there are.
    ///
    /// # Errors
    /// [`RunError`] where others were decided, too.
    pub fn account(&self, end: u64) -> Result<Account, RunError> {
        if end < self.end() {
            return Err(RunError::new("an entry that nobody proposed"));
        }
        let missing = self.seen.iter().filter(|count| **count == 0).count() as u64;
        Ok(Account {
            lost: missing + end - self.end(),
            doubled: self.seen.iter().map(|count| u64::from(count.saturating_sub(1))).sum(),
            overtaken: self.overtaken,
        })
    }
}

/// Bytes that are read at once.
const CHUNK: u64 = 4 << 20;

/// Looks through the logs of all configurations, one after the other, from index `start` of the
/// first one.
///
/// # Errors
/// [`RunError`] where they cannot be read, or hold what nobody proposed.
pub fn account(
    logs: &[(&Disk, u64)],
    start: u64,
    proposed: Range<u64>,
) -> Result<Account, RunError> {
    let mut ledger = Ledger::new(proposed.start);
    for (at, (disk, end)) in logs.iter().enumerate() {
        let mut from = if at == 0 { start } else { 0 };
        while from < *end {
            let records = disk.read(from, *end, CHUNK)?;
            from += records.len();
            for entry in records.entries() {
                if let Entry::Normal(data) = entry {
                    ledger.see(data)?;
                }
            }
        }
    }
    ledger.account(proposed.end)
}

/// The least that was decided in any window of so much time within `span`, and where that begins.
#[must_use]
pub fn least(decisions: &[(u64, u64)], span: Range<u64>, window: u64) -> (u64, u64) {
    // A window with least in it begins right after a decision, or at the start.
    let starts = decisions.iter().map(|(at, _)| at + 1).chain([span.start]);
    let starts = starts.filter(|start| span.start <= *start && *start + window <= span.end);
    let (mut from, mut to, mut sum, mut best) = (0, 0, 0u64, None::<(u64, u64)>);
    let mut starts: Vec<u64> = starts.collect();
    starts.sort_unstable();
    for start in starts {
        while to < decisions.len() && decisions[to].0 < start + window {
            sum += decisions[to].1;
            to += 1;
        }
        while from < to && decisions[from].0 < start {
            sum -= decisions[from].1;
            from += 1;
        }
        best = Some(best.map_or((sum, start), |best| best.min((sum, start))));
    }
    best.unwrap_or((0, span.start))
}

/// The longest time without a decision within `span`.
#[must_use]
pub fn longest_gap(decisions: &[(u64, u64)], span: Range<u64>) -> Range<u64> {
    let within = decisions.iter().map(|(at, _)| *at).filter(|at| span.contains(at));
    let (mut last, mut longest) = (span.start, 0..0);
    for at in within.chain([span.end]) {
        if at - last > longest.end - longest.start {
            longest = last..at;
        }
        last = at;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::{Account, account, least, longest_gap};
    use crate::reconfiguration::disk::Disk;
    use omnipaxos_core::storage::{Entry, ProposalId, RecordsBuilder, Sequence as _};

    fn disk(numbers: &[u64]) -> Disk {
        let mut records = RecordsBuilder::new();
        for (at, number) in numbers.iter().enumerate() {
            let id = ProposalId { proposer: 1, session: 1, number: at as u64 + 1 };
            records.push(id, Entry::from(number.to_le_bytes().to_vec()));
        }
        let mut disk = Disk::new();
        disk.append(records.build()).unwrap();
        disk
    }

    #[test]
    fn lost_and_doubled_ones_are_found() {
        let (one, two) = (disk(&[0, 10, 11, 13]), disk(&[12, 11]));
        let found = account(&[(&one, 4), (&two, 2)], 1, 10..15).unwrap();
        assert_eq!(found, Account { lost: 1, doubled: 1, overtaken: 2 });
        assert!(account(&[(&one, 4)], 0, 10..15).is_err());
        let all = account(&[(&one, 3), (&two, 1)], 1, 10..13).unwrap();
        assert_eq!(all, Account::default());
        assert!(account(&[(&one, 4)], 1, 10..13).is_err());
    }

    #[test]
    fn windows_and_gaps() {
        let decisions = [(10, 5), (20, 5), (50, 20), (60, 5)];
        assert_eq!(least(&decisions, 0..60, 10), (0, 0));
        assert_eq!(least(&decisions, 0..60, 40), (10, 0));
        assert_eq!(longest_gap(&decisions, 0..70), 20..50);
        assert_eq!(longest_gap(&decisions, 0..100), 60..100);
    }
}
