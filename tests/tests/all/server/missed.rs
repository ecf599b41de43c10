//! Servers that were away while the cluster went on.

use crate::server::cluster::{Cluster, changed};
use crate::tcp::cluster::eventually;
use omnipaxos_kompact::server::Seat;

#[test]
fn a_server_that_missed_two_reconfigurations_joins_the_third_configuration() {
    let mut cluster = Cluster::grown(4);
    cluster.propose(1, 0..100);
    let remains = cluster.kill(4);
    let five = cluster.stand_by(5);
    changed(cluster.node(1).client().add(5, five)).unwrap();
    cluster.propose(5, 100..200);
    changed(cluster.node(2).client().remove(1)).unwrap();
    cluster.propose(3, 200..300);
    cluster.add(remains.restart());
    cluster.takes_part(4, 6);
    cluster.propose(4, 300..310);
    cluster.same_log(&[2, 3, 4, 5], 0..310);
}

#[test]
fn a_server_that_was_removed_while_it_was_away_retires() {
    let mut cluster = Cluster::grown(4);
    cluster.propose(1, 0..100);
    let remains = cluster.kill(4);
    changed(cluster.node(1).client().remove(4)).unwrap();
    cluster.propose(2, 100..200);
    let five = cluster.stand_by(5);
    changed(cluster.node(2).client().add(5, five)).unwrap();
    cluster.add(remains.restart());
    let records = &cluster.node(4).records;
    eventually("it retires", || records.lock().retired);
    // And is silent after another restart, which it remembers.
    let again = cluster.kill(4).restart();
    eventually("it is still retired", || again.records.lock().retired);
    cluster.add(again);
    // It may come back.
    let address = cluster.node(4).address();
    changed(cluster.node(1).client().add(4, address)).unwrap();
    cluster.takes_part(4, 7);
    cluster.propose(4, 200..210);
    cluster.same_log(&[1, 2, 3, 5, 4], 0..210);
}

#[test]
fn a_server_that_is_somewhere_else_after_a_restart_is_found() {
    let mut cluster = Cluster::grown(3);
    cluster.propose(1, 0..10);
    let remains = cluster.kill(3).elsewhere();
    cluster.add(remains.restart());
    cluster.propose(3, 10..20);
    cluster.same_log(&[1, 2, 3], 0..20);
}

#[test]
fn a_member_that_is_far_behind_is_brought_up_by_all_the_others() {
    const SETTINGS: &str = "catch-up = 65536\nsegment = 16384\n";
    let mut cluster = Cluster::grown_with(3, SETTINGS);
    cluster.propose(1, 0..100);
    let away = *cluster.nodes.keys().find(|pid| **pid != cluster.leader()).unwrap();
    let remains = cluster.kill(away);
    let other = *cluster.nodes.keys().next().unwrap();
    cluster.propose(other, 100..30_000);
    cluster.add(remains.restart());
    cluster.propose(away, 30_000..30_010);
    cluster.same_log(&[1, 2, 3], 0..30_010);
    let migrated = &cluster.node(away).records.lock().migrated;
    let fetched =
        migrated.iter().filter(|(config_id, ..)| *config_id == 3).map(|(_, have, _)| have);
    assert!(fetched.max().is_some_and(|have| *have > 10_000), "{migrated:?}");
}

#[test]
fn all_servers_are_restarted_in_the_middle_of_a_reconfiguration() {
    let mut cluster = Cluster::grown(3);
    cluster.propose(1, 0..5000);
    let mut seats = vec![Seat::voter(1, None)];
    seats.extend((4..=5).map(|pid| Seat::voter(pid, Some(cluster.stand_by(pid)))));
    let answer = cluster.node(2).client().reconfigure(seats);
    let records = cluster.node(2).records.clone();
    eventually("the StopSign is decided somewhere", || {
        records.log().last().is_some_and(|e| e.is_stop_sign_of(3))
    });
    drop(answer);
    let remains: Vec<_> = (1..=5).map(|pid| cluster.kill(pid)).collect();
    for remains in remains {
        cluster.add(remains.restart());
    }
    for pid in [1, 4, 5] {
        cluster.takes_part(pid, 4);
    }
    cluster.propose(5, 5000..5010);
    cluster.same_log(&[1, 4, 5], 0..5010);
    for pid in [2, 3] {
        let records = &cluster.node(pid).records;
        eventually("the old ones retire", || records.lock().retired);
    }
}
