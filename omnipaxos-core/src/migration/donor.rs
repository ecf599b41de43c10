//! What a migrating server knows of one donor.

use super::error::Blame;
use super::messages::{Asked, Inventory, SnapshotOffer};
use super::progress::DonorProgress;
use super::ranges::{IndexRange, Ranges};
use crate::ballot::NodeId;

/// Answers to later requests after which an earlier one, or its answer, counts as lost.
const OVERTAKEN: u32 = 4;

/// A request counts as lost after this many timeouts, even where others are answered.
const OVERDUE: u64 = 8;

/// How often in a row requests are lost until nothing is expected of a donor any more. It is still
/// asked, now and then.
const GONE: u32 = 5;

/// How many times a pause is doubled at the most. A lossy link looks like a donor that is dead, so
/// pauses stay short.
const PAUSE_DOUBLINGS: u32 = 2;

/// How many times a timeout is doubled at the most.
const PATIENCE_DOUBLINGS: u32 = 4;

/// The first pause after a blame, in timeouts; each next one is twice as long.
const BAN: u64 = 16;

/// How many times that is doubled at the most.
const BAN_DOUBLINGS: u32 = 8;

/// How many times what a donor is asked for at once is halved, at the most and at first: whatever
/// else it sends waits behind its answers.
const HALVINGS: u32 = 3;

/// After so many answers that have taken longer the way there and back counts as a tick longer: it
/// may have changed, or was taken for too short.
const AGED: u32 = 256;

/// A request on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Request {
    pub(super) asked: Asked,
    sent: u64,
    /// How many later requests were answered.
    overtaken: u32,
}

/// What a donor says that it holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Holding {
    pub(super) held: Ranges,
    pub(super) first: u64,
    pub(super) blocks_end: u64,
    pub(super) snapshot: Option<SnapshotOffer>,
    /// The tick at which it said so.
    pub(super) told: u64,
    /// How many times in a row it had nothing new to say.
    pub(super) repeats: u32,
}

/// One donor. Ticks are those of the migration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Donor {
    pub(super) holding: Option<Holding>,
    /// In the order in which they were sent.
    in_flight: Vec<Request>,
    /// How many times in a row it left requests unanswered.
    silences: u32,
    /// How many times in a row its answers were of no use.
    declines: u32,
    /// It is not asked before this tick.
    rests_until: u64,
    /// Nothing that it says counts before this tick.
    banned_until: u64,
    blames: u32,
    blame: Option<Blame>,
    /// Its snapshots do not count before this tick.
    offers_from: u64,
    /// How often a snapshot that it offered did not come.
    stalls: u32,
    /// The tick of its last answer.
    answered: u64,
    /// What was given up because it did not answer: an answer that comes all the same is late.
    given_up: Vec<Asked>,
    /// Late answers: each doubles the timeout.
    patience: u32,
    /// How long segments take at the most, in eighths of a tick; falls slowly.
    latency: Option<u64>,
    /// How many records these had, in eighths.
    records: u64,
    /// The least that an answer has taken, in ticks: the way there and back.
    way: Option<u64>,
    /// Answers since one took no longer than that.
    aged: u32,
    halvings: u32,
    bytes: u64,
}

impl Donor {
    pub(super) fn new(now: u64) -> Self {
        Self {
            holding: None,
            in_flight: Vec::new(),
            silences: 0,
            declines: 0,
            rests_until: now,
            banned_until: now,
            blames: 0,
            blame: None,
            offers_from: now,
            stalls: 0,
            answered: now,
            given_up: Vec::new(),
            patience: 0,
            latency: None,
            records: 0,
            way: None,
            aged: 0,
            halvings: HALVINGS,
            bytes: 0,
        }
    }

    pub(super) fn in_flight(&self) -> &[Request] {
        &self.in_flight
    }

    /// Whether another request may go to it. One that was silent is tried with one request at a
    /// time.
    pub(super) fn may_ask(&self, now: u64, window: usize) -> bool {
        let window = if self.silences > 0 { 1 } else { window };
        now >= self.rests_until && now >= self.banned_until && self.in_flight.len() < window
    }

    pub(super) fn banned(&self, now: u64) -> bool {
        now < self.banned_until
    }

    /// Whether nothing is expected of it.
    pub(super) fn gone(&self, now: u64) -> bool {
        self.banned(now) || self.silences >= GONE
    }

    /// Whether it may still say what it holds.
    pub(super) fn pending(&self, now: u64) -> bool {
        self.holding.is_none() && !self.gone(now)
    }

    /// Whether it answers promptly, so that it may take over from others.
    pub(super) fn is_prompt(&self, now: u64, window: usize) -> bool {
        self.in_vain() == 0 && self.may_ask(now, window)
    }

    /// How long a segment of so many records takes at the most; `None` before the first one.
    pub(super) fn latency_of(&self, records: u64) -> Option<u64> {
        let latency = self.latency?;
        let (known, asked) = (self.records.max(1), records.saturating_mul(8));
        Some((latency.saturating_mul(asked.max(known)) / known) / 8)
    }

    /// How much longer `request` may take. One that is late takes as long again, as far as
    /// anybody knows.
    pub(super) fn expected(&self, request: &Request, now: u64) -> u64 {
        let elapsed = now.saturating_sub(request.sent);
        match self.latency {
            Some(latency) if elapsed <= latency / 8 => latency / 8 - elapsed,
            _ => elapsed,
        }
    }

    pub(super) fn is_asked(&self, asked: Asked) -> bool {
        self.in_flight.iter().any(|request| request.asked == asked)
    }

    /// Whether it is asked for a segment that starts at `from`, and for which one.
    pub(super) fn segment_from(&self, from: u64) -> Option<IndexRange> {
        self.segments().find(|range| range.from == from)
    }

    /// The segments that it is asked for.
    pub(super) fn segments(&self) -> impl Iterator<Item = IndexRange> + '_ {
        self.in_flight.iter().filter_map(|request| match request.asked {
            Asked::Segment(range) => Some(range),
            _ => None,
        })
    }

    /// What it is asked for at once, where that is `most` bytes at the most: less as long as its
    /// answers wait behind each other, since that is how long everything else waits that it sends.
    pub(super) fn at_once(&self, most: u64) -> u64 {
        (most >> self.halvings).max(1)
    }

    pub(super) fn sent(&mut self, asked: Asked, now: u64) {
        self.in_flight.push(Request { asked, sent: now, overtaken: 0 });
    }

    /// It has answered `asked`; `false` where that was not, or is no longer, on its way.
    pub(super) fn answered(&mut self, asked: Asked, now: u64) -> bool {
        let late = match self.given_up.iter().position(|given_up| alike(*given_up, asked)) {
            Some(at) => {
                self.given_up.remove(at);
                true
            }
            None => false,
        };
        let Some(at) = self.in_flight.iter().position(|request| request.asked == asked) else {
            if late {
                self.patience = (self.patience + 1).min(PATIENCE_DOUBLINGS);
            }
            self.revive(now);
            return false;
        };
        for earlier in &mut self.in_flight[..at] {
            earlier.overtaken += 1;
        }
        let request = self.in_flight.remove(at);
        let took = now.saturating_sub(request.sent);
        // A late answer may be one to an earlier request: the time since this one says little then.
        if !late {
            self.measure(asked, took);
        }
        if let Asked::Segment(range) = asked {
            let lower = self.latency.map_or(0, |latency| latency - latency / 8 + took);
            self.latency = Some(lower.max(took.saturating_mul(8)));
            let fewer = (self.records - self.records / 8).saturating_add(range.len());
            self.records = fewer.max(range.len().saturating_mul(8));
        }
        self.revive(now);
        true
    }

    /// What the time of an answer says about how much may be asked for at once.
    fn measure(&mut self, asked: Asked, took: u64) {
        let way = match self.way {
            Some(way) if way < took => {
                self.aged += 1;
                way + u64::from(self.aged / AGED)
            }
            _ => took,
        };
        if self.way != Some(way) || way == took {
            self.aged = 0;
        }
        self.way = Some(way);
        if !matches!(asked, Asked::Segment(_)) {
            return;
        }
        // On long ways a part of it is jitter.
        let (waited, jitter) = (took - way, way / 4);
        if waited <= jitter {
            self.halvings = self.halvings.saturating_sub(1);
        } else if waited > 1 + 2 * jitter {
            self.halvings = (self.halvings + 1).min(HALVINGS);
        }
    }

    fn revive(&mut self, now: u64) {
        self.silences = 0;
        self.answered = now;
        if self.declines == 0 {
            self.rests_until = now;
        }
    }

    /// Its answer was of use.
    pub(super) fn useful(&mut self, now: u64) {
        self.declines = 0;
        self.rests_until = now;
    }

    /// How often in a row asking it was in vain: others are asked first, or several such donors
    /// could keep a segment among themselves.
    pub(super) fn in_vain(&self) -> u32 {
        self.silences.saturating_add(self.declines)
    }

    /// It does not want to, or cannot, answer `asked` now.
    pub(super) fn declined(&mut self, asked: Asked, now: u64, resend: u64) {
        if self.answered(asked, now) {
            let pause = resend << self.declines.min(PAUSE_DOUBLINGS);
            self.declines = self.declines.saturating_add(1);
            self.rests_until = now.saturating_add(pause);
        }
    }

    /// It refuses everything for now.
    pub(super) fn refused(&mut self, now: u64, resend: u64) {
        self.in_flight.clear();
        self.answered = now;
        self.pause(now, resend);
    }

    /// Forgets requests that count as lost.
    pub(super) fn give_up(&mut self, now: u64, resend: u64) {
        let (timeout, answered) = (resend << self.patience, self.answered);
        let (mut silent, mut given_up) = (false, Vec::new());
        self.in_flight.retain(|request| {
            let waits = now.saturating_sub(request.sent.max(answered)) >= timeout;
            let overdue = now.saturating_sub(request.sent) >= timeout.saturating_mul(OVERDUE);
            silent |= waits;
            if waits {
                given_up.push(request.asked);
            }
            !waits && !overdue && request.overtaken < OVERTAKEN
        });
        if silent {
            self.given_up = given_up;
            self.pause(now, resend);
        }
    }

    fn pause(&mut self, now: u64, resend: u64) {
        let pause = resend << self.silences.min(PAUSE_DOUBLINGS);
        self.silences = self.silences.saturating_add(1);
        self.rests_until = now.saturating_add(pause);
    }

    /// Nothing that it says counts for a while, longer each time. Not for ever: messages are not
    /// authenticated, so it may be somebody else who speaks in its name.
    pub(super) fn blame(&mut self, blame: Blame, now: u64, resend: u64) {
        let ban = (resend * BAN) << self.blames.min(BAN_DOUBLINGS);
        self.blames = self.blames.saturating_add(1);
        self.blame = Some(blame);
        self.banned_until = now.saturating_add(ban);
        self.in_flight.clear();
        self.holding = None;
        self.latency = None;
        self.records = 0;
        self.way = None;
        self.halvings = HALVINGS;
        self.silences = self.silences.max(1);
    }

    pub(super) fn received(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(super) fn told(&mut self, inventory: Inventory, now: u64) {
        let Inventory { held, first, blocks_end, snapshot } = inventory;
        let held: Ranges = held.into_iter().collect();
        let before = self.holding.take().filter(|before| before.held == held);
        let repeats = before.map_or(0, |before| before.repeats.saturating_add(1));
        self.holding = Some(Holding { held, first, blocks_end, snapshot, told: now, repeats });
    }

    /// Whether it is time to ask what it holds by now: soon where it had something new last time,
    /// after `most` ticks at the latest.
    pub(super) fn may_have_more(&self, now: u64, most: u64) -> bool {
        self.holding.as_ref().is_some_and(|holding| {
            let wait = 1u64.checked_shl(holding.repeats).unwrap_or(most).min(most);
            now.saturating_sub(holding.told) >= wait
        })
    }

    /// It does not hold `range` after all.
    pub(super) fn lacks(&mut self, range: IndexRange) {
        if let Some(holding) = &mut self.holding {
            holding.held.remove(range);
        }
    }

    pub(super) fn offers(&self, now: u64) -> Option<SnapshotOffer> {
        let holding = self.holding.as_ref().filter(|_| !self.gone(now) && now >= self.offers_from);
        holding?.snapshot
    }

    /// The snapshot that it offers does not come: others first, longer each time.
    pub(super) fn stalled(&mut self, now: u64, resend: u64) {
        self.offers_from = now.saturating_add((resend * BAN) << self.stalls.min(BAN_DOUBLINGS));
        self.stalls = self.stalls.saturating_add(1);
    }

    pub(super) fn progress(&self, pid: NodeId) -> DonorProgress {
        DonorProgress {
            pid,
            bytes: self.bytes,
            outstanding: self.in_flight.len(),
            silences: self.silences,
            blame: self.blame,
            blames: self.blames,
        }
    }
}

/// Whether an answer to the one may be an answer to the other: segments may be cut short.
fn alike(one: Asked, other: Asked) -> bool {
    match (one, other) {
        (Asked::Segment(one), Asked::Segment(other)) => one.from == other.from,
        _ => one == other,
    }
}
