//! The donor's side: a request is answered from the log on disk and from what was fetched just now.

use super::life::Configurations;
use super::messages::{ServerBody, ServerMessage};
use crate::digest::Block;
use crate::migration::{
    AnswerError, DonorLog, IndexRange, MigrationMessage, Ranges, SnapshotOffer, answer, refuse,
};
use crate::storage::{Records, StorageError};
use bytes::Bytes;
use std::collections::BTreeMap;

/// What is on disk, and what is in memory behind it.
struct Both<'a, L> {
    log: Option<&'a L>,
    staged: Option<(&'a BTreeMap<u64, Records>, &'a [Block])>,
}

impl<L: DonorLog> DonorLog for Both<'_, L> {
    fn held(&self) -> Ranges {
        let mut held = self.log.map(DonorLog::held).unwrap_or_default();
        for (start, records) in self.staged.iter().flat_map(|(staged, _)| *staged) {
            held.insert(IndexRange::new(*start, start.saturating_add(records.len())));
        }
        held
    }

    fn first_index(&self) -> u64 {
        self.log.map_or(0, DonorLog::first_index)
    }

    fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        if let Some(log) = self.log
            && let Some(part) = log.held().parts(IndexRange::new(from, to)).next()
            && part.from == from
        {
            return log.read(from, part.to, max_cost);
        }
        let staged = self.staged.and_then(|(staged, _)| staged.range(..=from).next_back());
        let Some((start, records)) = staged else { return Ok(Records::default()) };
        let mut cost = 0u64;
        let part = records.slice(from - start, to - start);
        let fit = part.entries().iter().take_while(|entry| {
            cost = cost.saturating_add(entry.cost());
            cost <= max_cost
        });
        Ok(part.slice(0, (fit.count() as u64).max(1)))
    }

    fn blocks(&self) -> &[Block] {
        let staged = self.staged.map_or(&[][..], |(_, blocks)| blocks);
        let log = self.log.map_or(&[][..], DonorLog::blocks);
        if staged.len() > log.len() { staged } else { log }
    }

    fn snapshot(&self) -> Option<SnapshotOffer> {
        self.log.and_then(DonorLog::snapshot)
    }

    fn read_snapshot(&self, offset: u64, len: u64) -> Result<Bytes, StorageError> {
        self.log.map_or(Ok(Bytes::new()), |log| log.read_snapshot(offset, len))
    }
}

impl Configurations {
    /// Answers [`Command::Serve`](super::Command::Serve) with at most `max_cost` bytes of records,
    /// from `log`, what is decided and durable here of the configuration that it names, and what
    /// was fetched of it and waits to become durable. `log` is `None` where nothing is on disk.
    ///
    /// # Errors
    /// [`AnswerError`] when it is no request to this server, or the log cannot be read.
    pub fn answer(
        &self,
        request: &MigrationMessage,
        log: Option<&impl DonorLog>,
        max_cost: u64,
    ) -> Result<ServerMessage, AnswerError> {
        let config_id = request.config_id;
        let both = Both { log, staged: self.staged(config_id) };
        let reply = answer(config_id, self.pid, &both, request, max_cost)?;
        Ok(envelope(reply))
    }

    /// Refuses a request: this server has better things to do for now.
    #[must_use]
    pub fn refuse(request: &MigrationMessage) -> ServerMessage {
        envelope(refuse(request))
    }
}

fn envelope(message: MigrationMessage) -> ServerMessage {
    let (from, to) = (message.from, message.to);
    ServerMessage { from, to, body: ServerBody::Migration(message) }
}
