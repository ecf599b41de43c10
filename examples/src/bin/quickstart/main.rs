//! The first program: replicates the lines of a file over three servers, each a Kompact system of
//! its own with a directory of its own, on loopback TCP; kills the leader on the way; puts a new
//! server in its place, which fetches the log from the others while lines go on; and checks at the
//! end that all live servers hold the same log. On a directory that an earlier run left the servers
//! go on where they were.

mod args;
mod check;
mod collector;
mod data;
mod error;
mod feed;
mod input;
mod report;
mod server;
mod wait;

use args::Args;
use bytes::Bytes;
use clap::Parser as _;
use data::Data;
use error::QuickstartError;
use feed::Feeder;
use input::{RunNumber, parse};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::ConfigId;
use omnipaxos_kompact::server::Start;
use report::Report;
use server::{Place, Server};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use wait::{poll, wait_for};

type Servers = BTreeMap<NodeId, Server>;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), QuickstartError> {
    let mut lines = input::read(args.file.as_deref()).map_err(|source| {
        let file = args.file.as_ref().map_or("standard input".into(), |f| f.display().to_string());
        QuickstartError::Input { file, source }
    })?;
    lines.truncate(args.lines.unwrap_or(usize::MAX));
    let report = Report::new(lines.len(), args.quiet);
    let data = Data::open(args.data.as_deref())?;
    let mut feeder = Feeder::new(data.run);

    let (mut servers, config_id, leader) = begin(&data, args, &report)?;

    // The leader dies while its proposals are on their way.
    let (third, two_thirds) = (lines.len() / 3, lines.len() * 2 / 3);
    feeder.feed(&lines, 0..third, &servers, &report)?;
    if let Some(killed) = servers.remove(&leader) {
        killed.kill()?;
    }
    feeder.lose(leader);
    report.event(&format!("killed server {leader} behind line {third}"));

    // Another one takes its place while lines go on: those that come in between two configurations
    // are held, and decided in the next one.
    let new = replace(leader, &servers, &data, args.log)?;
    let (joining, address) = (new.pid, new.address());
    let Some(any) = servers.values().next() else {
        return Ok(());
    };
    let changed = any.client().replace(leader, joining, address);
    feeder.feed(&lines, third..two_thirds, &servers, &report)?;
    report.migration(&new.log);
    let changed = wait_for("the reconfiguration", changed)?;
    let next_config = changed.map_err(QuickstartError::Reconfiguration)?.config_id;
    report.event(&format!("configuration {config_id} ends, configuration {next_config} begins"));
    servers.insert(joining, new);
    let leads = await_leader(&servers, next_config, &report)?;
    report.event(&format!("configuration {next_config}: server {joining} is in, {leads} leads"));
    feeder.settle(&report)?;

    let decided = decided_before(&servers, next_config, data.run)?;
    let lost = feeder.lost(leader, &decided, &report);
    feeder.feed(&lines, lost.into_iter().chain(two_thirds..lines.len()), &servers, &report)?;
    feeder.settle(&report)?;

    let result = verify(&servers, data.run, &lines, &feeder);
    report.table(&rows(&servers, leader));
    result?;
    report.event(&format!("all live servers hold the {} lines in the same order", lines.len()));
    servers.into_values().try_for_each(Server::shutdown)
}

/// Starts the servers that the directory knows, or the first ones of a new cluster, and waits until
/// they have a leader; returns those that are members, their configuration and its leader.
fn begin(
    data: &Data,
    args: &Args,
    report: &Report,
) -> Result<(Servers, ConfigId, NodeId), QuickstartError> {
    let (engines, new) = data.engines(args.servers)?;
    let mut places = BTreeMap::new();
    for pid in engines.keys() {
        places.insert(*pid, Place::new(args.log)?);
    }
    let addresses: BTreeMap<_, _> = places.iter().map(|(pid, p)| (*pid, p.address())).collect();
    let mut contact = None;
    for (pid, engine) in &engines {
        if engine.history()?.is_some() {
            contact = addresses.get(pid).copied();
        }
    }
    let mut servers = Servers::new();
    for (pid, engine) in engines {
        let start = match contact {
            _ if new => Start::Bootstrap { servers: addresses.clone() },
            // It was stopped before it knew of any configuration.
            Some(contact) if engine.history()?.is_none() => Start::Join { contact, role: None },
            _ => Start::Resume,
        };
        if let Some(place) = places.remove(&pid) {
            servers.insert(pid, Server::start(place, engine, start, &addresses)?);
        }
    }
    let config_id = settle(&mut servers, report)?;
    let leader = await_leader(&servers, config_id, report)?;
    let pids: Vec<NodeId> = servers.keys().copied().collect();
    report.event(&format!("configuration {config_id}: servers {pids:?}, led by {leader}"));
    if data.run > 1 {
        let log = servers.get(&leader).map(|server| server.log.clone()).unwrap_or_default();
        poll("the entries of earlier runs", || {
            Ok(log.lock().has_all_before(config_id).then_some(()))
        })?;
        let earlier = log.lock().entries.len();
        report.event(&format!("{earlier} entries of earlier configurations were recovered"));
    }
    Ok((servers, config_id, leader))
}

/// Waits until each server runs in the newest configuration, or has found out that it is no member
/// any more: such a one is stopped. Returns that configuration.
fn settle(servers: &mut Servers, report: &Report) -> Result<ConfigId, QuickstartError> {
    let newest = poll("servers in one configuration", || {
        let mut configurations = BTreeMap::new();
        for server in servers.values() {
            let log = server.log.lock();
            fail_if_halted(server.pid, log.halted.as_deref())?;
            configurations.extend(log.configuration.clone().map(|c| (c.config_id, c)));
        }
        let Some((config_id, configuration)) = configurations.pop_last() else {
            return Ok(None);
        };
        let settled = servers.values().all(|server| {
            let log = server.log.lock();
            let member = configuration.role(server.pid).is_some();
            if member { log.config_id() == Some(config_id) } else { log.retired }
        });
        Ok(settled.then_some((config_id, configuration)))
    })?;
    let (config_id, configuration) = newest;
    let gone: Vec<NodeId> =
        servers.keys().copied().filter(|pid| configuration.role(*pid).is_none()).collect();
    for pid in gone {
        if let Some(server) = servers.remove(&pid) {
            server.shutdown()?;
            report.event(&format!("server {pid} was replaced in an earlier run: it has retired"));
        }
    }
    Ok(config_id)
}

fn fail_if_halted(pid: NodeId, reason: Option<&str>) -> Result<(), QuickstartError> {
    match reason {
        Some(reason) => Err(QuickstartError::Halted { pid, reason: reason.to_owned() }),
        None => Ok(()),
    }
}

/// Waits until all servers follow the same leader in a configuration.
fn await_leader(
    servers: &Servers,
    config_id: ConfigId,
    report: &Report,
) -> Result<NodeId, QuickstartError> {
    poll(&format!("a leader of configuration {config_id}"), || {
        let mut leaders = BTreeSet::new();
        for server in servers.values() {
            report.migration(&server.log);
            let log = server.log.lock();
            fail_if_halted(server.pid, log.halted.as_deref())?;
            leaders.insert((log.config_id(), log.leader));
        }
        let leader = leaders.pop_first().and_then(|(config, leader)| {
            leader.filter(|_| config == Some(config_id) && leaders.is_empty())
        });
        Ok(leader)
    })
}

/// A new server, which waits to be named.
fn replace(
    gone: NodeId,
    servers: &Servers,
    data: &Data,
    show_log: bool,
) -> Result<Server, QuickstartError> {
    let joining = data.new_pid()?;
    let contact = servers.values().next().map(Server::address);
    let start = match contact {
        Some(contact) => Start::Join { contact, role: None },
        None => return Err(QuickstartError::Check(format!("server {gone} was the last one"))),
    };
    Server::start(Place::new(show_log)?, data.create(joining)?, start, &BTreeMap::new())
}

/// The lines of this run that were decided before configuration `config_id`.
fn decided_before(
    servers: &Servers,
    config_id: ConfigId,
    run: RunNumber,
) -> Result<BTreeSet<usize>, QuickstartError> {
    let Some(server) = servers.values().next() else {
        return Ok(BTreeSet::new());
    };
    let what = format!("the end of the old log at server {}", server.pid);
    poll(&what, || Ok(server.log.lock().has_all_before(config_id).then_some(())))?;
    let log = server.log.lock();
    let parsed = log.entries.iter().filter_map(|(_, data)| parse(data));
    Ok(parsed.filter(|(of, ..)| *of == run).map(|(_, number, _)| number).collect())
}

/// All live servers hold the same log, and it is a valid one.
fn verify(
    servers: &Servers,
    run: RunNumber,
    lines: &[Bytes],
    feeder: &Feeder,
) -> Result<(), QuickstartError> {
    for server in servers.values() {
        poll(&format!("all lines at server {}", server.pid), || {
            Ok((server.log.lock().lines_of(run) >= lines.len()).then_some(()))
        })?;
        check::check(&server.log.lock(), run, lines, &feeder.proposed)?;
    }
    let digests: BTreeSet<String> =
        servers.values().map(|server| server.log.lock().digest().to_string()).collect();
    if digests.len() == 1 {
        Ok(())
    } else {
        Err(QuickstartError::Check("the logs differ".to_owned()))
    }
}

fn rows(servers: &Servers, killed: NodeId) -> Vec<[String; 6]> {
    let mut rows = BTreeMap::new();
    let none = || "-".to_owned();
    rows.insert(killed, [killed.to_string(), "killed".to_owned(), none(), none(), none(), none()]);
    for server in servers.values() {
        let log = server.log.lock();
        let mut digest = log.digest().to_string();
        digest.truncate(16);
        let row = [
            server.pid.to_string(),
            "live".to_owned(),
            log.config_id().map_or_else(none, |config_id| config_id.to_string()),
            log.leader.map_or_else(none, |pid| pid.to_string()),
            log.entries.len().to_string(),
            digest,
        ];
        rows.insert(server.pid, row);
    }
    rows.into_values().collect()
}
