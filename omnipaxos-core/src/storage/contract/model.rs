//! The naive model: a vector, and a copy of everything for each commit.

use super::Unflushed;
use crate::storage::{Entry, ProposalId, Records, State};
use std::collections::VecDeque;

/// A record of the log.
pub(super) type Record = (ProposalId, Entry);

/// A log and the state beside it.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pub(super) first: u64,
    pub(super) records: Vec<Record>,
    pub(super) state: Option<State>,
}

impl Image {
    pub(super) fn end(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    /// Whether there are records `[from, to)`.
    pub(super) fn has(&self, from: u64, to: u64) -> bool {
        self.first <= from && from <= to && to <= self.end()
    }

    pub(super) fn truncate(&mut self, from: u64) {
        self.records.truncate((from - self.first) as usize);
    }

    pub(super) fn trim(&mut self, to: u64) {
        self.records.drain(..(to - self.first) as usize);
        self.first = to;
    }

    /// What a read gives.
    pub(super) fn read(&self, from: u64, to: u64, max_cost: u64) -> &[Record] {
        let range = &self.records[(from - self.first) as usize..(to - self.first) as usize];
        let mut cost = 0;
        let fits = range.iter().enumerate().take_while(|(at, (_, entry))| {
            cost += entry.cost();
            *at == 0 || cost <= max_cost
        });
        &range[..fits.count()]
    }

    /// How the log of `found` differs from this one.
    pub(super) fn log_difference(&self, found: &Image) -> Option<String> {
        if (self.first, self.end()) != (found.first, found.end()) {
            return Some(format!(
                "the log is [{}, {}) where [{}, {}) is right",
                found.first,
                found.end(),
                self.first,
                self.end()
            ));
        }
        difference(self.first, &self.records, &found.records)
    }

    /// How `found` differs from this.
    fn difference(&self, found: &Image) -> Option<String> {
        self.log_difference(found).or_else(|| {
            (self.state != found.state)
                .then(|| format!("the state is {:?} where {:?} is right", found.state, self.state))
        })
    }
}

/// How two lists of records that begin at `start` differ.
pub(super) fn difference(start: u64, right: &[Record], found: &[Record]) -> Option<String> {
    let equal = right.iter().zip(found).take_while(|(a, b)| a == b).count();
    if equal == right.len() && equal == found.len() {
        return None;
    }
    let named = |records: &[Record]| match records.get(equal) {
        Some((id, Entry::Normal(data))) => format!("{id} with {} bytes", data.len()),
        Some((id, Entry::StopSign(ss))) => format!("{id} with {ss:?}"),
        None => "nothing".to_owned(),
    };
    let (at, found, right) = (start + equal as u64, named(found), named(right));
    Some(format!("index {at} holds {found} where {right} is right"))
}

pub(super) fn listed(records: &Records) -> Vec<Record> {
    records.iter().map(|(id, entry)| (id, entry.clone())).collect()
}

/// What reads see, what is durable, and the sealed commits in between.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) now: Image,
    sealed: VecDeque<Image>,
    durable: Image,
}

impl Model {
    pub(super) fn seal(&mut self) {
        self.sealed.push_back(self.now.clone());
    }

    /// The commit that was sealed first is durable.
    pub(super) fn complete(&mut self) {
        if let Some(image) = self.sealed.pop_front() {
            self.durable = image;
        }
    }

    /// The process is gone. Errors say how `found` differs from what a crash may leave.
    pub(super) fn crash(&mut self, unflushed: Unflushed, found: &Image) -> Result<(), String> {
        let (now, durable) = (std::mem::take(&mut self.now), std::mem::take(&mut self.durable));
        let sealed = std::mem::take(&mut self.sealed);
        let mut possible = match unflushed {
            Unflushed::Lost => vec![durable],
            Unflushed::SealedMaySurvive => std::iter::once(durable).chain(sealed).collect(),
            Unflushed::Kept => vec![now],
        };
        let mut differences = possible.iter().map(|image| image.difference(found));
        let Some(at) = differences.position(|difference| difference.is_none()) else {
            return Err(possible
                .iter()
                .find_map(|image| image.difference(found))
                .unwrap_or_default());
        };
        self.now = possible.swap_remove(at);
        self.durable = self.now.clone();
        Ok(())
    }

    /// How the state that was loaded differs from what it may be.
    pub(super) fn state_difference(&self, found: Option<&State>) -> Option<String> {
        let unsettled = self.sealed.iter().chain([&self.now]);
        let mut possible = unsettled.chain([&self.durable]).map(|image| image.state.as_ref());
        (!possible.any(|state| state == found))
            .then(|| format!("the state is {found:?} where {:?} is right", self.durable.state))
    }
}
