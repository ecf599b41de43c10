//! What a server that lost its disk can do to a decided entry, and that it cannot once pids are
//! bound to storages.

mod world;

use omnipaxos_kompact::identity::Admission;
use omnipaxos_tests::checker::Check;
use omnipaxos_tests::sim::Rng;
use world::World;

const SEEDS: u64 = 500;

fn between(a: u64, b: u64) -> impl Fn(u64, u64) -> bool {
    move |from, to| (from, to) == (a, b) || (from, to) == (b, a)
}

/// An entry is decided by 1 and 2. Then 2 comes back with an empty disk, and 1 is cut off.
fn lose_a_disk(rule: bool) -> World {
    let mut world = World::new(rule, 0);
    world.settle(|_, _| true);
    world.elect(1);
    world.settle(between(1, 2));
    world.propose(1);
    world.settle(between(1, 2));
    assert_eq!((world.decided_index(1), world.decided_index(3)), (1, 0));
    world.wipe(2);
    world.elect(3);
    world.settle(between(2, 3));
    world.propose(3);
    for _ in 0..100 {
        for pid in [2, 3] {
            world.tick(pid);
        }
        world.settle(between(2, 3));
    }
    world
}

#[test]
fn without_the_rule_a_decided_entry_is_lost() {
    let world = lose_a_disk(false);
    let violation = world.checker.violation().unwrap();
    // Server 3 has decided its own entry where server 1 has decided another one.
    assert_eq!(violation.check, Check::OneLog, "{violation}");
    assert_eq!((world.decided_index(1), world.decided_index(3)), (1, 1));
}

#[test]
fn with_the_rule_it_is_not_lost() {
    let mut world = lose_a_disk(true);
    assert_eq!(world.checker.violation(), None);
    assert_eq!(world.decided_index(3), 0);
    assert!(matches!(world.admission(2), Admission::Refused(refusal) if refusal.by == 3));
    // 1 and 3 go on together, whatever 2 says.
    world.elect(3);
    for _ in 0..100 {
        for pid in 1..=3 {
            world.tick(pid);
        }
        world.settle(|_, _| true);
    }
    assert_eq!(world.checker.violation(), None);
    let decided: Vec<u64> = world.checker.decided_keys().map(|(_, _, key)| key).collect();
    assert_eq!(decided, vec![1, 2]);
    let indexes = [1, 2, 3].map(|pid| world.decided_index(pid));
    assert_eq!(indexes, [2, 0, 2]);
}

/// Messages are lost, doubled and reordered, servers crash, are elected and lose their disks, all
/// but one of them.
fn run(rule: bool, seed: u64) -> World {
    let mut world = World::new(rule, seed);
    let mut rng = Rng::new(!seed);
    let keeper = rng.between(1, 3);
    if rng.chance(80) {
        world.settle(|_, _| true);
    }
    for _ in 0..400 {
        let pid = rng.between(1, 3);
        let at = rng.below(world.network.len() as u64) as usize;
        match rng.below(1000) {
            0..600 if !world.network.is_empty() => {
                let packet = world.network.swap_remove(at);
                world.deliver(packet);
            }
            600..650 if !world.network.is_empty() => drop(world.network.swap_remove(at)),
            650..690 if !world.network.is_empty() => {
                let packet = world.network[at].clone();
                world.network.push(packet);
            }
            690..790 => world.tick(pid),
            790..860 => drop(world.record(pid)),
            860..900 => world.elect(pid),
            900..975 => world.propose(pid),
            975..985 => world.restart(pid),
            985..1000 if pid != keeper => world.wipe(pid),
            _ => {}
        }
        if world.checker.violation().is_some() {
            break;
        }
    }
    world
}

#[test]
fn with_the_rule_nothing_is_lost_over_many_seeds_and_without_it_much_is() {
    let (mut decided, mut refused, mut lost, mut wrong) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let world = run(true, seed);
        assert_eq!(world.checker.violation(), None, "seed {seed}");
        decided += world.checker.decided_total();
        refused += world.refused;
        let check = run(false, seed).checker.violation().map(|violation| violation.check);
        lost += u64::from(check == Some(Check::OneLog));
        wrong += u64::from(check.is_some());
    }
    println!(
        "{SEEDS} seeds: {decided} entries decided, {refused} refusals; without the rule something \
         is wrong in {wrong}, two servers decide differently first in {lost}"
    );
    assert!(decided > SEEDS && refused > SEEDS, "{decided} decided, {refused} refusals");
    assert!(lost > 0 && wrong > SEEDS / 4, "{lost} lost, {wrong} wrong");
}
