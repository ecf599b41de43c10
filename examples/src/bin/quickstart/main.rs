//! The first program: replicates the lines of a file over three servers, each a Kompact system of
//! its own, on loopback TCP; kills the leader on the way; goes on in a next configuration with a
//! new server; and checks at the end that all live servers hold the same log.

mod args;
mod check;
mod collector;
mod error;
mod feed;
mod input;
mod report;
mod server;
mod wait;

use args::Args;
use bytes::Bytes;
use clap::Parser as _;
use error::QuickstartError;
use feed::Feeder;
use input::{LineNumber, parse};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::paxos::ProposalOutcome;
use omnipaxos_core::storage::ConfigId;
use report::Report;
use server::Server;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use wait::{poll, wait_for};

type Servers = BTreeMap<NodeId, Server>;

const FIRST: ConfigId = 1;
const SECOND: ConfigId = 2;

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
    let mut feeder = Feeder::default();

    let mut servers = Servers::new();
    for pid in 1..=args.servers {
        servers.insert(pid, Server::start(pid, args.log)?);
    }
    let nodes: Vec<NodeId> = servers.keys().copied().collect();
    start(&mut servers, FIRST, &nodes)?;
    let leader = await_leader(&servers, FIRST)?;
    report.event(&format!("configuration 1: servers {nodes:?}, led by server {leader}"));

    // The leader dies while its proposals are on their way.
    let (third, two_thirds) = (lines.len() / 3, lines.len() * 2 / 3);
    feeder.feed(&lines, 0..third, &servers, FIRST, &report)?;
    if let Some(killed) = servers.remove(&leader) {
        killed.kill()?;
    }
    feeder.lose(leader);
    report.event(&format!("killed server {leader} behind line {third}"));
    feeder.feed(&lines, third..two_thirds, &servers, FIRST, &report)?;
    feeder.settle(&report)?;

    let joining = args.servers + 1;
    reconfigure(&mut servers, joining, args.log, &report)?;
    let next = missing(&mut feeder, &servers, two_thirds..lines.len(), &report)?;
    feeder.feed(&lines, next, &servers, SECOND, &report)?;
    feeder.settle(&report)?;

    let result = verify(&servers, &lines, &feeder);
    report.table(&rows(&servers, leader)?);
    result?;
    report.event(&format!("all live servers hold the {} lines in the same order", lines.len()));
    servers.into_values().try_for_each(Server::shutdown)
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

/// Ends the first configuration, and goes on in one of the survivors and server `joining`.
fn reconfigure(
    servers: &mut Servers,
    joining: NodeId,
    show_log: bool,
    report: &Report,
) -> Result<(), QuickstartError> {
    let mut nodes: Vec<NodeId> = servers.keys().copied().collect();
    nodes.push(joining);
    let Some(proposer) = servers.values().next() else {
        return Ok(());
    };
    let answer = proposer.client(FIRST)?.propose_reconfiguration(nodes.clone());
    match wait_for("the reconfiguration", answer)? {
        Ok(ProposalOutcome::Decided(index)) => {
            report.event(&format!("configuration 1 ends with a StopSign at index {index}"));
        }
        Ok(outcome) => {
            return Err(QuickstartError::Check(format!("the StopSign was {outcome:?}")));
        }
        Err(failure) => return Err(QuickstartError::Reconfiguration(failure)),
    }
    for server in servers.values() {
        poll(&format!("the StopSign at server {}", server.pid), || Ok(server.stop_sign(FIRST)))?;
    }
    let new = Server::start(joining, show_log)?;
    if let Some(donor) = servers.values().next() {
        new.fetch(donor, FIRST)?;
        let entries = new.log.lock().entries.len();
        report.event(&format!(
            "server {joining} has the {entries} entries of configuration 1 from server {}",
            donor.pid
        ));
    }
    servers.insert(joining, new);
    start(servers, SECOND, &nodes)?;
    let leader = await_leader(servers, SECOND)?;
    report.event(&format!("configuration 2: servers {nodes:?}, led by server {leader}"));
    Ok(())
}

/// The lines that the second configuration still has to decide: what the sealed log lacks, and
/// `rest`.
fn missing(
    feeder: &mut Feeder,
    servers: &Servers,
    rest: std::ops::Range<LineNumber>,
    report: &Report,
) -> Result<Vec<LineNumber>, QuickstartError> {
    let mut decided = BTreeSet::new();
    if let Some(server) = servers.values().next() {
        let log = server.log.lock();
        decided.extend(log.entries.iter().filter_map(|(_, data)| Some(parse(data)?.0)));
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
    Ok(next)
}

/// All live servers hold the same log, and it is a valid one.
fn verify(servers: &Servers, lines: &[Bytes], feeder: &Feeder) -> Result<(), QuickstartError> {
    for server in servers.values() {
        poll(&format!("all lines at server {}", server.pid), || {
            Ok((server.log.lock().entries.len() >= lines.len()).then_some(()))
        })?;
        check::check(&server.log.lock(), lines, &feeder.proposed)?;
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
