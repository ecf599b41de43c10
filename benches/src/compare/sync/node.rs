//! A server in a process of its own. It is told what to do in lines on standard input, and answers
//! each with a line of JSON.

use super::memory::Memory;
use super::reader::{Question, Reader};
use crate::compare::cluster::{PATIENCE, no_answer, system};
use crate::compare::group::GroupError;
use clap::{Args, Parser};
use kompact::prelude::*;
use omnipaxos_core::configurations::Role;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_kompact::config::OmniPaxosConfig;
use omnipaxos_kompact::durable::{Engine, Options, Owner};
use omnipaxos_kompact::server::{PreparedServer, ServerSpec, Start};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::stdin;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A server.
#[derive(Clone, Debug, Args)]
pub struct NodeArgs {
    /// Which one.
    #[arg(long)]
    pub(super) pid: NodeId,
    /// Its storage; made where it is not there.
    #[arg(long)]
    pub(super) dir: PathBuf,
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(super) listen: SocketAddr,
    /// A server of the cluster that it joins.
    #[arg(long)]
    pub(super) contact: Option<SocketAddr>,
    /// Its user has processed everything below this global index.
    #[arg(long, default_value_t = 0)]
    pub(super) deliver_from: u64,
    /// Its user works for so many microseconds on each batch, and has no more than 1 MiB waiting.
    #[arg(long)]
    pub(super) slow: Option<u64>,
}

/// What a server is told.
#[derive(Clone, Debug, Parser)]
#[command(no_binary_name = true)]
enum Order {
    /// Say who leads.
    Leader,
    /// Propose so many entries of so many bytes, and say what index follows them.
    Propose { count: u64, payload: usize },
    /// Count memory from now on.
    Mark,
    /// Say when everything below this index was processed.
    Read { to: u64 },
    /// Say how much memory was in use beyond that at the mark.
    Grown,
}

/// How a laggard has caught up.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct CaughtUp {
    /// Seconds since the server was started over its storage.
    pub(super) seconds: f64,
    /// Bytes that its migration has fetched, and from how many servers.
    pub(super) fetched: u64,
    pub(super) donors: usize,
}

/// Bytes that a slow user has waiting.
const PACE: u64 = 1 << 20;

/// Runs until standard input ends.
///
/// # Errors
/// [`GroupError`] where the server does not start, or something takes too long.
pub(super) fn run(args: &NodeArgs) -> Result<(), GroupError> {
    let owner = Owner { cluster_id: system::CLUSTER, pid: args.pid };
    let (engine, start) = if args.dir.exists() {
        let engine = Engine::open(&args.dir, owner, Options::default());
        (engine.map_err(GroupError::new)?, Start::Resume)
    } else {
        Engine::create(&args.dir, owner, Options::default()).map_err(GroupError::new)?;
        let engine = Engine::open(&args.dir, owner, Options::default());
        let start = match args.contact {
            Some(contact) => Start::Join { contact, role: Some(Role::Voter) },
            None => Start::Bootstrap { servers: BTreeMap::new() },
        };
        (engine.map_err(GroupError::new)?, start)
    };
    let system = system::start_at(args.listen)?;
    let config = OmniPaxosConfig::from_config(system.config()).map_err(GroupError::new)?;
    let mut spec = ServerSpec::new(args.pid, config, engine, start).deliver_from(args.deliver_from);
    if args.slow.is_some() {
        spec = spec.pace(PACE);
    }
    let prepared = PreparedServer::prepare(&system, spec).map_err(GroupError::new)?;
    let work = Duration::from_micros(args.slow.unwrap_or_default());
    let reader = system.create(move || Reader::new(work));
    let started = system.start_notify(&reader).wait_timeout(PATIENCE);
    started.map_err(|_| no_answer("a reader"))?;
    prepared.subscribe(&reader);
    let (mut memory, begin) = (Memory::now()?, Instant::now());
    let server = prepared.start().map_err(GroupError::new)?;
    let reader = reader.actor_ref();
    answer(&server.address())?;
    for line in stdin().lines() {
        let line = line.map_err(GroupError::new)?;
        match Order::try_parse_from(line.split_whitespace()).map_err(GroupError::new)? {
            Order::Leader => {
                let (promise, leader) = promise();
                reader.tell(Question::Leader(promise));
                answer(&leader.wait_timeout(PATIENCE).map_err(|_| no_answer("a leader"))?)?;
            }
            Order::Propose { count, payload } => {
                let (done, end) = promise();
                reader.tell(Question::Propose { count, payload, done });
                answer(&end.wait_timeout(PATIENCE).map_err(|_| no_answer("proposals"))??)?;
            }
            Order::Mark => {
                memory = Memory::now()?;
                answer(&())?;
            }
            Order::Read { to } => {
                let (done, read) = promise();
                reader.tell(Question::Read { to, done });
                let migrated = read.wait_timeout(PATIENCE).map_err(|_| no_answer("a laggard"))?;
                let donors = migrated.iter().flat_map(|progress| &progress.donors);
                answer(&CaughtUp {
                    seconds: begin.elapsed().as_secs_f64(),
                    fetched: migrated.as_ref().map_or(0, |progress| progress.bytes),
                    donors: donors.filter(|donor| donor.bytes > 0).count(),
                })?;
            }
            Order::Grown => answer(&memory.grown()?)?,
        }
    }
    Ok(())
}

fn answer(what: &impl Serialize) -> Result<(), GroupError> {
    println!("{}", serde_json::to_string(what).map_err(GroupError::new)?);
    Ok(())
}
