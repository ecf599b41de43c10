//! The migrating server: what comes in. What goes out is in `plan`.

use super::config::{MigrationConfig, Target};
use super::donor::Donor;
use super::error::{AddDonorError, Blame, MigrationMessageError, MigrationStartError};
use super::list::{Fetching, List};
use super::messages::{
    Asked, Blocks, Inventory, MAX_INVENTORY_RANGES, MAX_LISTED_BLOCKS, MigrationBody,
    MigrationMessage, Segment, SnapshotChunk, SnapshotOffer, Trimmed, Unknown,
};
use super::progress::Progress;
use super::ranges::{IndexRange, Ranges};
use super::snapshot::{Complete, SnapshotFetch};
use crate::ballot::NodeId;
use crate::digest::Block;
use crate::storage::Records;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// What the caller of a [`Migration`] has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MigrationCommand {
    /// Send this. It may be lost, duplicated or overtaken.
    Send(MigrationMessage),
    /// Store these records. They come in any order of their indexes, each index once. Nothing need
    /// be durable before the next input; what is lost in a crash is fetched again.
    Store {
        /// The index of the first one.
        start: u64,
        /// The records.
        records: Records,
    },
    /// Store this part of a snapshot. Do not install it yet.
    StoreSnapshot {
        /// Which one.
        offer: SnapshotOffer,
        /// Where it begins.
        offset: u64,
        /// The bytes.
        data: Bytes,
    },
    /// Remove what was stored of this snapshot: it is not what was offered, or cannot be had.
    DiscardSnapshot(SnapshotOffer),
    /// The snapshot is complete and what was offered: install it. It stands for all records below
    /// its end.
    InstallSnapshot(SnapshotOffer),
    /// This donor, or somebody in its name, did something wrong; log it. It is left alone for a
    /// while.
    Blame {
        /// The donor.
        donor: NodeId,
        /// What it did.
        blame: Blame,
    },
    /// All donors have trimmed the records below `below`, and nobody offers a snapshot. The
    /// migration goes on with everything else, and looks for one.
    NeedsSnapshot {
        /// The end of what cannot be had.
        below: u64,
    },
    /// Everything was handed out.
    Done,
}

/// One server's migration of a range of the log of one configuration, from any number of donors.
///
/// The [module](super) says how to call it, and has a loop that does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Migration {
    pub(super) pid: NodeId,
    pub(super) target: Target,
    pub(super) config: MigrationConfig,
    /// Ticks so far.
    pub(super) now: u64,
    /// What is here, within the target.
    pub(super) held: Ranges,
    pub(super) list: List,
    pub(super) donors: BTreeMap<NodeId, Donor>,
    pub(super) snapshot: Option<SnapshotFetch>,
    pub(super) needs_snapshot: Option<u64>,
    /// Records that arrived and what they cost: how large is the next one?
    pub(super) arrived: (u64, u64),
    stored_bytes: u64,
    /// The caller has everything below, as far as it says so.
    pub(super) floor: Option<u64>,
    /// What was handed out without blocks to tell what it costs, beyond what is missing: first
    /// index, end, and cost.
    pub(super) ahead: BTreeMap<u64, (u64, u64)>,
    pub(super) done: bool,
    pub(super) commands: VecDeque<MigrationCommand>,
}

impl Migration {
    /// The migration of `target` to server `pid`, which has the records of `held` already (after a
    /// restart: what is on disk).
    ///
    /// # Errors
    /// [`MigrationStartError`] for an impossible target, pid or limit.
    pub fn new(
        pid: NodeId,
        target: Target,
        held: &Ranges,
        config: MigrationConfig,
    ) -> Result<Self, MigrationStartError> {
        config.check(pid, &target)?;
        let list = match target.anchor {
            Some(anchor) => List::Fetching(Fetching { anchor, donor: None, blocks: Vec::new() }),
            None => List::Unverified,
        };
        let mut migration = Self {
            pid,
            held: held.parts(target.range).collect(),
            target,
            config,
            now: 0,
            list,
            donors: BTreeMap::new(),
            snapshot: None,
            needs_snapshot: None,
            arrived: (0, 0),
            stored_bytes: 0,
            floor: None,
            ahead: BTreeMap::new(),
            done: false,
            commands: VecDeque::new(),
        };
        migration.plan();
        Ok(migration)
    }

    /// From now on `donor` may be asked, too. Nothing happens where it may already.
    ///
    /// # Errors
    /// [`AddDonorError`] for a pid that is no donor.
    pub fn add_donor(&mut self, donor: NodeId) -> Result<(), AddDonorError> {
        match donor {
            0 => Err(AddDonorError::PidZero),
            donor if donor == self.pid => Err(AddDonorError::Oneself),
            donor => {
                let now = self.now;
                self.donors.entry(donor).or_insert_with(|| Donor::new(now));
                self.plan();
                Ok(())
            }
        }
    }

    /// From now on `donor` is asked nothing, and nothing that it says counts.
    pub fn remove_donor(&mut self, donor: NodeId) {
        self.donors.remove(&donor);
        self.plan();
    }

    /// One tick of virtual time: what was lost is asked for again.
    pub fn tick(&mut self) {
        self.now = self.now.saturating_add(1);
        let resend = self.resend();
        for donor in self.donors.values_mut() {
            donor.give_up(self.now, resend);
        }
        self.plan();
    }

    /// An answer of a donor. What is wrong with it is a matter between the two:
    /// [`MigrationCommand::Blame`].
    ///
    /// # Errors
    /// [`MigrationMessageError`] when the message is not one for this migration; nothing changed.
    pub fn handle_message(
        &mut self,
        message: MigrationMessage,
    ) -> Result<(), MigrationMessageError> {
        let MigrationMessage { config_id, from, to, body } = message;
        if config_id != self.target.config_id {
            let ours = self.target.config_id;
            return Err(MigrationMessageError::OtherConfiguration { theirs: config_id, ours });
        }
        if to != self.pid {
            return Err(MigrationMessageError::OtherReceiver(to));
        }
        let (now, resend) = (self.now, self.resend());
        let Some(donor) = self.donors.get_mut(&from) else {
            return Err(MigrationMessageError::UnknownDonor(from));
        };
        if body.asked().is_some() {
            return Err(MigrationMessageError::NotAnAnswer(body.name()));
        }
        if self.done || donor.banned(now) {
            return Ok(());
        }
        let result = match body {
            MigrationBody::Inventory(m) => on_inventory(donor, m, now),
            MigrationBody::Blocks(m) => self.on_blocks(from, m),
            MigrationBody::Segment(m) => self.on_segment(from, m),
            MigrationBody::SnapshotChunk(m) => self.on_snapshot_chunk(from, &m),
            MigrationBody::Trimmed(m) => on_trimmed(donor, &m, now, resend),
            MigrationBody::Unknown(Unknown { asked }) => {
                if let Asked::Segment(range) = asked {
                    donor.lacks(range);
                }
                donor.declined(asked, now, resend);
                Ok(())
            }
            _ => {
                donor.refused(now, resend);
                Ok(())
            }
        };
        if let Err(blame) = result {
            self.blame(from, blame);
        }
        self.plan();
        Ok(())
    }

    /// Everything below `end` is here, wherever it came from, and stored. Once said, no more is
    /// asked for than [`MigrationConfig::ahead_bytes`] beyond it.
    pub fn stored(&mut self, end: u64) {
        let end = end.min(self.target.range.to);
        self.held.insert(IndexRange::new(self.target.range.from, end));
        self.floor = self.floor.max(Some(end));
        self.plan();
    }

    /// What is to be done next. Take all after each input: records wait nowhere else.
    pub fn next_command(&mut self) -> Option<MigrationCommand> {
        self.commands.pop_front()
    }

    /// Whether everything was handed out.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// What is here, within the target: what this server can serve as a donor, once it is durable.
    #[must_use]
    pub fn held(&self) -> &Ranges {
        &self.held
    }

    /// The blocks of the log, verified, so that this server can serve them, too; `None` before they
    /// are known, or where the log has none.
    #[must_use]
    pub fn blocks(&self) -> Option<&[Block]> {
        match &self.list {
            List::Known(blocks) => Some(blocks),
            List::Unverified | List::Fetching(_) => None,
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let fetch = self.snapshot.as_ref();
        Progress {
            have: self.held.len(),
            total: self.target.range.len(),
            bytes: self.stored_bytes,
            wasted_bytes: self.arrived.1.saturating_sub(self.stored_bytes),
            total_bytes: self.list.cost(self.target.range),
            snapshot: fetch.map(|fetch| (fetch.bytes(), fetch.offer.bytes)),
            needs_snapshot: self.needs_snapshot,
            donors: self.donors.iter().map(|(pid, donor)| donor.progress(*pid)).collect(),
        }
    }

    pub(super) fn resend(&self) -> u64 {
        u64::from(self.config.resend_ticks)
    }

    pub(super) fn blame(&mut self, from: NodeId, blame: Blame) {
        let (now, resend) = (self.now, self.resend());
        if let Some(donor) = self.donors.get_mut(&from) {
            donor.blame(blame, now, resend);
            self.commands.push_back(MigrationCommand::Blame { donor: from, blame });
        }
    }

    /// M2: a part of the list of blocks. Only what was asked for counts.
    fn on_blocks(&mut self, from: NodeId, m: Blocks) -> Result<(), Blame> {
        let now = self.now;
        let asked = self
            .donors
            .get_mut(&from)
            .is_some_and(|donor| donor.answered(Asked::Blocks(m.first), now));
        let List::Fetching(fetching) = &mut self.list else { return Ok(()) };
        let next = fetching.blocks.len() as u64;
        if !asked || m.first != next || m.end != fetching.anchor.end {
            return Ok(());
        }
        let last = m.blocks.last().is_some_and(|block| block.end == m.end);
        if m.blocks.len() > MAX_LISTED_BLOCKS || (m.blocks.len() < MAX_LISTED_BLOCKS && !last) {
            return Err(Blame::Impossible("too many or too few blocks at once"));
        }
        match fetching.add(self.target.config_id, m) {
            Ok(Some(blocks)) => {
                self.list = List::Known(blocks);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(blame) => {
                fetching.blocks = Vec::new();
                Err(blame)
            }
        }
    }

    /// M4: records. Whoever answers first, and however late, is welcome. What fits nothing that is
    /// asked now may answer an earlier request, also one from before a restart: nobody is blamed.
    fn on_segment(&mut self, from: NodeId, m: Segment) -> Result<(), Blame> {
        let Segment { start, records } = m;
        let Some(donor) = self.donors.get_mut(&from) else { return Ok(()) };
        let segment_bytes = self.config.segment_bytes;
        let fits = |range: &IndexRange| self.list.fits(*range, segment_bytes, start, &records);
        let asked = donor.segment_from(start).filter(fits);
        if asked.is_none() && !fits(&self.target.whole()) {
            return Ok(());
        }
        if records.stop_sign().is_some() && start + records.len() != self.target.whole().to {
            return Err(Blame::Impossible("a StopSign within the log"));
        }
        let (good, result) = self.list.verify(self.target.config_id, start, &records);
        let asked = Asked::Segment(asked.unwrap_or(IndexRange::new(start, start)));
        if good > 0 {
            donor.answered(asked, self.now);
            donor.useful(self.now);
        } else {
            // Less than a block: it cannot be verified.
            donor.declined(asked, self.now, u64::from(self.config.resend_ticks));
        }
        donor.received(records.cost());
        self.arrived.0 = self.arrived.0.saturating_add(records.len());
        self.arrived.1 = self.arrived.1.saturating_add(records.cost());
        let wanted = IndexRange::new(start, start + good).and(self.target.range);
        for missing in self.held.missing(wanted).iter() {
            let records = records.slice(missing.from - start, missing.to - start);
            self.stored_bytes = self.stored_bytes.saturating_add(records.cost());
            self.held.insert(missing);
            if matches!(self.list, List::Unverified) {
                self.ahead.insert(missing.from, (missing.to, records.cost()));
            }
            let start = missing.from;
            self.commands.push_back(MigrationCommand::Store { start, records });
        }
        result
    }

    /// M5: a chunk of a snapshot. Those of another one than is being fetched are late.
    fn on_snapshot_chunk(&mut self, from: NodeId, m: &SnapshotChunk) -> Result<(), Blame> {
        let now = self.now;
        if let Some(donor) = self.donors.get_mut(&from) {
            donor.answered(Asked::Snapshot(m.offer, m.offset), now);
            donor.received(m.data.len() as u64);
        }
        let Some(fetch) = self.snapshot.as_mut().filter(|fetch| fetch.offer == m.offer) else {
            return Ok(());
        };
        if fetch.is_server(from) && fetch.add(from, m, now)? {
            let SnapshotChunk { offer, offset, data } = m.clone();
            self.commands.push_back(MigrationCommand::StoreSnapshot { offer, offset, data });
        }
        Ok(())
    }

    /// M5: what becomes of a snapshot whose chunks are all here.
    pub(super) fn finish_snapshot(&mut self) {
        let Some(fetch) = &mut self.snapshot else { return };
        let offer = fetch.offer;
        match fetch.complete() {
            None => {}
            Some(Complete::Good) => {
                self.snapshot = None;
                self.held.insert(IndexRange::new(0, offer.end).and(self.target.range));
                self.commands.push_back(MigrationCommand::InstallSnapshot(offer));
            }
            Some(Complete::Bad(donor)) => {
                self.snapshot = None;
                self.commands.push_back(MigrationCommand::DiscardSnapshot(offer));
                self.blame(donor, Blame::WrongSnapshot);
            }
            Some(Complete::Unclear) => {
                // Nobody serves it next: each donor in turn, alone.
                fetch.restart(0, self.now);
                self.commands.push_back(MigrationCommand::DiscardSnapshot(offer));
            }
        }
    }
}

/// M1: what a donor holds.
fn on_inventory(donor: &mut Donor, m: Inventory, now: u64) -> Result<(), Blame> {
    let mut after = 0;
    let possible = m.held.iter().all(|range| {
        let follows = !range.is_empty() && range.from >= after.max(m.first);
        after = range.to;
        follows
    });
    if !possible || m.held.len() > MAX_INVENTORY_RANGES {
        return Err(Blame::Impossible("an inventory of impossible ranges"));
    }
    if m.snapshot.is_some_and(|offer| offer.bytes == 0) {
        return Err(Blame::Impossible("an empty snapshot"));
    }
    donor.answered(Asked::Inventory, now);
    donor.told(m, now);
    Ok(())
}

/// The donor has trimmed what it was asked for.
fn on_trimmed(donor: &mut Donor, m: &Trimmed, now: u64, resend: u64) -> Result<(), Blame> {
    if m.first <= m.from {
        return Err(Blame::Impossible("it has trimmed nothing of what it was asked for"));
    }
    if let Some(range) = donor.segment_from(m.from) {
        donor.lacks(IndexRange::new(0, m.first));
        if let Some(holding) = &mut donor.holding {
            holding.first = holding.first.max(m.first);
        }
        donor.declined(Asked::Segment(range), now, resend);
    }
    Ok(())
}
