//! Three servers over loopback TCP and on real disks, each in a process of its own: one of them is
//! stopped while the others decide a long log, and starts again.

use super::lag::Log;
use super::node::CaughtUp;
use crate::compare::group::GroupError;
use omnipaxos_core::leader_election::NodeId;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tempfile::TempDir;

/// What it took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CaughtOver {
    /// Seconds from the start of the laggard until its user has processed everything.
    pub seconds: f64,
    /// Bytes of memory beyond what was in use when the laggard started, at the leader,
    pub leader: u64,
    /// at the other follower,
    pub follower: u64,
    /// and at the laggard.
    pub laggard: u64,
}

/// Measures it once, with storage below `disk`. The laggard's user works for `slow` microseconds on
/// each batch, where that is given.
///
/// # Errors
/// [`GroupError`] where a server fails, or the laggard gets less than most of the log from several
/// others.
pub fn measure(
    program: &Path,
    disk: &Path,
    log: Log,
    slow: Option<u64>,
) -> Result<CaughtOver, GroupError> {
    let dir = TempDir::with_prefix_in("sync-", disk).map_err(GroupError::new)?;
    let mut nodes = BTreeMap::new();
    let first = Node::start(program, dir.path(), 1, &[])?;
    let contact = first.address.to_string();
    nodes.insert(1, first);
    for pid in [2, 3] {
        let mut node = Node::start(program, dir.path(), pid, &["--contact", &contact])?;
        node.ask::<NodeId>("leader")?;
        nodes.insert(pid, node);
    }
    let leader = leader(&mut nodes)?;
    let away = followers(&nodes, leader).last().copied();
    let away = away.and_then(|pid| nodes.remove(&pid)).ok_or_else(|| lost("follower"))?.kill()?;
    let proposer = nodes.get_mut(&leader).ok_or_else(|| lost("leader"))?;
    let end: u64 = proposer.ask(&format!("propose {} {}", log.entries, log.payload))?;
    // Processes that have just started hold no memory that is free, or was used before.
    let from = end.to_string();
    let mut stopped = Vec::new();
    for node in std::mem::take(&mut nodes).into_values() {
        stopped.push(node.kill()?);
    }
    for at in stopped {
        nodes.insert(at.pid, at.start(program, &["--deliver-from", &from])?);
    }
    let leader = self::leader(&mut nodes)?;
    for node in nodes.values_mut() {
        node.ask::<()>("mark")?;
    }
    let slow = slow.map(|micros| micros.to_string());
    let slow: Vec<&str> = slow.iter().flat_map(|micros| ["--slow", micros]).collect();
    let mut laggard = away.start(program, &slow)?;
    let caught: CaughtUp = laggard.ask(&format!("read {end}"))?;
    if caught.donors < 2 || caught.fetched < log.entries * log.payload as u64 / 2 {
        return Err(GroupError(format!("no migration from several servers: {caught:?}")));
    }
    let laggard = laggard.ask("grown")?;
    let mut grown = |pid| nodes.get_mut(&pid).ok_or_else(|| lost("server"))?.ask("grown");
    let leader_grown = grown(leader)?;
    let other = followers(&nodes, leader).first().copied().unwrap_or(leader);
    let follower = nodes.get_mut(&other).ok_or_else(|| lost("server"))?.ask("grown")?;
    Ok(CaughtOver { seconds: caught.seconds, leader: leader_grown, follower, laggard })
}

fn lost(what: &str) -> GroupError {
    GroupError(format!("there is no {what}"))
}

fn followers(nodes: &BTreeMap<NodeId, Node>, leader: NodeId) -> Vec<NodeId> {
    nodes.keys().copied().filter(|pid| *pid != leader).collect()
}

/// The leader of all of them.
fn leader(nodes: &mut BTreeMap<NodeId, Node>) -> Result<NodeId, GroupError> {
    let mut leader = 0;
    for node in nodes.values_mut() {
        leader = node.ask("leader")?;
    }
    Ok(leader)
}

/// A process.
struct Node {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pid: NodeId,
    dir: PathBuf,
    address: SocketAddr,
}

/// What is left of one.
struct Stopped {
    pid: NodeId,
    dir: PathBuf,
    address: SocketAddr,
}

impl Stopped {
    fn start(self, program: &Path, more: &[&str]) -> Result<Node, GroupError> {
        let Self { pid, dir, address } = self;
        let listen = address.to_string();
        Node::spawn(program, dir, pid, &[&["--listen", &listen], more].concat())
    }
}

impl Node {
    /// A server with new storage.
    fn start(program: &Path, dir: &Path, pid: NodeId, more: &[&str]) -> Result<Self, GroupError> {
        Self::spawn(program, dir.join(pid.to_string()), pid, more)
    }

    fn spawn(program: &Path, dir: PathBuf, pid: NodeId, more: &[&str]) -> Result<Self, GroupError> {
        let mut command = Command::new(program);
        command.args(["run-node", "--pid", &pid.to_string(), "--dir"]).arg(&dir).args(more);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(GroupError::new)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(lost("pipe"));
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let output = BufReader::new(output);
        let mut node = Self { child, input, output, pid, dir, address };
        node.address = node.answer()?;
        Ok(node)
    }

    fn ask<T: DeserializeOwned>(&mut self, order: &str) -> Result<T, GroupError> {
        writeln!(self.input, "{order}").map_err(GroupError::new)?;
        self.answer()
    }

    fn answer<T: DeserializeOwned>(&mut self) -> Result<T, GroupError> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).map_err(GroupError::new)?;
        if read == 0 {
            return Err(GroupError(format!("server {} has ended", self.pid)));
        }
        serde_json::from_str(&line).map_err(GroupError::new)
    }

    /// As in a crash.
    fn kill(mut self) -> Result<Stopped, GroupError> {
        self.child.kill().map_err(GroupError::new)?;
        self.child.wait().map_err(GroupError::new)?;
        Ok(Stopped { pid: self.pid, dir: self.dir.clone(), address: self.address })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
