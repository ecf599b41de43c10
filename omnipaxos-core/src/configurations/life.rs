//! The life of one server: what comes in. What follows from it is in `steps`.

use super::command::{Command, Found};
use super::config::ConfigurationsConfig;
use super::configuration::Configuration;
use super::error::{BootstrapError, ConfigurationsStartError, Conflict, HistoryError, MergeError};
use super::fetch::Fetch;
use super::history::{Ended, History};
use super::log::{Log, Replica};
use super::messages::Stage;
use crate::ballot::{Ballot, NodeId};
use crate::storage::ConfigId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The life of one server across configurations.
///
/// The [module](super) says how to drive it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Configurations {
    pub(super) pid: NodeId,
    pub(super) config: ConfigurationsConfig,
    /// Ticks so far.
    pub(super) now: u64,
    pub(super) history: Option<History>,
    /// The newest configuration of `history`.
    pub(super) newest: Option<Configuration>,
    /// This server is or was a member.
    pub(super) served: bool,
    /// The logs of so many configurations, from the first one on, are sealed here.
    pub(super) complete: usize,
    pub(super) retired: bool,
    pub(super) persisting: Persisting,
    pub(super) logs: BTreeMap<ConfigId, Log>,
    /// Whom to ask while nothing is known.
    pub(super) contacts: BTreeSet<NodeId>,
    /// How far the other members of the newest configuration are.
    pub(super) stages: BTreeMap<NodeId, Stage>,
    /// Since when a quorum of the newest configuration is known to have everything.
    pub(super) quorum_since: Option<u64>,
    /// Whether the replica of the newest configuration has been in sync with a leader.
    pub(super) synced: bool,
    /// Whom it follows.
    pub(super) leader: Option<NodeId>,
    /// How far this server was when it said so unasked.
    pub(super) told: Stage,
    pub(super) fetch: Option<Fetch>,
    pub(super) polls: Polls,
    /// That this server has retired was said.
    pub(super) retired_told: bool,
    pub(super) halted: bool,
    pub(super) commands: VecDeque<Command>,
}

/// What is durable of history and retirement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Persisting {
    /// How many ends of configurations are durable; `None` before there is a history.
    pub(super) durable: Option<usize>,
    /// What is in memory differs from what was last given to be persisted.
    pub(super) dirty: bool,
    /// The last version that was given out.
    pub(super) version: u64,
    /// What is being persisted: how many ends of configurations it has.
    pub(super) under_way: Option<usize>,
}

/// When others are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Polls {
    /// The next round is due at this tick.
    pub(super) next: u64,
    /// Ticks until the one after it.
    pub(super) wait: u64,
    /// Who was told of a newer configuration, or asked about one, because of a message of a replica
    /// since the last tick that is a multiple of `poll_ticks`.
    pub(super) told: BTreeSet<NodeId>,
    /// Who may know more and is to be asked.
    pub(super) ask: BTreeSet<NodeId>,
}

impl Configurations {
    /// The life of server `pid`, which `found` this on its disk: nothing if it is new.
    ///
    /// # Errors
    /// [`ConfigurationsStartError`] for an impossible pid or limit, and where what was found does
    /// not go together.
    pub fn new(
        pid: NodeId,
        found: Found,
        config: ConfigurationsConfig,
    ) -> Result<Self, ConfigurationsStartError> {
        if pid == 0 {
            return Err(ConfigurationsStartError::PidZero);
        }
        config.check()?;
        let Found { history, retired, logs } = found;
        if let Some(history) = &history {
            history.check()?;
        }
        let known = |config_id| {
            history.as_ref().is_some_and(|history| history.configuration(config_id).is_some())
        };
        if let Some(unknown) = logs.iter().find(|log| !known(log.config_id)) {
            return Err(ConfigurationsStartError::UnknownLog(unknown.config_id));
        }
        let durable = history.as_ref().map(|history| history.ended.len());
        let mut configurations = Self {
            pid,
            config,
            now: 0,
            history,
            newest: None,
            served: false,
            complete: 0,
            retired,
            persisting: Persisting { durable, ..Persisting::default() },
            logs: logs.iter().map(|log| (log.config_id, Log::found(log))).collect(),
            contacts: BTreeSet::new(),
            stages: BTreeMap::new(),
            quorum_since: None,
            synced: false,
            leader: None,
            told: Stage::Unknown,
            fetch: None,
            polls: Polls::default(),
            retired_told: false,
            halted: false,
            commands: VecDeque::new(),
        };
        configurations.look_up();
        configurations.check_logs();
        configurations.plan();
        Ok(configurations)
    }

    /// Begins a cluster: its first configuration, the same at each of its members. For a server
    /// that knows nothing yet.
    ///
    /// # Errors
    /// [`BootstrapError`] when it is impossible, or this server has a history.
    pub fn bootstrap(&mut self, first: Configuration) -> Result<(), BootstrapError> {
        if let Some(history) = &self.history {
            return Err(BootstrapError::HasHistory(history.first.config_id));
        }
        first.check()?;
        if first.role(self.pid).is_none() {
            return Err(BootstrapError::NoMember(self.pid));
        }
        self.history = Some(History::new(first));
        self.changed();
        self.plan();
        Ok(())
    }

    /// Somebody to ask while nothing is known: any server of the cluster.
    pub fn contact(&mut self, pid: NodeId) {
        if pid != 0 && pid != self.pid && self.contacts.insert(pid) {
            self.poll_at_once();
            self.plan();
        }
    }

    /// [`Command::Persist`] `version` is durable.
    pub fn persisted(&mut self, version: u64) {
        if version != self.persisting.version {
            return;
        }
        if let Some(durable) = self.persisting.under_way.take() {
            self.persisting.durable = Some(durable);
            self.plan();
        }
    }

    /// The replica of configuration `ended.config_id` has decided its StopSign, or has found it
    /// decided when it started, and this is durable. So is all that comes before it.
    ///
    /// # Errors
    /// [`HistoryError`] when no configuration can end so; nothing changed.
    pub fn stop_sign_decided(&mut self, ended: Ended) -> Result<(), HistoryError> {
        let (config_id, len, now) = (ended.config_id, ended.len, self.now);
        if !self.halted && self.logs.contains_key(&config_id) {
            self.learn(&[ended])?;
        }
        if let Some(log) = self.logs.get_mut(&config_id) {
            log.stored(len, now);
            log.sealed = true;
        }
        self.check_logs();
        self.plan();
        Ok(())
    }

    /// The first `end` records of the log of `config_id` are decided and durable here: after
    /// [`Command::Store`], and now and then also where a replica decides by itself, at least once
    /// before [`catch_up`](Self::catch_up).
    pub fn stored(&mut self, config_id: ConfigId, end: u64) {
        let now = self.now;
        if let Some(log) = self.logs.get_mut(&config_id) {
            log.stored(end, now);
        }
        if let Some(fetch) = self.fetch.as_mut().filter(|fetch| fetch.config_id() == config_id) {
            fetch.stored(end);
        }
        self.check_logs();
        self.plan();
    }

    /// [`Command::Seal`] is durable.
    pub fn sealed(&mut self, config_id: ConfigId) {
        if let Some(log) = self.logs.get_mut(&config_id) {
            log.sealed = true;
        }
        self.plan();
    }

    /// [`Command::StartReplica`] is done.
    pub fn replica_started(&mut self, config_id: ConfigId) {
        let now = self.now;
        if let Some(log) = self.logs.get_mut(&config_id)
            && log.replica == Replica::Starting
        {
            log.replica = Replica::Runs;
            log.started = true;
            log.progressed = now;
        }
        self.plan();
    }

    /// [`Command::StopReplica`] is done.
    pub fn replica_stopped(&mut self, config_id: ConfigId) {
        if let Some(log) = self.logs.get_mut(&config_id) {
            log.replica = Replica::None;
        }
        self.plan();
    }

    /// The replica of `config_id` is in sync with `leader` (or leads itself), or with nobody any
    /// more. Whenever that changes.
    pub fn following(&mut self, config_id: ConfigId, leader: Option<NodeId>) {
        let newest = self.newest.as_ref().map(|newest| newest.config_id);
        if Some(config_id) != newest || leader == self.leader {
            return;
        }
        self.leader = leader;
        self.synced |= leader.is_some();
        if leader.is_none() {
            // Perhaps the others have gone on without this server.
            self.poll_soon();
        }
        self.plan();
    }

    /// The replica of `config_id` lacks the decided records `[from, to)`, chosen in `round` or
    /// before, and should not get them from its leader. Said again from time to time, it changes
    /// nothing while they are being fetched.
    pub fn catch_up(&mut self, config_id: ConfigId, from: u64, to: u64, round: Ballot) {
        self.fetch_for_replica(config_id, from, to, round);
        self.plan();
    }

    /// One tick of virtual time.
    pub fn tick(&mut self) {
        self.now = self.now.saturating_add(1);
        if self.now.is_multiple_of(u64::from(self.config.poll_ticks)) {
            self.polls.told.clear();
        }
        self.tick_fetch();
        self.plan();
    }

    /// What is to be done next, in this order. Take all after each input.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// This server.
    #[must_use]
    pub fn pid(&self) -> NodeId {
        self.pid
    }

    /// What is known of the configurations, durable or not; `None` while nothing is.
    #[must_use]
    pub fn history(&self) -> Option<&History> {
        self.history.as_ref()
    }

    /// Whether this server was left out and has retired.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.retired
    }

    /// Whether a conflict has ended this life.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.halted
    }

    /// How far this server is on the way into the newest configuration.
    #[must_use]
    pub fn stage(&self) -> Stage {
        if self.retired {
            return Stage::Retired;
        }
        let Some(newest) = &self.newest else { return Stage::Unknown };
        let unclear = self.persisting.dirty || self.persisting.under_way.is_some();
        if unclear || newest.role(self.pid).is_none() || self.lacking().is_some() {
            Stage::Fetching
        } else if self.synced {
            Stage::Synced { leader: self.leader }
        } else {
            Stage::Holds
        }
    }

    /// How far the other members of the newest configuration are, as far as they have said so.
    #[must_use]
    pub fn stages(&self) -> &BTreeMap<NodeId, Stage> {
        &self.stages
    }

    /// Takes over what is known elsewhere, or from the own log, about how configurations ended.
    /// Whether something was new.
    pub(super) fn learn(&mut self, ended: &[Ended]) -> Result<bool, HistoryError> {
        let Some(history) = &mut self.history else { return Ok(false) };
        let before = history.ended.len();
        match history.merge(ended) {
            Ok(false) => Ok(false),
            Err(MergeError::Impossible(error)) => Err(error),
            Ok(true) => {
                if history.ended.len() > before {
                    self.changed();
                } else {
                    self.persisting.dirty = true;
                }
                self.check_logs();
                Ok(true)
            }
            Err(MergeError::Conflict(conflict)) => {
                self.halt(*conflict);
                Ok(false)
            }
        }
    }

    /// There is a newer configuration.
    pub(super) fn changed(&mut self) {
        self.persisting.dirty = true;
        self.stages.clear();
        self.quorum_since = None;
        (self.synced, self.leader, self.told) = (false, None, Stage::Unknown);
        self.look_up();
        self.poll_at_once();
    }

    /// What the history says about this server.
    fn look_up(&mut self) {
        let Some(history) = &self.history else { return };
        let member = |configuration: &Configuration| configuration.role(self.pid).is_some();
        let newest = history.newest();
        if member(&newest) {
            (self.retired, self.retired_told) = (false, false);
        }
        self.served = history.configurations_from(0).any(|configuration| member(&configuration));
        self.newest = Some(newest);
    }

    pub(super) fn is_member(&self) -> bool {
        self.newest.as_ref().is_some_and(|newest| newest.role(self.pid).is_some())
    }

    /// Whether what is decided here fits what is known.
    fn check_logs(&mut self) {
        let Some(history) = &self.history else { return };
        let wrong = self.logs.iter().find_map(|(config_id, log)| {
            let len = history.ended(*config_id)?.len;
            let wrong = log.end > len || (log.sealed && log.end != len);
            wrong.then_some(Conflict::Decided { config_id: *config_id, end: log.end, len })
        });
        if let Some(conflict) = wrong {
            self.halt(conflict);
        }
    }

    pub(super) fn halt(&mut self, conflict: Conflict) {
        if !self.halted {
            self.halted = true;
            self.fetch = None;
            self.commands.clear();
            self.commands.push_back(Command::Conflict(conflict));
        }
    }
}
