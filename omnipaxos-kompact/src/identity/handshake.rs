//! How servers get to know each other, and when one may take part in a configuration.

use super::{Admission, Binding, Identity, IdentityMessage, MembersError, Refusal, StorageId};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::{ConfigId, StorageError};
use std::collections::{BTreeMap, BTreeSet};

/// The identities of one server's peers, in all its configurations: a plain struct, into which go
/// messages, ticks and what was recorded, and out of which come [`Output`]s.
///
/// Invariant: a pid's binding never changes, and nothing is said of it before it is durable. So,
/// unless every member of a configuration loses its storage, all that is ever said in it in the
/// name of one pid comes from one storage.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Handshake {
    pid: NodeId,
    storage_id: StorageId,
    /// What is recorded.
    durable: BTreeMap<NodeId, Binding>,
    /// With what is being recorded.
    bindings: BTreeMap<NodeId, Binding>,
    configurations: BTreeMap<ConfigId, Configuration>,
    peers: BTreeMap<NodeId, Peer>,
    failed: Option<StorageError>,
    outputs: Vec<Output>,
}

/// A configuration that runs here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Configuration {
    /// Its other servers.
    others: BTreeSet<NodeId>,
    /// Whether its members' storages are a decided fact, so that nobody needs to confirm them.
    decided: bool,
    admission: Admission,
}

/// What is going on with one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Peer {
    /// The storage for which it refused this one.
    refused_for: Option<StorageId>,
    /// It asked in this configuration whether it is known, and was not answered yet.
    asked: Option<ConfigId>,
    /// What was sent to it since the last tick: one of each is enough.
    greeted: bool,
    answered: bool,
    refused: bool,
}

/// What a [`Handshake`] wants done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Output {
    /// Send this.
    Send(IdentityMessage),
    /// Make this durable, in this order, and report it with [`Handshake::recorded`].
    Record(NodeId, Binding),
    /// Where this server stands in a configuration has changed.
    Admission(ConfigId, Admission),
    /// Somebody speaks in a server's name with another storage than the one it is bound to.
    Foreign {
        /// The server.
        pid: NodeId,
        /// The storage that speaks.
        presented: StorageId,
        /// The one that it is bound to.
        bound: StorageId,
    },
    /// A refusal from a member that has confirmed this server before: late, or forged.
    RefusalIgnored(Refusal),
}

impl Handshake {
    /// Server `pid` over storage `storage_id`, in which `bindings` are recorded.
    #[must_use]
    pub fn new(pid: NodeId, storage_id: StorageId, bindings: BTreeMap<NodeId, Binding>) -> Self {
        Self {
            pid,
            storage_id,
            durable: bindings.clone(),
            bindings,
            configurations: BTreeMap::new(),
            peers: BTreeMap::new(),
            failed: None,
            outputs: Vec::new(),
        }
    }

    /// This server's storage.
    #[must_use]
    pub fn storage_id(&self) -> StorageId {
        self.storage_id
    }

    /// What is recorded of the others.
    #[must_use]
    pub fn recorded_bindings(&self) -> &BTreeMap<NodeId, Binding> {
        &self.durable
    }

    /// What is to be done, in order.
    #[must_use]
    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// Where this server stands in a configuration; `None` for one that does not run here.
    #[must_use]
    pub fn admission(&self, config_id: ConfigId) -> Option<&Admission> {
        self.configurations.get(&config_id).map(|c| &c.admission)
    }

    /// The members of a configuration with their storages, this server included, as far as it
    /// durably knows them.
    #[must_use]
    pub fn members(&self, config_id: ConfigId) -> BTreeMap<NodeId, StorageId> {
        let configuration = self.configurations.get(&config_id);
        let others = configuration.into_iter().flat_map(|c| &c.others);
        others
            .filter_map(|pid| Some((*pid, self.durable.get(pid)?.storage_id)))
            .chain([(self.pid, self.storage_id)])
            .collect()
    }

    /// A configuration of the servers `nodes` runs here from now on. Who they are is not known to
    /// be decided, so they introduce themselves.
    pub fn register(&mut self, config_id: ConfigId, nodes: &[NodeId]) {
        self.insert(config_id, nodes.iter().copied(), false);
    }

    /// As [`register`](Self::register), where the storages of all members are a decided fact, for
    /// instance because a StopSign names them.
    ///
    /// # Errors
    /// [`MembersError`] where this server is not the one that is meant, or knows a member with
    /// another storage. Nothing is changed then.
    pub fn register_members(
        &mut self,
        config_id: ConfigId,
        members: &BTreeMap<NodeId, StorageId>,
    ) -> Result<(), MembersError> {
        for (&pid, &decided) in members {
            let bound = self.bindings.get(&pid).map(|b| b.storage_id);
            if pid == self.pid && decided != self.storage_id {
                let presented = self.storage_id;
                return Err(MembersError::OtherStorage { pid, decided, presented });
            }
            if let Some(bound) = bound.filter(|bound| *bound != decided) {
                return Err(MembersError::Conflict { pid, decided, bound });
            }
        }
        for (&pid, &storage_id) in members {
            if pid != self.pid && !self.bindings.contains_key(&pid) {
                self.record(pid, Binding { storage_id, confirmed: false });
            }
        }
        self.insert(config_id, members.keys().copied(), true);
        Ok(())
    }

    fn insert(&mut self, config_id: ConfigId, nodes: impl Iterator<Item = NodeId>, decided: bool) {
        let others: BTreeSet<NodeId> = nodes.filter(|node| *node != self.pid).collect();
        let admission = Admission::Waiting { peers: others.iter().copied().collect() };
        self.outputs.push(Output::Admission(config_id, admission.clone()));
        self.configurations.insert(config_id, Configuration { others, decided, admission });
        self.review();
        for pid in self.unsettled() {
            self.send_hello(pid);
        }
    }

    /// A configuration no longer runs here.
    pub fn unregister(&mut self, config_id: ConfigId) {
        self.configurations.remove(&config_id);
    }

    /// Repeats what may have been lost.
    pub fn tick(&mut self) {
        for peer in self.peers.values_mut() {
            (peer.greeted, peer.answered, peer.refused) = (false, false, false);
        }
        for pid in self.unsettled() {
            self.send_hello(pid);
        }
        let asked: Vec<NodeId> =
            self.peers.iter().filter(|(_, peer)| peer.asked.is_some()).map(|(p, _)| *p).collect();
        for pid in asked {
            self.answer(pid);
        }
    }

    /// What another server says. A message for others, or from this one, changes nothing.
    pub fn handle_message(&mut self, message: IdentityMessage) {
        let IdentityMessage { config_id, from, to, storage_id, body } = message;
        if to != self.pid || from == self.pid {
            return;
        }
        let confirms = body == Identity::Known { receiver: self.storage_id };
        match (self.bindings.get(&from).copied(), body) {
            (Some(known), Identity::Hello | Identity::Known { .. })
                if known.storage_id != storage_id =>
            {
                return self.foreign(config_id, from, storage_id);
            }
            // Refusals are not answered by refusals, or two servers could keep each other busy.
            (known, Identity::Refused { receiver, bound }) => {
                let is_foreign = known.is_some_and(|known| known.storage_id != storage_id);
                if !is_foreign && receiver == self.storage_id && bound != self.storage_id {
                    self.refused(from, bound);
                }
                return;
            }
            (Some(known), _) if confirms && !known.confirmed => {
                self.record(from, Binding { confirmed: true, ..known });
            }
            (Some(_), _) => {}
            (None, _) if self.is_member(from) => {
                self.record(from, Binding { storage_id, confirmed: confirms });
            }
            // Whoever is in no configuration of this server is not remembered for ever.
            (None, _) => return,
        }
        if body == Identity::Hello {
            self.peers.entry(from).or_default().asked = Some(config_id);
            self.answer(from);
            if self.unsettled().contains(&from) {
                self.greet(from);
            }
        }
    }

    /// Something other than an [`IdentityMessage`] came from `from` with a storage that it is not
    /// bound to.
    pub fn foreign(&mut self, config_id: ConfigId, from: NodeId, presented: StorageId) {
        let Some(bound) = self.durable.get(&from).map(|b| b.storage_id) else {
            return;
        };
        let peer = self.peers.entry(from).or_default();
        if bound == presented || std::mem::replace(&mut peer.refused, true) {
            return;
        }
        self.outputs.push(Output::Foreign { pid: from, presented, bound });
        self.send(config_id, from, Identity::Refused { receiver: presented, bound });
    }

    /// An [`Output::Record`] is durable.
    pub fn recorded(&mut self, pid: NodeId, binding: Binding) {
        self.durable.insert(pid, binding);
        self.answer(pid);
        self.review();
    }

    /// An [`Output::Record`] failed. Nothing is recorded any more; what is open stays open.
    pub fn record_failed(&mut self, error: StorageError) {
        self.failed.get_or_insert(error);
        self.review();
    }

    fn record(&mut self, pid: NodeId, binding: Binding) {
        if self.failed.is_none() {
            self.bindings.insert(pid, binding);
            self.outputs.push(Output::Record(pid, binding));
        }
    }

    fn refused(&mut self, by: NodeId, bound: StorageId) {
        let refusal = Refusal { pid: self.pid, presented: self.storage_id, bound, by };
        if self.bindings.get(&by).is_some_and(|b| b.confirmed) {
            self.outputs.push(Output::RefusalIgnored(refusal));
            return;
        }
        self.peers.entry(by).or_default().refused_for = Some(bound);
        self.review();
    }

    /// Answers a peer that has asked, once what is said is durable.
    fn answer(&mut self, pid: NodeId) {
        let Some(receiver) = self.durable.get(&pid).map(|b| b.storage_id) else {
            return;
        };
        let peer = self.peers.entry(pid).or_default();
        if peer.answered {
            return;
        }
        if let Some(config_id) = peer.asked.take() {
            peer.answered = true;
            self.send(config_id, pid, Identity::Known { receiver });
        }
    }

    /// Says hello to a peer that has shown up, once a tick at most.
    fn greet(&mut self, pid: NodeId) {
        let peer = self.peers.entry(pid).or_default();
        if !std::mem::replace(&mut peer.greeted, true) {
            self.send_hello(pid);
        }
    }

    fn send_hello(&mut self, pid: NodeId) {
        let newest = self.waiting().filter(|(_, c)| c.others.contains(&pid)).last();
        if let Some((config_id, _)) = newest {
            self.send(config_id, pid, Identity::Hello);
        }
    }

    fn send(&mut self, config_id: ConfigId, to: NodeId, body: Identity) {
        let (from, storage_id) = (self.pid, self.storage_id);
        let message = IdentityMessage { config_id, from, to, storage_id, body };
        self.outputs.push(Output::Send(message));
    }

    fn is_member(&self, pid: NodeId) -> bool {
        self.configurations.values().any(|c| c.others.contains(&pid))
    }

    /// The configurations that wait for an introduction.
    fn waiting(&self) -> impl Iterator<Item = (ConfigId, &Configuration)> {
        let introduce = |c: &&Configuration| !c.decided && c.admission != Admission::Open;
        self.configurations.iter().map(|(id, c)| (*id, c)).filter(move |(_, c)| introduce(c))
    }

    /// Whom this server still has to introduce itself to.
    fn unsettled(&self) -> BTreeSet<NodeId> {
        let others = self.waiting().flat_map(|(_, c)| c.others.iter().copied());
        others.filter(|pid| !self.is_settled(*pid, false)).collect()
    }

    fn is_settled(&self, pid: NodeId, decided: bool) -> bool {
        self.durable.get(&pid).is_some_and(|known| decided || known.confirmed)
    }

    /// Finds out where this server stands in each configuration.
    fn review(&mut self) {
        let mut changed = Vec::new();
        for (config_id, configuration) in &self.configurations {
            let admission = self.judge(configuration);
            if admission != configuration.admission {
                changed.push((*config_id, admission));
            }
        }
        for (config_id, admission) in changed {
            if let Some(configuration) = self.configurations.get_mut(&config_id) {
                configuration.admission = admission.clone();
            }
            self.outputs.push(Output::Admission(config_id, admission));
        }
    }

    fn judge(&self, configuration: &Configuration) -> Admission {
        let others = configuration.others.iter().copied();
        let peers: Vec<NodeId> =
            others.filter(|pid| !self.is_settled(*pid, configuration.decided)).collect();
        if configuration.admission == Admission::Open || peers.is_empty() {
            return Admission::Open;
        }
        if let Some(error) = &self.failed {
            return Admission::Failed(error.clone());
        }
        let refused = peers.iter().find_map(|by| Some((*by, self.peers.get(by)?.refused_for?)));
        match refused {
            Some((by, bound)) => {
                Admission::Refused(Refusal { pid: self.pid, presented: self.storage_id, bound, by })
            }
            None => Admission::Waiting { peers },
        }
    }
}
