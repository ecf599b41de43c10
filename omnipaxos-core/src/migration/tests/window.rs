//! Whoever stores in order keeps little in memory, and is no slower for it.

use super::world::{Donor, Faults, Held, Nature, World, log, target};
use crate::migration::{IndexRange, MigrationConfig, Ranges};
use crate::storage::Records;

const RATE: u64 = 16 << 10;
const SEGMENT: u64 = 64 << 10;
const AHEAD: u64 = 2 << 20;

fn config() -> MigrationConfig {
    MigrationConfig { segment_bytes: SEGMENT, ahead_bytes: AHEAD, ..MigrationConfig::default() }
}

/// What the records before each index cost.
fn costs(log: &Records) -> Vec<u64> {
    let mut total = 0;
    let before = log.entries().iter().map(|entry| {
        total += entry.cost();
        total
    });
    std::iter::once(0).chain(before).collect()
}

/// Runs with 4 donors; the disk writes `disk` bytes a tick, in order. Returns the ticks, and the
/// most that ever waited in memory.
fn run(log: &Records, verified: bool, faults: Faults, disk: u64) -> (u64, u64) {
    let mut world = World::new(1, log, target(log, verified), &Ranges::new(), config());
    world.faults = faults;
    world.migration.stored(0);
    for pid in 1..=4 {
        world.add(pid, Donor::new(Held::all(log), Nature::Honest, RATE));
    }
    let costs = costs(log);
    let cost = |range: IndexRange| costs[range.to as usize] - costs[range.from as usize];
    let (mut most, mut written) = (0, 0);
    while !world.migration.is_done() || written < log.len() {
        assert!(world.now < 20_000, "{:?}", world.migration.progress());
        world.tick();
        let waiting: u64 = world.stored.iter().map(cost).sum();
        most = most.max(waiting - cost(IndexRange::new(0, written)));
        let missing = world.stored.missing(IndexRange::new(0, log.len()));
        let here = missing.iter().next().map_or(log.len(), |range| range.from);
        let mut left = disk;
        while written < here {
            let next = cost(IndexRange::new(written, written + 1));
            if left < next {
                break;
            }
            (left, written) = (left - next, written + 1);
        }
        world.migration.stored(written);
    }
    (world.now, most)
}

#[test]
fn no_more_than_the_window_waits_in_memory() {
    let even = log(7, 5000, true, |_| 1000);
    // Small records first, so that later ones are ten times larger than the guess.
    let mut made = 0;
    let sizes = std::cell::RefCell::new(&mut made);
    let uneven = log(7, 5000, true, |_| {
        let mut made = sizes.borrow_mut();
        **made += 1;
        if **made < 2500 { 100 } else { 2000 }
    });
    let lossy = Faults { loss: 10, duplication: 10, delay: 5 };
    for (log, verified) in [(&even, true), (&even, false), (&uneven, true), (&uneven, false)] {
        for faults in [Faults::default(), lossy] {
            for disk in [1 << 20, 40 << 10] {
                let (ticks, most) = run(log, verified, faults, disk);
                let limit = if verified { AHEAD } else { AHEAD + SEGMENT };
                assert!(most <= limit, "{most} bytes waited ({verified}, {faults:?}, {disk})");
                let ideal = log.cost() / (4 * RATE).min(disk);
                // Without blocks the first guess of what records cost may be far off.
                let guesses = !verified && log == &uneven;
                if faults.loss == 0 && !guesses {
                    assert!(ticks <= ideal * 125 / 100 + 10, "{ticks} ticks of {ideal}");
                }
            }
        }
    }
}

#[test]
fn a_window_smaller_than_anything_still_gets_there() {
    let log = log(3, 300, true, |rng| rng.below(30_000));
    for verified in [false, true] {
        let config = MigrationConfig { ahead_bytes: 1, ..config() };
        let mut world = World::new(1, &log, target(&log, verified), &Ranges::new(), config);
        for pid in 1..=3 {
            world.add(pid, Donor::new(Held::all(&log), Nature::Honest, RATE));
        }
        world.run(20_000);
    }
}

#[test]
fn what_came_in_another_way_is_not_asked_for() {
    let log = log(3, 3000, true, |_| 1000);
    let mut world = World::new(1, &log, target(&log, false), &Ranges::new(), config());
    world.migration.stored(2000);
    world.stored.insert(IndexRange::new(0, 2000));
    world.add(1, Donor::new(Held::all(&log), Nature::Honest, RATE));
    world.run(1000);
    assert!(world.requested[..2000].iter().all(|times| *times == 0));
}
