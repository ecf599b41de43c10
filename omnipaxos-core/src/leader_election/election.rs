//! The election of one server: B1 to B5.

use super::config::{self, ElectionConfig, ElectionError};
use super::messages::{Heartbeat, HeartbeatError, HeartbeatMessage};
use super::peer::{Peer, Report, Status};
use super::view::View;
use super::wish::{Reason, Wish};
use crate::ballot::{Ballot, Leader, NodeId};
use crate::quorum::Quorum;
use crate::storage::ConfigId;

/// The election of one server in one configuration.
///
/// The caller drives it; it knows no clock, no network and no dice, and does the same at each
/// replay:
///
/// 1. [`tick`](Self::tick) at a steady pace, [`handle_message`](Self::handle_message) for each
///    heartbeat that arrives, [`handle_promised`](Self::handle_promised) whenever the replica's
///    promise has risen, [`handle_prepared`](Self::handle_prepared) when it has become leader,
///    [`set_voting`](Self::set_voting) when it votes no longer, or again,
///    [`set_priority`](Self::set_priority) and [`set_healthy`](Self::set_healthy) at will;
/// 2. hand each [`Leader`] that comes back to the replica;
/// 3. after each of these calls, send what [`get_outgoing_msgs`](Self::get_outgoing_msgs) returns.
///    Any message may be lost, delayed, duplicated or overtaken.
///
/// ```
/// use omnipaxos_core::leader_election::{BallotLeaderElection, ElectionConfig};
/// let mut election = BallotLeaderElection::with(1, 7, vec![], ElectionConfig::default())?;
/// let leader = election.tick(); // a server on its own is a quorum
/// assert_eq!(leader.map(|l| l.pid()), Some(7));
/// for message in election.get_outgoing_msgs() { /* message.to */ }
/// # Ok::<(), omnipaxos_core::leader_election::ElectionError>(())
/// ```
///
/// # One ballot, one use
/// Ballots are unique to their owner, and an owner takes an `n` above all that it ever saw, its
/// persisted promise included. The election itself persists nothing: a server that stood in a
/// ballot which its replica never promised may, after a crash, stand in the same one again. That
/// is harmless: a ballot becomes a round of Sequence Paxos only by a Prepare, and no Prepare
/// leaves before the replica's own promise is durable, which the next start then finds in
/// `config.promised`. So no message of that round existed before the crash, and peers only
/// recorded who stood.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BallotLeaderElection {
    config_id: ConfigId,
    pid: NodeId,
    /// By pid, ascending.
    peers: Vec<Peer>,
    quorum: Quorum,
    /// Ticks of a timeout: the window within which a peer must have answered. Fits a u32.
    window: u64,
    /// Ticks between two rounds.
    heartbeat: u64,
    /// Ticks so far.
    now: u64,
    /// The latest round: the tick at which its requests were made. 0 before the first.
    round: u64,
    late_replies: u64,

    priority: u32,
    healthy: bool,
    votes: bool,
    /// Own ballot `b`. While `n > 0` this server stands in it, and it equals `leader`.
    ballot: Ballot,
    /// `L`: the highest ballot that was elected here or promised by the replica.
    leader: Ballot,
    /// The highest ballot that was returned as `Leader`; at most `leader`.
    elected: Ballot,
    /// The own ballot in which the replica has the promises of a prepare quorum.
    prepared: Ballot,
    /// The highest `n` ever seen: the next own ballot lies above it.
    highest_n: u64,
    /// The tick since which enough servers are connected to stand.
    able_since: Option<u64>,
    /// The tick since which, moreover, this server has looked around.
    settled_since: Option<u64>,
    wish: Option<Wish>,
    /// What was told to the peers last, and how often that changed.
    status: Status,
    version: u64,
}

impl BallotLeaderElection {
    /// The election of server `pid` among itself and `peers` in configuration `config_id`.
    ///
    /// `L` starts at `config.promised`, and the own ballot below it, so that a leadership from
    /// before a restart is not resumed.
    ///
    /// # Errors
    /// [`ElectionError`] when a pid is 0 or named twice, a number of ticks is 0 or rounds are
    /// longer than the timeout, or the quorum sizes do not fit the number of servers.
    pub fn with(
        config_id: ConfigId,
        pid: NodeId,
        peers: Vec<NodeId>,
        config: ElectionConfig,
    ) -> Result<Self, ElectionError> {
        let peers = config::checked_peers(pid, peers)?;
        let heartbeat = config.checked_heartbeat_ticks()?;
        let quorum = config.checked_quorum(peers.len() + 1)?;
        let mut election = Self {
            config_id,
            pid,
            peers: peers.into_iter().map(Peer::new).collect(),
            quorum,
            window: u64::from(config.timeout_ticks),
            heartbeat: u64::from(heartbeat),
            now: 0,
            round: 0,
            late_replies: 0,
            priority: config.priority,
            healthy: true,
            votes: true,
            ballot: Ballot::new(0, config.priority, pid),
            leader: config.promised,
            elected: Ballot::default(),
            prepared: Ballot::default(),
            highest_n: config.promised.n,
            able_since: None,
            settled_since: None,
            wish: None,
            status: Status::default(),
            version: 0,
        };
        if let Some(ballot) = config.continued {
            election.continue_from(ballot);
        }
        election.publish();
        Ok(election)
    }

    /// C5: the replicas follow `ballot` already.
    fn continue_from(&mut self, ballot: Ballot) {
        if ballot < self.leader {
            return;
        }
        self.follow(ballot);
        if ballot.pid == self.pid {
            (self.ballot, self.elected, self.prepared) = (ballot, ballot, ballot);
        }
    }

    /// B1: one tick of virtual time; a leader event when one was elected.
    ///
    /// Each `heartbeat_ticks` a round begins. A tick that sends nothing allocates nothing.
    #[must_use = "the replica needs the leader event"]
    pub fn tick(&mut self) -> Option<Leader> {
        self.now = self.now.saturating_add(1);
        if self.round == 0 || self.now.saturating_sub(self.round) >= self.heartbeat {
            self.round = self.now;
            for peer in &mut self.peers {
                peer.request = true;
            }
        }
        self.decide()
    }

    /// B3, B4: a heartbeat arrived; a leader event when one was elected because of it.
    ///
    /// A reply to a round that is older than the timeout, or that this server never began (it
    /// restarted since), is ignored and counted by [`late_replies`](Self::late_replies).
    ///
    /// # Errors
    /// [`HeartbeatError`] when the heartbeat is for someone else or cannot be true; nothing
    /// changed.
    pub fn handle_message(
        &mut self,
        message: HeartbeatMessage,
    ) -> Result<Option<Leader>, HeartbeatError> {
        let index = self.check_envelope(&message)?;
        let from = message.from;
        match message.body {
            Heartbeat::Request { round } => {
                self.peers[index].asks(round, self.now, self.window);
                Ok(None)
            }
            Heartbeat::Reply {
                round,
                version,
                ballot,
                quorum_connected,
                leader,
                hears_leader,
                votes,
            } => {
                let status = Status { ballot, quorum_connected, leader, hears_leader, votes };
                if let Some(reason) = status.impossible(from) {
                    return Err(HeartbeatError::Impossible { from, reason });
                }
                let report = Report { round, version, status };
                Ok(self.handle_reply(index, report))
            }
        }
    }

    /// B5: the replica's own promise has risen: `L = max(L, promised)`.
    ///
    /// Only for promises, never for a refusal by a peer: chained leaders would alternate. Whoever
    /// this server should elect for it is returned by a later tick or message.
    pub fn handle_promised(&mut self, promised: Ballot) {
        if promised > self.leader {
            self.follow(promised);
            self.publish();
        }
    }

    /// The replica leads in `ballot` and has the promises of a prepare quorum: from now on this
    /// server needs no more than its accept quorum to stay leader in it.
    ///
    /// Only where the prepare quorum is the larger one does it matter: a leader that lost it before
    /// it had the promises could neither decide anything nor would anybody stand against it.
    /// Without these calls a leader needs both quorums for as long as it leads.
    pub fn handle_prepared(&mut self, ballot: Ballot) {
        self.prepared = ballot;
        self.publish();
    }

    /// Prefers this server as leader more, or less, than before; takes effect from the next tick
    /// on.
    ///
    /// A quorum-connected server whose priority is strictly higher than that of the leader's
    /// ballot stands above it and takes over. A leader stands again with its new priority; when
    /// that is lower, a server with a strictly higher one then takes over, and without such a
    /// server it goes on leading.
    pub fn set_priority(&mut self, priority: u32) {
        self.priority = priority;
        if self.ballot.n == 0 {
            self.ballot.priority = priority;
            self.publish();
        }
    }

    /// Leadership is handed to this server: it stands above `L` at once, if it votes, is fit and
    /// has its quorum, and does not lead already. A leader event to hand to the replica, as from
    /// [`tick`](Self::tick); `None` where it cannot stand.
    ///
    /// A server with a strictly higher priority takes over again: lower that first.
    #[must_use = "the replica needs the leader event"]
    pub fn take_over(&mut self) -> Option<Leader> {
        if self.ballot.n > 0 || !self.can_stand(&self.view()) {
            return None;
        }
        let event = self.stand();
        self.publish();
        event
    }

    /// Whether this server is fit to lead; it is at the start.
    ///
    /// An unfit one says that it is not quorum-connected, and so never stands and soon no longer
    /// leads. It still answers, and follows a leader.
    pub fn set_healthy(&mut self, healthy: bool) {
        self.healthy = healthy;
        self.publish();
    }

    /// Whether the replica beside this election votes; it does at the start.
    ///
    /// One that does not, because it recovers from suspect storage or has halted, makes its server
    /// unfit to lead, and the peers count it for no quorum: a leader that reached one only with it
    /// could decide nothing, and nobody would stand against it.
    pub fn set_voting(&mut self, votes: bool) {
        self.votes = votes;
        self.publish();
    }

    /// The heartbeats to send. At most one request and one reply for each peer, however many calls
    /// went by: only the newest count.
    #[must_use = "they are not handed out again"]
    pub fn get_outgoing_msgs(&mut self) -> Vec<HeartbeatMessage> {
        let mut messages = Vec::new();
        for peer in &mut self.peers {
            let mut send = |body| {
                messages.push(HeartbeatMessage {
                    config_id: self.config_id,
                    from: self.pid,
                    to: peer.pid,
                    body,
                });
            };
            if std::mem::take(&mut peer.request) {
                send(Heartbeat::Request { round: self.round });
            }
            if let Some(round) = peer.reply.take() {
                send(Heartbeat::Reply {
                    round,
                    version: self.version,
                    ballot: self.status.ballot,
                    quorum_connected: self.status.quorum_connected,
                    leader: self.status.leader,
                    hears_leader: self.status.hears_leader,
                    votes: self.status.votes,
                });
            }
        }
        messages
    }

    /// The leader that was elected last. `None` before the first, and while the replica has
    /// promised a higher ballot whose owner was not heard yet. It may be gone by now.
    #[must_use]
    pub fn leader(&self) -> Option<Leader> {
        (self.elected.n > 0 && self.elected == self.leader).then_some(Leader::new(self.leader))
    }

    /// This server's own ballot: the one in which it leads; `n` is 0 when it does not.
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// Whether enough servers answered within the last timeout: for a leader that has its promises
    /// the accept quorum, for any other server what it needs to be elected, the larger of both
    /// quorums.
    #[must_use]
    pub fn is_quorum_connected(&self) -> bool {
        self.status.quorum_connected
    }

    /// Whether the leader, within the last timeout, said itself that it leads and is
    /// quorum-connected. Not so for the leader itself.
    #[must_use]
    pub fn hears_leader(&self) -> bool {
        self.status.hears_leader
    }

    /// The peers that answered within the last timeout, by pid.
    pub fn connected_peers(&self) -> impl Iterator<Item = NodeId> + '_ {
        let connected = |peer: &&Peer| peer.connected(self.now, self.window).is_some();
        self.peers.iter().filter(connected).map(|peer| peer.pid)
    }

    /// B4: replies that came too late to count. When it keeps rising, the timeout is too short.
    #[must_use]
    pub fn late_replies(&self) -> u64 {
        self.late_replies
    }

    /// The sender's place among the peers.
    fn check_envelope(&self, message: &HeartbeatMessage) -> Result<usize, HeartbeatError> {
        if message.to != self.pid {
            return Err(HeartbeatError::OtherReceiver(message.to));
        }
        if message.config_id != self.config_id {
            return Err(HeartbeatError::OtherConfiguration {
                theirs: message.config_id,
                ours: self.config_id,
            });
        }
        self.find(message.from).ok_or(HeartbeatError::UnknownSender(message.from))
    }

    /// B4.
    fn handle_reply(&mut self, index: usize, report: Report) -> Option<Leader> {
        let never_asked = report.round == 0 || report.round > self.round;
        if never_asked || self.now.saturating_sub(report.round) > self.window {
            self.late_replies = self.late_replies.saturating_add(1);
            return None;
        }
        let Status { ballot, leader, .. } = report.status;
        self.highest_n = self.highest_n.max(ballot.n).max(leader.n);
        self.peers[index].record(report);
        self.decide()
    }

    /// B2: elects a leader, or stands, if it is time to; then tells the peers what changed.
    fn decide(&mut self) -> Option<Leader> {
        let view = self.view();
        let event = self.elect(&view).or_else(|| self.stand_if_due(&view));
        self.publish();
        event
    }

    /// `max >= L` and not returned yet: elects it. `max = L` happens when the promise came first
    /// (B5).
    fn elect(&mut self, view: &View) -> Option<Leader> {
        let max = view.candidate?;
        // A peer follows a higher leader first-hand: this one can no longer get a quorum.
        let deposed = view.heard > Some(max);
        if max < self.leader || max <= self.elected || deposed {
            return None;
        }
        self.follow(max);
        self.elected = max;
        Some(Leader::new(max))
    }

    /// `L` rises to `ballot`; whoever stood below it does so no longer, and never again in that
    /// ballot.
    fn follow(&mut self, ballot: Ballot) {
        self.leader = ballot;
        self.highest_n = self.highest_n.max(ballot.n);
        self.ballot = Ballot::new(0, self.priority, self.pid);
    }

    /// `max < L`, or a better leader is here: raises the own ballot once the wish for it has
    /// lasted.
    fn stand_if_due(&mut self, view: &View) -> Option<Leader> {
        if !self.can_stand(view) {
            (self.able_since, self.settled_since, self.wish) = (None, None, None);
            return None;
        }
        let able_since = *self.able_since.get_or_insert(self.now);
        // Who has only just found a quorum looks around first: the leader may appear, or a better
        // one.
        if view.complete || self.now.saturating_sub(able_since) >= self.window {
            self.settled_since.get_or_insert(self.now);
        }
        let Some(reason) = self.reason_to_stand(view) else {
            self.wish = None;
            return None;
        };
        let wish = Wish::keep(self.wish, reason.over, self.now);
        self.wish = Some(wish);
        if wish.is_due(&reason, self.settled_since?, self.now) { self.stand() } else { None }
    }

    /// Whether, and why, this server should stand.
    fn reason_to_stand(&self, view: &View) -> Option<Reason> {
        let own = (self.ballot.n > 0).then_some(self.ballot);
        // The best leader that is alive: heard by me, or first-hand by a connected peer.
        let alive = view.candidate.max(view.heard).max(own);
        let followed = view.followed.max(self.leader);
        // The preferred servers first, one after the other, so that the first one remains the only
        // one: each turn is as long as two slow hops, one until it notices and one until it is
        // noticed.
        let turn = match own {
            Some(_) => 0,
            None => view.preferred.min(2) * (3 * self.window).div_ceil(5),
        };
        match alive {
            Some(alive) if alive >= followed => {
                let renew = own == Some(alive) && alive.priority != self.priority;
                let take_over = alive.priority < self.priority;
                (renew || take_over).then_some(Reason { over: alive, turn, wait: 0 })
            }
            // Somebody connected follows no leader that is alive, and will follow none below
            // `followed`.
            _ => {
                // A leader that is alive should be the one to stand again.
                let turn = match (own, view.candidate) {
                    (None, Some(_)) => 2 * self.window,
                    _ => turn,
                };
                let unheard = self.may_appear(followed);
                Some(Reason { over: followed, turn, wait: if unheard { self.window } else { 0 } })
            }
        }
    }

    /// Whether `ballot` may belong to a leader that was elected just now: a promise, or what a
    /// peer says, has outrun its first heartbeat.
    fn may_appear(&self, ballot: Ballot) -> bool {
        if ballot.n == 0 || ballot.pid == self.pid || ballot == self.elected {
            return false;
        }
        // An owner that knows of its ballot and does not stand in it never will again.
        let abandoned = |status: &Status| status.leader >= ballot && status.ballot != ballot;
        !self.status_of(ballot.pid).is_some_and(abandoned)
    }

    /// Raises the own ballot above all that was ever seen, and elects itself: it has its quorum.
    fn stand(&mut self) -> Option<Leader> {
        let n = self.highest_n.checked_add(1).filter(|n| *n < u64::MAX)?;
        self.highest_n = n;
        self.ballot = Ballot::new(n, self.priority, self.pid);
        self.leader = self.ballot;
        self.elected = self.ballot;
        self.wish = None;
        Some(Leader::new(self.ballot))
    }

    /// To stand, and until it has the promises, a server needs a prepare quorum; and the accept
    /// quorum, or it would lead for nothing.
    fn can_stand(&self, view: &View) -> bool {
        let needed = self.quorum.prepare().max(self.quorum.accept());
        self.is_fit() && view.connected >= needed
    }

    fn is_fit(&self) -> bool {
        self.healthy && self.votes
    }

    /// Notes what this server knows first-hand; when that has changed, tells the peers at once.
    fn publish(&mut self) {
        let view = self.view();
        let prepared = self.ballot.n > 0 && self.prepared == self.ballot;
        let quorum_connected = if prepared {
            self.is_fit() && view.connected >= self.quorum.accept()
        } else {
            self.can_stand(&view)
        };
        let stands_for_it =
            |status: &Status| status.quorum_connected && status.ballot == self.leader;
        let status = Status {
            ballot: self.ballot,
            quorum_connected,
            leader: self.leader,
            hears_leader: self.leader.n > 0
                && self.status_of(self.leader.pid).is_some_and(stands_for_it),
            votes: self.votes,
        };
        if status == self.status {
            return;
        }
        self.status = status;
        self.version = self.version.saturating_add(1);
        for peer in &mut self.peers {
            peer.push(self.now, self.window);
        }
    }

    fn view(&self) -> View {
        let rank = (self.priority, self.pid);
        View::of(&self.peers, rank, self.now, self.window)
    }

    /// What server `pid` says, if it is connected.
    fn status_of(&self, pid: NodeId) -> Option<&Status> {
        let peer = &self.peers[self.find(pid)?];
        peer.connected(self.now, self.window)
    }

    /// The place of server `pid` among the peers.
    fn find(&self, pid: NodeId) -> Option<usize> {
        self.peers.binary_search_by_key(&pid, |peer| peer.pid).ok()
    }
}
