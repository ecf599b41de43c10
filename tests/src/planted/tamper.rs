//! What happens to messages on their way when a fault is planted there.

use super::Plant;
use crate::sim::Rng;
use omnipaxos_core::configurations::{ServerBody, ServerMessage, Stage};
use omnipaxos_core::migration::{MigrationBody, MigrationMessage};
use omnipaxos_core::paxos::{AcceptSync, Accepted, Ballot, Body, Message, NodeId, Promise};
use omnipaxos_core::storage::{Entry, ProposalId, Records, RecordsBuilder};
use std::collections::BTreeMap;

/// A tamperer remembers what it saw.
#[derive(Clone, Debug, Default)]
pub struct Tamper {
    syncs: BTreeMap<(NodeId, NodeId), Box<AcceptSync>>,
    accepted: BTreeMap<(NodeId, NodeId), Accepted>,
}

impl Tamper {
    /// What arrives instead of `message`.
    pub fn tamper(&mut self, plant: Plant, message: Message, rng: &mut Rng) -> Vec<Message> {
        let mut changed = message.clone();
        match (plant, &mut changed.body) {
            (Plant::RaisedRound, Body::Promise(m)) => raise(m, rng),
            (Plant::RaisedPrepare, Body::Prepare(m)) => m.n.n += u64::from(rng.chance(30)),
            (Plant::LoweredRound, Body::Promise(m)) => m.accepted_round = Ballot::default(),
            (Plant::CutPromise, Body::Promise(m)) => cut(m, rng),
            (Plant::ForgedPromise, Body::Promise(m)) => m.accepted_round = m.n,
            (Plant::ReplayedAcceptSync, Body::AcceptSync(m)) => {
                let earlier = self.syncs.insert((message.from, message.to), m.clone());
                if let Some(earlier) = earlier.filter(|earlier| earlier.n != m.n) {
                    m.suffix = earlier.suffix;
                    (m.start, m.end) = (earlier.start, earlier.end);
                }
            }
            (Plant::ReplayedAccepted, Body::Accepted(m)) => {
                let place = (message.from, message.to);
                let highest = self.accepted.get(&place).filter(|known| known.len > m.len);
                match highest.cloned() {
                    Some(known) => m.len = known.len,
                    None => {
                        self.accepted.insert(place, m.clone());
                    }
                }
            }
            (Plant::LongerAccepted, Body::Accepted(m)) => m.len += rng.between(1, 3),
            (Plant::ForgedDecide, Body::Decide(m)) => m.decided += 1,
            (Plant::ForgedDecide, Body::Accept(m)) => m.decided += rng.between(0, 1),
            (Plant::SwappedEntries, Body::Accept(m)) => m.entries = swapped(&m.entries),
            (Plant::LostIdentity, Body::Accept(m)) => m.entries = mistaken(&m.entries),
            (Plant::RenumberedProposal, Body::Propose(m)) if rng.chance(30) => {
                m.proposals = renumbered(&m.proposals);
                return vec![message, changed];
            }
            (Plant::LeakedMessage, _) => {
                changed.config_id += 1;
                return vec![message, changed];
            }
            _ => {}
        }
        vec![changed]
    }
}

/// What arrives instead of a message between the lives of two servers; `None` for nothing.
#[must_use]
pub fn tamper_server(plant: Plant, mut message: ServerMessage) -> Option<ServerMessage> {
    match (plant, &mut message.body) {
        (Plant::BoastedStage, ServerBody::Stage { stage, .. }) if *stage == Stage::Fetching => {
            *stage = Stage::Holds;
        }
        (
            Plant::AlteredRecords,
            ServerBody::Migration(MigrationMessage {
                body: MigrationBody::Segment(segment), ..
            }),
        ) => segment.records = altered(&segment.records),
        (Plant::DeafDonors, ServerBody::Migration(m)) if m.body.asked().is_none() => return None,
        _ => {}
    }
    Some(message)
}

fn raise(m: &mut Promise, rng: &mut Rng) {
    if m.accepted_round.n + 1 < m.n.n && rng.chance(50) {
        m.accepted_round.n = m.n.n - 1;
    }
}

fn cut(m: &mut Promise, rng: &mut Rng) {
    let shorter = m.len.saturating_sub(rng.between(1, 3)).max(m.decided);
    if shorter < m.len {
        m.len = shorter;
        m.suffix = m.suffix.slice(0, shorter.saturating_sub(m.start));
        m.start = m.start.min(shorter);
    }
}

fn rebuilt<'a>(records: impl Iterator<Item = (ProposalId, &'a Entry)>) -> Records {
    let mut builder = RecordsBuilder::new();
    builder.extend(records.map(|(id, entry)| (id, entry.clone())));
    builder.build()
}

fn swapped(records: &Records) -> Records {
    let mut all: Vec<_> = records.iter().collect();
    let last = all.iter().rposition(|(_, entry)| !entry.is_stop_sign());
    if let Some(last @ 1..) = last {
        all.swap(0, last);
    }
    rebuilt(all.into_iter())
}

fn mistaken(records: &Records) -> Records {
    let moved = |id: ProposalId| ProposalId { number: id.number + 1, ..id };
    rebuilt(records.iter().map(|(id, entry)| (moved(id), entry)))
}

/// The same entries as the proposals that come next.
fn renumbered(records: &Records) -> Records {
    let count = records.len();
    let moved = |id: ProposalId| ProposalId { number: id.number + count, ..id };
    rebuilt(records.iter().map(|(id, entry)| (moved(id), entry)))
}

/// The same proposals, the first payload one byte longer.
fn altered(records: &Records) -> Records {
    let mut builder = RecordsBuilder::new();
    for (at, (id, entry)) in records.iter().enumerate() {
        let entry = match entry {
            Entry::Normal(data) if at == 0 => Entry::from([data, &b"!"[..]].concat()),
            entry => entry.clone(),
        };
        builder.push(id, entry);
    }
    builder.build()
}
