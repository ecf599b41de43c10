//! What a server knows of one peer, all of it first-hand.

use crate::ballot::{Ballot, NodeId};

/// The facts that a server tells about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Status {
    /// Its own ballot; `n` is 0 unless it leads in it.
    pub(super) ballot: Ballot,
    pub(super) quorum_connected: bool,
    /// The leader it elected or its replica promised.
    pub(super) leader: Ballot,
    /// Whether that leader itself told it that it leads and is quorum-connected.
    pub(super) hears_leader: bool,
    /// Whether its replica votes.
    pub(super) votes: bool,
}

impl Status {
    /// Why no server `from` can say this, if so.
    pub(super) fn impossible(&self, from: NodeId) -> Option<&'static str> {
        if self.ballot.pid != from {
            Some("the ballot belongs to another server")
        } else if self.ballot.n == u64::MAX || self.leader.n == u64::MAX {
            Some("no ballot lies above this one")
        } else if self.stands() && self.ballot != self.leader {
            Some("it stands in one ballot and follows another")
        } else if self.leader.n > 0 && self.leader.pid == 0 {
            Some("the leader is no server")
        } else if self.hears_leader && (self.leader.n == 0 || self.leader.pid == from) {
            Some("it hears a leader that does not exist, or is itself")
        } else {
            None
        }
    }

    /// Whether it leads as far as it knows.
    pub(super) fn stands(&self) -> bool {
        self.ballot.n > 0
    }
}

/// The newest reply of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Report {
    /// The round that was answered: the tick at which its request was sent.
    pub(super) round: u64,
    /// Orders the replies to one round.
    pub(super) version: u64,
    pub(super) status: Status,
}

/// The newest request of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Asked {
    round: u64,
    /// The tick at which it came.
    at: u64,
}

/// One peer: what it said last, and what it shall be sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    pub(super) pid: NodeId,
    report: Option<Report>,
    asked: Option<Asked>,
    /// A request waits to be sent.
    pub(super) request: bool,
    /// A reply to this round waits to be sent. One place instead of a queue: the newest facts are
    /// the only ones that matter, and a caller that sends nothing for long costs no memory.
    pub(super) reply: Option<u64>,
}

impl Peer {
    pub(super) fn new(pid: NodeId) -> Self {
        Self { pid, report: None, asked: None, request: false, reply: None }
    }

    /// What the peer says, if it is connected: it answered a request of the last `window` ticks.
    pub(super) fn connected(&self, now: u64, window: u64) -> Option<&Status> {
        let report = self.report.as_ref()?;
        (now.saturating_sub(report.round) <= window).then_some(&report.status)
    }

    /// Records a reply unless a newer one is here already: a duplicate, or one that was overtaken.
    ///
    /// A peer that restarts counts its versions from 0 again; the next round makes up for it.
    pub(super) fn record(&mut self, report: Report) {
        let newest = self.report.map(|known| (known.round, known.version));
        if Some((report.round, report.version)) > newest {
            self.report = Some(report);
        }
    }

    /// B3: the peer asks.
    pub(super) fn asks(&mut self, round: u64, now: u64, window: u64) {
        self.reply = self.reply.max(Some(round));
        // A smaller round was overtaken, or its sender restarted: then the greater one grows old.
        let overtaken = self
            .asked
            .is_some_and(|asked| round < asked.round && now.saturating_sub(asked.at) <= window);
        if !overtaken {
            self.asked = Some(Asked { round, at: now });
        }
    }

    /// My facts changed: tell the peer now, if it asked within its last timeout.
    pub(super) fn push(&mut self, now: u64, window: u64) {
        if let Some(asked) = self.asked
            && now.saturating_sub(asked.at) <= window
        {
            self.reply = self.reply.max(Some(asked.round));
        }
    }
}
