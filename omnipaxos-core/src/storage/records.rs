//! Records: a contiguous run of entries together with the identities of their proposals.

use super::entry::{Entry, ProposalId};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::sync::Arc;
use thiserror::Error;

/// `count` consecutive records from one session of one proposer, numbered `first`, `first + 1`, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Run {
    /// The identity of the first record.
    pub first: ProposalId,
    /// How many records; never 0.
    pub count: u64,
}

impl Run {
    /// The number that follows the last record of this run.
    #[must_use]
    #[inline]
    pub fn next_number(&self) -> u64 {
        self.first.number + self.count
    }

    /// The part of this run that begins `skip` records later; `None` when nothing is left.
    #[must_use]
    #[inline]
    pub fn skip(&self, skip: u64) -> Option<Run> {
        (skip < self.count).then(|| Run {
            first: ProposalId { number: self.first.number + skip, ..self.first },
            count: self.count - skip,
        })
    }

    /// The first `count` records of this run at the most; `None` for a count of 0.
    #[must_use]
    pub fn take(&self, count: u64) -> Option<Run> {
        (count > 0).then(|| Run { first: self.first, count: self.count.min(count) })
    }

    /// Whether proposals can have these identities.
    fn is_possible(&self) -> bool {
        let id = self.first;
        let named = self.count > 0 && id.number > 0 && id.session > 0 && id.proposer > 0;
        named && id.number.checked_add(self.count).is_some()
    }

    /// Whether `next` continues this run.
    #[inline]
    pub(crate) fn continues_with(&self, next: &Run) -> bool {
        self.first.proposer == next.first.proposer
            && self.first.session == next.first.session
            && self.next_number() == next.first.number
    }

    /// Appends `run` to the last element of `runs` where it continues that, as an element
    /// otherwise.
    pub(crate) fn push_onto(runs: &mut SmallVec<[Run; 1]>, run: Run) {
        match runs.last_mut() {
            Some(last) if last.continues_with(&run) => last.count += run.count,
            _ => runs.push(run),
        }
    }
}

/// A contiguous part of a log: entries and, run-encoded, the identities of their proposals.
///
/// Immutable and cheap to clone: a frame that goes to several followers is built once. Well-formed
/// by construction, also when deserialised: see [`RecordsError`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Records {
    /// `None` where there is no record: that takes no memory.
    inner: Option<Arc<Inner>>,
}

/// A record alone, and the identities of one proposer, are kept in place: no allocation of their
/// own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Inner {
    entries: SmallVec<[Entry; 1]>,
    runs: SmallVec<[Run; 1]>,
    cost: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Parts {
    entries: Vec<Entry>,
    runs: Vec<Run>,
}

/// Why entries and runs do not make [`Records`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum RecordsError {
    /// The runs name another number of records than there are entries.
    #[error("{entries} entries but identities for another number of them")]
    Count {
        /// The entries there are.
        entries: usize,
    },
    /// A run is empty, starts at number 0 or session 0, has proposer 0, or runs past `u64::MAX`.
    #[error("impossible run of proposals {0:?}")]
    Run(Run),
    /// A StopSign that is not the last entry.
    #[error("a StopSign at position {0} is not the last entry")]
    StopSignNotLast(usize),
}

impl TryFrom<Parts> for Records {
    type Error = RecordsError;

    fn try_from(parts: Parts) -> Result<Self, RecordsError> {
        Records::new(parts.entries, parts.runs)
    }
}

impl From<Records> for Parts {
    fn from(records: Records) -> Self {
        let (entries, runs) = records.into_parts();
        Parts { entries, runs }
    }
}

impl Records {
    /// Records from entries and the runs of their identities.
    ///
    /// # Errors
    /// [`RecordsError`] where the two do not fit, or a StopSign is not last.
    pub fn new(entries: Vec<Entry>, runs: Vec<Run>) -> Result<Self, RecordsError> {
        let mut named = 0u64;
        for run in &runs {
            if !run.is_possible() {
                return Err(RecordsError::Run(*run));
            }
            named = named.checked_add(run.count).ok_or(RecordsError::Run(*run))?;
        }
        if named != entries.len() as u64 {
            return Err(RecordsError::Count { entries: entries.len() });
        }
        if let Some(at) = entries.iter().position(Entry::is_stop_sign)
            && at + 1 != entries.len()
        {
            return Err(RecordsError::StopSignNotLast(at));
        }
        let cost = entries.iter().map(Entry::cost).sum();
        Ok(Inner { entries: entries.into(), runs: runs.into(), cost }.build())
    }

    /// A record alone; none where its identity is impossible.
    #[inline]
    pub(crate) fn one(id: ProposalId, entry: Entry) -> Self {
        let run = Run { first: id, count: 1 };
        if !run.is_possible() {
            return Self::default();
        }
        let cost = entry.cost();
        let (entries, runs) = (SmallVec::from_buf([entry]), SmallVec::from_buf([run]));
        Self { inner: Some(Arc::new(Inner { entries, runs, cost })) }
    }

    /// How many records.
    #[must_use]
    #[inline]
    pub fn len(&self) -> u64 {
        self.entries().len() as u64
    }

    /// Whether there is no record.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.inner.is_none()
    }

    /// What these records count against limits, in bytes (see [`Entry::cost`]).
    #[must_use]
    #[inline]
    pub fn cost(&self) -> u64 {
        self.inner.as_ref().map_or(0, |inner| inner.cost)
    }

    /// The entries, in log order.
    #[must_use]
    #[inline]
    pub fn entries(&self) -> &[Entry] {
        self.inner.as_ref().map_or(&[], |inner| &inner.entries)
    }

    /// The identities, run-encoded, in log order.
    #[must_use]
    #[inline]
    pub fn runs(&self) -> &[Run] {
        self.inner.as_ref().map_or(&[], |inner| &inner.runs)
    }

    /// Whether these are the very records of `other`, in the same memory; equal ones that were made
    /// apart are not. Takes no longer for more records.
    #[must_use]
    pub fn is_shared_with(&self, other: &Records) -> bool {
        match (&self.inner, &other.inner) {
            (Some(inner), Some(other)) => Arc::ptr_eq(inner, other),
            (None, None) => true,
            _ => false,
        }
    }

    /// The StopSign, when there is one: it is the last entry.
    #[must_use]
    #[inline]
    pub fn stop_sign(&self) -> Option<&super::StopSign> {
        match self.entries().last() {
            Some(Entry::StopSign(ss)) => Some(ss),
            _ => None,
        }
    }

    /// Identity and entry of each record, in log order.
    pub fn iter(&self) -> impl Iterator<Item = (ProposalId, &Entry)> {
        let ids = self.runs().iter().flat_map(|run| {
            (run.first.number..run.next_number()).map(|number| ProposalId { number, ..run.first })
        });
        ids.zip(self.entries())
    }

    /// The records without the first `skip`; all of them (shared, not copied) for 0.
    #[must_use]
    #[inline]
    pub fn skip(&self, skip: u64) -> Records {
        if skip == 0 { self.clone() } else { self.slice(skip, self.len()) }
    }

    /// As [`skip`](Self::skip), where these records are needed no more.
    #[inline]
    pub(crate) fn into_skipped(self, skip: u64) -> Records {
        if skip == 0 { self } else { self.slice(skip, self.len()) }
    }

    /// The records at positions `[from, to)`, as far as there are any.
    #[must_use]
    pub fn slice(&self, from: u64, to: u64) -> Records {
        let to = to.min(self.len());
        if from == 0 && to == self.len() {
            return self.clone();
        }
        if from >= to {
            return Records::default();
        }
        // Both positions are below the length of a Vec, so they fit a usize.
        let entries = SmallVec::from(&self.entries()[from as usize..to as usize]);
        let cost = entries.iter().map(Entry::cost).sum();
        Inner { entries, runs: slice_runs(self.runs(), from, to), cost }.build()
    }

    /// How many of the `count` records from position `skip` on cost at most `max_cost` bytes
    /// together; at least `least`.
    pub(crate) fn fitting(&self, skip: u64, count: u64, max_cost: u64, least: u64) -> u64 {
        if count == self.len() && self.cost() <= max_cost {
            return count;
        }
        let (mut fits, mut cost) = (0, 0);
        for entry in self.entries().iter().skip(skip as usize).take(count as usize) {
            cost += entry.cost();
            if cost > max_cost && fits >= least {
                break;
            }
            fits += 1;
        }
        fits
    }

    /// These records and then `next`.
    pub(crate) fn followed_by(self, next: Records) -> Records {
        match (self.inner, next.inner) {
            (Some(inner), Some(next)) => {
                let mut both = Arc::unwrap_or_clone(inner);
                both.extend(Arc::unwrap_or_clone(next));
                both.build()
            }
            (inner, next) => Records { inner: inner.or(next) },
        }
    }

    /// Appends `next` in place, where nobody else holds either of them; returns it otherwise.
    pub(crate) fn absorb(&mut self, next: Records) -> Option<Records> {
        // A look that costs nothing: most are shared.
        let inner = self.inner.as_mut().filter(|inner| Arc::strong_count(inner) == 1);
        let Some(inner) = inner.and_then(Arc::get_mut) else {
            return Some(next);
        };
        match Arc::try_unwrap(next.inner?) {
            Ok(next) => {
                inner.extend(next);
                None
            }
            Err(next) => Some(Records { inner: Some(next) }),
        }
    }

    /// Entries and runs, moved out where nobody else holds these records.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Entry>, Vec<Run>) {
        let inner = self.inner.map_or_else(Inner::default, Arc::unwrap_or_clone);
        (inner.entries.into_vec(), inner.runs.into_vec())
    }

    /// The entries, moved out where nobody else holds these records.
    #[must_use]
    pub fn into_entries(self) -> Vec<Entry> {
        match self.inner.map(Arc::try_unwrap) {
            Some(Ok(inner)) => inner.entries.into_vec(),
            Some(Err(shared)) => shared.entries.to_vec(),
            None => Vec::new(),
        }
    }
}

impl Inner {
    fn extend(&mut self, next: Inner) {
        self.cost += next.cost;
        self.entries.extend(next.entries);
        next.runs.into_iter().for_each(|run| Run::push_onto(&mut self.runs, run));
    }

    #[inline]
    fn build(self) -> Records {
        Records { inner: (!self.entries.is_empty()).then(|| Arc::new(self)) }
    }
}

/// The runs of positions `[from, to)` of a sequence that `runs` describes.
fn slice_runs(runs: &[Run], from: u64, to: u64) -> SmallVec<[Run; 1]> {
    let mut sliced = SmallVec::new();
    let mut at = 0;
    for run in runs {
        let (start, end) = (at, at + run.count);
        at = end;
        let (lo, hi) = (start.max(from), end.min(to));
        if lo < hi
            && let Some(part) = run.skip(lo - start).and_then(|r| r.take(hi - lo))
        {
            sliced.push(part);
        }
    }
    sliced
}

/// Collects records one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RecordsBuilder {
    inner: Inner,
}

impl RecordsBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record; `false`, and nothing added, behind a StopSign or with an impossible identity.
    #[inline]
    pub fn push(&mut self, id: ProposalId, entry: Entry) -> bool {
        let run = Run { first: id, count: 1 };
        if self.inner.entries.last().is_some_and(Entry::is_stop_sign) || !run.is_possible() {
            return false;
        }
        self.inner.cost += entry.cost();
        self.inner.entries.push(entry);
        Run::push_onto(&mut self.inner.runs, run);
        true
    }

    /// How many records so far.
    #[must_use]
    #[inline]
    pub fn len(&self) -> u64 {
        self.inner.entries.len() as u64
    }

    /// Whether nothing was added yet.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.inner.entries.is_empty()
    }

    /// What the records so far count against limits, in bytes.
    #[must_use]
    #[inline]
    pub fn cost(&self) -> u64 {
        self.inner.cost
    }

    /// The records.
    #[must_use]
    #[inline]
    pub fn build(self) -> Records {
        self.inner.build()
    }
}

impl Extend<(ProposalId, Entry)> for RecordsBuilder {
    fn extend<T: IntoIterator<Item = (ProposalId, Entry)>>(&mut self, records: T) {
        for (id, entry) in records {
            if !self.push(id, entry) {
                break;
            }
        }
    }
}
