//! Subscribes to the server's log and prints it, with what happens to the server.

use kompact::prelude::*;
use omnipaxos_kompact::server::{LogPort, ServerEvent};

/// The component that prints.
#[derive(ComponentDefinition)]
pub(crate) struct Printer {
    ctx: ComponentContext<Self>,
    server: RequiredPort<LogPort>,
    /// The share of a migration that was told of last, in percent.
    told: u64,
}

impl Printer {
    pub(crate) fn new() -> Self {
        Self {
            ctx: ComponentContext::uninitialised(),
            server: RequiredPort::uninitialised(),
            told: 0,
        }
    }

    fn print(&mut self, event: &ServerEvent) {
        match event {
            ServerEvent::Decided(batch) => {
                for (index, entry) in (batch.index..).zip(batch.entries.iter()) {
                    println!("{index}: {}", String::from_utf8_lossy(entry));
                }
            }
            ServerEvent::StopSign { index, config_id, stop_sign } => println!(
                "{index}: configuration {config_id} ends; {} has the voters {:?} and the learners \
                 {:?}",
                stop_sign.config_id, stop_sign.nodes, stop_sign.learners
            ),
            ServerEvent::ConfigurationStarted { configuration, .. } => {
                println!("this server takes part in configuration {}", configuration.config_id);
            }
            ServerEvent::LeaderChanged { config_id, leader: Some(leader) } => {
                println!("server {leader} leads configuration {config_id}");
            }
            ServerEvent::LeaderChanged { config_id, leader: None } => {
                println!("nobody leads configuration {config_id}");
            }
            ServerEvent::Migrating { config_id, progress } => {
                let percent = progress.have * 100 / progress.total.max(1);
                if percent >= self.told + 10 || percent < self.told || percent == 100 {
                    self.told = percent;
                    println!("{percent} % of the log of configuration {config_id} fetched");
                }
            }
            ServerEvent::JoinRefused { reason } => println!("not taken in: {reason}"),
            ServerEvent::Retired => println!("nobody needs this server any more: stop it"),
            ServerEvent::Halted { reason } => println!("HALTED: {reason}"),
            _ => {}
        }
    }
}

impl ComponentLifecycle for Printer {}

impl Require<LogPort> for Printer {
    fn handle(&mut self, event: ServerEvent) -> HandlerResult {
        self.print(&event);
        Handled::OK
    }
}

impl Actor for Printer {
    type Message = Never;

    fn receive_local(&mut self, message: Never) -> HandlerResult {
        match message {}
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        Handled::OK
    }
}
