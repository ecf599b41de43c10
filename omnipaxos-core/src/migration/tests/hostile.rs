//! Whatever some donors and the network do: what is stored is the log, and it is stored soon.

use super::world::{Donor, Faults, Held, Nature, Rng, World, log, target};
use crate::migration::{IndexRange, MigrationConfig, Ranges};
use std::collections::BTreeSet;

/// Ticks in which the server restarts, and donors come and go.
const UNREST: u64 = 300;

/// Ticks within which each run must end, beside those that each record may take alone.
const LIMIT: u64 = 2000;

const BELIEVED: [Nature; 5] =
    [Nature::DiesAt(0), Nature::Mute, Nature::Boasts, Nature::SaysTrimmed, Nature::Refuses];

const CAUGHT: [Nature; 4] =
    [Nature::WrongBytes, Nature::WrongBlocks, Nature::Short, Nature::Garbage];

fn nature(rng: &mut Rng, verified: bool) -> Nature {
    match rng.below(10) {
        0 => Nature::DiesAt(rng.below(100)),
        1..6 if verified => CAUGHT[rng.below(4) as usize],
        _ => BELIEVED[rng.below(5) as usize],
    }
}

/// One honest donor for each index: one that has everything, or two that have a part each.
fn honest(world: &mut World, all: &Held, rate: u64) -> usize {
    let bound = all.blocks[world.rng.below(all.blocks.len() as u64) as usize].end;
    let mut halves = vec![all.clone()];
    if world.rng.chance(50) {
        halves.push(all.clone());
        halves[0].held.remove(IndexRange::new(0, bound));
        halves[1].held.remove(IndexRange::new(bound, u64::MAX));
    }
    let count = halves.len();
    for (pid, held) in (10..).zip(halves) {
        world.add(pid, Donor::new(held, Nature::Honest, rate));
    }
    count
}

fn run(seed: u64) -> (u64, usize) {
    let mut rng = Rng(seed);
    let verified = rng.chance(70);
    let len = 1 + rng.below(150);
    let log = log(seed, len, rng.chance(80), |rng| rng.below(9000));
    let all = Held::all(&log);
    let config = MigrationConfig {
        segment_bytes: 1 + rng.below(200_000),
        window: 1 + rng.below(6) as usize,
        resend_ticks: 5 + rng.below(20) as u32,
        inventory_ticks: 5 + rng.below(20) as u32,
        ..MigrationConfig::default()
    };
    let target = target(&log, verified);
    let mut world = World::new(seed, &log, target.clone(), &Ranges::new(), config.clone());
    world.faults = Faults { loss: rng.below(31), duplication: rng.below(20), delay: rng.below(8) };
    let rate = 8000 + rng.below(100_000);
    // Whoever has ever lied: what it said may arrive when it has changed.
    let mut guilty = BTreeSet::new();
    for pid in 1..=rng.below(6) {
        let (nature, rate) = (nature(&mut rng, verified), 8000 + rng.below(100_000));
        guilty.extend(CAUGHT.contains(&nature).then_some(pid));
        world.add(pid, Donor::new(all.clone(), nature, rate));
    }
    honest(&mut world, &all, rate);
    // At the worst each record is a request of its own, lost more often than not.
    let each = 3 * u64::from(config.resend_ticks) + 2 * world.faults.delay;
    let limit = LIMIT + len * each / config.window as u64;
    while !world.migration.is_done() {
        let progress = world.migration.progress();
        assert!(world.now < limit, "seed {seed}: not done: {progress:?}");
        world.tick();
        match rng.below(100) {
            _ if world.now > UNREST => {}
            0 => world.restart(target.clone(), config.clone()),
            1 => {
                let pid = 1 + rng.below(11);
                world.migration.remove_donor(pid);
                if world.donors.contains_key(&pid) {
                    world.migration.add_donor(pid).expect("a donor");
                }
            }
            2 => {
                let (pid, nature) = (20 + rng.below(3), nature(&mut rng, verified));
                guilty.extend(CAUGHT.contains(&nature).then_some(pid));
                world.add(pid, Donor::new(all.clone(), nature, rate));
            }
            _ => {}
        }
    }
    assert_eq!(world.stored.len(), len, "seed {seed}");
    let innocent = world.blames.iter().find(|(pid, _)| !guilty.contains(pid));
    assert_eq!(innocent, None, "seed {seed}: blamed");
    (world.now, world.blames.len())
}

#[test]
fn it_finishes_and_stores_nothing_but_the_log() {
    let (mut most, mut blamed) = (0, 0);
    for seed in 0..400 {
        let (ticks, blames) = run(seed);
        most = most.max(ticks);
        blamed += usize::from(blames > 0);
    }
    println!("at most {most} ticks; somebody was blamed in {blamed} of 400 runs");
    assert!(blamed > 100, "the liars were not heard: {blamed}");
}

/// How the runs above go over many seeds.
#[test]
#[ignore = "a measurement over many seeds"]
fn measure() {
    let mut ticks: Vec<u64> = (0..20_000).map(|seed| run(seed).0).collect();
    ticks.sort_unstable();
    let at = |percent: usize| ticks[(ticks.len() - 1) * percent / 100];
    println!("ticks: p50 {}, p99 {}, max {}", at(50), at(99), at(100));
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    for seed in 0..20 {
        let build = || {
            let log = log(seed, 100, true, |rng| rng.below(5000));
            let all = Held::all(&log);
            let config = MigrationConfig::default();
            let mut world = World::new(seed, &log, target(&log, true), &Ranges::new(), config);
            world.faults = Faults { loss: 20, duplication: 10, delay: 5 };
            for (pid, nature) in [(1, Nature::Honest), (2, Nature::WrongBytes), (3, Nature::Short)]
            {
                world.add(pid, Donor::new(all.clone(), nature, 30_000));
            }
            world
        };
        let (mut one, mut other) = (build(), build());
        for _ in 0..300 {
            one.tick();
            other.tick();
            assert_eq!(one.migration, other.migration, "seed {seed}");
        }
    }
}
