//! Messages in the event log: one line each.

use omnipaxos_core::configurations::{ServerBody, ServerMessage};
use omnipaxos_core::migration::MigrationBody;
use omnipaxos_core::paxos::{Body, Message};
use omnipaxos_core::storage::Records;
use std::fmt;

/// Shows a message in a few words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a>(pub(super) &'a Message);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Message { config_id, from, to, body } = self.0;
        write!(f, "{from} -> {to} [{config_id}] {} ", body.name())?;
        match body {
            Body::Prepare(m) => write!(
                f,
                "n {} s {} accepted {} len {} decided {} from {:?}",
                m.n, m.s, m.accepted_round, m.len, m.decided, m.suffix_from
            ),
            Body::Promise(m) => write!(
                f,
                "n {} s {} accepted {} len {} decided {} {}{}",
                m.n,
                m.s,
                m.accepted_round,
                m.len,
                m.decided,
                Range(m.start, &m.suffix),
                if m.recovering { " recovering" } else { "" }
            ),
            Body::AcceptSync(m) => write!(
                f,
                "n {} s {} {} of {} decided {}",
                m.n,
                m.s,
                Range(m.start, &m.suffix),
                m.end,
                m.decided
            ),
            Body::SyncRequest(m) => write!(f, "n {} s {} from {}", m.n, m.s, m.from),
            Body::Accept(m) => {
                let range = Range(m.start, &m.entries);
                write!(f, "n {} s {} {range} decided {}", m.n, m.s, m.decided)
            }
            Body::Accepted(m) => {
                write!(f, "n {} s {} len {} decided {} gap {}", m.n, m.s, m.len, m.decided, m.gap)
            }
            Body::Decide(m) => {
                write!(f, "n {} s {} {} answer {}", m.n, m.s, m.decided, m.answer)
            }
            Body::PrepareReq(m) => write!(f, "promised {}", m.promised),
            Body::Refuse(m) => write!(f, "n {} promised {}", m.n, m.promised),
            Body::LearnRequest(m) => write!(f, "from {}", m.from),
            Body::Learn(m) => {
                let range = Range(m.start, &m.entries);
                write!(f, "{range} of {} in {}", m.decided, m.decided_round)
            }
            Body::Propose(m) => write!(f, "{} hops {}", Range(0, &m.proposals), m.hops),
            Body::RecoverRequest(m) => write!(f, "nonce {:x}", m.nonce),
            Body::RecoverReply(m) => write!(
                f,
                "nonce {:x} promised {} attempt {:?} suspect {:?}",
                m.nonce, m.promised, m.attempt, m.suspect_session
            ),
        }
    }
}

struct Range<'a>(u64, &'a Records);

impl fmt::Display for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.0, self.0 + self.1.len())?;
        for run in self.1.runs() {
            write!(f, " {}x{}", run.first, run.count)?;
        }
        Ok(())
    }
}

/// Shows a message between the lives of two servers in a few words.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShownServer<'a>(pub(super) &'a ServerMessage);

impl fmt::Display for ShownServer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServerMessage { from, to, body } = self.0;
        write!(f, "{from} -> {to} {}", body.name())?;
        match body {
            ServerBody::Hello { newest } => write!(f, " {newest}"),
            ServerBody::History(part) => write!(
                f,
                " {:?}",
                part.ended.iter().map(|ended| (ended.config_id, ended.len)).collect::<Vec<_>>()
            ),
            ServerBody::StageRequest { config_id } => write!(f, " [{config_id}]"),
            ServerBody::Stage { config_id, stage } => write!(f, " [{config_id}] {stage:?}"),
            ServerBody::Migration(m) => {
                write!(f, " [{}]", m.config_id)?;
                match &m.body {
                    MigrationBody::Inventory(m) => write!(f, " {:?}", m.held),
                    MigrationBody::SegmentRequest(m) => write!(f, " {} {}", m.range, m.max_cost),
                    MigrationBody::Segment(m) => write!(f, " {}", Range(m.start, &m.records)),
                    _ => Ok(()),
                }
            }
        }
    }
}
