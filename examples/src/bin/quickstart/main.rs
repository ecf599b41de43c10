//! The first program: replicates the lines of a file over three servers, each a Kompact system of
//! its own with a directory of its own, on loopback TCP; kills the leader on the way; goes on in a
//! next configuration with a new server; and checks at the end that all live servers hold the same
//! log. On a directory that an earlier run left it recovers that first.

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
use data::{Data, Recovered};
use error::QuickstartError;
use feed::Feeder;
use input::{LineNumber, RunNumber, parse};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::paxos::ProposalOutcome;
use omnipaxos_core::storage::ConfigId;
use report::Report;
use server::Server;
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
    feeder.feed(&lines, 0..third, &servers, config_id, &report)?;
    if let Some(killed) = servers.remove(&leader) {
        killed.kill()?;
    }
    feeder.lose(leader);
    report.event(&format!("killed server {leader} behind line {third}"));
    feeder.feed(&lines, third..two_thirds, &servers, config_id, &report)?;
    feeder.settle(&report)?;

    let next_config = reconfigure(&mut servers, config_id, &data, args.log, &report)?;
    let next = missing(&mut feeder, &servers, data.run, two_thirds..lines.len(), &report);
    feeder.feed(&lines, next, &servers, next_config, &report)?;
    feeder.settle(&report)?;

    let result = verify(&servers, data.run, &lines, &feeder);
    report.table(&rows(&servers, leader)?);
    result?;
    report.event(&format!("all live servers hold the {} lines in the same order", lines.len()));
    servers.into_values().try_for_each(Server::shutdown)
}

/// Starts the servers of the latest configuration that the directory knows, and waits until they
/// have a leader and nothing undecided; returns them, the configuration and its leader.
fn begin(
    data: &Data,
    args: &Args,
    report: &Report,
) -> Result<(Servers, ConfigId, NodeId), QuickstartError> {
    loop {
        let Recovered { config_id, nodes, log, engines } = data.recover(args.servers)?;
        let mut servers = Servers::new();
        for (pid, engine) in engines {
            servers.insert(pid, Server::start(engine, log.clone(), args.log)?);
        }
        start(&mut servers, config_id, &nodes)?;
        let leader = await_leader(&servers, config_id)?;
        let over = match servers.get(&leader) {
            Some(server) => poll("a log without an undecided end", || server.is_over(config_id))?,
            None => false,
        };
        if over {
            // An earlier run was stopped in the middle of a reconfiguration.
            report.event(&format!("configuration {config_id} is over"));
            for server in servers.values() {
                let stop_sign = || Ok(server.stop_sign(config_id));
                poll(&format!("the StopSign at server {}", server.pid), stop_sign)?;
            }
            servers.into_values().try_for_each(Server::shutdown)?;
            continue;
        }
        report.event(&format!("configuration {config_id}: servers {nodes:?}, led by {leader}"));
        if data.run > 1 {
            let earlier = servers.get(&leader).map_or(0, |s| s.log.lock().entries.len());
            report.event(&format!("{earlier} entries of earlier runs were recovered"));
        }
        return Ok((servers, config_id, leader));
    }
}

/// Starts the replicas of a configuration at all `servers`.
fn start(
    servers: &mut Servers,
    config_id: ConfigId,
    nodes: &[NodeId],
) -> Result<(), QuickstartError> {
    for server in servers.values() {
        server.meet(servers);
    }
    servers.values_mut().try_for_each(|server| server.join(config_id, nodes))
}

/// Waits until all servers follow the same leader.
fn await_leader(servers: &Servers, config_id: ConfigId) -> Result<NodeId, QuickstartError> {
    poll(&format!("a leader of configuration {config_id}"), || {
        let mut leaders = BTreeSet::new();
        for server in servers.values() {
            leaders.insert(server.leader()?);
        }
        let leader = leaders.pop_first().and_then(|(config, leader)| {
            leader.filter(|_| config == config_id && leaders.is_empty())
        });
        Ok(leader)
    })
}

/// Ends a configuration, and goes on in one of the survivors and a new server; returns it.
fn reconfigure(
    servers: &mut Servers,
    config_id: ConfigId,
    data: &Data,
    show_log: bool,
    report: &Report,
) -> Result<ConfigId, QuickstartError> {
    let (joining, next_config) = (data.new_pid()?, config_id + 1);
    let mut nodes: Vec<NodeId> = servers.keys().copied().collect();
    nodes.push(joining);
    let Some(proposer) = servers.values().next() else {
        return Ok(next_config);
    };
    let answer = proposer.client(config_id)?.propose_reconfiguration(nodes.clone());
    match wait_for("the reconfiguration", answer)? {
        Ok(ProposalOutcome::Decided(index)) => {
            let what = format!("configuration {config_id} ends with a StopSign at index {index}");
            report.event(&what);
        }
        Ok(outcome) => {
            return Err(QuickstartError::Check(format!("the StopSign was {outcome:?}")));
        }
        Err(failure) => return Err(QuickstartError::Reconfiguration(failure)),
    }
    for server in servers.values() {
        let stop_sign = || Ok(server.stop_sign(config_id));
        poll(&format!("the StopSign at server {}", server.pid), stop_sign)?;
    }
    let Some(donor) = servers.values().next() else {
        return Ok(next_config);
    };
    let new = Server::start(data.create(joining)?, donor.log.lock().before(config_id), show_log)?;
    new.fetch(donor, config_id)?;
    let entries = new.log.lock().entries.len();
    report.event(&format!(
        "server {joining} has {entries} entries up to configuration {config_id} from server {}",
        donor.pid
    ));
    servers.insert(joining, new);
    start(servers, next_config, &nodes)?;
    let leader = await_leader(servers, next_config)?;
    report.event(&format!("configuration {next_config}: servers {nodes:?}, led by {leader}"));
    Ok(next_config)
}

/// The lines that the next configuration still has to decide: what the sealed log lacks, and
/// `rest`.
fn missing(
    feeder: &mut Feeder,
    servers: &Servers,
    run: RunNumber,
    rest: std::ops::Range<LineNumber>,
    report: &Report,
) -> Vec<LineNumber> {
    let mut decided = BTreeSet::new();
    if let Some(server) = servers.values().next() {
        let log = server.log.lock();
        let parsed = log.entries.iter().filter_map(|(_, data)| parse(data));
        decided.extend(parsed.filter(|(of, ..)| *of == run).map(|(_, number, _)| number));
    }
    let (found, lost): (Vec<_>, Vec<_>) =
        std::mem::take(&mut feeder.unknown).into_iter().partition(|line| decided.contains(line));
    found.iter().for_each(|_| feeder.found(report));
    let mut next = std::mem::take(&mut feeder.dropped);
    report.event(&format!(
        "of the lines at the killed server {} were decided, {} are proposed again",
        found.len(),
        lost.len()
    ));
    next.extend(lost);
    next.extend(rest);
    next
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

fn rows(servers: &Servers, killed: NodeId) -> Result<Vec<[String; 6]>, QuickstartError> {
    let mut rows = BTreeMap::new();
    let none = || "-".to_owned();
    rows.insert(killed, [killed.to_string(), "killed".to_owned(), none(), none(), none(), none()]);
    for server in servers.values() {
        let (config_id, leader) = server.leader()?;
        let log = server.log.lock();
        let mut digest = log.digest().to_string();
        digest.truncate(16);
        let row = [
            server.pid.to_string(),
            "live".to_owned(),
            config_id.to_string(),
            leader.map_or_else(none, |pid| pid.to_string()),
            log.entries.len().to_string(),
            digest,
        ];
        rows.insert(server.pid, row);
    }
    Ok(rows.into_values().collect())
}
