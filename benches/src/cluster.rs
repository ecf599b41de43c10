//! A cluster in virtual time: servers of one library, their clocks, clients and links.

use crate::dice::{Dice, Use};
use crate::history::{Divergence, History};
use crate::links::Links;
use crate::peer::{Leadership, NodeId, Peer, PeerError};
use crate::queue::Queue;
use crate::units::{BOOT, PROPOSALS, TICK, TIMEOUT};
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
    Arrive { from: NodeId, to: NodeId, message: M },
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
    /// Instants between two proposals of one client.
    propose_every: u64,
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
            propose_every: servers * TIMEOUT / PROPOSALS,
            outgoing: Vec::new(),
            decided: Vec::new(),
            due: Vec::new(),
        };
        for pid in 1..=servers {
            let boot = dice.below(BOOT, Use::ClockPhase, [pid, 0, 0]);
            cluster.queue.push(1 + boot, Event::Boot(pid));
            let phase = dice.below(cluster.propose_every, Use::ClientPhase, [pid, 0, 0]);
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
            peer.leadership().filter(|leadership| leadership.pid == *pid)
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
                self.queue.push(self.now() + self.propose_every, Event::Propose(pid));
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
                self.queue.push(arrival, Event::Arrive { from, to, message });
            }
        }
        self.outgoing = outgoing;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Cluster;
    use crate::dice::Dice;
    use crate::history::History;
    use crate::links::Links;
    use crate::peer::{Leadership, NodeId, Peer, PeerError};
    use crate::units::{BOOT, PROPOSALS, TIMEOUT};

    /// Server 1 leads. It decides what is proposed there, and sends its ticks to server 2.
    struct Toy {
        pid: NodeId,
        ticks: u64,
        decided: Vec<u64>,
        received: Vec<u64>,
    }

    impl Toy {
        fn boot(pid: NodeId) -> Result<Self, PeerError> {
            let (decided, received) = (Vec::new(), Vec::new());
            Ok(Self { pid, ticks: 0, decided, received })
        }
    }

    impl Peer for Toy {
        type Message = u64;

        fn tick(&mut self) -> Result<(), PeerError> {
            self.ticks += 1;
            Ok(())
        }

        fn receive(&mut self, message: u64) -> Result<(), PeerError> {
            self.received.push(message);
            Ok(())
        }

        fn propose(&mut self, command: u64) -> Result<(), PeerError> {
            self.decided.extend((self.pid == 1).then_some(command));
            Ok(())
        }

        fn take_outgoing(&mut self, to: &mut Vec<(NodeId, u64)>) -> Result<(), PeerError> {
            to.extend((self.pid == 1).then_some((2, self.ticks)));
            Ok(())
        }

        fn take_decided(&mut self, to: &mut Vec<u64>) {
            to.append(&mut self.decided);
        }

        fn leadership(&self) -> Option<Leadership> {
            Some(Leadership { round: 1, pid: 1 })
        }

        fn status(&self) -> String {
            String::new()
        }
    }

    type Boot = fn(NodeId) -> Result<Toy, PeerError>;

    fn cluster() -> Cluster<Toy, Boot> {
        let dice = Dice::new(5);
        let links = Links::new(dice, 300);
        Cluster::new(dice, links, 2, History::new(false), Toy::boot)
    }

    #[test]
    fn clocks_clients_and_links_go_on_until_a_crash() {
        let mut cluster = cluster();
        cluster.run_until(BOOT + 20 * TIMEOUT).unwrap();
        assert_eq!(cluster.leader(), Some(1));
        let timeouts = BOOT / TIMEOUT + 20;
        let proposed = PROPOSALS * timeouts;
        assert!(cluster.next_command().abs_diff(proposed) <= 2);
        let received = &cluster.servers[&2].0.received;
        assert!(received.is_sorted() && received.len() > 200, "{}", received.len());

        let (crashed, next) = (cluster.now(), cluster.next_command());
        cluster.crash(1);
        cluster.run_until(crashed + 5 * TIMEOUT).unwrap();
        assert_eq!(cluster.leader(), None);
        assert_eq!(cluster.history.first_decision(next), None);
        assert!(cluster.next_command() > next, "the numbers go on");
    }

    #[test]
    fn a_cut_link_carries_nothing() {
        let mut cluster = cluster();
        cluster.links.cut(1, 2);
        cluster.run_until(BOOT + TIMEOUT).unwrap();
        assert!(cluster.servers[&2].0.received.is_empty());
    }
}
