//! Messages, entries and ballots in a line a person can read.

use omnipaxos_core::leader_election::{Heartbeat, HeartbeatMessage};
use omnipaxos_core::paxos::{Ballot, Body, Message};
use omnipaxos_core::storage::{Entry, Records};

/// A ballot as `n.priority@pid`, or 0 for the one below all others.
#[must_use]
pub fn ballot(ballot: Ballot) -> String {
    if ballot == Ballot::default() { "0".to_owned() } else { ballot.to_string() }
}

/// An entry as its text, or as `SS(next configuration:its servers)`.
#[must_use]
pub fn entry(entry: &Entry) -> String {
    match entry {
        Entry::Normal(data) => String::from_utf8_lossy(data).into_owned(),
        Entry::StopSign(ss) => {
            let nodes: Vec<String> = ss.nodes.iter().map(u64::to_string).collect();
            format!("SS({}:{})", ss.config_id, nodes.join(","))
        }
    }
}

/// Entries, separated by blanks.
#[must_use]
pub fn entries<'a>(all: impl IntoIterator<Item = &'a Entry>) -> String {
    let all: Vec<String> = all.into_iter().map(entry).collect();
    all.join(" ")
}

/// Records as the index of the first one and all entries.
fn records(start: u64, records: &Records) -> String {
    format!("{start}:[{}]", entries(records.entries()))
}

/// Proposals with the identities that they travel under.
fn proposals(records: &Records) -> String {
    let all = records.iter();
    let all: Vec<String> = all.map(|(id, what)| format!("{id}={}", entry(what))).collect();
    format!("[{}]", all.join(" "))
}

fn flag(set: bool, name: &str) -> String {
    if set { format!(" {name}") } else { String::new() }
}

/// A message as sender, receiver, name, and what it says. `n` is the round, `s` the attempt, `acc`
/// the accepted round, `len` the length of the log, `dec` the decided index, `in` a round in which
/// that was chosen, `all` what all members have decided.
#[must_use]
pub fn message(message: &Message) -> String {
    let (from, to, name) = (message.from, message.to, message.body.name());
    format!("{from}->{to} {name} {}", body(&message.body))
}

fn body(body: &Body) -> String {
    match body {
        Body::Prepare(m) => {
            let (n, acc) = (ballot(m.n), ballot(m.accepted_round));
            let (s, len, dec) = (m.s, m.len, m.decided);
            let from = m.suffix_from.map(|at| format!(" from={at}"));
            let from = from.unwrap_or_default();
            format!("n={n} s={s} acc={acc} len={len} dec={dec}{from}")
        }
        Body::Promise(m) => {
            let (n, acc) = (ballot(m.n), ballot(m.accepted_round));
            let (s, len, dec, round) = (m.s, m.len, m.decided, ballot(m.decided_round));
            let suffix = records(m.start, &m.suffix);
            let recovering = flag(m.recovering, "recovering");
            format!("n={n} s={s} acc={acc} len={len} dec={dec} in={round} {suffix}{recovering}")
        }
        Body::AcceptSync(m) => {
            let (n, s, end, dec) = (ballot(m.n), m.s, m.end, m.decided);
            let suffix = records(m.start, &m.suffix);
            format!("n={n} s={s} {suffix} end={end} dec={dec}{}", flag(!m.first, "part"))
        }
        Body::SyncRequest(m) => format!("n={} s={} from={}", ballot(m.n), m.s, m.from),
        Body::Accept(m) => {
            let (n, s, dec, all) = (ballot(m.n), m.s, m.decided, m.decided_by_all);
            let entries = records(m.start, &m.entries);
            format!("n={n} s={s} {entries} dec={dec} all={all}")
        }
        Body::Accepted(m) => {
            let (n, s, len, dec) = (ballot(m.n), m.s, m.len, m.decided);
            format!("n={n} s={s} len={len} dec={dec}{}", flag(m.gap, "gap"))
        }
        Body::Decide(m) => {
            let (n, s, dec, all) = (ballot(m.n), m.s, m.decided, m.decided_by_all);
            format!("n={n} s={s} dec={dec} all={all}{}", flag(m.answer, "answer"))
        }
        Body::PrepareReq(m) => format!("promised={}", ballot(m.promised)),
        Body::Refuse(m) => format!("n={} promised={}", ballot(m.n), ballot(m.promised)),
        Body::LearnRequest(m) => format!("from={}", m.from),
        Body::Learn(m) => {
            let (dec, round) = (m.decided, ballot(m.decided_round));
            format!("{} dec={dec} in={round}", records(m.start, &m.entries))
        }
        Body::Propose(m) => format!("{} hops={}", proposals(&m.proposals), m.hops),
        Body::RecoverRequest(m) => format!("nonce={}", m.nonce),
        Body::RecoverReply(m) => {
            let attempt = m.attempt.map(|s| format!(" s={s}")).unwrap_or_default();
            let suspect = flag(m.suspect_session.is_some(), "suspect");
            format!("nonce={} promised={}{attempt}{suspect}", m.nonce, ballot(m.promised))
        }
    }
}

/// A heartbeat: the round, and in a reply the sender's facts: `b` its own ballot, `qc` quorum
/// connected, `L` the leader it follows, `hears` whether it hears that leader.
#[must_use]
pub fn heartbeat(message: &HeartbeatMessage) -> String {
    let (from, to) = (message.from, message.to);
    match &message.body {
        Heartbeat::Request { round } => format!("{from}->{to} Request round={round}"),
        Heartbeat::Reply { round, ballot: own, quorum_connected, leader, hears_leader, .. } => {
            let (own, leader) = (ballot(*own), ballot(*leader));
            let (qc, hears) = (flag(*quorum_connected, "qc"), flag(*hears_leader, "hears"));
            format!("{from}->{to} Reply round={round} b={own} L={leader}{qc}{hears}")
        }
        _ => format!("{from}->{to} {:?}", message.body),
    }
}
