//! What servers say to each other.

use super::command::Command;
use super::error::{MergeError, ServerMessageError};
use super::history::History;
use super::life::Configurations;
use super::messages::{HistoryPart, MAX_ENDED, MAX_ENDED_COST, ServerBody, ServerMessage, Stage};
use crate::ballot::NodeId;
use crate::storage::ConfigId;

/// How many servers are told, between two clearings, that they missed something.
const MAX_TOLD: usize = 256;

impl Configurations {
    /// A message of another server.
    ///
    /// # Errors
    /// [`ServerMessageError`] when the message is dropped; nothing changed.
    pub fn handle_message(&mut self, message: ServerMessage) -> Result<(), ServerMessageError> {
        let ServerMessage { from, to, body } = message;
        if to != self.pid {
            return Err(ServerMessageError::OtherReceiver(to));
        }
        if from == 0 || from == self.pid {
            return Err(ServerMessageError::Sender(from));
        }
        if self.halted {
            return Ok(());
        }
        match body {
            ServerBody::Hello { newest } => self.on_hello(from, newest),
            ServerBody::History(part) => self.on_history(from, part)?,
            ServerBody::StageRequest { config_id } => self.on_stage_request(from, config_id),
            ServerBody::Stage { config_id, stage } => self.on_stage(from, config_id, stage)?,
            ServerBody::Migration(message) => {
                if (message.from, message.to) != (from, to) {
                    return Err(ServerMessageError::Sender(message.from));
                }
                if message.body.asked().is_some() {
                    self.commands.push_back(Command::Serve(message));
                } else if let Some(fetch) = &mut self.fetch {
                    fetch.handle_message(message)?;
                }
            }
        }
        self.plan();
        Ok(())
    }

    /// A message of a replica of `config_id` came from `from`, and no such replica runs here: one
    /// of the two has missed something.
    pub fn unregistered(&mut self, config_id: ConfigId, from: NodeId) {
        let newest = self.durable_newest();
        let unheard = from != 0 && from != self.pid && !self.polls.told.contains(&from);
        if self.halted || config_id == newest || !unheard || self.polls.told.len() >= MAX_TOLD {
            return;
        }
        self.polls.told.insert(from);
        if config_id < newest {
            self.say_history(from, config_id);
        } else {
            self.say_hello(from);
        }
    }

    /// The newest configuration that is durably known here; 0 for none.
    fn durable_newest(&self) -> ConfigId {
        match (&self.history, self.persisting.durable) {
            (Some(history), Some(durable)) => {
                history.first.config_id.saturating_add(durable as u64)
            }
            _ => 0,
        }
    }

    pub(super) fn say_hello(&mut self, to: NodeId) {
        let newest = self.durable_newest();
        self.send(to, ServerBody::Hello { newest });
    }

    /// What somebody lacks who knows `newest`.
    fn say_history(&mut self, to: NodeId, newest: ConfigId) {
        let Some((history, durable)) = self.history.as_ref().zip(self.persisting.durable) else {
            return;
        };
        let known = newest.saturating_sub(history.first.config_id);
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let mut cost = 0;
        let lacking = history.ended.iter().take(durable).skip(known).take(MAX_ENDED);
        let lacking = lacking.enumerate().take_while(|(at, ended)| {
            cost += ended.cost();
            *at == 0 || cost <= MAX_ENDED_COST
        });
        let ended = lacking.map(|(_, ended)| ended.clone()).collect();
        let first = history.first.clone();
        self.send(to, ServerBody::History(HistoryPart { first, ended }));
    }

    fn on_hello(&mut self, from: NodeId, newest: ConfigId) {
        let ours = self.durable_newest();
        if newest < ours {
            self.say_history(from, newest);
        } else if newest > ours {
            self.say_hello(from);
        }
    }

    fn on_history(&mut self, from: NodeId, part: HistoryPart) -> Result<(), ServerMessageError> {
        let HistoryPart { first, ended } = part;
        if ended.len() > MAX_ENDED {
            return Err(ServerMessageError::TooMany(ended.len()));
        }
        let new = match &self.history {
            None => {
                let mut told = History::new(first);
                told.check()?;
                if let Err(MergeError::Impossible(error)) = told.merge(&ended) {
                    return Err(error.into());
                }
                self.history = Some(told);
                self.changed();
                true
            }
            Some(ours) if ours.first != first => {
                let (ours, theirs) = (Box::new(ours.first.clone()), Box::new(first));
                return Err(ServerMessageError::OtherCluster { ours, theirs });
            }
            Some(_) => self.learn(&ended)?,
        };
        if new {
            self.polls.ask.insert(from);
        }
        Ok(())
    }

    /// Whoever told something new may know more, and so may those whose turn it is.
    pub(super) fn ask_on(&mut self) {
        while let Some(pid) = self.polls.ask.pop_first() {
            self.say_hello(pid);
        }
    }

    fn on_stage_request(&mut self, from: NodeId, config_id: ConfigId) {
        let newest = self.durable_newest();
        if config_id < newest {
            self.say_history(from, config_id);
        } else if config_id > newest {
            self.say_hello(from);
        } else {
            let stage = self.stage();
            self.send(from, ServerBody::Stage { config_id, stage });
        }
    }

    fn on_stage(
        &mut self,
        from: NodeId,
        config_id: ConfigId,
        stage: Stage,
    ) -> Result<(), ServerMessageError> {
        let durable = self.durable_newest();
        if config_id < durable {
            self.say_history(from, config_id);
        } else if config_id > durable {
            self.say_hello(from);
        }
        let newest = self.newest.as_ref().filter(|newest| newest.config_id == config_id);
        let Some(newest) = newest else { return Ok(()) };
        if newest.role(from).is_none() {
            return Err(ServerMessageError::NoMember { pid: from, config_id });
        }
        // What is durable stays true, whatever is said later or comes late.
        let known = self.stages.entry(from).or_default();
        if stage.rank() >= known.rank() {
            *known = stage;
        }
        Ok(())
    }
}
