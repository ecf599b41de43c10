//! What happens when: a wheel with a slot for each instant.

/// Events of the near future, in the order of time and, within an instant, of their making.
///
/// Messages are large and many; a sorted map would move them about at each insertion.
#[derive(Debug)]
pub struct Queue<E> {
    slots: Vec<Vec<E>>,
    now: u64,
}

impl<E> Queue<E> {
    /// Events at most `horizon` instants ahead.
    #[must_use]
    pub fn new(horizon: u64) -> Self {
        let slots = (0..=horizon).map(|_| Vec::new()).collect();
        Self { slots, now: 0 }
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Adds an event at `time`, which lies after now.
    ///
    /// # Panics
    /// When `time` is not within the horizon.
    pub fn push(&mut self, time: u64, event: E) {
        let ahead = time.wrapping_sub(self.now);
        assert!((1..self.slots.len() as u64).contains(&ahead), "{ahead} instants ahead");
        let slot = self.slot(time);
        self.slots[slot].push(event);
    }

    /// Goes on to the next instant, and swaps its events with the empty `due`.
    pub fn advance(&mut self, due: &mut Vec<E>) {
        self.now += 1;
        let slot = self.slot(self.now);
        std::mem::swap(&mut self.slots[slot], due);
    }

    fn slot(&self, time: u64) -> usize {
        (time % self.slots.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn by_time_then_in_order() {
        let mut queue = Queue::new(3);
        for (time, event) in [(3, 'd'), (1, 'a'), (2, 'b'), (2, 'c')] {
            queue.push(time, event);
        }
        let mut order = Vec::new();
        for now in 1..=6 {
            let mut due = Vec::new();
            queue.advance(&mut due);
            for event in due {
                order.push((now, event));
                if event == 'c' {
                    queue.push(now + 3, 'e');
                }
            }
        }
        assert_eq!(order, [(1, 'a'), (2, 'b'), (2, 'c'), (3, 'd'), (5, 'e')]);
    }

    #[test]
    #[should_panic(expected = "4 instants ahead")]
    fn nothing_beyond_the_horizon() {
        Queue::new(3).push(4, ());
    }
}
