//! A crash and restart after every single command, and servers that are down for longer.

use super::world::{CrashAt, Faults, World, config};
use crate::configurations::Stage;

/// 1 -> {1, 2, 3} -> {3, 4, 5}, with a crash at one command; returns how many there were.
fn story(crash_at: Option<CrashAt>, verified: bool) -> u64 {
    let mut world = World::new(1, &[1]);
    (world.crash_at, world.verified) = (crash_at, verified);
    for (nodes, new) in [(&[1, 2, 3], &[2, 3]), (&[3, 4, 5], &[4, 5])] {
        world.join(new, 1);
        world.run_until("a quorum", 500, |world| {
            let newest = world.newest();
            let nodes = &world.logs[&newest].configuration.nodes;
            nodes.iter().filter(|pid| world.runs(**pid, newest)).count() > nodes.len() / 2
        });
        assert!(world.append(200, 1000));
        assert!(world.reconfigure(nodes, &[]));
        world.run(3);
    }
    world.settle();
    for pid in 3..=5 {
        let logs = &world.servers[&pid].disk.logs;
        assert!(logs[&1].sealed && logs[&2].sealed, "server {pid} lacks a log");
    }
    let commands = world.commands;
    world.crash_at = None;
    // And a restart of everything once more.
    (1..=5).for_each(|pid| world.restart(pid));
    world.settle();
    commands
}

#[test]
fn a_crash_before_or_after_any_command() {
    for verified in [true, false] {
        let commands = story(None, verified);
        assert!(commands > 100, "only {commands}");
        for command in 1..=commands {
            for done in [false, true] {
                story(Some(CrashAt { command, done }), verified);
            }
        }
    }
}

#[test]
fn a_joining_server_and_a_donor_die_in_mid_migration() {
    for seed in 0..10 {
        let mut world = World::new(seed, &[1, 2, 3]);
        world.faults = Faults { loss: 10, duplication: 10, delay: 3 };
        world.settle();
        assert!(world.append(600, 1000));
        world.join(&[4, 5], 1);
        assert!(world.reconfigure(&[1, 4, 5], &[]));
        world.run_until("half", 500, |world| {
            world.servers[&4].disk.logs.get(&1).is_some_and(|log| log.end > 100)
        });
        assert!(world.servers[&4].disk.logs[&1].end < 601);
        world.crash(2);
        world.crash(4);
        world.run(20);
        world.restart(4);
        world.settle();
        // What was durable is not fetched again, and not much waits for the disk.
        let stored = world.servers[&4].stored;
        assert!(stored <= 601 + 130, "{stored} records stored");
        world.restart(2);
        world.settle();
    }
}

#[test]
fn servers_that_missed_two_and_five_reconfigurations() {
    for verified in [true, false] {
        for seed in 0..5 {
            let mut world = World::new(seed, &[1, 2, 3, 4, 5]);
            (world.verified, world.faults) = (verified, Faults { loss: 10, ..Faults::default() });
            world.settle();
            world.append(50, 1000);
            world.crash(5);
            world.servers.get_mut(&4).unwrap().cut = true;
            world.append(150, 1000);
            let change = |world: &mut World, nodes: &[u64]| {
                world.run_until("a quorum", 500, |world| {
                    let newest = world.newest();
                    world.runs(1, newest) && world.runs(2, newest)
                });
                assert!(world.append(100, 1000));
                assert!(world.reconfigure(nodes, &[]));
                world.run(10);
            };
            change(&mut world, &[1, 2, 3, 4]);
            change(&mut world, &[1, 2, 4]);
            world.servers.get_mut(&4).unwrap().cut = false;
            world.settle();
            assert!(matches!(world.servers[&4].life.stage(), Stage::Synced { .. }));
            for nodes in [&[1, 2, 4][..], &[1, 2], &[1, 2, 4, 5]] {
                change(&mut world, nodes);
            }
            world.settle();
            world.restart(5);
            world.settle();
            let logs = &world.servers[&5].disk.logs;
            assert!((1..=5).all(|config_id| logs[&config_id].sealed));
        }
    }
}

#[test]
fn one_that_was_down_and_is_no_longer_a_member_finishes_and_retires() {
    let mut world = World::new(3, &[1, 2, 3]);
    world.settle();
    world.crash(3);
    assert!(world.append(200, 1000));
    assert!(world.reconfigure(&[1, 2], &[]));
    world.settle();
    assert!(world.append(10, 1000));
    assert!(world.reconfigure(&[1], &[]));
    world.settle();
    assert!(!world.runs(1, 1), "its replica has stopped");
    world.restart(3);
    world.settle();
    let server = &world.servers[&3];
    assert!(server.disk.logs[&1].sealed, "it has completed what it had begun");
    assert!(!server.disk.logs.contains_key(&2), "and nothing else");
    world.restart(3);
    assert_eq!(world.servers[&3].retired, 2, "it says so again");
}

#[test]
fn a_removed_server_serves_until_a_quorum_has_everything() {
    let mut world = World::new(3, &[1, 2]);
    world.settle();
    assert!(world.append(300, 1000));
    world.join(&[3, 4, 5], 1);
    world.crash(5);
    for pid in [3, 4] {
        world.servers.get_mut(&pid).unwrap().cut = true;
    }
    assert!(world.reconfigure(&[3, 4, 5], &[]));
    world.run(1000);
    assert!([1, 2].iter().all(|pid| !world.servers[pid].disk.retired), "nobody has anything");
    world.servers.get_mut(&3).unwrap().cut = false;
    world.run(1000);
    assert!([1, 2].iter().all(|pid| !world.servers[pid].disk.retired), "one of three");
    world.servers.get_mut(&4).unwrap().cut = false;
    world.run_until("a quorum", 500, |world| world.runs(3, 2) && world.runs(4, 2));
    world.run(50);
    assert!([1, 2].iter().all(|pid| !world.servers[pid].disk.retired), "not the third one");
    world.run(300);
    assert!([1, 2].iter().all(|pid| world.servers[pid].disk.retired), "it was waited for");
    // They are switched off; the last one gets everything from the others.
    world.crash(1);
    world.crash(2);
    world.restart(5);
    world.run_until("it hears of it", 500, |world| world.runs(5, 2));
}

#[test]
fn a_retired_server_is_named_again() {
    for seed in 0..5 {
        let mut world = World::new(seed, &[1, 2, 3]);
        world.faults = Faults { loss: 10, duplication: 10, delay: 3 };
        world.settle();
        for nodes in [&[1, 2][..], &[1, 2], &[1, 2, 3]] {
            assert!(world.append(30, 1000));
            assert!(world.reconfigure(nodes, &[]));
            world.settle();
        }
        let server = &world.servers[&3];
        assert!(server.retired > 0 && !server.disk.retired);
        assert!(server.running.contains(&4));
    }
}

#[test]
fn little_is_on_its_way_to_a_laggard() {
    let migration = config().migration;
    let mut world = World::new(1, &[1, 2, 3, 4]);
    world.settle();
    world.servers.get_mut(&4).unwrap().cut = true;
    assert!(world.append(2000, 1000));
    world.run(10);
    world.lag_limit = 100;
    world.servers.get_mut(&4).unwrap().cut = false;
    let (mut largest, mut ticks) = (0, 0);
    while world.servers[&4].disk.logs[&1].end < 2000 {
        assert!(ticks < 500, "it does not catch up");
        ticks += 1;
        world.tick();
        let (message, from_one) = world.under_way(4);
        assert!(message <= migration.segment_bytes, "{message} bytes in one message");
        let most = migration.window as u64 * migration.segment_bytes;
        assert!(from_one <= most, "{from_one} bytes from one donor");
        largest = largest.max(message);
    }
    // Each donor is asked for an eighth to begin with.
    assert!(largest > migration.segment_bytes / 16, "{largest} bytes in the largest message");
    assert!(world.servers[&4].stored >= 1900, "{} came by migration", world.servers[&4].stored);
}

#[test]
fn a_laggard_catches_up_from_several_peers() {
    for seed in 0..5 {
        let mut world = World::new(seed, &[1, 2, 3]);
        world.settle();
        world.servers.get_mut(&3).unwrap().cut = true;
        assert!(world.append(1000, 1000));
        world.run(10);
        world.lag_limit = 100;
        world.servers.get_mut(&3).unwrap().cut = false;
        // Once with the configuration ending meanwhile.
        if seed % 2 == 1 {
            world.run(8);
            assert!(world.reconfigure(&[2, 3], &[]));
        }
        world.settle();
        world.run_until("everything", 500, |world| world.servers[&3].disk.logs[&1].end >= 1000);
        let stored = world.servers[&3].stored;
        assert!(stored >= 900, "seed {seed}: {stored} came by migration");
    }
}
