//! What happens when: virtual time in nanoseconds.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;

/// Nanoseconds of a millisecond.
pub const MILLISECOND: u64 = 1_000_000;

/// `time` in seconds.
#[must_use]
pub fn seconds(time: u64) -> f64 {
    time as f64 / SECOND as f64
}

/// Events, in the order of time and, within an instant, of their making.
#[derive(Debug)]
pub struct Agenda<E> {
    events: BinaryHeap<Reverse<Entry<E>>>,
    made: u64,
    now: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: (u64, u64),
    event: E,
}

impl<E> Agenda<E> {
    /// Nothing to do, at time 0.
    #[must_use]
    pub fn new() -> Self {
        Self { events: BinaryHeap::new(), made: 0, now: 0 }
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Adds an event; one that should have happened already happens now.
    pub fn push(&mut self, time: u64, event: E) {
        self.made += 1;
        let at = (time.max(self.now), self.made);
        self.events.push(Reverse(Entry { at, event }));
    }

    /// Goes on to the next event.
    pub fn pop(&mut self) -> Option<E> {
        let Reverse(Entry { at, event }) = self.events.pop()?;
        self.now = at.0;
        Some(event)
    }
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

#[cfg(test)]
mod tests {
    use super::Agenda;

    #[test]
    fn by_time_then_in_order() {
        let mut agenda = Agenda::new();
        for (time, event) in [(3, 'd'), (1, 'a'), (2, 'b'), (2, 'c')] {
            agenda.push(time, event);
        }
        let mut order = Vec::new();
        while let Some(event) = agenda.pop() {
            order.push((agenda.now(), event));
            if event == 'c' {
                agenda.push(0, 'x');
            }
        }
        assert_eq!(order, [(1, 'a'), (2, 'b'), (2, 'c'), (2, 'x'), (3, 'd')]);
    }
}
