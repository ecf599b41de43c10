//! One migrating server, donors of every kind, and a network that may lose, repeat and delay.

use crate::ballot::NodeId;
use crate::digest::{
    Anchor, Block, BlockDigests, Digest, SNAPSHOT_CHUNK, chunk_digest, snapshot_digest,
};
use crate::migration::{
    Asked, Blame, DonorLog, IndexRange, Migration, MigrationBody, MigrationCommand,
    MigrationConfig, MigrationMessage, Ranges, Segment, SnapshotOffer, Target, Unknown, answer,
    refuse,
};
use crate::storage::{Entry, ProposalId, Records, RecordsBuilder, StopSign, StorageError};
use bytes::Bytes;
use std::collections::BTreeMap;

pub(super) const CONFIG: u64 = 3;
pub(super) const ME: NodeId = 100;

/// SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A log of `len` records of `size(rng)` bytes each; the last one is a StopSign if `sealed`.
pub(super) fn log(seed: u64, len: u64, sealed: bool, size: impl Fn(&mut Rng) -> u64) -> Records {
    let mut rng = Rng(seed);
    let buffer = Bytes::from((0..1u64 << 17).map(|_| rng.next() as u8).collect::<Vec<u8>>());
    let mut numbers = BTreeMap::new();
    let mut records = RecordsBuilder::new();
    for index in 0..len {
        let proposer = 1 + rng.below(3);
        let number = numbers.entry(proposer).or_insert(0u64);
        *number += 1;
        let id = ProposalId { proposer, session: 1, number: *number };
        let entry = if sealed && index + 1 == len {
            Entry::stop_sign(StopSign {
                config_id: CONFIG + 1,
                nodes: vec![1, 2, 4],
                learners: vec![],
                metadata: Some(Bytes::from_static(b"addresses")),
                digest: None,
                skip_prepare_use_leader: None,
            })
        } else {
            let size = size(&mut rng).min(1 << 16) as usize;
            let at = rng.below(1 << 16) as usize;
            Entry::Normal(buffer.slice(at..at + size))
        };
        assert!(records.push(id, entry));
    }
    records.build()
}

pub(super) fn digests(log: &Records) -> BlockDigests {
    let mut digests = BlockDigests::new(CONFIG);
    digests.push(log);
    digests
}

/// What a donor holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) log: Records,
    pub(super) held: Ranges,
    pub(super) first: u64,
    pub(super) blocks: Vec<Block>,
    pub(super) snapshot: Option<(SnapshotOffer, Bytes)>,
}

impl Held {
    /// Everything.
    pub(super) fn all(log: &Records) -> Self {
        let held = [IndexRange::new(0, log.len())].into_iter().collect();
        let blocks = digests(log).blocks();
        Self { log: log.clone(), held, first: 0, blocks, snapshot: None }
    }

    /// Everything from the last bound of a block at or below `index` on, and a snapshot before.
    pub(super) fn trim(&mut self, index: u64, snapshot: Option<Bytes>) {
        let mut digests = BlockDigests::new(CONFIG);
        digests.push(&self.log);
        self.first = digests.boundary(index);
        self.held.remove(IndexRange::new(0, self.first));
        self.snapshot = snapshot.map(|data| (offer(self.first, &data), data));
    }
}

pub(super) fn offer(end: u64, data: &Bytes) -> SnapshotOffer {
    let chunks = data.chunks(SNAPSHOT_CHUNK as usize).map(chunk_digest);
    let bytes = data.len() as u64;
    SnapshotOffer { end, bytes, digest: snapshot_digest(bytes, chunks) }
}

impl DonorLog for Held {
    fn held(&self) -> Ranges {
        self.held.clone()
    }

    fn first_index(&self) -> u64 {
        self.first
    }

    fn read(&self, from: u64, to: u64, max_cost: u64) -> Result<Records, StorageError> {
        assert!(self.held.contains(IndexRange::new(from, to)) && from < to);
        let mut cost = 0;
        let entries = self.log.entries()[from as usize..to as usize].iter();
        let fit = entries.take_while(|entry| {
            cost += entry.cost();
            cost <= max_cost
        });
        let count = (fit.count() as u64).max(1);
        Ok(self.log.slice(from, from + count))
    }

    fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    fn snapshot(&self) -> Option<SnapshotOffer> {
        self.snapshot.as_ref().map(|(offer, _)| *offer)
    }

    fn read_snapshot(&self, offset: u64, len: u64) -> Result<Bytes, StorageError> {
        let (_, data) = self.snapshot.as_ref().expect("an offer was made");
        Ok(data.slice(offset as usize..(offset + len) as usize))
    }
}

/// What a donor is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    Honest,
    /// Answers nothing from this tick on.
    DiesAt(u64),
    /// Says what it holds, and no more.
    Mute,
    /// Says that it holds everything, and then that it does not.
    Boasts,
    /// Says that it has trimmed what it is asked for.
    SaysTrimmed,
    /// Serves other bytes.
    WrongBytes,
    /// Lists other blocks.
    WrongBlocks,
    /// Serves another snapshot than it offers.
    WrongSnapshot,
    /// Serves no snapshot at all, but everything else.
    NoSnapshot,
    /// Serves one record at a time.
    Short,
    Refuses,
    /// Answers with whatever is impossible.
    Garbage,
}

pub(super) struct Donor {
    pub(super) held: Held,
    pub(super) nature: Nature,
    /// Bytes that it sends per tick.
    pub(super) rate: u64,
    busy_until: u64,
    /// Bytes that it sent.
    pub(super) served: u64,
    /// Segments that it has yet to send.
    waiting: usize,
    pub(super) most_waiting: usize,
}

impl Donor {
    pub(super) fn new(held: Held, nature: Nature, rate: u64) -> Self {
        Self { held, nature, rate, busy_until: 0, served: 0, waiting: 0, most_waiting: 0 }
    }

    fn reply(&self, now: u64, request: &MigrationMessage, rng: &mut Rng) -> Option<MigrationBody> {
        let honest =
            || answer(CONFIG, request.to, &self.held, request, 256 << 10).expect("a request").body;
        let asked = request.body.asked().expect("a request");
        let on_segment = matches!(asked, Asked::Segment(_));
        Some(match self.nature {
            Nature::Honest => honest(),
            Nature::DiesAt(tick) if now >= tick => return None,
            Nature::DiesAt(_) => honest(),
            Nature::Mute if on_segment => return None,
            Nature::Boasts if on_segment => MigrationBody::Unknown(Unknown { asked }),
            Nature::SaysTrimmed => match honest() {
                MigrationBody::Segment(Segment { start, .. }) => {
                    let first = start + 1 + rng.below(5);
                    MigrationBody::Trimmed(crate::migration::Trimmed { from: start, first })
                }
                other => other,
            },
            Nature::WrongBytes => wrong_bytes(honest(), rng),
            Nature::WrongBlocks => wrong_blocks(honest(), rng),
            Nature::NoSnapshot if matches!(asked, Asked::Snapshot(..)) => return None,
            Nature::WrongSnapshot => match honest() {
                MigrationBody::SnapshotChunk(mut m) => {
                    m.data = m.data.iter().map(|byte| !byte).collect();
                    MigrationBody::SnapshotChunk(m)
                }
                other => other,
            },
            Nature::Short => match honest() {
                MigrationBody::Segment(Segment { start, records }) => {
                    MigrationBody::Segment(Segment { start, records: records.slice(0, 1) })
                }
                other => other,
            },
            Nature::Refuses => refuse(request).body,
            Nature::Garbage => garbage(honest(), rng),
            Nature::Mute | Nature::Boasts | Nature::NoSnapshot => honest(),
        })
    }
}

/// One record has another payload or another identity, or two have changed places.
fn wrong_bytes(body: MigrationBody, rng: &mut Rng) -> MigrationBody {
    let MigrationBody::Segment(Segment { start, records }) = body else { return body };
    let mut list: Vec<(ProposalId, Entry)> =
        records.iter().map(|(id, entry)| (id, entry.clone())).collect();
    let at = rng.below(list.len() as u64) as usize;
    match (&mut list[at], rng.below(3)) {
        ((_, Entry::Normal(data)), 0) if !data.is_empty() => {
            let mut bytes = data.to_vec();
            let byte = rng.below(bytes.len() as u64) as usize;
            bytes[byte] ^= 1 << rng.below(8);
            *data = bytes.into();
        }
        ((_, Entry::StopSign(ss)), _) => ss.nodes.push(9),
        ((id, _), _) => id.session += 1,
    }
    let mut builder = RecordsBuilder::new();
    builder.extend(list);
    MigrationBody::Segment(Segment { start, records: builder.build() })
}

fn wrong_blocks(body: MigrationBody, rng: &mut Rng) -> MigrationBody {
    let MigrationBody::Blocks(mut m) = body else { return body };
    let at = rng.below(m.blocks.len() as u64) as usize;
    match rng.below(3) {
        0 => m.blocks[at].digest = Digest([7; 32]),
        1 => m.blocks[at].cost = m.blocks[at].cost.saturating_sub(1),
        _ => {
            m.blocks.remove(at);
        }
    }
    MigrationBody::Blocks(m)
}

fn garbage(body: MigrationBody, rng: &mut Rng) -> MigrationBody {
    match body {
        MigrationBody::Segment(Segment { start, records }) => {
            let starts = [u64::MAX, start.wrapping_sub(1), start + 1, rng.next()];
            let start = starts[rng.below(4) as usize];
            let records = if rng.chance(20) { Records::default() } else { records };
            MigrationBody::Segment(Segment { start, records })
        }
        MigrationBody::Inventory(mut m) if rng.chance(30) => {
            m.held.push(IndexRange::new(rng.next(), rng.next()));
            MigrationBody::Inventory(m)
        }
        MigrationBody::Blocks(mut m) => {
            m.blocks.iter_mut().for_each(|block| block.end = rng.next());
            MigrationBody::Blocks(m)
        }
        other => other,
    }
}

/// A network with these faults, in percent; delays are up to `delay` ticks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) loss: u64,
    pub(super) duplication: u64,
    pub(super) delay: u64,
}

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) migration: Migration,
    pub(super) log: Records,
    pub(super) donors: BTreeMap<NodeId, Donor>,
    pub(super) faults: Faults,
    pub(super) window: usize,
    network: BTreeMap<(u64, u64), MigrationMessage>,
    sent: u64,
    pub(super) now: u64,
    /// What is stored, by index.
    pub(super) stored: Ranges,
    /// How often each index was asked for.
    pub(super) requested: Vec<u32>,
    pub(super) blames: Vec<(NodeId, Blame)>,
    pub(super) snapshot: BTreeMap<u64, Bytes>,
    pub(super) installed: Option<SnapshotOffer>,
    pub(super) needs: Vec<u64>,
    pub(super) segments_asked: u64,
}

pub(super) fn target(log: &Records, verified: bool) -> Target {
    let anchor: Option<Anchor> = verified.then(|| digests(log).anchor());
    Target { config_id: CONFIG, range: IndexRange::new(0, log.len()), anchor }
}

impl World {
    pub(super) fn new(
        seed: u64,
        log: &Records,
        target: Target,
        held: &Ranges,
        config: MigrationConfig,
    ) -> Self {
        let window = config.window;
        let migration = Migration::new(ME, target, held, config).expect("a possible target");
        Self {
            rng: Rng(seed),
            migration,
            requested: vec![0; log.len() as usize],
            log: log.clone(),
            donors: BTreeMap::new(),
            faults: Faults::default(),
            window,
            network: BTreeMap::new(),
            sent: 0,
            now: 0,
            stored: held.clone(),
            blames: Vec::new(),
            snapshot: BTreeMap::new(),
            installed: None,
            needs: Vec::new(),
            segments_asked: 0,
        }
    }

    pub(super) fn add(&mut self, pid: NodeId, donor: Donor) {
        self.donors.insert(pid, donor);
        self.migration.add_donor(pid).expect("a donor");
        self.obey();
    }

    /// The migrating server crashes and starts again with what it has stored.
    pub(super) fn restart(&mut self, target: Target, config: MigrationConfig) {
        self.migration = Migration::new(ME, target, &self.stored, config).expect("as before");
        self.snapshot.clear();
        for pid in self.donors.keys() {
            self.migration.add_donor(*pid).expect("a donor");
        }
        self.obey();
    }

    fn send(&mut self, at: u64, message: &MigrationMessage) {
        if self.rng.chance(self.faults.loss) {
            return;
        }
        let copies = 1 + u64::from(self.rng.chance(self.faults.duplication));
        for _ in 0..copies {
            let at = at + self.rng.below(self.faults.delay + 1);
            self.sent += 1;
            self.network.insert((at, self.sent), message.clone());
        }
    }

    /// Does what the migration says, and checks that it may say so.
    fn obey(&mut self) {
        while let Some(command) = self.migration.next_command() {
            match command {
                MigrationCommand::Send(message) => {
                    if let MigrationBody::SegmentRequest(m) = &message.body {
                        self.segments_asked += 1;
                        for index in m.range.from..m.range.to {
                            self.requested[index as usize] += 1;
                        }
                    }
                    self.send(self.now, &message);
                }
                MigrationCommand::Store { start, records } => {
                    let range = IndexRange::new(start, start + records.len());
                    let real = self.log.slice(range.from, range.to);
                    assert_eq!(records, real, "wrong bytes stored in {range}");
                    let twice = self.stored.parts(range).next();
                    assert_eq!(twice, None, "stored twice");
                    self.stored.insert(range);
                }
                MigrationCommand::StoreSnapshot { offset, data, .. } => {
                    assert!(self.snapshot.insert(offset, data).is_none(), "stored twice");
                }
                MigrationCommand::DiscardSnapshot(_) => self.snapshot.clear(),
                MigrationCommand::InstallSnapshot(offer) => {
                    self.installed = Some(offer);
                    self.stored.insert(IndexRange::new(0, offer.end));
                }
                MigrationCommand::Blame { donor, blame } => self.blames.push((donor, blame)),
                MigrationCommand::NeedsSnapshot { below } => self.needs.push(below),
                MigrationCommand::Done => assert!(self.migration.is_done()),
            }
        }
        for donor in self.migration.progress().donors {
            assert!(donor.outstanding <= self.window, "{donor:?} has too many requests");
        }
    }

    fn deliver(&mut self, message: MigrationMessage) {
        if message.to == ME {
            if matches!(message.body, MigrationBody::Segment(_))
                && let Some(donor) = self.donors.get_mut(&message.from)
            {
                donor.waiting = donor.waiting.saturating_sub(1);
            }
            // Answers of donors that were removed are refused.
            let _ = self.migration.handle_message(message);
            return self.obey();
        }
        let Some(donor) = self.donors.get_mut(&message.to) else { return };
        let Some(body) = donor.reply(self.now, &message, &mut self.rng) else { return };
        let bytes = match &body {
            MigrationBody::Segment(m) => m.records.cost(),
            MigrationBody::SnapshotChunk(m) => m.data.len() as u64,
            _ => 0,
        };
        if matches!(body, MigrationBody::Segment(_)) {
            donor.waiting += 1;
            donor.most_waiting = donor.most_waiting.max(donor.waiting);
        }
        donor.served += bytes;
        // Its uplink sends one answer after the other; everything takes some time.
        let units = bytes.saturating_mul(1000) / donor.rate;
        donor.busy_until = donor.busy_until.max(self.now * 1000) + units;
        let at = donor.busy_until.div_ceil(1000).max(self.now + 1);
        let (from, to) = (message.to, message.from);
        self.send(at, &MigrationMessage { config_id: CONFIG, from, to, body });
    }

    /// One tick, and everything that arrives in it.
    pub(super) fn tick(&mut self) {
        self.now += 1;
        while let Some(entry) = self.network.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let message = entry.remove();
            self.deliver(message);
        }
        self.migration.tick();
        self.obey();
    }

    /// Runs until done; the ticks it took, at most `limit`.
    pub(super) fn run(&mut self, limit: u64) -> u64 {
        let start = self.now;
        while !self.migration.is_done() {
            let progress = self.migration.progress();
            assert!(self.now - start < limit, "not done after {limit} ticks: {progress:?}");
            self.tick();
        }
        assert_eq!(self.stored.len(), self.log.len(), "done, but not everything is stored");
        self.now - start
    }
}
