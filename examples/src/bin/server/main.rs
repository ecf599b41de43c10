//! One server of a cluster in a process of its own: start it three times to have a cluster of
//! three.

mod args;
mod command;
mod error;
mod printer;

use args::Args;
use clap::Parser as _;
use command::{Command, HELP};
use error::ServerError;
use kompact::KompactLogger;
use kompact::prelude::{BlockingFutureExt as _, Drain as _, KompactSystem, Logger, o};
use omnipaxos_core::configurations::Role;
use omnipaxos_kompact::config::OmniPaxosConfig;
use omnipaxos_kompact::durable::{Engine, OpenError, Options, Owner};
use omnipaxos_kompact::network::kompact_config;
use omnipaxos_kompact::server::{
    ChangeError, Changed, PreparedServer, ServerClient, ServerSpec, Start,
};
use omnipaxos_kompact::spawn::Answer;
use printer::Printer;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

/// The same at all servers of the cluster.
const TOML: &str = "[kompact.runtime]\nthreads = 2\n\n[omnipaxos]\ncluster-id = 2\n";

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), ServerError> {
    let system = system(args)?;
    let config = OmniPaxosConfig::from_config(system.config())?;
    let owner = Owner { cluster_id: config.cluster_id, pid: args.pid };
    let engine = match Engine::open(&args.data, owner, Options::default()) {
        Err(OpenError::Missing { .. }) => Engine::create(&args.data, owner, Options::default())?,
        opened => opened?,
    };
    let start = match args.join {
        Some(contact) => {
            let role = if args.learner { Role::Learner } else { Role::Voter };
            Start::Join { contact, role: Some(role) }
        }
        None => Start::Bootstrap { servers: BTreeMap::new() },
    };
    let prepared =
        PreparedServer::prepare(&system, ServerSpec::new(args.pid, config, engine, start))?;
    let printer = system.create(Printer::new);
    prepared.subscribe(&printer);
    system.start(&printer);
    let server = prepared.start()?;
    println!("server {} listens at {}", args.pid, server.address());
    let client = server.client();
    for line in std::io::stdin().lines() {
        match Command::parse(&line?) {
            Command::Quit => break,
            Command::Help => println!("{HELP}"),
            Command::Status => status(&client),
            Command::Propose(line) => propose(&client, line),
            Command::Remove(pid) => changed(client.remove(pid)),
            Command::Promote(pid) => changed(client.promote(pid)),
            Command::Demote(pid) => changed(client.demote(pid)),
            Command::Lead(pid) => changed(client.transfer_leadership(pid)),
        }
    }
    server.stop()?;
    match system.shutdown().wait() {
        Ok(()) => Ok(()),
        Err(e) => Err(ServerError::Kompact(format!("{e:?}"))),
    }
}

fn system(args: &Args) -> Result<KompactSystem, ServerError> {
    let mut kompact = kompact_config(args.listen, TOML)?;
    if !args.log {
        let nowhere = slog_async::Async::default(slog::Discard);
        let logger: KompactLogger = Logger::root_typed(Arc::new(nowhere.fuse()), o!());
        kompact.logger(logger);
    }
    kompact.build().wait().map_err(|e| ServerError::Kompact(format!("{e:?}")))
}

fn propose(client: &ServerClient, line: &str) {
    if let Err(error) = client.propose(line.as_bytes().to_vec()).wait() {
        println!("not replicated: {error}");
    }
}

fn changed(answer: Answer<Changed, ChangeError>) {
    match answer.wait() {
        Ok(Changed { config_id, leader, .. }) => {
            let leader = leader.map_or("nobody yet".to_owned(), |pid| format!("server {pid}"));
            println!("done: configuration {config_id}, led by {leader}");
        }
        Err(error) => println!("not done: {error}"),
    }
}

fn status(client: &ServerClient) {
    match client.status().wait() {
        Ok(status) => {
            match &status.newest {
                Some(newest) => println!(
                    "configuration {}: voters {:?}, learners {:?}, {} this server",
                    newest.config_id,
                    newest.nodes,
                    newest.learners,
                    if newest.role(status.pid).is_some() { "with" } else { "without" }
                ),
                None => println!("no configuration is known yet"),
            }
            let leader = status.leader.map_or("nobody".to_owned(), |pid| format!("server {pid}"));
            println!("{leader} leads");
            if !status.forced.is_empty() {
                println!("ended by force: configurations {:?}", status.forced);
            }
        }
        Err(error) => println!("{error}"),
    }
}
