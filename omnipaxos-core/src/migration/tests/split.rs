//! Every index is asked for, and without faults once.

use super::world::{Donor, Held, Nature, Rng, World, log, target};
use crate::migration::{IndexRange, MigrationConfig, Ranges};

fn config(segment_bytes: u64, window: usize) -> MigrationConfig {
    MigrationConfig { segment_bytes, window, ..MigrationConfig::default() }
}

/// Runs without faults; everything is fetched, nothing twice.
fn run(len: u64, donors: u64, verified: bool, size: u64, config: MigrationConfig) -> World {
    let log = log(len, len, verified, |_| size);
    let held = Held::all(&log);
    let mut world = World::new(1, &log, target(&log, verified), &Ranges::new(), config);
    for pid in 1..=donors {
        world.add(pid, Donor::new(held.clone(), Nature::Honest, 1 << 20));
    }
    world.run(10_000);
    let what = format!("{len} records from {donors} donors");
    assert!(world.requested.iter().all(|times| *times >= 1), "{what}: not all asked for");
    let served: u64 = world.donors.values().map(|donor| donor.served).sum();
    assert_eq!(served, log.cost(), "{what}: fetched more than there is");
    assert_eq!(world.blames, [], "{what}");
    world
}

#[test]
fn every_length_and_number_of_donors() {
    for len in 0..300 {
        for donors in 1..=9 {
            let world = run(len, donors, false, 8, config(240, 3));
            // Nothing is asked for again either: sizes are equal, so the first guess was right, or
            // the answer was complete.
            let busy = world.donors.values().filter(|donor| donor.served > 0).count() as u64;
            let requests = len.div_ceil(16);
            assert!(busy >= donors.min(requests), "{len} from {donors}: only {busy} serve");
        }
    }
}

#[test]
fn every_length_and_number_of_donors_verified() {
    for len in (0..300).step_by(7) {
        for donors in 1..=9 {
            run(len, donors, true, 6000, config(128 << 10, 2));
        }
    }
}

#[test]
fn large_ranges_of_any_sizes() {
    for seed in 0..40 {
        let mut rng = Rng(seed);
        let (len, donors) = (1 + rng.below(6000), 1 + rng.below(9));
        let largest = 1 + rng.below(1500);
        let verified = rng.chance(50);
        let log = log(seed, len, verified, |rng| rng.below(largest));
        let held = Held::all(&log);
        let config = config(1 + rng.below(256 << 10), 1 + rng.below(6) as usize);
        let mut world = World::new(seed, &log, target(&log, verified), &Ranges::new(), config);
        for pid in 1..=donors {
            world.add(pid, Donor::new(held.clone(), Nature::Honest, 4 << 20));
        }
        world.run(100_000);
        assert!(world.requested.iter().all(|times| *times >= 1), "seed {seed}");
        let served: u64 = world.donors.values().map(|donor| donor.served).sum();
        assert_eq!(served, log.cost(), "seed {seed}: each byte once");
    }
}

#[test]
fn what_is_held_is_not_fetched_again() {
    for seed in 0..60 {
        let mut rng = Rng(seed);
        let log = log(seed, 400, true, |rng| rng.below(9000));
        let all = Held::all(&log);
        let mut held = Ranges::new();
        for _ in 0..rng.below(8) {
            let from = rng.below(400);
            held.insert(IndexRange::new(from, (from + rng.below(120)).min(400)));
        }
        let verified = rng.chance(50);
        let mut target = target(&log, verified);
        let mut world = World::new(seed, &log, target.clone(), &held, config(64 << 10, 3));
        for pid in 1..=3 {
            world.add(pid, Donor::new(all.clone(), Nature::Honest, 64 << 10));
        }
        for _ in 0..rng.below(40) {
            world.tick();
        }
        // Also from the middle on, and after a restart (the world asserts that nothing is stored
        // twice).
        target.range = IndexRange::new(rng.below(50), 400);
        world.restart(target.clone(), config(64 << 10, 3));
        while !world.migration.is_done() {
            assert!(world.now < 2000, "seed {seed}");
            world.tick();
        }
        assert!(world.stored.contains(target.range), "seed {seed}");
        if !verified {
            // Whole blocks are fetched where they are verified, exactly what lacks otherwise.
            let asked = (0..400).filter(|index| world.requested[*index as usize] > 0);
            let mut asked = asked.filter(|index| held.contains(IndexRange::new(*index, index + 1)));
            assert_eq!(asked.next(), None, "seed {seed}");
        }
    }
}
