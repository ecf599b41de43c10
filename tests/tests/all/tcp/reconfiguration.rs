//! From one configuration to the next, both on the same routers.

use crate::tcp::cluster::{Cluster, DEADLINE, Server, eventually, memory};
use kompact::prelude::*;
use omnipaxos_core::paxos::ProposeError;
use omnipaxos_kompact::counters::DropReason;
use omnipaxos_kompact::ports::{ProposalFailure, RouterEvent, RouterEventPort};
use std::sync::{Arc, Mutex};

#[test]
fn a_decided_stop_sign_leads_to_the_next_configuration() {
    let mut cluster = Cluster::without_replicas(4);
    for pid in 1..=3 {
        let server = cluster.servers.get_mut(&pid).unwrap();
        server.join(1, &[1, 2, 3], memory());
    }
    let client = cluster.server(1).client().clone();
    for n in 0..50 {
        crate::tcp::cluster::decided(client.propose(crate::tcp::recorder::payload(n)));
    }
    let index = crate::tcp::cluster::decided(client.propose_reconfiguration(vec![1, 2, 4]));
    assert_eq!(index, 50);
    let refused = client.propose("late").wait_timeout(DEADLINE);
    assert!(matches!(
        refused,
        Ok(Err(ProposalFailure::Refused(
            ProposeError::Sealed { config_id: 2 } | ProposeError::Reconfiguring { config_id: 2 }
        )))
    ));
    for pid in 1..=3 {
        let records = cluster.server(pid).member().records.clone();
        eventually("the StopSign at all servers", || records.lock().stop_sign.is_some());
        assert_eq!(records.numbers(), (0..50).collect::<Vec<_>>());
        let stop_sign = records.lock().stop_sign.clone().unwrap();
        assert_eq!(stop_sign.config_id, 2);
        assert_eq!(stop_sign.nodes, vec![1, 2, 4]);
    }
    for pid in [1, 2, 4] {
        let server = cluster.servers.get_mut(&pid).unwrap();
        server.join(2, &[1, 2, 4], memory());
    }
    cluster.propose(4, 50..100);
    for pid in [1, 2, 4] {
        let server = cluster.server(pid);
        eventually("the next log", || server.numbers().len() == 50);
        assert_eq!(server.numbers(), (50..100).collect::<Vec<_>>());
    }
    // The old replicas still answer.
    let old = cluster.server(2).members[&1].handle.client();
    let batch = old.read_decided(0, 100).wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(batch.entries.len(), 51);
}

#[derive(ComponentDefinition)]
struct Watcher {
    ctx: ComponentContext<Self>,
    events: RequiredPort<RouterEventPort>,
    seen: Arc<Mutex<Vec<RouterEvent>>>,
}

impl ComponentLifecycle for Watcher {}

impl Actor for Watcher {
    type Message = Never;

    fn receive_local(&mut self, message: Never) -> HandlerResult {
        match message {}
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        Handled::OK
    }
}

impl Require<RouterEventPort> for Watcher {
    fn handle(&mut self, event: RouterEvent) -> HandlerResult {
        self.seen.lock().unwrap().push(event);
        Handled::OK
    }
}

type Seen = Arc<Mutex<Vec<RouterEvent>>>;

fn watch(server: &Server) -> Seen {
    let seen = Seen::default();
    let of_watcher = Arc::clone(&seen);
    let watcher = server.system.create(move || Watcher {
        ctx: ComponentContext::uninitialised(),
        events: RequiredPort::uninitialised(),
        seen: of_watcher,
    });
    server.router.subscribe(&watcher);
    server.system.start(&watcher);
    seen
}

/// Servers 1 and 2 start a configuration of which server 3 knows nothing.
fn is_told(cluster: &mut Cluster) {
    let seen = watch(cluster.server(3));
    for pid in 1..=2 {
        let server = cluster.servers.get_mut(&pid).unwrap();
        server.join(9, &[1, 2, 3], memory());
    }
    let expected = RouterEvent::UnregisteredConfiguration { config_id: 9, from: 1 };
    eventually("the event", || seen.lock().unwrap().contains(&expected));
}

#[test]
fn a_server_is_told_of_a_configuration_that_it_does_not_run() {
    let mut cluster = Cluster::start(3);
    cluster.leader();
    is_told(&mut cluster);
    let counters = cluster.server(3).router.paxos_counters();
    eventually("dropped messages", || counters.dropped(DropReason::Configuration) > 0);
}

#[test]
fn a_server_that_nobody_knows_yet_is_told_as_well() {
    is_told(&mut Cluster::without_replicas(3));
}
