//! The processes of all servers.

use super::super::RunError;
use super::super::case::MEMBERS;
use super::super::preload::{FIRST, LEADER};
use super::super::uplink::Sent;
use super::super::world::SECOND;
use super::namespaces::Namespaces;
use super::serve::SERVE;
use super::talk::{Order, Report, Say, Seen, Spec, read, write};
use omnipaxos_core::leader_election::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take for anything but the change.
const PATIENCE: Duration = Duration::from_secs(60);

/// All servers, and what they have said. Dropping it ends them.
#[derive(Debug)]
pub struct Cluster {
    servers: BTreeMap<NodeId, Process>,
    said: Receiver<(NodeId, Result<Option<Say>, RunError>)>,
    ready: BTreeSet<NodeId>,
    /// The members that follow the leader in the first configuration.
    followers: BTreeSet<NodeId>,
    /// When each server's replica of the second configuration was first in sync with a leader.
    pub votes: BTreeMap<NodeId, u64>,
    /// The length of the first configuration's log.
    pub length: Option<u64>,
    /// When the change was asked for.
    pub asked: Option<u64>,
    /// When it was answered.
    pub changed: Option<u64>,
    /// When which server came how far in the change.
    pub timeline: Vec<(u64, NodeId, String)>,
    sent: BTreeMap<NodeId, Sent>,
    seen: BTreeMap<NodeId, Seen>,
    reports: BTreeMap<NodeId, Report>,
    // Goes last.
    namespaces: Namespaces,
}

#[derive(Debug)]
struct Process {
    child: Child,
    orders: ChildStdin,
}

impl Cluster {
    /// Starts the members, which have so many entries, and newcomers, and waits until all members
    /// follow the leader. Those that `serves` does not name answer nobody who migrates.
    ///
    /// # Errors
    /// [`RunError`] where one does not start.
    pub fn start(
        namespaces: Namespaces,
        newcomers: &[NodeId],
        entries: u64,
        segment: Option<u64>,
        serves: impl Fn(NodeId) -> bool,
    ) -> Result<Self, RunError> {
        let (say, said) = channel();
        let mut cluster = Self {
            servers: BTreeMap::new(),
            said,
            ready: BTreeSet::new(),
            followers: BTreeSet::new(),
            votes: BTreeMap::new(),
            length: None,
            asked: None,
            changed: None,
            timeline: Vec::new(),
            sent: BTreeMap::new(),
            seen: BTreeMap::new(),
            reports: BTreeMap::new(),
            namespaces,
        };
        let members: BTreeMap<_, _> =
            MEMBERS.iter().map(|pid| (*pid, cluster.namespaces.address(*pid))).collect();
        for pid in MEMBERS.iter().chain(newcomers).copied() {
            let listen = cluster.namespaces.address(pid);
            let (members, serves) = (members.clone(), serves(pid));
            let mut process = Process::start(pid, &cluster.namespaces, say.clone())?;
            let spec = Spec { pid, listen, members, entries, segment, serves };
            write(&mut process.orders, &Order::Start(spec))?;
            cluster.servers.insert(pid, process);
        }
        cluster.until("start", PATIENCE, |c| c.ready.len() == c.servers.len())?;
        cluster.until("a leader", PATIENCE, |c| c.followers.len() == MEMBERS.len())?;
        Ok(cluster)
    }

    /// Tells a server something.
    ///
    /// # Errors
    /// [`RunError`] where it is gone.
    pub fn tell(&mut self, pid: NodeId, order: &Order) -> Result<(), RunError> {
        match self.servers.get_mut(&pid) {
            Some(process) => write(&mut process.orders, order),
            None => Err(RunError(format!("there is no server {pid}"))),
        }
    }

    /// Lets the leader go on with these servers.
    ///
    /// # Errors
    /// [`RunError`] where it is gone.
    pub fn reconfigure(&mut self, next: &[NodeId]) -> Result<(), RunError> {
        let seats = next.iter().map(|pid| (*pid, Some(self.namespaces.address(*pid)))).collect();
        self.tell(LEADER, &Order::Change(seats))
    }

    /// What all servers have sent so far.
    ///
    /// # Errors
    /// [`RunError`] where a server has failed.
    pub fn sent(&mut self) -> Result<BTreeMap<NodeId, Sent>, RunError> {
        self.sent.clear();
        for pid in self.servers.keys().copied().collect::<Vec<_>>() {
            self.tell(pid, &Order::Sent)?;
        }
        self.until("what was sent", PATIENCE, |c| c.sent.len() == c.servers.len())?;
        Ok(std::mem::take(&mut self.sent))
    }

    /// How far the clients of a server are.
    ///
    /// # Errors
    /// [`RunError`] where a server has failed.
    pub fn seen(&mut self, pid: NodeId) -> Result<Seen, RunError> {
        self.seen.remove(&pid);
        self.tell(pid, &Order::Seen)?;
        self.until("what was seen", PATIENCE, |c| c.seen.contains_key(&pid))?;
        self.seen.remove(&pid).ok_or_else(|| RunError::new("no answer"))
    }

    /// What became of all proposals below `end` at a server.
    ///
    /// # Errors
    /// [`RunError`] where a server has failed.
    pub fn report(&mut self, pid: NodeId, end: u64) -> Result<Report, RunError> {
        self.tell(pid, &Order::Report(end))?;
        self.until("a report", PATIENCE, |c| c.reports.contains_key(&pid))?;
        self.reports.remove(&pid).ok_or_else(|| RunError::new("no answer"))
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// [`RunError`] where a server has failed.
    pub fn pass(&mut self, time: Duration) -> Result<(), RunError> {
        let end = Instant::now() + time;
        while self.listen(end)? {}
        Ok(())
    }

    /// Waits for something.
    ///
    /// # Errors
    /// [`RunError`] where a server has failed, or it does not come.
    pub fn until(
        &mut self,
        what: &str,
        patience: Duration,
        done: impl Fn(&Self) -> bool,
    ) -> Result<(), RunError> {
        let end = Instant::now() + patience;
        while !done(self) {
            if !self.listen(end)? {
                return Err(RunError(format!("waited {patience:?} for {what}")));
            }
        }
        Ok(())
    }

    /// Hears one thing; returns whether something was said before `end`.
    fn listen(&mut self, end: Instant) -> Result<bool, RunError> {
        let left = end.saturating_duration_since(Instant::now());
        let (pid, said) = match self.said.recv_timeout(left) {
            Ok(said) => said,
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => return Err(RunError::new("all are gone")),
        };
        match said? {
            None => return Err(RunError(format!("server {pid} has ended"))),
            Some(Say::Failed(why)) => return Err(RunError(format!("server {pid}: {why}"))),
            Some(Say::Ready) => _ = self.ready.insert(pid),
            Some(Say::Started { at, config_id: SECOND, base }) => {
                self.length = Some(base);
                self.timeline.push((at, pid, "runs the new configuration".to_owned()));
            }
            Some(Say::Fetched { at, config_id, quarters, donors }) => {
                let donors: Vec<String> = donors
                    .iter()
                    .map(|(pid, megabytes)| format!("{pid}: {megabytes:.1}"))
                    .collect();
                let of = format!("{quarters}/4 of log {config_id} ({})", donors.join(", "));
                self.timeline.push((at, pid, of));
            }
            Some(Say::Follows { config_id: FIRST, leader, .. }) => {
                if leader == Some(LEADER) {
                    self.followers.insert(pid);
                } else {
                    self.followers.remove(&pid);
                }
            }
            Some(Say::Follows { at, config_id: SECOND, leader: Some(_) }) => {
                self.votes.entry(pid).or_insert(at);
                self.timeline.push((at, pid, "votes".to_owned()));
            }
            Some(Say::Started { .. } | Say::Follows { .. }) => {}
            Some(Say::Asked(at)) => self.asked = Some(at),
            Some(Say::Changed(at)) => self.changed = Some(at),
            Some(Say::Sent(sent)) => _ = self.sent.insert(pid, sent),
            Some(Say::Seen(seen)) => _ = self.seen.insert(pid, seen),
            Some(Say::Report(report)) => _ = self.reports.insert(pid, report),
        }
        Ok(true)
    }
}

impl Process {
    fn start(
        pid: NodeId,
        namespaces: &Namespaces,
        say: Sender<(NodeId, Result<Option<Say>, RunError>)>,
    ) -> Result<Self, RunError> {
        let mut command = namespaces.program(pid, SERVE);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(RunError::new)?;
        let (Some(orders), Some(out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(RunError::new("a server without pipes"));
        };
        thread::spawn(move || {
            let mut out = BufReader::new(out);
            loop {
                let said = read(&mut out);
                let more = matches!(said, Ok(Some(_)));
                if say.send((pid, said)).is_err() || !more {
                    return;
                }
            }
        });
        Ok(Self { child, orders })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
