//! Medians, ranks and spreads.

use serde::Serialize;

/// A median, and the smallest and largest of what it is the median of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The median; the mean of the two in the middle of an even number.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of these values; all 0 where there is none.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
        let count = sorted.len();
        let median = f64::midpoint(at(count.saturating_sub(1) / 2), at(count / 2));
        Self { min: at(0), median, max: at(count.saturating_sub(1)) }
    }
}

/// The nearest rank at `share` (0 to 1) among sorted values; 0 where there is none.
#[must_use]
pub fn rank(sorted: &[u64], share: f64) -> u64 {
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

/// Each of `ours` divided by what was measured right beside it.
#[must_use]
pub fn ratios(ours: &[f64], raw: &[f64]) -> Vec<f64> {
    ours.iter().zip(raw).map(|(ours, raw)| ours / raw).collect()
}

#[cfg(test)]
mod tests {
    use super::{Spread, rank, ratios};

    #[test]
    fn medians_of_odd_and_even_numbers() {
        let spread = Spread::of(&[5.0, 1.0, 3.0]);
        assert_eq!(spread, Spread { min: 1.0, median: 3.0, max: 5.0 });
        let spread = Spread::of(&[4.0, 1.0, 2.0, 10.0]);
        assert_eq!(spread, Spread { min: 1.0, median: 3.0, max: 10.0 });
        assert_eq!(Spread::of(&[7.0]), Spread { min: 7.0, median: 7.0, max: 7.0 });
        assert_eq!(Spread::of(&[]), Spread { min: 0.0, median: 0.0, max: 0.0 });
    }

    #[test]
    fn nearest_ranks() {
        let sorted: Vec<u64> = (1..=1000).collect();
        assert_eq!(rank(&sorted, 0.5), 500);
        assert_eq!(rank(&sorted, 0.99), 990);
        assert_eq!(rank(&sorted, 0.999), 999);
        assert_eq!(rank(&sorted, 1.0), 1000);
        assert_eq!(rank(&sorted, 0.0), 1);
        assert_eq!(rank(&[], 0.5), 0);
    }

    #[test]
    fn each_is_divided_by_its_neighbour() {
        assert_eq!(ratios(&[1.0, 6.0], &[2.0, 3.0]), [0.5, 2.0]);
    }
}
