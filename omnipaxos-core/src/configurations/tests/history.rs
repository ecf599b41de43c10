//! Which configurations there were.

use super::lines::ended;
use crate::configurations::{Configuration, ConfigurationError, Ended, History, MergeError, Role};
use crate::digest::{Anchor, Digest};
use crate::storage::ConfigId;

/// Configurations 3 to 6, whose logs have 10, 1 and 5 records.
fn history() -> History {
    let mut history = History::new(Configuration::first(3, vec![1, 2, 3]));
    history.ended = vec![ended(3, 10, &[1, 2]), ended(4, 1, &[2]), ended(5, 5, &[2, 3])];
    history.check().unwrap();
    history
}

#[test]
fn indexes_of_configurations_and_global_ones_are_each_others_inverse() {
    let history = history();
    let bases: Vec<_> = (2..=7).map(|config_id| history.base(config_id)).collect();
    assert_eq!(bases, [None, Some(0), Some(10), Some(11), Some(16), None]);
    let mut expected = (0..10).map(|at| (3, at)).chain([(4, 0)]).collect::<Vec<(ConfigId, u64)>>();
    expected.extend((0..5).map(|at| (5, at)).chain((0..100).map(|at| (6, at))));
    for (global, (config_id, index)) in (0..).zip(expected) {
        assert_eq!(history.local(global), (config_id, index));
        assert_eq!(history.global(config_id, index), Some(global));
    }
    assert_eq!(history.global(3, 10), None, "behind the StopSign");
    assert_eq!(history.global(2, 0), None);
    assert_eq!(history.global(7, 0), None);
    assert_eq!(history.global(6, u64::MAX), None);
}

#[test]
fn configurations_follow_from_stop_signs() {
    let history = history();
    assert_eq!(history.newest().nodes, [2, 3]);
    assert_eq!(history.newest_id(), 6);
    for config_id in 0..=8 {
        let from: Vec<_> = history.configurations_from(config_id).map(|c| c.config_id).collect();
        assert_eq!(from, (config_id.max(3)..=6).collect::<Vec<_>>());
        let configuration = history.configuration(config_id);
        assert_eq!(configuration.map(|c| c.config_id), (3..=6).find(|id| *id == config_id));
        let known = (3..=5).find(|id| *id == config_id);
        assert_eq!(history.ended(config_id).map(|e| e.config_id), known);
    }
    let configuration = Configuration::first(1, vec![1, 2]).with_learners(vec![3]);
    assert_eq!(configuration.role(1), Some(Role::Voter));
    assert_eq!(configuration.role(3), Some(Role::Learner));
    assert_eq!(configuration.role(4), None);
    assert_eq!(configuration.peers(2), [1, 3]);
}

#[test]
fn impossible_configurations_say_why() {
    let check = |nodes: &[u64], learners: &[u64]| {
        Configuration::first(1, nodes.to_vec()).with_learners(learners.to_vec()).check()
    };
    assert_eq!(check(&[1], &[2]), Ok(()));
    assert_eq!(check(&[], &[2]), Err(ConfigurationError::NoVoters));
    assert_eq!(check(&[1, 0], &[]), Err(ConfigurationError::PidZero));
    assert_eq!(check(&[1], &[0]), Err(ConfigurationError::PidZero));
    assert_eq!(check(&[1, 2], &[2]), Err(ConfigurationError::DuplicatePid(2)));
    let zero = Configuration::first(0, vec![1]);
    assert_eq!(zero.check(), Err(ConfigurationError::IdZero));
    let mut led = Configuration::first(1, vec![1]).with_learners(vec![2]);
    led.leader = Some(crate::ballot::Leader::new(crate::ballot::Ballot::new(1, 0, 2)));
    assert_eq!(led.check(), Err(ConfigurationError::LeaderNotAVoter(2)));
}

#[test]
fn what_is_new_is_taken_over_and_what_contradicts_is_not() {
    let whole = history();
    for known in 0..=3 {
        for from in 0..3 {
            for to in from..=3 {
                let mut history = whole.clone();
                history.ended.truncate(known);
                let merged = history.merge(&whole.ended[from..to]);
                let new = from <= known && to > known;
                assert_eq!(merged, Ok(new));
                let expected = if new { to } else { known };
                assert_eq!(history.ended, whole.ended[..expected]);
                assert_eq!(history.newest_id(), 3 + expected as u64);
            }
        }
    }
    let mut others = vec![ended(4, 2, &[2]), ended(4, 1, &[3])];
    let mut digest = ended(4, 1, &[2]);
    digest.anchor = Some(Anchor { end: 1, digest: Digest([1; 32]) });
    let mut digested = history();
    assert_eq!(digested.merge(&[digest.clone()]), Ok(true), "the digest is new");
    assert_eq!(digested.merge(&[digest.clone()]), Ok(false));
    assert_eq!(digested.merge(&[ended(4, 1, &[2])]), Ok(false), "and stays");
    digest.anchor = Some(Anchor { end: 1, digest: Digest([2; 32]) });
    others.push(digest);
    for other in others {
        let before = digested.clone();
        let merged = digested.merge(&[other]);
        assert!(matches!(merged, Err(MergeError::Conflict(_))), "{merged:?}");
        assert_eq!(digested, before);
    }
    let forced = Ended { forced: true, ..ended(4, 1, &[2]) };
    assert_eq!(digested.merge(&[forced]), Ok(true), "that it was forced is new");
    assert!(digested.ended[1].forced && digested.ended[1].anchor.is_some());
}
