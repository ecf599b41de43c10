//! Messages on their way out, each with the flush that it waits for.
//!
//! Invariant: nothing leaves before what it says is durable.

use super::messages::Message;
use crate::storage::FlushId;
use std::collections::VecDeque;

/// Messages in the order in which they were sent, apart for those that wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Outbox {
    free: Vec<Message>,
    waiting: Vec<Message>,
    /// How many of `waiting` go with which flush. A later message never waits for an earlier flush.
    flushes: VecDeque<(FlushId, usize)>,
}

impl Outbox {
    /// Sends what says nothing about this server's storage, or what need not be durable yet.
    #[inline]
    pub(super) fn send_free(&mut self, message: impl FnOnce() -> Message) {
        self.free.extend(std::iter::once_with(message));
    }

    /// Sends `message` once flush `after` has ended.
    #[inline]
    pub(super) fn send_after(&mut self, after: FlushId, message: impl FnOnce() -> Message) {
        debug_assert!(self.flushes.back().is_none_or(|(last, _)| *last <= after));
        self.waiting.extend(std::iter::once_with(message));
        match self.flushes.back_mut() {
            Some((last, count)) if *last == after => *count += 1,
            _ => self.flushes.push_back((after, 1)),
        }
    }

    /// Moves what may go behind `messages`, given which flushes have `ended`.
    #[inline]
    pub(super) fn take(&mut self, ended: impl Fn(FlushId) -> bool, messages: &mut Vec<Message>) {
        move_all(&mut self.free, messages);
        let mut ready = 0;
        while let Some((_, count)) = self.flushes.pop_front_if(|(after, _)| ended(*after)) {
            ready += count;
        }
        if ready == self.waiting.len() {
            move_all(&mut self.waiting, messages);
        } else {
            messages.extend(self.waiting.drain(..ready));
        }
    }

    /// Drops everything: the replica has halted.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Moves nothing where there is nothing before: the two change places.
#[inline]
fn move_all(from: &mut Vec<Message>, to: &mut Vec<Message>) {
    if from.is_empty() {
        return;
    }
    if to.is_empty() {
        std::mem::swap(from, to);
    } else {
        to.append(from);
    }
}
