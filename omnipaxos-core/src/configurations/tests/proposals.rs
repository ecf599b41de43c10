//! Proposals go from one configuration to the next: each once, in order.

use super::world::Rng;
use crate::configurations::{DecidedProposal, Proposals, SubmitError};
use crate::storage::ProposalId;

fn id(session: u64, number: u64) -> ProposalId {
    ProposalId { proposer: 1, session, number }
}

/// The replica takes the next one, as number `number` of the session.
fn hand(proposals: &mut Proposals<u64>, session: u64, number: u64) -> Option<Vec<u8>> {
    let data = proposals.next().map(|data| data.to_vec());
    if data.is_some() {
        proposals.handed(id(session, number));
    }
    data
}

#[test]
fn what_is_too_much_is_refused_but_one_always_fits() {
    let mut proposals = Proposals::new(100);
    proposals.submit(vec![0; 1000], 1).unwrap();
    let error = proposals.submit("", 2).unwrap_err();
    assert_eq!(error, SubmitError::Overloaded { pending: 1016, limit: 100 });
    proposals.start(1);
    hand(&mut proposals, 1, 1);
    assert!(proposals.submit("", 2).is_err(), "it still counts");
    proposals.decided(id(1, 1), 0);
    for token in 2..8 {
        proposals.submit("", token).unwrap();
    }
    assert!(proposals.submit("", 8).is_err(), "6 of 16 bytes");
    assert_eq!((proposals.len(), proposals.cost()), (6, 96));
}

#[test]
fn what_was_dropped_comes_first_and_waits_for_what_is_unclear() {
    let mut proposals = Proposals::new(1000);
    for token in 1..=5 {
        proposals.submit(vec![token as u8], token).unwrap();
    }
    assert_eq!(hand(&mut proposals, 1, 1), None, "no replica yet");
    proposals.start(4);
    for number in 1..=4 {
        assert_eq!(hand(&mut proposals, 1, number), Some(vec![number as u8]));
    }
    let one = DecidedProposal { token: 1, config_id: 4, index: 9 };
    assert_eq!(proposals.decided(id(1, 1), 9), Some(one));
    assert_eq!(proposals.decided(id(1, 1), 9), None, "only once");
    proposals.start(5);
    proposals.start(4);
    assert_eq!(proposals.config_id(), 5);
    proposals.dropped(id(1, 2));
    proposals.dropped(id(1, 3));
    assert_eq!(hand(&mut proposals, 2, 1), None, "the last one is unclear");
    proposals.dropped(id(1, 4));
    for number in 1..=4 {
        assert_eq!(hand(&mut proposals, 2, number), Some(vec![number as u8 + 1]));
    }
    let decided = proposals.decided(id(2, 1), 0).unwrap();
    assert_eq!((decided.token, decided.config_id), (2, 5));
    assert_eq!(proposals.give_up(), [3, 4, 5]);
    assert!(proposals.is_empty() && proposals.cost() == 0);
}

/// Replicas that decide a prefix of what they took, and drop the rest.
#[test]
fn each_is_decided_once_and_in_order() {
    for seed in 0..200 {
        let mut rng = Rng(seed);
        let mut proposals = Proposals::new(u64::MAX);
        let (mut submitted, mut decided) = (0, Vec::new());
        for config_id in 1..20 {
            let (mut taken, mut done) = (0, 0);
            // The replica may start before the outcomes of the last one are known.
            proposals.start(config_id);
            for _ in 0..rng.below(30) {
                match rng.below(3) {
                    0 => {
                        proposals.submit(Vec::new(), submitted).unwrap();
                        submitted += 1;
                    }
                    1 => taken += u64::from(hand(&mut proposals, config_id, taken + 1).is_some()),
                    _ if done < taken => {
                        done += 1;
                        let outcome = proposals.decided(id(config_id, done), done).unwrap();
                        assert_eq!((outcome.config_id, outcome.index), (config_id, done));
                        decided.push(outcome.token);
                    }
                    _ => {}
                }
            }
            proposals.start(config_id + 1);
            (done + 1..=taken).for_each(|number| proposals.dropped(id(config_id, number)));
        }
        let all: Vec<u64> = decided.iter().copied().chain(proposals.give_up()).collect();
        assert_eq!(all, (0..submitted).collect::<Vec<_>>(), "seed {seed}");
    }
}
