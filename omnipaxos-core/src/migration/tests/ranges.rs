//! Sets of indexes against a model.

use super::world::Rng;
use crate::migration::{IndexRange, Ranges};
use std::collections::BTreeSet;

#[test]
fn ranges_are_what_a_set_of_indexes_is() {
    for seed in 0..300 {
        let mut rng = Rng(seed);
        let (mut ranges, mut model) = (Ranges::new(), BTreeSet::new());
        for _ in 0..40 {
            let from = rng.below(40);
            let range = IndexRange::new(from, from + rng.below(10));
            if rng.chance(55) {
                ranges.insert(range);
                model.extend(range.from..range.to);
            } else {
                ranges.remove(range);
                (range.from..range.to).for_each(|index| {
                    model.remove(&index);
                });
            }
            let all: Vec<u64> = ranges.iter().flat_map(|r| r.from..r.to).collect();
            assert_eq!(all, model.iter().copied().collect::<Vec<_>>(), "seed {seed}");
            let list: Vec<IndexRange> = ranges.iter().collect();
            assert!(list.windows(2).all(|pair| pair[0].to < pair[1].from), "seed {seed}");
            assert!(list.iter().all(|r| !r.is_empty()), "seed {seed}");
            assert_eq!(ranges.len(), model.len() as u64, "seed {seed}");

            let from = rng.below(50);
            let asked = IndexRange::new(from, from + rng.below(20));
            let inside: Vec<u64> = (asked.from..asked.to).filter(|i| model.contains(i)).collect();
            let parts: Vec<u64> = ranges.parts(asked).flat_map(|r| r.from..r.to).collect();
            assert_eq!(parts, inside, "seed {seed}");
            assert_eq!(ranges.missing(asked).len(), asked.len() - inside.len() as u64);
            assert_eq!(ranges.contains(asked), inside.len() as u64 == asked.len(), "seed {seed}");
        }
    }
}
