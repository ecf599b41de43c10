//! The load spreads over the donors as they can carry it.

use super::world::{Donor, Held, Nature, World, log, target};
use crate::migration::{IndexRange, MigrationConfig, Ranges};

const RATE: u64 = 16 << 10;

/// A migration of 5 MB from donors with these rates.
fn migrate(rates: &[u64], verified: bool) -> World {
    let log = log(7, 5000, true, |rng| 500 + rng.below(1000));
    let config =
        MigrationConfig { segment_bytes: 64 << 10, resend_ticks: 40, ..MigrationConfig::default() };
    let mut world = World::new(1, &log, target(&log, verified), &Ranges::new(), config);
    let all = Held::all(&log);
    for (pid, rate) in (1..).zip(rates) {
        world.add(pid, Donor::new(all.clone(), Nature::Honest, *rate));
    }
    let ticks = world.run(10_000);
    let ideal = log.cost() / rates.iter().sum::<u64>();
    // Whoever is less than twice as slow as a full queue of a fast one is waited for at the end.
    let slow = rates.iter().any(|rate| *rate < RATE);
    let wait = if slow { 5 + 2 * (world.window as u64 * (64 << 10) / RATE + 1) } else { 5 };
    assert!(ticks <= ideal * 110 / 100 + wait, "{rates:?}: {ticks} ticks, ideal {ideal}");
    world
}

#[test]
fn equal_donors_serve_equal_parts_and_each_byte_once() {
    for verified in [false, true] {
        for k in 1..=8 {
            let world = migrate(&vec![RATE; k], verified);
            let total: u64 = world.donors.values().map(|donor| donor.served).sum();
            assert_eq!(total, world.log.cost(), "{k} donors: each byte once");
            for (pid, donor) in &world.donors {
                let (share, fair) = (donor.served, total / k as u64);
                let near = fair * 80 / 100..=fair * 120 / 100;
                assert!(near.contains(&share), "donor {pid} of {k}: {share} of {fair}");
                assert!(donor.most_waiting <= world.window, "donor {pid} of {k}");
            }
        }
    }
}

#[test]
fn a_slow_donor_serves_less_and_others_take_over() {
    for verified in [false, true] {
        for k in 2..=6 {
            let mut rates = vec![RATE; k];
            rates[0] = RATE / 4;
            let world = migrate(&rates, verified);
            let total: u64 = world.donors.values().map(|donor| donor.served).sum();
            // Its share is 1 of 4 (k - 1) + 1, and what others took over from it is served twice.
            let (share, fair) = (world.donors[&1].served, total / (4 * (k as u64 - 1) + 1));
            let near = fair / 2..=fair * 2;
            assert!(near.contains(&share), "{k} donors: {share}, fair were {fair}");
            let twice = total - world.log.cost();
            // What it was asked for when nothing else was left, and once more while it does that.
            let window = world.window as u64 * (64 << 10);
            assert!(twice <= 2 * window, "{k} donors: {twice} bytes twice");
            assert_eq!(world.migration.progress().bytes, world.log.cost());
        }
    }
}

#[test]
fn a_donor_that_hangs_holds_nobody_up() {
    for hangs_at in [3, 40, 80] {
        let log = log(7, 5000, true, |_| 1000);
        let config = MigrationConfig { segment_bytes: 64 << 10, ..MigrationConfig::default() };
        let mut world = World::new(1, &log, target(&log, true), &Ranges::new(), config);
        let all = Held::all(&log);
        world.add(1, Donor::new(all.clone(), Nature::DiesAt(hangs_at), RATE));
        for pid in 2..=4 {
            world.add(pid, Donor::new(all.clone(), Nature::Honest, RATE));
        }
        let ticks = world.run(10_000);
        let ideal = log.cost() / (3 * RATE);
        assert!(ticks <= ideal + 30, "hangs at {hangs_at}: {ticks} ticks, ideal {ideal}");
    }
}

#[test]
fn newcomers_serve_each_other() {
    // Donor 1 has everything and is slow; donor 2 is a newcomer that has the second half.
    let log = log(7, 4000, true, |_| 1000);
    let all = Held::all(&log);
    let half = all.blocks[30].end;
    let mut newcomer = all.clone();
    newcomer.held.remove(IndexRange::new(0, half));
    let config = MigrationConfig { segment_bytes: 64 << 10, ..MigrationConfig::default() };
    let mut world = World::new(1, &log, target(&log, true), &Ranges::new(), config);
    world.add(1, Donor::new(all.clone(), Nature::Honest, RATE));
    world.add(2, Donor::new(newcomer, Nature::Honest, RATE));
    for _ in 0..100 {
        world.tick();
    }
    // It gets more, which is noticed.
    let newcomer = world.donors.get_mut(&2).expect("it was added");
    newcomer.held.held = all.held.clone();
    world.run(1000);
    let (one, two) = (world.donors[&1].served, world.donors[&2].served);
    assert_eq!(one + two, log.cost());
    assert!(one.abs_diff(two) <= log.cost() / 5, "{one} and {two}");
}
