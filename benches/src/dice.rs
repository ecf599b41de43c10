//! Random numbers without a state, so that no library can shift what another one meets.

/// What a number is for. Numbers for different uses are independent.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub enum Use {
    /// When a server's clock starts.
    ClockPhase = 1,
    /// When a server's client starts.
    ClientPhase,
    /// How long a hop takes.
    Delay,
    /// Which server plays which part in a fault.
    Part,
    /// When, within a timeout, the fault happens.
    FaultPhase,
    /// The election timeouts of raft.
    RaftTimeout,
    /// What is written to a disk.
    Payload,
}

/// A source of numbers that depend on nothing but the seed and what they are for.
#[derive(Clone, Copy, Debug)]
pub struct Dice {
    seed: u64,
}

impl Dice {
    /// The dice of one seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed: mix(seed) }
    }

    /// A number below `bound`, 0 when `bound` is 0: always the same for the same `what` and `of`.
    #[must_use]
    pub fn below(&self, bound: u64, what: Use, of: [u64; 3]) -> u64 {
        let start = mix(self.seed ^ what as u64);
        let number = of.into_iter().fold(start, |state, word| mix(state ^ word));
        // The upper half is enough, and its remainder has no bias that matters here.
        (number >> 32) % bound.max(1)
    }
}

/// The step of splitmix64.
fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::{Dice, Use};

    #[test]
    fn numbers_cover_their_range_evenly() {
        let dice = Dice::new(7);
        let mut seen = [0u32; 10];
        for time in 0..10_000 {
            seen[dice.below(10, Use::Delay, [1, 2, time]) as usize] += 1;
        }
        assert!(seen.iter().all(|n| (900..1100).contains(n)), "{seen:?}");
    }

    #[test]
    fn same_question_same_answer() {
        let ask = |seed, what| Dice::new(seed).below(1 << 30, what, [1, 2, 3]);
        assert_eq!(ask(1, Use::Delay), ask(1, Use::Delay));
        assert_ne!(ask(1, Use::Delay), ask(2, Use::Delay));
        assert_ne!(ask(1, Use::Delay), ask(1, Use::Part));
    }
}
