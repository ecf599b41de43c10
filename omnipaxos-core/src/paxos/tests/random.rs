//! Safety under everything, then liveness once the network is healed, for many seeds.

use super::cluster::{Cluster, Rng, text};
use crate::ballot::{Ballot, Leader, NodeId};
use crate::paxos::{CatchUpLimit, PaxosConfig, ProposalOutcome, ProposeError, ReconfigureError};
use crate::storage::{Entry, ProposalId};
use std::collections::BTreeMap;

/// Limits so small that every path in parts is taken.
fn small_limits(rng: &mut Rng) -> PaxosConfig {
    let limit = CatchUpLimit { entries: rng.below(12), bytes: 20 + rng.below(400) };
    PaxosConfig {
        catch_up: rng.chance(50).then_some(limit),
        accept_frame_bytes: 30 + rng.below(100),
        sync_chunk_bytes: 30 + rng.below(100),
        window_bytes: 40 + rng.below(300),
        max_undecided_bytes: 200 + rng.below(2000),
        max_pending_bytes: 400 + rng.below(2000),
        resend_ticks: 1 + rng.below(5) as u32,
        keepalive_ticks: 3 + rng.below(20) as u32,
        ..PaxosConfig::default()
    }
}

struct Run {
    seed: u64,
    rng: Rng,
    cluster: Cluster,
    pids: Vec<NodeId>,
    proposed: BTreeMap<ProposalId, String>,
    /// The order in which each server's session proposed.
    sessions: BTreeMap<(NodeId, u64), Vec<String>>,
    count: u64,
    reconfigure: bool,
    loss: u64,
    duplication: u64,
    /// Only neighbours reach each other, also when everything else is healed.
    chained: bool,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let sizes: [&[NodeId]; 4] = [&[1], &[5, 6], &[1, 2, 10_000_000], &[1, 2, 3, 4, 5]];
        let pids = sizes[rng.below(4) as usize].to_vec();
        let mut config = small_limits(&mut rng);
        if pids.len() > 2 && rng.chance(30) {
            config.learners = pids[pids.len() - 1 - rng.below(2) as usize..].to_vec();
        }
        if rng.chance(40) {
            let leader = pids[rng.below(pids.len() as u64) as usize];
            config.continued = Some(Leader::new(Ballot::new(1, 0, leader)));
        }
        let cluster = Cluster::new(&pids, config);
        let (loss, duplication) = (rng.below(30), rng.below(20));
        let reconfigure = rng.chance(30);
        let chained = rng.chance(25);
        let mut run = Self {
            seed,
            rng,
            cluster,
            pids,
            proposed: BTreeMap::new(),
            sessions: BTreeMap::new(),
            count: 0,
            reconfigure,
            loss,
            duplication,
            chained,
        };
        run.mend();
        run
    }

    /// Only the cuts that stay remain.
    fn mend(&mut self) {
        self.cluster.cut.clear();
        if self.chained {
            for (at, a) in self.pids.iter().enumerate() {
                for b in self.pids.iter().skip(at + 2) {
                    self.cluster.link(*a, *b, false);
                }
            }
        }
    }

    fn any(&mut self) -> NodeId {
        self.pids[self.rng.below(self.pids.len() as u64) as usize]
    }

    fn voter(&mut self) -> NodeId {
        loop {
            let pid = self.any();
            if !self.cluster.config.learners.contains(&pid) {
                return pid;
            }
        }
    }

    fn propose(&mut self) {
        let pid = self.any();
        self.count += 1;
        let count = self.count;
        let Some(replica) = self.cluster.servers.get_mut(&pid).unwrap().up.as_mut() else {
            return;
        };
        let (id, what) = if self.reconfigure && self.rng.chance(2) {
            match replica.propose_reconfiguration(vec![1, 2, 3]) {
                Ok(id) => (id, "StopSign(8)".to_owned()),
                Err(ReconfigureError::Propose(_)) => return,
                Err(error) => panic!("{error}"),
            }
        } else {
            let what = format!("{pid}-{count}");
            match replica.propose_normal(what.clone()) {
                Ok(id) => (id, what),
                Err(ProposeError::Halted(halted)) => panic!("{halted}"),
                Err(_) => return,
            }
        };
        self.sessions.entry((pid, id.session)).or_default().push(what.clone());
        assert!(self.proposed.insert(id, what).is_none(), "a proposal id twice");
    }

    fn start(&mut self, pid: NodeId) {
        self.cluster.start(pid);
        // A session is taken again when the server crashed before its first flush: nothing of it
        // has ever left.
        let session = self.cluster.get(pid).clone().into_storage().state().session;
        self.sessions.remove(&(pid, session));
        self.proposed.retain(|id, _| (id.proposer, id.session) != (pid, session));
    }

    /// One random event.
    fn step(&mut self) {
        let pid = self.any();
        match self.rng.below(1000) {
            0..500 => self.deliver_one(),
            500..650 => self.propose(),
            650..800 if self.rng.chance(50) => self.cluster.output(pid),
            650..800 => self.cluster.output_pipelined(pid),
            800..930 => {
                if let Some(replica) = self.cluster.servers.get_mut(&pid).unwrap().up.as_mut() {
                    replica.tick();
                }
            }
            930..945 if self.cluster.servers[&pid].up.is_some() => {
                self.cluster.elect(pid);
            }
            945..955 if self.cluster.servers[&pid].up.is_some() => {
                let ballot = Ballot::new(self.rng.below(5), 0, self.any());
                self.cluster.get(pid).handle_leader(Leader::new(ballot));
            }
            955..965 => self.cluster.crash(pid),
            965..985 if self.cluster.servers[&pid].up.is_none() => self.start(pid),
            985..990 => {
                let to = self.any();
                self.cluster.cut.insert((pid, to));
            }
            990..994 => self.mend(),
            994..996 if self.rng.chance(50) => {
                let (donor, most) = (self.any(), 1 + self.rng.below(5));
                self.cluster.migrate(pid, donor, most);
            }
            994..996 => {
                // One way only, and no other change until it is mended.
                let to = self.any();
                self.cluster.cut.insert((pid, to));
                let from = self.rng.below(self.cluster.log.len() as u64 + 2);
                self.read_again(pid, from);
            }
            996..1000 if self.cluster.servers[&pid].up.is_some() => {
                let peer = self.any();
                self.cluster.get(pid).reconnected(peer);
                let readable = self.cluster.servers[&pid].decided.len() as u64;
                let trim = self.rng.below(readable + 1);
                // Refused unless every member has decided as much.
                let _ = self.cluster.get(pid).trim(trim);
            }
            _ => {}
        }
    }

    fn deliver_one(&mut self) {
        if self.cluster.wires.is_empty() {
            return;
        }
        let near = self.rng.chance(70);
        let range = if near { 4.min(self.cluster.wires.len()) } else { self.cluster.wires.len() };
        let at = self.rng.below(range as u64) as usize;
        let message = if self.rng.chance(self.duplication) {
            self.cluster.wires[at].clone()
        } else {
            self.cluster.wires.remove(at)
        };
        if !self.rng.chance(self.loss) {
            self.cluster.deliver(message);
        }
    }

    /// Everything is healed and one server is elected: all that was proposed at servers that did
    /// not crash since is decided, everywhere, within a bounded number of ticks.
    fn heal(&mut self) {
        self.mend();
        for pid in self.pids.clone() {
            if self.cluster.servers[&pid].up.is_none() {
                self.start(pid);
            }
        }
        // In a chain, the server in the middle reaches a quorum.
        let middle = self.pids[self.pids.len() / 2];
        let votes = !self.cluster.config.learners.contains(&middle);
        let leader = if self.chained && votes { middle } else { self.voter() };
        let ballot = self.cluster.elect(leader);
        for pid in self.pids.clone() {
            self.cluster.get(pid).handle_leader(Leader::new(ballot));
        }
        // A server that does not hear the leader gets a frame of proposals through at a time.
        for _ in 0..if self.chained { 40 } else { 8 } {
            self.cluster.run(50);
            let len = self.cluster.log.len() as u64;
            let mut replicas = self.cluster.servers.values().filter_map(|s| s.up.as_ref());
            if replicas.all(|r| r.decided_index() == len && r.replica.proposals.is_empty()) {
                break;
            }
        }
        let len = self.cluster.log.len();
        for pid in self.pids.clone() {
            let hears = !self.cluster.cut.contains(&(leader, pid));
            let replica = self.cluster.get(pid);
            assert_eq!(replica.decided_index() as usize, len, "seed {}: {pid} lags", self.seed);
            if hears {
                assert_eq!(replica.leader(), Some(leader), "seed {}: {pid}", self.seed);
            }
        }
    }

    /// A late reader sees the same decided entries.
    fn read_again(&mut self, pid: NodeId, from: u64) {
        let cost = 20 + self.rng.below(100);
        let log = &self.cluster.log;
        let Some(replica) = self.cluster.servers.get_mut(&pid).unwrap().up.as_mut() else {
            return;
        };
        let Ok(read) = replica.read_decided(from, u64::MAX, cost) else {
            return;
        };
        assert_eq!(read.first_index, from);
        for (at, entry) in (from as usize..).zip(&read.entries) {
            // What it has decided since it was last asked is not in the log of the test.
            assert!(log.get(at).is_none_or(|known| known == entry), "seed {}: {at}", self.seed);
        }
    }

    fn check(&mut self) {
        let seed = self.seed;
        let mut positions: BTreeMap<String, usize> = BTreeMap::new();
        for (at, entry) in self.cluster.log.iter().enumerate() {
            let what = text(entry);
            assert!(self.proposed.values().any(|p| *p == what), "seed {seed}: {what} from nowhere");
            assert!(positions.insert(what.clone(), at).is_none(), "seed {seed}: {what} twice");
        }
        for ((pid, session), proposals) in &self.sessions {
            let at: Vec<usize> =
                proposals.iter().filter_map(|p| positions.get(p).copied()).collect();
            assert!(at.is_sorted(), "seed {seed}: proposals of {pid}/{session} out of order");
        }
        let sealed = self.cluster.log.last().is_some_and(Entry::is_stop_sign);
        for pid in self.pids.clone() {
            let session = self.cluster.servers[&pid].outcomes.clone();
            let current = self.cluster.get(pid).clone().into_storage().state().session;
            for (id, what) in self.proposed.iter().filter(|(id, _)| id.proposer == pid) {
                match session.get(id) {
                    Some(ProposalOutcome::Decided(at)) => {
                        assert_eq!(text(&self.cluster.log[*at as usize]), *what, "seed {seed}");
                    }
                    Some(ProposalOutcome::Dropped) => {
                        assert!(sealed, "seed {seed}: {id} dropped from an open log");
                        // A StopSign of another proposer has the same text.
                        let same = self.proposed.values().filter(|p| *p == what).count();
                        assert!(
                            same > 1 || !positions.contains_key(what),
                            "seed {seed}: {id} dropped but decided"
                        );
                    }
                    None => assert!(id.session < current, "seed {seed}: {id} lost in silence"),
                }
            }
        }
    }
}

fn run(seed: u64) {
    let mut run = Run::new(seed);
    for _ in 0..1500 {
        run.step();
    }
    run.heal();
    run.check();
}

#[test]
fn safety_under_everything_then_liveness() {
    if let Ok(seed) = std::env::var("SEED") {
        run(seed.parse().expect("SEED is a number"));
        return;
    }
    let seeds = std::env::var("SEEDS").map_or(300, |n| n.parse().expect("SEEDS is a number"));
    for seed in 0..seeds {
        let failed = std::panic::catch_unwind(|| run(seed)).is_err();
        assert!(!failed, "replay with: SEED={seed} cargo test -p omnipaxos-core safety_under");
    }
}
