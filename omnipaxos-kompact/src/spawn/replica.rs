//! A replica of one configuration, with its election, wired and started.

use super::{PATIENCE, ReplicaClient, RouterHandle, SpawnError, connect, wait};
use crate::components::{
    FlushMode, LeaderElectionComponent, Outcome, ReplicaComponent, ReplicaHealth, ReplicaOptions,
    RoundTrips,
};
use crate::identity::{MembersError, StorageId};
use crate::ports::{DecidedPort, LeaderElectionPort};
use kompact::prelude::*;
use omnipaxos_core::Quorum;
use omnipaxos_core::leader_election::{Ballot, BallotLeaderElection, Leader, NodeId};
use omnipaxos_core::paxos::{CatchUpLimit, Paxos};
use omnipaxos_core::storage::{ConfigId, PaxosState, Sequence, Storage};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use thiserror::Error;

/// What a replica needs beside what its server's router knows.
#[derive(Debug)]
pub struct ReplicaSpec<S, P> {
    config_id: ConfigId,
    nodes: Vec<NodeId>,
    learners: Vec<NodeId>,
    members: Option<BTreeMap<NodeId, StorageId>>,
    storage: Storage<S, P>,
    quorum: Option<Quorum>,
    read_from: Option<u64>,
    flush: FlushMode,
    outcomes: Option<Recipient<Outcome>>,
    catch_up: Option<CatchUpLimit>,
    continued: Option<Leader>,
}

impl<S, P> ReplicaSpec<S, P> {
    /// The replica of configuration `config_id`, in which the servers `nodes` vote, over `storage`.
    #[must_use]
    pub fn new(config_id: ConfigId, nodes: Vec<NodeId>, storage: Storage<S, P>) -> Self {
        Self {
            config_id,
            nodes,
            learners: Vec::new(),
            members: None,
            storage,
            quorum: None,
            read_from: None,
            flush: FlushMode::Auto,
            outcomes: None,
            catch_up: None,
            continued: None,
        }
    }

    /// The servers of the configuration that get the log and do not vote, this one perhaps among
    /// them; the same at all its servers.
    #[must_use]
    pub fn learners(mut self, learners: Vec<NodeId>) -> Self {
        self.learners = learners;
        self
    }

    /// The storages of all servers of the configuration, where they are a decided fact, for
    /// instance because the StopSign before it names them: then nobody needs to be introduced, and
    /// servers that are down do not keep the others from taking part.
    #[must_use]
    pub fn members(mut self, members: BTreeMap<NodeId, StorageId>) -> Self {
        self.members = Some(members);
        self
    }

    /// Other quorums than majorities; the same at all servers of the configuration.
    #[must_use]
    pub fn quorum(mut self, quorum: Quorum) -> Self {
        self.quorum = Some(quorum);
        self
    }

    /// The index from which decided entries are indicated; the first retained one otherwise.
    #[must_use]
    pub fn read_from(mut self, index: u64) -> Self {
        self.read_from = Some(index);
        self
    }

    /// Beyond how much the replica does not let its leader bring it up, but says so
    /// ([`ReplicaEvent::Behind`](crate::ports::ReplicaEvent::Behind)) and waits for the records
    /// ([`ReplicaMessage::LearnDecided`](crate::components::ReplicaMessage::LearnDecided)).
    #[must_use]
    pub fn catch_up(mut self, limit: CatchUpLimit) -> Self {
        self.catch_up = Some(limit);
        self
    }

    /// The leader that the StopSign before this configuration names, the same at all its servers:
    /// it leads at once, without an election (protocol line C5).
    #[must_use]
    pub fn continued(mut self, leader: Option<Leader>) -> Self {
        self.continued = leader;
        self
    }

    /// Who is told what becomes of proposals that come with a token.
    #[must_use]
    pub fn outcomes_to(mut self, recipient: Recipient<Outcome>) -> Self {
        self.outcomes = Some(recipient);
        self
    }

    /// Where flushes run.
    #[must_use]
    pub fn flush(mut self, mode: FlushMode) -> Self {
        self.flush = mode;
        self
    }
}

/// A replica that is wired but does not run yet: subscribe now, and nothing is missed.
pub struct PreparedReplica<S, P>
where
    S: Sequence + Send + 'static,
    P: PaxosState + Send + 'static,
    P::Commit: Send + 'static,
{
    handle: ReplicaHandle<S, P>,
    nodes: Vec<NodeId>,
    members: Option<BTreeMap<NodeId, StorageId>>,
}

/// A replica that runs. Dropping it leaves the replica running.
pub struct ReplicaHandle<S, P>
where
    S: Sequence + Send + 'static,
    P: PaxosState + Send + 'static,
    P::Commit: Send + 'static,
{
    config_id: ConfigId,
    router: RouterHandle,
    replica: Arc<Component<ReplicaComponent<S, P>>>,
    election: Option<Arc<Component<LeaderElectionComponent>>>,
    client: ReplicaClient,
}

/// Why a replica did not stop cleanly.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StopError {
    /// Its storage was taken before.
    #[error("the storage of the replica was taken before")]
    NoStorage,
    /// A component is still busy.
    #[error("a component was still busy after {PATIENCE:?}")]
    Timeout,
}

impl<S, P> PreparedReplica<S, P>
where
    S: Sequence + Send + 'static,
    P: PaxosState + Send + 'static,
    P::Commit: Send + 'static,
{
    /// Opens the storage, creates a replica and its election, and connects them to each other and
    /// to `router`. Not to be called inside a component.
    ///
    /// # Errors
    /// [`SpawnError`], for instance where this server is no member or its storage cannot be opened.
    pub fn prepare(
        system: &KompactSystem,
        router: &RouterHandle,
        spec: ReplicaSpec<S, P>,
    ) -> Result<Self, SpawnError> {
        let (config_id, pid, quorum) = (spec.config_id, router.pid(), spec.quorum);
        let voters = spec.nodes.clone();
        let continued = spec.continued.map(|leader| leader.ballot);
        let (mut prepared, promised, mut peers) = Self::without_election(system, router, spec)?;
        if !voters.contains(&pid) {
            // A learner elects nobody: it hears from whoever leads.
            return Ok(prepared);
        }
        peers.retain(|peer| voters.contains(peer));
        let mut config = router.config().election(promised);
        config.quorum = quorum;
        // Its owner stands in it where its replica leads in it already.
        let leads = prepared.handle.replica.on_definition(|replica| replica.is_leader());
        config.continued = continued.filter(|ballot| leads && *ballot == promised);
        let ble = BallotLeaderElection::with(config_id, pid, peers, config)?;
        let (tick, patience) = (router.config().tick, router.config().election_timeout);
        let health = prepared.health();
        let election = system.create(move || {
            LeaderElectionComponent::new(config_id, pid, ble, tick).watching(health, patience)
        });
        router.connect_election(&election);
        connect::<LeaderElectionPort, _, _>(&election, &prepared.handle.replica);
        prepared.handle.election = Some(election);
        Ok(prepared)
    }

    /// As [`prepare`](Self::prepare), with an election of the user's own, which starts and stops
    /// it.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn prepare_with_election<E>(
        system: &KompactSystem,
        router: &RouterHandle,
        spec: ReplicaSpec<S, P>,
        election: &Arc<Component<E>>,
    ) -> Result<Self, SpawnError>
    where
        E: ComponentDefinition
            + Provide<LeaderElectionPort>
            + ProvideRef<LeaderElectionPort>
            + 'static,
    {
        let (prepared, ..) = Self::without_election(system, router, spec)?;
        connect::<LeaderElectionPort, _, _>(election, &prepared.handle.replica);
        Ok(prepared)
    }

    /// A replica connected to the router only, its promise, and its peers.
    fn without_election(
        system: &KompactSystem,
        router: &RouterHandle,
        spec: ReplicaSpec<S, P>,
    ) -> Result<(Self, Ballot, Vec<NodeId>), SpawnError> {
        let (config_id, pid) = (spec.config_id, router.pid());
        let nodes = [spec.nodes, spec.learners.clone()].concat();
        let mut peers = nodes.clone();
        match peers.iter().position(|node| *node == pid) {
            Some(at) => peers.remove(at),
            None => return Err(SpawnError::NotMember { pid, config_id }),
        };
        if let Some(members) = &spec.members {
            let sorted: BTreeSet<NodeId> = nodes.iter().copied().collect();
            if !members.keys().eq(&sorted) {
                let members = members.keys().copied().collect();
                return Err(MembersError::OtherNodes { members, nodes }.into());
            }
        }
        let mut config = router.config().paxos();
        config.quorum = spec.quorum;
        config.learners = spec.learners;
        config.read_from = spec.read_from;
        config.catch_up = spec.catch_up;
        config.continued = spec.continued;
        let paxos = Paxos::try_with(config_id, pid, peers.clone(), spec.storage, config)?;
        let promised = paxos.promised();
        let options = ReplicaOptions {
            tick: router.config().tick,
            batch_bytes: router.config().decided_batch,
            flush: spec.flush,
        };
        let (read_from, outcomes) = (spec.read_from, spec.outcomes);
        let replica = system
            .create(move || ReplicaComponent::new(paxos, read_from, options).outcomes_to(outcomes));
        router.connect_replica(&replica);
        let handle = ReplicaHandle {
            config_id,
            router: router.clone(),
            client: ReplicaClient::new(replica.actor_ref()).bounded(router.config().max_pending),
            replica,
            election: None,
        };
        Ok((Self { handle, nodes, members: spec.members }, promised, peers))
    }

    /// Whether the replica is fit to lead. An election of the user's own should look at it: a
    /// replica that is stuck in a flush cannot say so.
    #[must_use]
    pub fn health(&self) -> ReplicaHealth {
        self.handle.replica.on_definition(|replica| replica.health())
    }

    /// Connects a subscriber, whose indications will start with the first entry.
    pub fn subscribe<C>(&self, subscriber: &Arc<Component<C>>) -> u64
    where
        C: ComponentDefinition + Require<DecidedPort> + RequireRef<DecidedPort> + 'static,
    {
        self.handle.subscribe(subscriber)
    }

    /// Lets the replica run. It takes part once it and the other members know each other:
    /// [`Admission`](crate::identity::Admission).
    ///
    /// # Errors
    /// [`SpawnError::Members`] where the members that were given cannot be, and
    /// [`SpawnError::Timeout`] where a component does not answer.
    pub fn start(self, system: &KompactSystem) -> Result<ReplicaHandle<S, P>, SpawnError> {
        let Self { handle, nodes, members } = self;
        // First of all: what arrives before the components run waits for them.
        match members {
            Some(members) => handle.router.register_members(handle.config_id, &members)?,
            None => handle.router.register(handle.config_id, &nodes)?,
        }
        wait(system.start_notify(&handle.replica), "starting a replica")?;
        if let Some(election) = &handle.election {
            wait(system.start_notify(election), "starting an election")?;
        }
        Ok(handle)
    }
}

impl<S, P> ReplicaHandle<S, P>
where
    S: Sequence + Send + 'static,
    P: PaxosState + Send + 'static,
    P::Commit: Send + 'static,
{
    /// Spawns a replica and its election, wires and starts them. Not to be called inside a
    /// component.
    ///
    /// # Errors
    /// [`SpawnError`], for instance where this server is no member or its storage cannot be opened.
    pub fn spawn(
        system: &KompactSystem,
        router: &RouterHandle,
        spec: ReplicaSpec<S, P>,
    ) -> Result<Self, SpawnError> {
        PreparedReplica::prepare(system, router, spec)?.start(system)
    }

    /// The configuration.
    #[must_use]
    pub fn config_id(&self) -> ConfigId {
        self.config_id
    }

    /// Asks this replica: proposals, reads, status.
    #[must_use]
    pub fn client(&self) -> &ReplicaClient {
        &self.client
    }

    /// How long heartbeats take to be answered; `None` for a learner, and where the election is the
    /// user's own.
    #[must_use]
    pub fn round_trips(&self) -> Option<RoundTrips> {
        let election = self.election.as_ref()?;
        Some(election.on_definition(|election| election.round_trips()))
    }

    /// Connects a subscriber while the replica runs; returns the index from which on its
    /// indications will start. What is below can be read with [`ReplicaClient::read_decided`].
    ///
    /// Not to be called inside `subscriber` or the replica itself.
    pub fn subscribe<C>(&self, subscriber: &Arc<Component<C>>) -> u64
    where
        C: ComponentDefinition + Require<DecidedPort> + RequireRef<DecidedPort> + 'static,
    {
        let provided = self.replica.on_definition(ProvideRef::<DecidedPort>::provided_ref);
        let required = subscriber.on_definition(|c| {
            c.connect_to_provided(provided);
            c.required_ref()
        });
        self.replica.on_definition(|r| r.subscribe(required))
    }

    /// Stops the replica and its election, waits until a flush that is under way has ended, and
    /// gives the storage back. Not to be called inside a component.
    ///
    /// # Errors
    /// [`StopError`] where a component does not end.
    pub fn stop(self, system: &KompactSystem) -> Result<Storage<S, P>, StopError> {
        self.router.unregister(self.config_id);
        let storage = self.replica.on_definition(ReplicaComponent::take_storage);
        let mut ends = vec![system.kill_notify(self.replica)];
        ends.extend(self.election.map(|election| system.kill_notify(election)));
        for end in ends {
            end.wait_timeout(PATIENCE).map_err(|_| StopError::Timeout)?;
        }
        storage.ok_or(StopError::NoStorage)
    }

    /// Takes the storage of a replica whose system was killed.
    ///
    /// # Errors
    /// [`StopError::NoStorage`] where it was taken before.
    pub fn into_storage(self) -> Result<Storage<S, P>, StopError> {
        self.replica.on_definition(ReplicaComponent::take_storage).ok_or(StopError::NoStorage)
    }
}
