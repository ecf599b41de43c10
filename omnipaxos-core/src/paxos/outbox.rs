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
    pub(super) fn send_free(&mut self, message: Message) {
        self.free.push(message);
    }

    /// Sends `message` once flush `after` has ended.
    pub(super) fn send_after(&mut self, after: FlushId, message: Message) {
        debug_assert!(self.flushes.back().is_none_or(|(last, _)| *last <= after));
        self.waiting.push(message);
        match self.flushes.back_mut() {
            Some((last, count)) if *last == after => *count += 1,
            _ => self.flushes.push_back((after, 1)),
        }
    }

    /// What may go, given which flushes have `ended`.
    pub(super) fn take(&mut self, ended: impl Fn(FlushId) -> bool) -> Vec<Message> {
        let mut messages = std::mem::take(&mut self.free);
        let mut ready = 0;
        while let Some((_, count)) = self.flushes.pop_front_if(|(after, _)| ended(*after)) {
            ready += count;
        }
        if messages.is_empty() && ready == self.waiting.len() {
            return std::mem::take(&mut self.waiting);
        }
        messages.extend(self.waiting.drain(..ready));
        messages
    }

    /// Drops everything: the replica has halted.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
