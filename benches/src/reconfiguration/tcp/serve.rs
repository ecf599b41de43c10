//! One server, in a process and a network namespace of its own.

use super::super::RunError;
use super::super::case::{TICK, TIMEOUT_TICKS};
use super::super::preload::{LEADER, Preload};
use super::super::uplink::Sent;
use super::namespaces::INTERFACE;
use super::storage::Preloaded;
use super::talk::{Order, Say, Seen, Spec, now, read};
use super::user::{Question, User, say};
use crate::compare::cluster::system::start_at;
use kompact::prelude::*;
use omnipaxos_core::configurations::Role;
use omnipaxos_kompact::config::OmniPaxosConfig;
use omnipaxos_kompact::server::{PreparedServer, Seat, ServerHandle, ServerSpec, Start};
use std::fs;
use std::io::stdin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The argument with which this program is a server.
pub const SERVE: &str = "serve";

/// How long a component may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A change may take as long as a run.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(1000);

/// The one that every kernel has and lets anybody use, whatever the machine is set to.
const CONGESTION_CONTROL: (&str, &str) = ("/proc/sys/net/ipv4/tcp_congestion_control", "reno");

/// Is a server until standard input ends, and says why where it cannot be one.
pub fn serve() {
    if let Err(e) = run() {
        say(&Say::Failed(e.to_string()));
    }
}

fn run() -> Result<(), RunError> {
    let mut orders = stdin().lock();
    let Some(Order::Start(spec)) = read(&mut orders)? else {
        return Err(RunError::new("nothing to be"));
    };
    let (path, value) = CONGESTION_CONTROL;
    fs::write(path, value).map_err(|e| RunError(format!("{path}: {e}")))?;
    let (server, user) = start(spec)?;
    say(&Say::Ready);
    while let Some(order) = read(&mut orders)? {
        match order {
            Order::Start(_) => return Err(RunError::new("started twice")),
            Order::Load(load) => user.actor_ref().tell(Question::Load(load)),
            Order::Sent => say(&Say::Sent(sent(&server)?)),
            Order::Seen => {
                let seen: Seen = ask(&user, Question::Seen)?;
                say(&Say::Seen(seen));
            }
            Order::Change(members) => {
                let seat = |(pid, address)| Seat { pid, address, role: Role::Voter };
                let seats = members.into_iter().map(seat).collect();
                say(&Say::Asked(now()));
                let answer = server.client().reconfigure(seats);
                thread::spawn(move || match answer.wait() {
                    Ok(_) => say(&Say::Changed(now())),
                    Err(e) => say(&Say::Failed(e.to_string())),
                });
            }
            Order::Report(end) => {
                let report = ask(&user, |promise| Question::Report(end, promise))?;
                say(&Say::Report(report.map_err(RunError)?));
            }
        }
    }
    // Nobody needs it any more, and nothing of it is kept.
    std::process::exit(0);
}

fn start(spec: Spec) -> Result<(ServerHandle, Arc<Component<User>>), RunError> {
    let Spec { pid, listen, members, entries, segment, serves } = spec;
    let system = start_at(listen).map_err(RunError::new)?;
    let mut config = OmniPaxosConfig::from_config(system.config()).map_err(RunError::new)?;
    // Everybody would rather have the same leader.
    config.priority = u32::from(pid == LEADER);
    config.change_timeout = CHANGE_TIMEOUT;
    config.segment = segment.unwrap_or(config.segment);
    let is_member = members.contains_key(&pid);
    let storage = Preloaded::new(is_member.then(|| Preload::new(entries)));
    let start = match members.get(&LEADER) {
        Some(contact) if !is_member => Start::Join { contact: *contact, role: None },
        _ => Start::Bootstrap { servers: members },
    };
    let spec = ServerSpec::new(pid, config, storage.map_err(RunError::new)?, start);
    let spec = spec.deliver_from(entries);
    let spec = if serves { spec } else { spec.serve_nothing() };
    let prepared = PreparedServer::prepare(&system, spec).map_err(RunError::new)?;
    let patience = Duration::from_millis(TICK * TIMEOUT_TICKS);
    let user = system.create(move || User::new(entries, patience));
    prepared.subscribe(&user);
    let started = system.start_notify(&user).wait_timeout(PATIENCE);
    started.map_err(|_| RunError::new("the user does not start"))?;
    let server = prepared.start().map_err(RunError::new)?;
    Ok((server, user))
}

fn ask<T: Send>(
    user: &Arc<Component<User>>,
    question: impl FnOnce(KPromise<T>) -> Question,
) -> Result<T, RunError> {
    let answer = user.actor_ref().ask_with(question).wait_timeout(PATIENCE);
    answer.map_err(|_| RunError::new("the user does not answer"))
}

/// What has left this namespace, with all headers, and what of it the servers' lane is, without
/// them.
fn sent(server: &ServerHandle) -> Result<Sent, RunError> {
    let path = format!("/sys/class/net/{INTERFACE}/statistics/tx_bytes");
    let total = fs::read_to_string(&path).map_err(|e| RunError(format!("{path}: {e}")))?;
    let total: u64 = total.trim().parse().map_err(RunError::new)?;
    let change = on_the_wire(server.router().server_counters().sent_bytes());
    Ok(Sent { replication: total.saturating_sub(change), change })
}

/// Bytes of full packets that carry so many: Ethernet, IP, and TCP with time stamps.
#[must_use]
pub fn on_the_wire(bytes: u64) -> u64 {
    let (payload, packet) = (1448, 1514);
    bytes * packet / payload
}
