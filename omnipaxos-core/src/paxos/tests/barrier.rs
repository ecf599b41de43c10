//! What a leader adds to a StopSign, and what it costs.

use super::cluster::{CONFIG, Cluster};
use super::lab::{Lab, ME, accepted, ballot, propose, records, stop_sign};
use crate::ballot::{Ballot, Leader, NodeId};
use crate::digest::{Anchor, BlockDigests, Digest, chain_digest};
use crate::paxos::{Body, PaxosConfig, Propose};
use crate::storage::{Entry, RecordsBuilder, StopSign};

/// The digest of everything before the StopSign that ends the log of `pid`.
fn digest_before(cluster: &mut Cluster, pid: NodeId) -> Digest {
    let storage = cluster.get(pid).clone().into_storage();
    let mut digests = BlockDigests::new(CONFIG);
    digests.push(&storage.read(0, storage.end_index() - 1, u64::MAX).unwrap());
    digests.anchor().digest
}

fn stop_sign_at(cluster: &mut Cluster, pid: NodeId) -> StopSign {
    cluster.get(pid).stop_sign().expect("a sealed log").clone()
}

#[test]
fn the_leader_adds_the_digest_and_itself() {
    for proposer in [1, 2] {
        let mut cluster = Cluster::new(&[1, 2, 3], PaxosConfig::default());
        cluster.elect(1);
        cluster.settle();
        for what in ["a", "b", "c"] {
            cluster.propose(2, what);
        }
        cluster.settle();
        let id = cluster.get(proposer).propose_reconfiguration(vec![1, 4]).unwrap();
        cluster.settle();
        let digest = digest_before(&mut cluster, 3);
        for pid in [1, 2, 3] {
            let stop_sign = stop_sign_at(&mut cluster, pid);
            assert_eq!((stop_sign.config_id, stop_sign.nodes), (CONFIG + 1, vec![1, 4]));
            assert_eq!(stop_sign.digest, Some(digest));
            let leader = Leader::new(Ballot::new(1, 0, 1));
            assert_eq!(stop_sign.skip_prepare_use_leader, Some(leader));
        }
        assert!(cluster.servers[&proposer].outcomes.contains_key(&id));
        // The anchor of the whole, from the StopSign, or from the digests of a whole log.
        let anchor = cluster.get(3).anchor_of_sealed().unwrap();
        let records = cluster.get(3).clone().into_storage().read(0, 4, u64::MAX).unwrap();
        let mut digests = BlockDigests::new(CONFIG);
        digests.push(&records);
        assert_eq!(anchor, digests.anchor());
    }
}

/// A leader that is no voter of the next configuration names nobody.
#[test]
fn a_leader_that_leaves_names_nobody() {
    for learners in [vec![], vec![1]] {
        let mut cluster = Cluster::new(&[1, 2, 3], PaxosConfig::default());
        cluster.lead(1);
        let next = crate::paxos::Reconfiguration::from(vec![2, 3]).with_learners(learners.clone());
        cluster.get(1).propose_reconfiguration(next).unwrap();
        cluster.settle();
        let stop_sign = stop_sign_at(&mut cluster, 2);
        assert_eq!(stop_sign.skip_prepare_use_leader, None);
        assert_eq!(stop_sign.learners, learners);
    }
}

/// What a proposer claims is not believed.
#[test]
fn a_proposer_adds_nothing() {
    let mut lab = Lab::leader(PaxosConfig::default(), ballot(5, ME), &["a"]);
    let claimed = StopSign {
        digest: Some(Digest([9; 32])),
        skip_prepare_use_leader: Some(Leader::new(ballot(9, 2))),
        ..stop_sign()
    };
    let mut builder = RecordsBuilder::new();
    builder.extend(records(1, &["a", "STOP"]).iter().take(1).map(|(id, e)| (id, e.clone())));
    let (id, _) = records(1, &["a", "STOP"]).iter().map(|(id, e)| (id, e.clone())).nth(1).unwrap();
    builder.push(id, Entry::StopSign(Box::new(claimed)));
    lab.get(2, Body::Propose(Propose { proposals: builder.build(), hops: 1 }));
    lab.get(2, accepted(ballot(5, ME), 1, 2, 0));
    let stop_sign = lab.paxos.stop_sign().unwrap();
    assert_eq!(stop_sign.skip_prepare_use_leader, Some(Leader::new(ballot(1, ME))));
    assert_ne!(stop_sign.digest, Some(Digest([9; 32])));
}

/// The digest of a long log takes several turns, in which nothing enters the log; what was digested
/// beforehand is not digested again.
#[test]
fn the_digest_takes_bounded_steps() {
    for beforehand in [false, true] {
        let mut lab = Lab::leader(PaxosConfig::default(), ballot(5, ME), &[]);
        let large = "x".repeat(1 << 20);
        for at in 0..12 {
            let proposal = propose(at + 1, &[large.as_str()]);
            lab.paxos.handle_message(super::lab::message(2, proposal)).unwrap();
            lab.sent();
            lab.get(2, accepted(ballot(5, ME), 1, at + 1, at + 1));
        }
        if beforehand {
            let mut calls = 0;
            while !lab.paxos.digest(3 << 20) {
                calls += 1;
                assert!(calls < 20);
            }
            // Each entry costs a little more than a MiB: three are done each time.
            assert_eq!(calls, 3);
            assert!(lab.paxos.digest(1));
        }
        let sent = lab.get(2, propose(13, &["STOP"]));
        let mut turns = 0;
        let mut entries = count_accepts(&sent);
        while lab.paxos.log_len() < 13 {
            // Late proposals, of whomever, do not get in between.
            lab.get(3, propose(1, &[]));
            lab.paxos.propose_normal("late").unwrap();
            assert_eq!(lab.paxos.log_len(), 12);
            lab.paxos.tick();
            entries += count_accepts(&lab.sent());
            turns += 1;
            assert!(turns < 20);
        }
        assert_eq!(turns > 0, !beforehand, "{turns} turns");
        assert_eq!(entries, 1);
        lab.get(2, accepted(ballot(5, ME), 1, 13, 12));
        let anchor = lab.paxos.anchor_of_sealed().unwrap();
        while !lab.paxos.digest(1 << 20) {}
        let blocks = lab.paxos.blocks();
        assert_eq!(blocks.len(), 13);
        let digest = chain_digest(CONFIG, blocks.iter());
        assert_eq!(anchor, Anchor { end: 13, digest });
    }
}

fn count_accepts(sent: &[(NodeId, Body)]) -> usize {
    let accepts = sent.iter().filter(|(_, body)| matches!(body, Body::Accept(_)));
    accepts.count()
}

/// A leader that goes while its StopSign waits: nothing of it is in the log, and its proposer sends
/// it again.
#[test]
fn a_leader_that_goes_leaves_no_half_of_it() {
    let config = PaxosConfig { max_undecided_bytes: 64 << 20, ..PaxosConfig::default() };
    let mut cluster = Cluster::new(&[1, 2, 3], config);
    cluster.lead(1);
    let large = "x".repeat(1 << 20);
    for _ in 0..9 {
        cluster.propose(2, &large);
        cluster.settle();
    }
    let id = cluster.get(2).propose_reconfiguration(vec![1, 2]).unwrap();
    // Up to the leader, where it waits.
    for _ in 0..2 {
        for pid in [2, 1] {
            cluster.output(pid);
        }
        for message in std::mem::take(&mut cluster.wires) {
            cluster.deliver(message);
        }
    }
    assert_eq!(cluster.get(1).log_len(), 9);
    cluster.lead(3);
    assert_eq!(cluster.get(1).leader(), Some(3));
    cluster.run(20);
    let stop_sign = stop_sign_at(&mut cluster, 1);
    assert_eq!(stop_sign.digest, Some(digest_before(&mut cluster, 2)));
    assert_eq!(stop_sign.skip_prepare_use_leader, None);
    assert_eq!(cluster.servers[&2].outcomes.len(), 10, "{id}");
}

/// After a restart digests begin again, unless what they cover was trimmed.
#[test]
fn where_the_log_was_trimmed_there_is_no_digest() {
    for (digested, restarted) in [(true, false), (true, true), (false, false)] {
        let mut cluster = Cluster::new(&[1, 2, 3], PaxosConfig::default());
        cluster.lead(1);
        for what in ["a", "b", "c"] {
            cluster.propose(1, what);
        }
        cluster.settle();
        cluster.run(60);
        if digested {
            assert!(cluster.get(1).digest(u64::MAX));
        }
        let digest = digest_of(&mut cluster);
        cluster.get(1).trim(2).unwrap();
        cluster.settle();
        if restarted {
            cluster.crash(1);
            cluster.start(1);
            cluster.lead(1);
        }
        cluster.get(1).propose_reconfiguration(vec![1]).unwrap();
        cluster.settle();
        let kept = digested && !restarted;
        assert_eq!(stop_sign_at(&mut cluster, 2).digest, kept.then_some(digest));
        assert_eq!(cluster.get(1).blocks().is_empty(), !kept);
        assert_eq!(cluster.get(1).anchor_of_sealed().is_some(), kept);
        // One that has trimmed nothing can tell.
        assert!(cluster.get(2).digest(u64::MAX));
        assert!(cluster.get(2).anchor_of_sealed().is_some());
    }
}

fn digest_of(cluster: &mut Cluster) -> Digest {
    let storage = cluster.get(2).clone().into_storage();
    let mut digests = BlockDigests::new(CONFIG);
    digests.push(&storage.read(0, 3, u64::MAX).unwrap());
    digests.anchor().digest
}
