//! Who leads.

use crate::tcp::cluster::{Cluster, eventually, memory};
use kompact::prelude::*;
use omnipaxos_core::leader_election::{Ballot, Leader};
use omnipaxos_kompact::ports::{ElectionRequest, LeaderElectionPort};
use omnipaxos_kompact::spawn::{PreparedReplica, ReplicaSpec};
use std::sync::{Arc, Mutex};

#[test]
fn a_higher_priority_takes_the_leadership_over() {
    let cluster = Cluster::start(3);
    let follower = cluster.a_follower();
    cluster.propose(follower, 0..10);
    cluster.server(follower).client().set_priority(5);
    eventually("the follower leads", || {
        cluster.servers.values().all(|s| s.leader() == Some(follower))
    });
    cluster.propose(follower, 10..20);
    assert_eq!(cluster.same_log(20), (0..20).collect::<Vec<_>>());
}

/// Names one leader for ever, and writes down what the replica reports.
#[derive(ComponentDefinition)]
struct FixedElection {
    ctx: ComponentContext<Self>,
    port: ProvidedPort<LeaderElectionPort>,
    ballot: Ballot,
    reports: Arc<Mutex<Vec<ElectionRequest>>>,
}

impl ComponentLifecycle for FixedElection {
    fn on_start(&mut self) -> HandlerResult {
        self.port.trigger(Leader::new(self.ballot));
        Handled::OK
    }
}

impl Actor for FixedElection {
    type Message = Never;

    fn receive_local(&mut self, message: Never) -> HandlerResult {
        match message {}
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        Handled::OK
    }
}

impl Provide<LeaderElectionPort> for FixedElection {
    fn handle(&mut self, request: ElectionRequest) -> HandlerResult {
        self.reports.lock().unwrap().push(request);
        Handled::OK
    }
}

#[test]
fn another_election_can_be_plugged_in() {
    let cluster = Cluster::without_replicas(3);
    let ballot = Ballot::new(7, 0, 2);
    let mut running = Vec::new();
    for server in cluster.servers.values() {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let of_election = Arc::clone(&reports);
        let election = server.system.create(move || FixedElection {
            ctx: ComponentContext::uninitialised(),
            port: ProvidedPort::uninitialised(),
            ballot,
            reports: of_election,
        });
        let spec = ReplicaSpec::new(1, vec![1, 2, 3], memory());
        let (system, router) = (&server.system, &server.router);
        let prepared =
            PreparedReplica::prepare_with_election(system, router, spec, &election).unwrap();
        let (recorder, records) = server.recorder();
        prepared.subscribe(&recorder);
        let handle = prepared.start(system).unwrap();
        system.start(&election);
        running.push((handle, recorder, records, reports));
    }
    let answers: Vec<_> =
        (0..100).map(|n| running[0].0.client().propose(crate::tcp::recorder::payload(n))).collect();
    for answer in answers {
        crate::tcp::cluster::decided(answer);
    }
    for (pid, (_, _, records, reports)) in (1..).zip(&running) {
        eventually("all entries", || records.numbers().len() == 100);
        eventually("they follow server 2", || records.lock().leader == Some(2));
        let mut expected = vec![ElectionRequest::Promised(ballot)];
        if pid == ballot.pid {
            expected.push(ElectionRequest::Prepared(ballot));
        }
        eventually("promises are reported", || *reports.lock().unwrap() == expected);
    }
}
