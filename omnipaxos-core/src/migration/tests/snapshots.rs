//! Where the prefix was trimmed: a snapshot in chunks, the rest as records.

use super::world::{Donor, Faults, Held, Nature, Rng, World, log, offer, target};
use crate::digest::SNAPSHOT_CHUNK;
use crate::migration::{Blame, IndexRange, MigrationConfig, Ranges};
use crate::storage::Records;
use bytes::Bytes;

fn snapshot(bytes: u64) -> Bytes {
    let mut rng = Rng(bytes);
    (0..bytes).map(|_| rng.next() as u8).collect::<Vec<u8>>().into()
}

fn trimmed(log: &Records, at: u64, data: Option<&Bytes>) -> Held {
    let mut held = Held::all(log);
    held.trim(at, data.cloned());
    held
}

fn world(seed: u64, log: &Records, verified: bool) -> World {
    let config = MigrationConfig::default();
    World::new(seed, log, target(log, verified), &Ranges::new(), config)
}

/// What was stored is the snapshot that was installed.
fn check(world: &World, data: &Bytes, end: u64) {
    assert_eq!(world.installed, Some(offer(end, data)));
    let stored: Vec<u8> = world.snapshot.values().flatten().copied().collect();
    assert!(stored == *data, "another snapshot was stored");
}

#[test]
fn m5_everyone_who_offers_it_serves_a_part() {
    for verified in [false, true] {
        let log = log(1, 1000, true, |_| 1000);
        let data = snapshot(10 * SNAPSHOT_CHUNK + 17);
        let held = trimmed(&log, 700, Some(&data));
        let mut world = world(1, &log, verified);
        for pid in 1..=3 {
            world.add(pid, Donor::new(held.clone(), Nature::Honest, 64 << 10));
        }
        world.run(500);
        check(&world, &data, held.first);
        assert_eq!(world.needs, [0u64; 0]);
        for (pid, donor) in &world.donors {
            assert!(donor.served >= 3 * SNAPSHOT_CHUNK, "donor {pid}: {}", donor.served);
        }
        let below = world.requested[..held.first as usize].iter().sum::<u32>();
        assert_eq!(below, 0, "trimmed records were asked for");
    }
}

#[test]
fn m5_no_snapshot_while_somebody_has_the_records() {
    let log = log(1, 1000, true, |_| 1000);
    let data = snapshot(SNAPSHOT_CHUNK);
    let mut world = world(1, &log, true);
    world.add(1, Donor::new(trimmed(&log, 700, Some(&data)), Nature::Honest, 64 << 10));
    world.add(2, Donor::new(Held::all(&log), Nature::Honest, 64 << 10));
    world.run(500);
    assert_eq!((world.installed, world.snapshot.len()), (None, 0));
}

#[test]
fn m5_without_a_snapshot_the_caller_is_told_and_the_rest_is_fetched() {
    let log = log(1, 1000, true, |_| 1000);
    let data = snapshot(3 * SNAPSHOT_CHUNK);
    let held = trimmed(&log, 700, None);
    let mut world = world(1, &log, true);
    world.add(1, Donor::new(held.clone(), Nature::Honest, 64 << 10));
    for _ in 0..300 {
        world.tick();
    }
    assert_eq!(world.needs, [held.first], "told once");
    assert_eq!(world.migration.progress().needs_snapshot, Some(held.first));
    assert_eq!(world.stored.len(), 1000 - held.first);
    world.add(2, Donor::new(trimmed(&log, 900, Some(&data)), Nature::Honest, 64 << 10));
    world.run(500);
    check(&world, &data, trimmed(&log, 900, None).first);
}

#[test]
fn m5_whoever_serves_another_snapshot_is_found_and_blamed() {
    for liar in 1..=3 {
        let log = log(1, 1000, true, |_| 1000);
        let data = snapshot(10 * SNAPSHOT_CHUNK);
        let held = trimmed(&log, 700, Some(&data));
        let mut world = world(1, &log, true);
        for pid in 1..=3 {
            let nature = if pid == liar { Nature::WrongSnapshot } else { Nature::Honest };
            world.add(pid, Donor::new(held.clone(), nature, 256 << 10));
        }
        world.run(2000);
        check(&world, &data, held.first);
        assert!(world.blames.iter().all(|blame| *blame == (liar, Blame::WrongSnapshot)));
    }
}

#[test]
fn m5_donors_that_offer_different_snapshots_are_told_apart() {
    let log = log(1, 1000, true, |_| 1000);
    let data = snapshot(2 * SNAPSHOT_CHUNK + 1);
    let mut world = world(1, &log, true);
    world.add(1, Donor::new(trimmed(&log, 700, Some(&data)), Nature::Honest, 64 << 10));
    let other = snapshot(5 * SNAPSHOT_CHUNK);
    let liar = trimmed(&log, 900, Some(&other));
    world.add(2, Donor::new(liar, Nature::WrongSnapshot, 64 << 10));
    world.run(1000);
    check(&world, &data, trimmed(&log, 700, None).first);
    assert_eq!(world.blames, [(2, Blame::WrongSnapshot)]);
}

#[test]
fn m5_a_snapshot_that_never_comes_gives_way_to_another() {
    let log = log(1, 1000, true, |_| 1000);
    let (data, other) = (snapshot(2 * SNAPSHOT_CHUNK + 1), snapshot(SNAPSHOT_CHUNK));
    let mut world = world(1, &log, true);
    world.add(1, Donor::new(trimmed(&log, 700, Some(&data)), Nature::Honest, 64 << 10));
    // It reaches further, and its donor answers everything else.
    world.add(2, Donor::new(trimmed(&log, 900, Some(&other)), Nature::NoSnapshot, 64 << 10));
    world.run(2000);
    check(&world, &data, trimmed(&log, 700, None).first);
}

#[test]
fn m5_a_snapshot_that_ends_within_a_block_is_fetched_once_and_another_asked_for() {
    let log = log(1, 1000, true, |_| 1000);
    let data = snapshot(2 * SNAPSHOT_CHUNK);
    let mut held = trimmed(&log, 700, None);
    let end = held.first + 3;
    held.held.remove(IndexRange::new(0, end));
    held.first = end;
    held.snapshot = Some((offer(end, &data), data.clone()));
    let mut world = world(1, &log, true);
    world.add(1, Donor::new(held, Nature::Honest, 64 << 10));
    for _ in 0..300 {
        world.tick();
    }
    // The world asserts that no chunk is stored twice.
    check(&world, &data, end);
    assert_eq!(world.needs, [end]);
    assert!(!world.migration.is_done());
}

#[test]
fn m5_what_is_too_large_is_not_offered() {
    let log = log(1, 1000, true, |_| 1000);
    let data = snapshot(3 * SNAPSHOT_CHUNK);
    let held = trimmed(&log, 700, Some(&data));
    let config = MigrationConfig {
        max_snapshot_bytes: 3 * SNAPSHOT_CHUNK - 1,
        ..MigrationConfig::default()
    };
    let mut world = World::new(1, &log, target(&log, true), &Ranges::new(), config);
    world.add(1, Donor::new(held.clone(), Nature::Honest, 64 << 10));
    for _ in 0..100 {
        world.tick();
    }
    assert_eq!((world.needs, world.snapshot.len()), (vec![held.first], 0));
}

#[test]
fn m5_under_loss_and_restarts() {
    for seed in 0..40 {
        let mut rng = Rng(seed);
        let log = log(seed, 200, true, |rng| rng.below(3000));
        let data = snapshot(1 + rng.below(6 * SNAPSHOT_CHUNK));
        let held = trimmed(&log, 150, Some(&data));
        let mut world = world(seed, &log, rng.chance(50));
        world.faults = Faults { loss: rng.below(31), duplication: 10, delay: 5 };
        for pid in 1..=1 + rng.below(4) {
            world.add(pid, Donor::new(held.clone(), Nature::Honest, 64 << 10));
        }
        let restart = rng.below(60);
        let again = target(&log, true);
        for _ in 0..restart {
            world.tick();
        }
        if rng.chance(50) && !world.migration.is_done() {
            world.installed = None;
            world.restart(again, MigrationConfig::default());
        }
        while !world.migration.is_done() {
            assert!(world.now < 6000, "seed {seed}: {:?}", world.migration.progress());
            world.tick();
        }
        assert_eq!(world.stored.len(), 200, "seed {seed}");
        assert_eq!(world.blames, [], "seed {seed}");
    }
}
