//! Which writes are durable: flushes begun and ended, and what each of them covers.

use super::{Commit, StorageError};
use crate::ballot::Ballot;
use thiserror::Error;

/// Names a flush of one replica: they are numbered 1, 2, 3, ... from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlushId(u64);

impl FlushId {
    #[inline]
    fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A flush on its way: to be run, here or on another thread, and reported to the replica.
#[derive(Debug)]
#[must_use = "what waits for a flush is released once it was run and reported"]
pub struct Flush<C> {
    id: FlushId,
    commit: C,
}

impl<C: Commit> Flush<C> {
    pub(crate) fn new(id: FlushId, commit: C) -> Self {
        Self { id, commit }
    }

    /// Which flush this is.
    #[inline]
    pub fn id(&self) -> FlushId {
        self.id
    }

    /// Writes and waits until all of it is durable.
    ///
    /// # Errors
    /// [`StorageError`] of the backend. It is to be reported, not retried.
    #[inline]
    pub fn run(self) -> Result<(), StorageError> {
        self.commit.run()
    }
}

/// Why the end of a flush was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum FinishFlushError {
    /// That flush is not the one under way.
    #[error("flush {0:?} is not under way")]
    NotUnderWay(FlushId),
}

/// What is durable once a flush has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Mark {
    pub(crate) accepted_round: Ballot,
    pub(crate) end: u64,
    pub(crate) decided: u64,
}

/// At most one flush is under way; what is written meanwhile goes with the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Flushes {
    needed: bool,
    last: FlushId,
    under_way: Option<Mark>,
    durable: Mark,
}

impl Flushes {
    pub(super) fn loaded(&mut self, mark: Mark) {
        self.durable = mark;
    }

    #[inline]
    pub(super) fn need(&mut self) {
        self.needed = true;
    }

    /// The log was cut: what lies at `from` or above and is durable will be replaced.
    pub(super) fn truncated(&mut self, from: u64) {
        self.durable.end = self.durable.end.min(from);
        if let Some(mark) = &mut self.under_way {
            mark.end = mark.end.min(from);
        }
    }

    #[inline]
    pub(crate) fn may_begin(&self) -> bool {
        self.needed && self.under_way.is_none()
    }

    #[inline]
    pub(super) fn begin(&mut self, mark: Mark) -> FlushId {
        self.needed = false;
        self.last = self.last.next();
        self.under_way = Some(mark);
        self.last
    }

    /// A flush that has begun and ended.
    #[inline]
    pub(super) fn done(&mut self, mark: Mark) {
        self.needed = false;
        self.last = self.last.next();
        self.durable = mark;
    }

    #[inline]
    pub(super) fn finish(&mut self, id: FlushId) -> Result<(), FinishFlushError> {
        let mark = self.under_way.take_if(|_| id == self.last);
        self.durable = mark.ok_or(FinishFlushError::NotUnderWay(id))?;
        Ok(())
    }

    /// Whether something waits to be flushed.
    #[inline]
    pub(crate) fn needed(&self) -> bool {
        self.needed
    }

    /// What the flushes begun so far cover.
    #[inline]
    pub(super) fn last_mark(&self) -> &Mark {
        self.under_way.as_ref().unwrap_or(&self.durable)
    }

    /// What the ended flushes cover.
    #[inline]
    pub(crate) fn durable(&self) -> &Mark {
        &self.durable
    }

    /// The flush after which everything written so far is durable.
    #[inline]
    pub(crate) fn covering_now(&self) -> FlushId {
        if self.needed { self.last.next() } else { self.last }
    }

    /// Whether flush `id` has ended.
    #[inline]
    pub(crate) fn ended(&self, id: FlushId) -> bool {
        id < self.last || (id == self.last && self.under_way.is_none())
    }
}
