//! Migration: a range of the log of one configuration, fetched from many donors at once.
//!
//! [`Migration`] is the planner of the server that fetches; [`answer`] is all there is to a donor.
//! What a decided log holds never changes, so any server that has a part of it may serve that part:
//! members of the configuration, and newcomers that have received it themselves. With the digest
//! that the StopSign carries ([`Anchor`]) nobody needs to be trusted: each block is verified when
//! it arrives, whatever the order, and its donor blamed. docs/PROTOCOL.md has the steps, M1 to M5,
//! and says why the migrated log equals the sealed one.
//!
//! # How to call it
//! 1. [`Migration::new`] with the target and what is on disk already; [`Migration::add_donor`] and
//!    [`Migration::remove_donor`] at any time;
//! 2. [`Migration::handle_message`] for each answer that arrives, [`Migration::tick`] at a steady
//!    pace;
//! 3. after each of these calls, take all of [`Migration::next_command`] and do as it says.
//!
//! A donor calls [`answer`] for each request, or [`refuse`] where it has better things to do, and
//! sends what that returns. It remembers nothing.
//!
//! Records are handed out as soon as they are believed, in any order of their indexes: the planner
//! holds no payload. It holds a few ranges, the requests on their way, and 48 bytes for each block
//! (32 KiB or 2048 records). It knows no clock and no dice: the same inputs give the same outputs.
//! After a crash a new one is made from what is on disk, and nothing that is there is fetched
//! again.
//!
//! ```
//! use omnipaxos_core::{digest::{Block, BlockDigests}, migration::*, storage::*};
//! use std::collections::{BTreeMap, VecDeque};
//!
//! struct Donor(MemorySequence, Vec<Block>);
//! impl DonorLog for Donor {
//!     fn held(&self) -> Ranges {
//!         [IndexRange::new(self.0.first_index(), self.0.end_index())].into_iter().collect()
//!     }
//!     fn first_index(&self) -> u64 {
//!         self.0.first_index()
//!     }
//!     fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
//!         self.0.read(from, to, max_cost)
//!     }
//!     fn blocks(&self) -> &[Block] {
//!         &self.1
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Configuration 1 has decided 10,000 entries; its members keep the digests as they go.
//! let mut records = RecordsBuilder::new();
//! for number in 1..=10_000u64 {
//!     let id = ProposalId { proposer: 1, session: 1, number };
//!     records.push(id, Entry::from(number.to_le_bytes().to_vec()));
//! }
//! let records = records.build();
//! let (mut sequence, mut digests) = (MemorySequence::new(), BlockDigests::new(1));
//! digests.push(&records);
//! sequence.append(records)?;
//! let donor = Donor(sequence, digests.blocks());
//!
//! // Server 4 has nothing yet, and learned the anchor from the StopSign.
//! let range = IndexRange::new(0, 10_000);
//! let target = Target { config_id: 1, range, anchor: Some(digests.anchor()) };
//! let mut migration =
//!     Migration::new(4, target, &Ranges::new(), MigrationConfig::default())?;
//! for donor in [1, 2, 3] {
//!     migration.add_donor(donor)?;
//! }
//! let mut network = VecDeque::new();
//! let mut stored = BTreeMap::new();
//! 'run: loop {
//!     while let Some(command) = migration.next_command() {
//!         match command {
//!             MigrationCommand::Send(request) => network.push_back(request),
//!             MigrationCommand::Store { start, records } => {
//!                 stored.insert(start, records);
//!             }
//!             MigrationCommand::Blame { donor, blame } => eprintln!("server {donor}: {blame}"),
//!             MigrationCommand::Done => break 'run,
//!             _ => {} // snapshots, where donors have trimmed
//!         }
//!     }
//!     match network.pop_front() {
//!         Some(request) => {
//!             // At the donor:
//!             let reply = answer(1, request.to, &donor, &request, 256 << 10)?;
//!             // And here again:
//!             migration.handle_message(reply)?;
//!         }
//!         None => migration.tick(),
//!     }
//! }
//! assert_eq!(migration.progress().have, 10_000);
//! assert_eq!(stored.values().map(Records::len).sum::<u64>(), 10_000);
//! # Ok(())
//! # }
//! ```

mod config;
mod donor;
mod error;
mod list;
mod messages;
mod plan;
mod planner;
mod progress;
mod ranges;
mod serve;
mod snapshot;

#[cfg(test)]
mod tests;

pub use crate::ballot::NodeId;
pub use crate::digest::Anchor;
pub use config::{MigrationConfig, Target};
pub use error::{AddDonorError, AnswerError, Blame, MigrationMessageError, MigrationStartError};
pub use messages::{
    Asked, Blocks, BlocksRequest, Inventory, MAX_INVENTORY_RANGES, MAX_LISTED_BLOCKS,
    MigrationBody, MigrationMessage, Segment, SegmentRequest, SnapshotChunk, SnapshotOffer,
    SnapshotRequest, Trimmed, Unknown,
};
pub use planner::{Migration, MigrationCommand};
pub use progress::{DonorProgress, Progress};
pub use ranges::{IndexRange, Ranges};
pub use serve::{DonorLog, answer, refuse};
