//! What clients proposed against what is decided.

use super::RunError;
use super::disk::Disk;
use omnipaxos_core::storage::{Entry, Sequence as _};
use std::ops::Range;

/// Proposals that are not what they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    let mut seen = vec![0u32; (proposed.end - proposed.start) as usize];
    let mut account = Account::default();
    let mut last = None;
    for (at, (disk, end)) in logs.iter().enumerate() {
        let mut from = if at == 0 { start } else { 0 };
        while from < *end {
            let records = disk.read(from, *end, CHUNK)?;
            from += records.len();
            for entry in records.entries() {
                let Entry::Normal(data) = entry else { continue };
                let number = <[u8; 8]>::try_from(&data[..]).map(u64::from_le_bytes);
                let number = number.ok().filter(|number| proposed.contains(number));
                let Some(number) = number else {
                    return Err(RunError::new("an entry that nobody proposed"));
                };
                seen[(number - proposed.start) as usize] += 1;
                account.overtaken += u64::from(last.is_some_and(|last| number < last));
                last = Some(number);
            }
        }
    }
    account.lost = seen.iter().filter(|count| **count == 0).count() as u64;
    account.doubled = seen.iter().map(|count| u64::from(count.saturating_sub(1))).sum();
    Ok(account)
}

/// The least that was decided in any window of so much time within `span`.
#[must_use]
pub fn least(decisions: &[(u64, u64)], span: Range<u64>, window: u64) -> u64 {
    // A window with least in it begins right after a decision, or at the start.
    let starts = decisions.iter().map(|(at, _)| at + 1).chain([span.start]);
    let starts = starts.filter(|start| span.start <= *start && *start + window <= span.end);
    let (mut from, mut to, mut sum, mut best) = (0, 0, 0u64, None::<u64>);
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
        best = Some(best.map_or(sum, |best| best.min(sum)));
    }
    best.unwrap_or(0)
}

/// The longest time without a decision within `span`.
#[must_use]
pub fn longest_gap(decisions: &[(u64, u64)], span: Range<u64>) -> u64 {
    let within = decisions.iter().map(|(at, _)| *at).filter(|at| span.contains(at));
    let (mut last, mut longest) = (span.start, 0);
    for at in within.chain([span.end]) {
        longest = longest.max(at - last);
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
    }

    #[test]
    fn windows_and_gaps() {
        let decisions = [(10, 5), (20, 5), (50, 20), (60, 5)];
        assert_eq!(least(&decisions, 0..60, 10), 0);
        assert_eq!(least(&decisions, 0..60, 40), 10);
        assert_eq!(longest_gap(&decisions, 0..70), 30);
        assert_eq!(longest_gap(&decisions, 0..100), 40);
    }
}
