//! A cluster in virtual time: servers of one library, their clocks, clients and links.

use crate::dice::{Dice, Use};
use crate::history::{Divergence, History};
use crate::links::Links;
use crate::peer::{Leadership, NodeId, Peer, PeerError};
use crate::queue::Queue;
use crate::units::{BOOT, PROPOSE_EVERY, TICK};
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a run could not go on: a library, or this driver, is broken.
#[derive(Debug, Error)]
pub enum RunError {
    /// A library failed.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// Two servers decided different logs.
    #[error(transparent)]
    Divergence(#[from] Divergence),
    /// No server ever led before the fault.
    #[error("no leader before the fault")]
    NoLeader,
}

enum Event<M> {
    Boot(NodeId),
    Tick(NodeId),
    Propose(NodeId),
    Arrive {
        from: NodeId,
        to: NodeId,
        message: M,
    },
}

/// Servers 1 ..= n of one library, made by `boot`.
pub struct Cluster<P, B>
where
    P: Peer,
    B: Fn(NodeId) -> Result<P, PeerError>,
{
    boot: B,
    /// The links between the servers.
    pub links: Links,
    /// What happened so far.
    pub history: History,
    /// Those that are up, with the state that the timeline has shown last.
    servers: BTreeMap<NodeId, (P, String)>,
    queue: Queue<Event<P::Message>>,
    next_command: u64,
    outgoing: Vec<(NodeId, P::Message)>,
    decided: Vec<u64>,
    due: Vec<Event<P::Message>>,
}

impl<P, B> Cluster<P, B>
where
    P: Peer,
    B: Fn(NodeId) -> Result<P, PeerError>,
{
    /// A cluster in which nothing has happened yet. Its servers will boot within [`BOOT`], in any
    /// order, so that any of them may be elected first; their clocks start when they do.
    #[must_use]
    pub fn new(dice: Dice, links: Links, servers: u64, history: History, boot: B) -> Self {
        let mut cluster = Self {
            boot,
            links,
            history,
            servers: BTreeMap::new(),
            // Nothing is further ahead than a server's start.
            queue: Queue::new(BOOT),
            next_command: 0,
            outgoing: Vec::new(),
            decided: Vec::new(),
            due: Vec::new(),
        };
        for pid in 1..=servers {
            let boot = dice.below(BOOT, Use::ClockPhase, [pid, 0, 0]);
            cluster.queue.push(1 + boot, Event::Boot(pid));
            let phase = dice.below(PROPOSE_EVERY, Use::ClientPhase, [pid, 0, 0]);
            cluster.queue.push(1 + phase, Event::Propose(pid));
        }
        cluster
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.queue.now()
    }

    /// The number of the command that is proposed next.
    #[must_use]
    pub fn next_command(&self) -> u64 {
        self.next_command
    }

    /// The server that leads in the highest round, if any.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        let leads = |(pid, (peer, _)): (&NodeId, &(P, String))| {
            peer.leadership()
                .filter(|leadership| leadership.pid == *pid)
        };
        let leaders = self.servers.iter().filter_map(leads);
        leaders.max().map(|Leadership { pid, .. }| pid)
    }

    /// Stops a server for ever. What it has sent is on its way.
    pub fn crash(&mut self, pid: NodeId) {
        self.servers.remove(&pid);
    }

    /// Lets virtual time pass up to `end`.
    ///
    /// # Errors
    /// [`RunError`] when a library fails, or decides different logs.
    pub fn run_until(&mut self, end: u64) -> Result<(), RunError> {
        while self.queue.now() < end {
            let mut due = std::mem::take(&mut self.due);
            self.queue.advance(&mut due);
            for event in due.drain(..) {
                self.handle(event)?;
            }
            self.due = due;
        }
        Ok(())
    }

    fn handle(&mut self, event: Event<P::Message>) -> Result<(), RunError> {
        match event {
            Event::Boot(pid) => {
                let peer = (self.boot)(pid)?;
                self.servers.insert(pid, (peer, String::new()));
                self.after(pid)?;
                self.queue.push(self.now() + TICK, Event::Tick(pid));
            }
            Event::Tick(pid) => {
                if let Some((peer, _)) = self.servers.get_mut(&pid) {
                    peer.tick()?;
                    self.after(pid)?;
                    self.queue.push(self.now() + TICK, Event::Tick(pid));
                }
            }
            Event::Propose(pid) => {
                // The numbers do not depend on who is up, so that they are the same everywhere.
                let command = self.next_command;
                self.next_command += 1;
                if let Some((peer, _)) = self.servers.get_mut(&pid) {
                    peer.propose(command)?;
                    self.after(pid)?;
                }
                self.queue
                    .push(self.now() + PROPOSE_EVERY, Event::Propose(pid));
            }
            Event::Arrive { from, to, message } => {
                if let Some((peer, _)) = self.servers.get_mut(&to)
                    && self.links.up(from, to)
                {
                    peer.receive(message)?;
                    self.after(to)?;
                }
            }
        }
        Ok(())
    }

    /// Takes all outputs of a server that got an input.
    fn after(&mut self, pid: NodeId) -> Result<(), RunError> {
        let now = self.now();
        let mut outgoing = std::mem::take(&mut self.outgoing);
        let Some((peer, shown)) = self.servers.get_mut(&pid) else {
            return Ok(());
        };
        peer.take_outgoing(&mut outgoing)?;
        peer.take_decided(&mut self.decided);
        for command in self.decided.drain(..) {
            self.history.decided(now, pid, command)?;
        }
        if let Some(leadership) = peer.leadership().filter(|l| l.pid == pid) {
            self.history.leads(now, leadership);
        }
        if self.history.is_traced() {
            let status = peer.status();
            if status != *shown {
                self.history.note(now, || format!("server {pid}: {status}"));
                *shown = status;
            }
        }
        for (to, message) in outgoing.drain(..) {
            if let Some(arrival) = self.links.send(pid, to, now) {
                let from = pid;
                self.queue
                    .push(arrival, Event::Arrive { from, to, message });
            }
        }
        self.outgoing = outgoing;
        Ok(())
    }
}
