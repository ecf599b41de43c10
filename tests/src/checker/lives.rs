//! What servers do and say across configurations: who may start, stop, retire, and who has what.

use super::{Check, Checker, Who};
use crate::sim::{Disk, Image};
use omnipaxos_core::configurations::{
    Configuration, History, HistoryPart, ServerBody, ServerMessage, Stage,
};
use omnipaxos_core::paxos::NodeId;
use omnipaxos_core::storage::ConfigId;
use std::collections::BTreeMap;

impl Checker {
    /// `who` starts a replica. It knows durably that there is such a configuration, the members are
    /// the decided ones, and it has all that was decided before, byte for byte.
    pub fn may_start(
        &mut self,
        who: Who,
        configuration: &Configuration,
        history: Option<&History>,
        disks: &BTreeMap<ConfigId, Disk>,
    ) {
        let config_id = configuration.config_id;
        if history.is_none_or(|history| history.configuration(config_id).is_none()) {
            let detail = format!("{who} starts in {config_id}, of which nothing is durable");
            return self.fail(Check::HistoryFirst, detail);
        }
        let known = self.members(config_id);
        let same = known.is_some_and(|members| {
            let leader = configuration.leader.map(|leader| leader.ballot);
            let leader = leader.filter(|ballot| members.voters.contains(&ballot.pid));
            (&members.voters, &members.learners, members.continued)
                == (&configuration.nodes, &configuration.learners, leader)
        });
        if !same {
            let detail = format!("{who} starts {configuration:?}, others {known:?}");
            return self.fail(Check::CompleteLogs, detail);
        }
        for earlier in 1..config_id {
            match disks.get(&earlier) {
                Some(disk) => self.complete(who, earlier, disk),
                None => {
                    let detail = format!("{who} starts in {config_id} without {earlier}");
                    self.fail(Check::CompleteLogs, detail);
                }
            }
        }
    }

    /// `who` says that it has all of a log.
    pub fn complete(&mut self, who: Who, config_id: ConfigId, disk: &Disk) {
        if let Err(what) = self.is_complete(config_id, &disk.medium()) {
            let detail = format!("{who} has all of {config_id}, but {what}");
            self.fail(Check::CompleteLogs, detail);
        }
    }

    /// Whether this is the whole log of a configuration, byte for byte.
    fn is_complete(&self, config_id: ConfigId, image: &Image) -> Result<(), String> {
        let decided = self.decided_len(config_id);
        if self.stop_sign(config_id).is_none() {
            return Err("it has not ended".to_owned());
        }
        if !image.is_sealed() || image.end() != decided {
            let (known, end) = (image.decided(), image.end());
            return Err(format!("{known} of {end} are decided on its disk, of {decided}"));
        }
        let differs = (image.first()..decided).find(|at| {
            let record = image.record(*at);
            !record.is_some_and(|(id, entry)| self.is_decided(config_id, *at, *id, entry))
        });
        match differs {
            Some(at) => Err(format!("{at} is {:?} on its disk", image.record(at))),
            None => Ok(()),
        }
    }

    /// How many of these servers have all logs before a configuration.
    fn holding(&self, servers: &[NodeId], config_id: ConfigId) -> usize {
        let holds = |pid: &&NodeId| {
            self.configurations.range(..config_id).all(|(earlier, configuration)| {
                let disk = configuration.disks.get(pid);
                disk.is_some_and(|disk| self.is_complete(*earlier, &disk.medium()).is_ok())
            })
        };
        servers.iter().filter(holds).count()
    }

    /// `who` decides to retire: it was left out, and a quorum of the newest configuration that it
    /// knows has all that comes before.
    pub fn retires(&mut self, who: Who, history: &History) {
        let newest = history.newest();
        let (holding, voters) = (self.holding(&newest.nodes, newest.config_id), newest.nodes.len());
        if newest.role(who.pid).is_some() || holding <= voters / 2 {
            let detail = format!("{who} retires, {holding} of {newest:?} have what came before");
            self.fail(Check::RetiredLate, detail);
        }
    }

    /// `who` stops its replica of a configuration: nobody waits for it any more, unless it gives up
    /// the rest of that log.
    pub fn stopped(&mut self, who: Who, config_id: ConfigId, gives_up: bool) {
        let open = self.unresolved(who, config_id);
        if gives_up {
            for id in open {
                let place = (who.slot, who.incarnation, config_id, id.session, id.number);
                self.by_id.remove(&place);
            }
        } else if !open.is_empty() {
            let detail = format!("{who} stops in {config_id}, {open:?} have no outcome");
            self.fail(Check::NeverLost, detail);
        }
    }

    /// `who` says something about configurations, of which it knows `history` durably.
    pub fn told(
        &mut self,
        who: Who,
        message: &ServerMessage,
        history: Option<&History>,
        retired: bool,
    ) {
        let newest = history.map_or(0, History::newest_id);
        let (claims, holds) = match &message.body {
            ServerBody::Hello { newest } => (*newest, false),
            ServerBody::StageRequest { config_id } => (*config_id, false),
            ServerBody::Stage { config_id, stage } => {
                if *stage == Stage::Retired && !retired {
                    let detail = format!("{who} says that it has retired");
                    self.fail(Check::HistoryFirst, detail);
                }
                (*config_id, stage.holds())
            }
            ServerBody::History(HistoryPart { first, ended }) => {
                let first = first.config_id;
                let last = ended.last().map_or(first, |ended| ended.stop_sign.config_id);
                for ended in ended {
                    let decided = self.stop_sign(ended.config_id);
                    if decided != Some(&ended.stop_sign)
                        || self.decided_len(ended.config_id) != ended.len
                    {
                        let detail = format!("{who} says {ended:?}, not {decided:?}");
                        self.fail(Check::OneLog, detail);
                    }
                }
                (last, false)
            }
            ServerBody::Migration(_) => (0, false),
        };
        if claims > newest {
            let detail = format!("{who} says {message:?}, {newest} is durable");
            self.fail(Check::HistoryFirst, detail);
        }
        if holds && self.holding(&[who.pid], claims) == 0 {
            let detail = format!("{who} says {message:?}, and has not all of it");
            self.fail(Check::CompleteLogs, detail);
        }
    }
}
