//! Carries out the commands of a story.

use super::cluster::Cluster;
use super::command::{CommandError, Filter, Words, links};
use super::election::Elections;
use omnipaxos_core::paxos::{Leader, Message, NodeId};

/// What a story is played on: a cluster of replicas, or one of elections.
#[derive(Debug, Default)]
pub(super) struct Stage {
    cluster: Cluster,
    elections: Option<Elections>,
}

/// Rounds after which a cluster that still sends is taken not to come to rest.
const ROUNDS: usize = 1000;

impl Stage {
    /// Carries out one command, and returns what it printed.
    pub(super) fn command(&mut self, line: &str) -> Result<String, CommandError> {
        let mut words = Words::of(line);
        let name = words.next("command")?;
        let told = match (name, &mut self.elections) {
            ("servers", _) => {
                let pids = words.numbers();
                let cluster = Cluster::new(&pids, &words.settings()?);
                self.cluster = cluster.map_err(CommandError::Impossible)?;
                std::mem::take(&mut self.cluster.told)
            }
            ("elections", _) => {
                let pids = words.numbers();
                let elections = Elections::new(&pids, &words.settings()?);
                self.elections = Some(elections.map_err(CommandError::Impossible)?);
                Vec::new()
            }
            (name, Some(elections)) => elections.command(name, &mut words)?,
            (name, None) => {
                self.cluster.quiet = false;
                self.on_cluster(name, &mut words)?;
                std::mem::take(&mut self.cluster.told)
            }
        };
        Ok(told.into_iter().map(|line| line + "\n").collect())
    }

    fn on_cluster(&mut self, name: &str, words: &mut Words<'_>) -> Result<(), CommandError> {
        match name {
            "quietly" => {
                self.cluster.quiet = true;
                let name = words.next("command")?;
                self.on_cluster(name, words)
            }
            "silently" => {
                let name = words.next("command")?;
                self.on_cluster(name, words)?;
                self.cluster.told.clear();
                Ok(())
            }
            "deliver" | "drop" | "dup" | "hold" | "release" => self.messages(name, words),
            "settle" => self.settle(),
            "tick" => self.tick(words),
            "cut" | "heal" => self.links(name, words),
            "elect" | "tell" | "propose" | "reconfigure" | "reconnected" | "trim" | "read" => {
                self.input(name, words)
            }
            "crash" | "restart" | "show" | "flushes" | "begin-flush" | "finish-flush" => {
                self.server(name, words)
            }
            _ => Err(CommandError::Unknown(name.to_owned())),
        }
    }

    /// Something is given to a replica.
    fn input(&mut self, name: &str, words: &mut Words<'_>) -> Result<(), CommandError> {
        let cluster = &mut self.cluster;
        let pid = words.number("pid")?;
        let ballot = if name == "elect" { Some(cluster.next_ballot(pid)) } else { None };
        let replica = cluster.replica(pid).map_err(CommandError::Impossible)?;
        let mut told = Vec::new();
        match (name, ballot) {
            ("elect", Some(ballot)) => replica.handle_leader(Leader::new(ballot)),
            ("tell", _) => {
                let leader = words.number("pid of the leader")?;
                let n = words.number("n of the ballot")?;
                let ballot = omnipaxos_core::paxos::Ballot::new(n, 0, leader);
                replica.handle_leader(Leader::new(ballot));
            }
            ("propose", _) => {
                for data in words.rest() {
                    if let Err(error) = replica.propose_normal(data.to_owned()) {
                        told.push(format!("  {pid}: {error}"));
                    }
                }
            }
            ("reconfigure", _) => {
                if let Err(error) = replica.propose_reconfiguration(words.numbers()) {
                    told.push(format!("  {pid}: {error}"));
                }
            }
            ("reconnected", _) => replica.reconnected(words.number("pid of the peer")?),
            ("trim", _) => {
                if let Err(error) = replica.trim(words.number("index")?) {
                    told.push(format!("  {pid}: {error}"));
                }
            }
            _ => {
                let (from, to) = (words.number("index")?, words.number("index")?);
                told.push(match replica.read_decided(from, to, u64::MAX) {
                    Ok(read) => {
                        let entries = super::notation::entries(&read.entries);
                        format!("  {pid}: reads {}:[{entries}]", read.first_index)
                    }
                    Err(error) => format!("  {pid}: {error}"),
                });
            }
        }
        cluster.told.extend(told);
        cluster.output(pid);
        Ok(())
    }

    /// Something happens to a server.
    fn server(&mut self, name: &str, words: &mut Words<'_>) -> Result<(), CommandError> {
        let cluster = &mut self.cluster;
        let pid = words.number("pid")?;
        match name {
            "crash" => cluster.crash(pid),
            "restart" => {
                let started = cluster.start(pid);
                started.map_err(|error| CommandError::Impossible(error.to_string()))?;
            }
            "show" => {
                cluster.show_all(pid);
                for other in words.numbers() {
                    cluster.show_all(other);
                }
            }
            "flushes" => match words.next("by-hand or at-once")? {
                "by-hand" => cluster.flush_by_hand(pid, true),
                _ => {
                    cluster.flush_by_hand(pid, false);
                    cluster.output(pid);
                }
            },
            "begin-flush" if !cluster.begin_flush(pid) => {
                cluster.told.push(format!("  {pid}: no flush begins"));
            }
            "finish-flush" if !cluster.end_flush(pid) => {
                cluster.told.push(format!("  {pid}: no flush is under way"));
            }
            _ => {
                cluster.send(pid);
                cluster.show(pid);
            }
        }
        Ok(())
    }

    /// Something happens to messages on their way.
    fn messages(&mut self, name: &str, words: &mut Words<'_>) -> Result<(), CommandError> {
        let filter = Filter::of(words)?;
        let cluster = &mut self.cluster;
        let place = if name == "release" { &mut cluster.held } else { &mut cluster.wires };
        let mut chosen: Vec<Message> = Vec::new();
        let mut left = Vec::new();
        for message in std::mem::take(place) {
            let full = filter.first && !chosen.is_empty();
            if filter.matches(&message) && !full {
                chosen.push(message);
            } else {
                left.push(message);
            }
        }
        *place = left;
        if chosen.is_empty() {
            let nothing = "no such message is there";
            return Err(CommandError::Impossible(nothing.to_owned()));
        }
        match name {
            "deliver" => chosen.into_iter().for_each(|message| cluster.deliver(message)),
            "drop" => {}
            "dup" => {
                cluster.wires.extend(chosen.iter().cloned());
                cluster.wires.extend(chosen);
            }
            "hold" => cluster.held.extend(chosen),
            _ => cluster.wires.extend(chosen),
        }
        Ok(())
    }

    /// Delivers messages, in order, until there are none.
    fn settle(&mut self) -> Result<(), CommandError> {
        for _ in 0..ROUNDS {
            if self.cluster.wires.is_empty() {
                return Ok(());
            }
            for message in std::mem::take(&mut self.cluster.wires) {
                self.cluster.deliver(message);
            }
        }
        Err(CommandError::Impossible("it never comes to rest".to_owned()))
    }

    fn tick(&mut self, words: &mut Words<'_>) -> Result<(), CommandError> {
        let pids = if words.peek() == Some("all") {
            words.next("all")?;
            self.cluster.pids()
        } else {
            words.numbers()
        };
        let times = match words.peek() {
            Some(word) => super::command::number(word.trim_start_matches('x'), "number")?,
            None => 1,
        };
        for _ in 0..times {
            for pid in &pids {
                if let Ok(replica) = self.cluster.replica(*pid) {
                    replica.tick();
                    self.cluster.output(*pid);
                }
            }
        }
        Ok(())
    }

    fn links(&mut self, name: &str, words: &mut Words<'_>) -> Result<(), CommandError> {
        let pids: Vec<NodeId> = self.cluster.pids();
        let cluster = &mut self.cluster;
        let all = words.rest();
        if all.is_empty() {
            cluster.cut.clear();
        }
        for word in all {
            for link in links(word, &pids)? {
                if name == "cut" {
                    cluster.cut.insert(link);
                } else {
                    cluster.cut.remove(&link);
                }
            }
        }
        Ok(())
    }
}
