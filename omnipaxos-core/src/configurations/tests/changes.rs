//! Any change of members ends with all members in sync, and those that are left out retired.

use super::world::{Faults, World};
use crate::configurations::Role;

const LOSSY: Faults = Faults { loss: 20, duplication: 20, delay: 6 };

/// Goes through these configurations, each of which joins through a member of the one before.
fn go(seed: u64, faults: Faults, verified: bool, steps: &[(&[u64], &[u64])]) -> World {
    let mut world = World::new(seed, steps[0].0);
    (world.faults, world.verified) = (faults, verified);
    let mut contact = steps[0].0[0];
    world.settle();
    for (nodes, learners) in &steps[1..] {
        let new = nodes.iter().chain(*learners).filter(|pid| !world.servers.contains_key(pid));
        let new: Vec<u64> = new.copied().collect();
        world.join(&new, contact);
        assert!(world.append(300, 1000));
        assert!(world.reconfigure(nodes, learners));
        world.settle();
        contact = nodes[0];
    }
    assert!(world.servers.values().all(|server| server.blames == 0));
    world
}

fn all(steps: &[(&[u64], &[u64])]) {
    for verified in [true, false] {
        for seed in 0..8 {
            let faults = if seed == 0 { Faults::default() } else { LOSSY };
            go(seed, faults, verified, steps);
        }
    }
}

#[test]
fn grows_from_one_to_five_and_shrinks_to_two() {
    all(&[(&[1], &[]), (&[1, 2, 3], &[]), (&[1, 2, 3, 4, 5], &[]), (&[4, 5], &[])]);
}

#[test]
fn a_majority_is_replaced_and_comes_back() {
    all(&[(&[1, 2, 3, 4, 5], &[]), (&[1, 2, 6, 7, 8], &[]), (&[1, 3, 4, 5, 6], &[])]);
}

#[test]
fn everyone_is_replaced() {
    all(&[(&[1, 2, 3], &[]), (&[4, 5, 6], &[]), (&[7, 8, 9], &[])]);
}

#[test]
fn learners_come_are_promoted_and_go() {
    let steps: [(&[u64], &[u64]); 4] =
        [(&[1, 2, 3], &[]), (&[1, 2, 3], &[4, 5]), (&[1, 2, 4], &[3]), (&[1, 2, 4], &[])];
    all(&steps);
    let world = go(1, Faults::default(), true, &steps[..3]);
    let configuration = &world.logs[&3].configuration;
    assert_eq!(
        (configuration.role(4), configuration.role(3)),
        (Some(Role::Voter), Some(Role::Learner))
    );
}
