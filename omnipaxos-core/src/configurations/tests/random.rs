//! Random reconfigurations, crashes and cuts; then the unrest ends and all come together.

use super::world::{CrashAt, Faults, World};

fn seed(seed: u64) {
    let mut world = World::new(seed, &[1, 2, 3]);
    let percent = world.rng.below(25);
    world.faults = Faults { loss: percent, duplication: percent, delay: world.rng.below(8) };
    world.verified = world.rng.chance(70);
    world.lag_limit = if world.rng.chance(50) { 50 } else { u64::MAX };
    for _ in 0..60 {
        match world.rng.below(8) {
            0 | 1 => {
                let count = 1 + world.rng.below(100);
                world.append(count, 1000);
            }
            2 | 3 => reconfigure(&mut world),
            4 => {
                let pid = any(&mut world);
                world.crash(pid);
            }
            5 => {
                let pid = any(&mut world);
                world.restart(pid);
            }
            6 => {
                let pid = any(&mut world);
                let server = world.servers.get_mut(&pid).unwrap();
                server.cut = !server.cut;
            }
            _ => {
                let command = world.commands + 1 + world.rng.below(50);
                world.crash_at = Some(CrashAt { command, done: world.rng.chance(50) });
            }
        }
        let ticks = world.rng.below(40);
        world.run(ticks);
    }
    world.crash_at = None;
    let pids: Vec<u64> = world.servers.keys().copied().collect();
    for pid in pids {
        world.servers.get_mut(&pid).unwrap().cut = false;
        if !world.servers[&pid].up {
            world.restart(pid);
        }
    }
    world.settle();
    let newest = world.newest();
    for (pid, server) in &world.servers {
        assert_eq!((server.blames, &server.conflict), (0, &None), "server {pid}");
        if world.logs[&newest].configuration.role(*pid).is_some() {
            assert!((1..newest).all(|config_id| server.disk.logs[&config_id].sealed));
        }
    }
}

fn any(world: &mut World) -> u64 {
    let pids: Vec<u64> = world.servers.keys().copied().collect();
    pids[world.rng.below(pids.len() as u64) as usize]
}

fn reconfigure(world: &mut World) {
    if world.servers.len() < 9 && world.rng.chance(50) {
        let (pid, contact) = (world.servers.len() as u64 + 1, any(world));
        world.join(&[pid], contact);
    }
    let mut nodes = Vec::new();
    for _ in 0..1 + world.rng.below(5) {
        let pid = any(world);
        if !nodes.contains(&pid) {
            nodes.push(pid);
        }
    }
    let learner = any(world);
    let learners = if nodes.contains(&learner) { vec![] } else { vec![learner] };
    world.reconfigure(&nodes, &learners);
}

#[test]
fn all_come_together_in_the_end() {
    for number in 0..60 {
        println!("seed {number}");
        seed(number);
    }
}

/// For a machine with time: `cargo test -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn all_come_together_in_the_end_many() {
    for number in 1000..11_000 {
        println!("seed {number}");
        seed(number);
    }
}
