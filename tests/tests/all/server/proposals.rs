//! Proposals across configurations.

use crate::server::cluster::{Cluster, WaitDeadline as _, changed, decided};
use crate::server::recorder::LogEntry;
use crate::tcp::recorder::number_of;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_kompact::server::{ProposalError, Seat};
use std::thread::sleep;
use std::time::Duration;

/// The numbers of one proposer, in the order of the log.
fn of(log: &[LogEntry], proposer: NodeId) -> Vec<u64> {
    let numbers = log.iter().filter_map(|entry| match entry {
        LogEntry::Normal(_, data) => Some(number_of(data)),
        LogEntry::StopSign(..) => None,
    });
    numbers.filter(|n| n / 1_000_000 == proposer).collect()
}

#[test]
fn proposals_that_meet_reconfigurations_are_decided_once_and_in_order() {
    const COUNT: u64 = 3000;
    let mut cluster = Cluster::grown(3);
    let four = cluster.stand_by(4);
    let answers = std::thread::scope(|scope| {
        let proposers: Vec<_> = [1, 2, 3]
            .into_iter()
            .map(|pid| {
                let node = cluster.node(pid);
                scope.spawn(move || {
                    let numbers = (0..COUNT).map(|n| pid * 1_000_000 + n);
                    let propose = |n| {
                        if n % 100 == 0 {
                            sleep(Duration::from_millis(10));
                        }
                        (n, node.propose(n))
                    };
                    numbers.map(propose).collect::<Vec<_>>()
                })
            })
            .collect();
        let client = cluster.node(2).client();
        changed(client.add(4, four)).unwrap();
        changed(client.transfer_leadership(3)).unwrap();
        let seats = [3, 1, 2].map(|pid| Seat::voter(pid, None)).to_vec();
        changed(client.reconfigure(seats)).unwrap();
        proposers.into_iter().flat_map(|p| p.join().unwrap()).collect::<Vec<_>>()
    });
    let mut indexes: Vec<(u64, u64)> =
        answers.into_iter().map(|(n, answer)| (decided(n, answer), n)).collect();
    let all = [1, 2, 3].into_iter().flat_map(|p| (0..COUNT).map(move |n| p * 1_000_000 + n));
    let log = cluster.same_log(&[1, 2, 3], all);
    for pid in [1, 2, 3] {
        let expected: Vec<u64> = (0..COUNT).map(|n| pid * 1_000_000 + n).collect();
        assert!(of(&log, pid) == expected, "the order of server {pid}");
    }
    // The answers name the very places in the log.
    indexes.sort_unstable();
    for (index, number) in indexes {
        match &log[index as usize] {
            LogEntry::Normal(_, data) => assert_eq!(number_of(data), number),
            LogEntry::StopSign(..) => panic!("{number} was said to be at {index}"),
        }
    }
}

#[test]
fn a_server_that_was_removed_refuses_proposals() {
    let cluster = Cluster::grown(2);
    cluster.propose(2, 0..10);
    changed(cluster.node(1).client().remove(2)).unwrap();
    cluster.propose(1, 10..20);
    cluster.removed(2);
    let refused = cluster.node(2).propose(99).wait_deadline();
    assert_eq!(refused, Err(ProposalError::NotMember { config_id: 3 }));
}

#[test]
fn entries_are_read_by_their_global_index() {
    let mut cluster = Cluster::grown(1);
    cluster.propose(1, 0..10);
    cluster.join(2);
    cluster.propose(2, 10..20);
    cluster.same_log(&[1, 2], 0..20);
    for pid in [1, 2] {
        let (mut at, mut read) = (0, Vec::new());
        while at < 21 {
            let slice = cluster.node(pid).client().read(at).wait_deadline().unwrap();
            assert_eq!(slice.index, at);
            at += slice.entries.len() as u64;
            read.extend(slice.entries);
        }
        assert_eq!(read.len(), 21);
        assert!(read[10].is_stop_sign());
        let beyond = cluster.node(pid).client().read(21).wait_deadline();
        assert!(beyond.is_err());
    }
}
