//! Servers that die, come back, or are cut off.

use crate::tcp::cluster::{
    Cluster, DEADLINE, MemoryStorage, Server, decided, eventually, loopback, memory,
};
use crate::tcp::recorder::payload;
use kompact::prelude::BlockingFutureExt as _;
use omnipaxos_core::storage::{PaxosState as _, Storage};
use omnipaxos_kompact::counters::DropReason;

#[test]
fn the_survivors_go_on_without_their_leader() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    cluster.propose(leader, 0..100);
    cluster.same_log(100);
    cluster.kill(leader);
    let survivor = cluster.any().pid;
    cluster.propose(survivor, 100..200);
    assert_eq!(cluster.same_log(200), (0..200).collect::<Vec<_>>());
    assert_ne!(cluster.leader(), leader);
}

#[test]
fn a_server_comes_back_with_its_storage_at_another_address() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    cluster.propose(leader, 0..100);
    cluster.same_log(100);
    let remains = cluster.kill(leader);
    let survivor = cluster.any().pid;
    cluster.propose(survivor, 100..200);
    cluster.restart(leader, &[1, 2, 3], remains.elsewhere());
    cluster.propose(leader, 200..300);
    assert_eq!(cluster.same_log(300), (0..300).collect::<Vec<_>>());
}

#[test]
fn all_servers_come_back_with_their_storage() {
    let mut cluster = Cluster::start(3);
    cluster.propose(cluster.leader(), 0..100);
    cluster.same_log(100);
    let killed: Vec<_> = (1..=3).map(|pid| (pid, cluster.kill(pid))).collect();
    for (pid, remains) in killed {
        cluster.restart(pid, &[1, 2, 3], remains.elsewhere());
    }
    cluster.propose(2, 100..200);
    assert_eq!(cluster.same_log(200), (0..200).collect::<Vec<_>>());
}

#[test]
fn a_replica_is_stopped_and_started_again_in_the_same_system() {
    let mut cluster = Cluster::start(3);
    let follower = cluster.a_follower();
    cluster.propose(follower, 0..50);
    let server = cluster.servers.get_mut(&follower).unwrap();
    let member = server.members.remove(&1).unwrap();
    let client = member.handle.client().clone();
    let storage = member.handle.stop(&server.system).unwrap();
    drop(member.recorder);
    assert!(kompact::prelude::BlockingFutureExt::wait(client.status()).is_err());
    server.join(1, &[1, 2, 3], storage);
    cluster.propose(follower, 50..100);
    assert_eq!(cluster.same_log(100), (0..100).collect::<Vec<_>>());
}

#[test]
fn an_isolated_leader_is_replaced_and_catches_up() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader();
    cluster.propose(leader, 0..100);
    cluster.same_log(100);
    cluster.isolate(leader, true);
    // Lost with the partition or decided after it, but never twice.
    let stranded = cluster.server(leader).propose(999);
    let other = *cluster.servers.keys().find(|pid| **pid != leader).unwrap();
    eventually("the others have another leader", || {
        let elected = cluster.server(other).leader();
        elected.is_some_and(|pid| pid != leader)
    });
    cluster.propose(other, 100..200);
    cluster.isolate(leader, false);
    decided(stranded);
    let log = cluster.same_log(201);
    assert_eq!(log.iter().filter(|n| **n == 999).count(), 1);
    cluster.propose(leader, 200..210);
    cluster.same_log(211);
}

#[test]
fn chained_servers_decide() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader();
    let others: Vec<_> = (1..=3).filter(|pid| *pid != leader).collect();
    cluster.link(leader, others[1], true);
    // others[1] hears others[0] only, which hears both.
    cluster.propose(others[1], 0..50);
    cluster.propose(leader, 50..100);
    cluster.link(leader, others[1], false);
    cluster.same_log(100);
}

#[test]
fn links_heal_after_kills_under_load() {
    let mut cluster = Cluster::start(3);
    let proposer = cluster.leader();
    let victim = cluster.a_follower();
    let mut next = 0;
    for _ in 0..5 {
        let server = cluster.server(proposer);
        let load: Vec<_> = (next..next + 500)
            .map(|n| {
                let mut payload = payload(n).to_vec();
                payload.resize(8 << 10, 0);
                server.client().propose(payload)
            })
            .collect();
        next += 500;
        let sent = server.router.paxos_counters().clone();
        let before = sent.sent();
        eventually("the load is on its way", || sent.sent() >= before + 20);
        let killed = cluster.kill(victim);
        for answer in load {
            decided(answer);
        }
        cluster.restart(victim, &[1, 2, 3], killed);
        // Its answer shows that both directions of both its links work again.
        cluster.propose(victim, next..next + 1);
        next += 1;
        assert_eq!(cluster.same_log(next as usize).len() as u64, next);
    }
    let counters = cluster.server(victim).router.paxos_counters();
    assert_eq!(counters.dropped(DropReason::Undecodable), 0);
}

#[test]
fn a_server_without_an_address_is_counted_and_reached_once_it_has_one() {
    let mut cluster = Cluster::without_replicas(0);
    for pid in 1..=3 {
        let server = Server::start(pid, loopback());
        cluster.servers.insert(pid, server);
    }
    for server in cluster.servers.values_mut() {
        server.join(1, &[1, 2, 3], memory());
    }
    let counters = cluster.server(1).router.heartbeat_counters().clone();
    eventually("heartbeats to nowhere", || counters.dropped(DropReason::NoAddress) > 0);
    for server in std::mem::take(&mut cluster.servers).into_values() {
        cluster.add(server);
    }
    cluster.propose(1, 0..10);
    assert_eq!(cluster.same_log(10), (0..10).collect::<Vec<_>>());
}

/// The storage as its backend would find it after its last flush went missing.
fn suspect(storage: MemoryStorage) -> MemoryStorage {
    let (log, mut kept) = storage.into_parts();
    let mut state = kept.load().unwrap().unwrap_or_default();
    state.recovering = true;
    kept.store(&state).unwrap();
    Storage::with(log, kept)
}

#[test]
fn a_server_with_suspect_storage_votes_again_once_the_others_have_synchronised_it() {
    let mut cluster = Cluster::start(3);
    cluster.propose(1, 0..10);
    let leader = cluster.leader();
    // The one that leads, and another one.
    for pid in [leader, leader % 3 + 1] {
        let mut remains = cluster.kill(pid).elsewhere();
        let storages = remains.storages.into_iter();
        remains.storages = storages.map(|(id, storage)| (id, suspect(storage))).collect();
        cluster.restart(pid, &[1, 2, 3], remains);
        let status = || {
            let answer = cluster.server(pid).client().status().wait_timeout(DEADLINE);
            answer.unwrap().unwrap()
        };
        eventually("it votes again", || status().recovery.is_none());
        cluster.propose(pid, [pid * 100].into_iter());
    }
    cluster.same_log(12);
}
