//! Stories about leader election: ticks, and messages that take one tick.

use super::command::{CommandError, Words, links};
use super::notation;
use omnipaxos_core::leader_election::{
    Ballot, BallotLeaderElection, ElectionConfig, HeartbeatMessage, NodeId,
};
use std::collections::{BTreeMap, BTreeSet};

const CONFIG: u64 = 1;

/// The elections of a few servers. Heartbeats take a tick; leader events are told.
#[derive(Debug)]
pub(super) struct Elections {
    servers: BTreeMap<NodeId, Server>,
    on_their_way: Vec<HeartbeatMessage>,
    cut: BTreeSet<(NodeId, NodeId)>,
    tick: u64,
    /// Heartbeats are told, too.
    heartbeats: bool,
}

#[derive(Debug)]
struct Server {
    up: bool,
    election: BallotLeaderElection,
    /// What was told of it: quorum-connected, and whether it hears its leader.
    shown: (bool, bool),
}

impl Elections {
    pub(super) fn new(pids: &[NodeId], settings: &[(&str, u64)]) -> Result<Self, String> {
        let mut servers = BTreeMap::new();
        for &pid in pids {
            let mut config = ElectionConfig::default();
            for (key, value) in settings {
                let value = u32::try_from(*value).unwrap_or(u32::MAX);
                if *key == "timeout" {
                    config.timeout_ticks = value;
                } else if key.strip_prefix("priority-") == Some(&pid.to_string()) {
                    config.priority = value;
                } else if !key.starts_with("priority-") {
                    return Err(format!("no setting is called {key}"));
                }
            }
            let peers = pids.iter().copied().filter(|peer| *peer != pid).collect();
            let election = BallotLeaderElection::with(CONFIG, pid, peers, config);
            let server = Server {
                up: true,
                election: election.map_err(|error| error.to_string())?,
                shown: (false, false),
            };
            servers.insert(pid, server);
        }
        Ok(Self {
            servers,
            on_their_way: Vec::new(),
            cut: BTreeSet::new(),
            tick: 0,
            heartbeats: false,
        })
    }

    pub(super) fn command(
        &mut self,
        name: &str,
        words: &mut Words<'_>,
    ) -> Result<Vec<String>, CommandError> {
        let mut told = Vec::new();
        match name {
            "run" => {
                for _ in 0..words.number("number of ticks")? {
                    self.step(&mut told);
                }
            }
            "heartbeats" => self.heartbeats = words.next("on or off")? == "on",
            "cut" | "heal" => {
                let pids: Vec<NodeId> = self.servers.keys().copied().collect();
                for word in words.rest() {
                    for link in links(word, &pids)? {
                        if name == "cut" {
                            self.cut.insert(link);
                        } else {
                            self.cut.remove(&link);
                        }
                    }
                }
            }
            "crash" | "priority" | "promised" | "show" => self.on_server(name, words, &mut told)?,
            _ => return Err(CommandError::Unknown(name.to_owned())),
        }
        Ok(told)
    }

    fn on_server(
        &mut self,
        name: &str,
        words: &mut Words<'_>,
        told: &mut Vec<String>,
    ) -> Result<(), CommandError> {
        let pid = words.number("pid")?;
        let unknown = || CommandError::Impossible(format!("there is no server {pid}"));
        let server = self.servers.get_mut(&pid).ok_or_else(unknown)?;
        match name {
            "crash" => server.up = false,
            "priority" => {
                let priority = words.number("priority")?;
                server.election.set_priority(u32::try_from(priority).unwrap_or(u32::MAX));
            }
            "promised" => {
                let (n, owner) = (words.number("n of the ballot")?, words.number("pid")?);
                server.election.handle_promised(Ballot::new(n, 0, owner));
            }
            _ => {
                let leader = server.election.leader();
                let leader = leader.map_or("nobody".to_owned(), |l| notation::ballot(l.ballot));
                let own = notation::ballot(server.election.ballot());
                told.push(format!("  {pid}: leader {leader}, own ballot {own}"));
            }
        }
        Ok(())
    }

    /// One tick: messages arrive, then time passes.
    fn step(&mut self, told: &mut Vec<String>) {
        self.tick += 1;
        let now = self.tick;
        let mut events = Vec::new();
        for message in std::mem::take(&mut self.on_their_way) {
            let to = message.to;
            let Some(server) = self.servers.get_mut(&to).filter(|server| server.up) else {
                continue;
            };
            match server.election.handle_message(message) {
                Ok(leader) => events.extend(leader.map(|leader| (to, leader))),
                Err(error) => told.push(format!("t={now} {to}: {error}")),
            }
        }
        for (pid, server) in self.servers.iter_mut().filter(|(_, server)| server.up) {
            events.extend(server.election.tick().map(|leader| (*pid, leader)));
        }
        for (pid, leader) in events {
            let (ballot, whose) = (notation::ballot(leader.ballot), leader.pid());
            let whose = if whose == pid { "itself".to_owned() } else { whose.to_string() };
            told.push(format!("t={now} {pid}: elects {whose} in {ballot}"));
        }
        for (pid, server) in self.servers.iter_mut().filter(|(_, server)| server.up) {
            let election = &mut server.election;
            let shown = (election.is_quorum_connected(), election.hears_leader());
            if shown.0 != server.shown.0 {
                let not = if shown.0 { "" } else { "no longer " };
                told.push(format!("t={now} {pid}: is {not}quorum-connected"));
            }
            if shown.1 != server.shown.1 {
                let not = if shown.1 { "hears" } else { "no longer hears" };
                told.push(format!("t={now} {pid}: {not} the leader"));
            }
            server.shown = shown;
            for message in election.get_outgoing_msgs() {
                if self.heartbeats {
                    told.push(format!("t={now} {}", notation::heartbeat(&message)));
                }
                let link = (message.from, message.to);
                if !self.cut.contains(&link) && *pid == message.from {
                    self.on_their_way.push(message);
                }
            }
        }
    }
}
