//! However much a server lacks, little is on its way to it: nothing larger than a chunk is ever in
//! a message, and between two servers there is one at a time.

use super::cluster::Cluster;
use super::lab::tiny;
use crate::ballot::NodeId;
use std::collections::BTreeMap;

const CHUNK: u64 = 1000;
const ENTRIES: u64 = 1000;

/// Servers of which `away` were down while the others decided a log of many chunks.
fn lagging(servers: &[NodeId], away: &[NodeId]) -> Cluster {
    let config = crate::paxos::PaxosConfig { sync_chunk_bytes: CHUNK, ..tiny() };
    let mut cluster = Cluster::new(servers, config);
    for pid in away {
        cluster.crash(*pid);
    }
    cluster.lead(1);
    for at in 0..ENTRIES {
        cluster.propose(1, &format!("{at:020}"));
    }
    cluster.settle();
    assert_eq!(cluster.get(1).decided_index(), ENTRIES);
    cluster
}

/// Delivers everything, round by round; returns the most bytes of entries that were in one message,
/// and between two servers at once.
fn most_under_way(cluster: &mut Cluster) -> (u64, u64) {
    let (mut message_most, mut link_most) = (0, 0);
    loop {
        for pid in cluster.pids() {
            cluster.output(pid);
        }
        let wires = std::mem::take(&mut cluster.wires);
        if wires.is_empty() {
            return (message_most, link_most);
        }
        let mut links = BTreeMap::new();
        for mut message in wires {
            if let Some(records) = message.take_records() {
                message_most = message_most.max(records.cost());
                *links.entry((message.from, message.to)).or_default() += records.cost();
                message.put_records(records);
            }
            cluster.deliver(message);
        }
        link_most = links.into_values().fold(link_most, u64::max);
    }
}

fn is_flat(cluster: &mut Cluster, laggards: &[NodeId]) {
    let (message, link) = most_under_way(cluster);
    for pid in laggards {
        assert_eq!(cluster.get(*pid).decided_index(), ENTRIES, "server {pid}");
    }
    assert!(message <= CHUNK, "{message} bytes in one message");
    assert!(link <= CHUNK, "{link} bytes between two servers");
    // The log came in chunks, not in single entries.
    assert!(message > CHUNK / 2, "{message} bytes in the largest message");
}

#[test]
fn a_follower_that_lags_fetches_chunk_by_chunk() {
    let mut cluster = lagging(&[1, 2, 3], &[3]);
    cluster.start(3);
    is_flat(&mut cluster, &[3]);
}

#[test]
fn so_do_two_at_once() {
    let mut cluster = lagging(&[1, 2, 3, 4, 5], &[4, 5]);
    cluster.start(4);
    cluster.start(5);
    is_flat(&mut cluster, &[4, 5]);
}

#[test]
fn so_does_one_that_has_to_lead() {
    let mut cluster = lagging(&[1, 2, 3, 4, 5], &[5]);
    cluster.crash(1);
    for one in 2..=4 {
        for other in (2..=4).filter(|other| *other != one) {
            cluster.cut.insert((one, other));
        }
    }
    cluster.start(5);
    cluster.elect(5);
    is_flat(&mut cluster, &[5]);
    assert!(cluster.get(5).is_leader());
}
