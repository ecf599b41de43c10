//! The stream of all configurations: where it begins, how fast it goes, and on how few threads.

use crate::server::cluster::{Cluster, Node, QUICK, changed};
use crate::tcp::cluster::{TOML, eventually};
use omnipaxos_kompact::server::{LogRequest, Start};
use std::collections::BTreeMap;

#[test]
fn a_restarted_server_is_told_the_log_from_where_its_user_was() {
    let mut cluster = Cluster::grown(1);
    cluster.propose(1, 0..100);
    cluster.join(2);
    cluster.propose(2, 100..200);
    cluster.same_log(&[1, 2], 0..200);
    // Entry 100 is the StopSign.
    for (from, first) in [(0, 0), (50, 50), (150, 149), (201, 200)] {
        let remains = cluster.kill(2);
        cluster.add(remains.restart_from(from));
        cluster.propose(1, 200 + from..201 + from);
        let records = &cluster.node(2).records;
        let number = 200 + from;
        eventually("the rest of the log", || records.numbers().last() == Some(&number));
        assert_eq!(records.lock().first, Some(from));
        assert_eq!(records.numbers()[0], first);
    }
}

#[test]
fn a_slow_user_is_told_no_more_than_it_asked_for() {
    let mut cluster = Cluster::default();
    let start = Start::Bootstrap { servers: BTreeMap::new() };
    cluster.add(Node::paced(1, start, 800));
    cluster.propose(1, 0..1000);
    let node = cluster.node(1);
    let mut confirmed = 0;
    while confirmed < 1000 {
        eventually("something new", || node.records.len() > confirmed);
        // One batch may exceed the pace; then nothing comes.
        let told = node.records.len();
        std::thread::sleep(std::time::Duration::from_millis(20));
        if confirmed > 0 {
            assert!(node.records.len() - confirmed <= 1000);
        }
        assert!(node.records.len() == told || told - confirmed < 10);
        confirmed = node.records.len();
        node.request(LogRequest::Confirm { index: confirmed as u64 });
    }
    assert_eq!(node.records.numbers(), (0..1000).collect::<Vec<_>>());
}

#[test]
fn one_thread_is_enough() {
    let toml = format!("{TOML}{QUICK}").replace("threads = 2", "threads = 1");
    let mut cluster = Cluster::default();
    let start = Start::Bootstrap { servers: BTreeMap::new() };
    cluster.add(Node::start_on(1, start, toml.clone()));
    for pid in 2..=3 {
        let contact = cluster.any().address();
        let role = Some(omnipaxos_core::configurations::Role::Voter);
        cluster.add(Node::start_on(pid, Start::Join { contact, role }, toml.clone()));
        cluster.takes_part(pid, pid);
    }
    cluster.propose(3, 0..1000);
    cluster.same_log(&[1, 2, 3], 0..1000);
    changed(cluster.node(1).client().remove(1)).unwrap();
    cluster.propose(2, 1000..1010);
    cluster.same_log(&[2, 3], 0..1010);
}

#[test]
fn a_server_that_is_stopped_leaves_its_storage_and_its_system_goes_on() {
    let mut cluster = Cluster::grown(3);
    cluster.propose(1, 0..10);
    let node = cluster.nodes.remove(&3).unwrap().stop_and_start();
    cluster.add(node);
    cluster.propose(3, 10..20);
    cluster.same_log(&[1, 2, 3], 0..20);
}
