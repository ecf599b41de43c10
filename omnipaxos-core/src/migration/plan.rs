//! What goes out: after each input, everything that can be asked of anybody is.

use super::donor::{Donor, Holding};
use super::list::List;
use super::messages::{
    Asked, BlocksRequest, MigrationBody, MigrationMessage, SegmentRequest, SnapshotOffer,
    SnapshotRequest,
};
use super::planner::{Migration, MigrationCommand};
use super::ranges::{IndexRange, Ranges};
use super::snapshot::SnapshotFetch;
use crate::ballot::NodeId;

/// What a record is taken to cost before any has arrived.
const GUESSED_COST: u64 = 1 << 10;

/// Towards the end requests become smaller, so that all donors finish together; but not smaller
/// than this many records.
const MIN_ENTRIES: u64 = 16;

/// Whose turn it is to get a stripe: that of the server with its number's remainder.
#[derive(Clone, Copy)]
struct Turn {
    remainder: u64,
    of: u64,
}

impl Migration {
    /// Does everything that the last input made possible. Calling it again changes nothing.
    pub(super) fn plan(&mut self) {
        if self.done {
            return;
        }
        self.finish_snapshot();
        if self.held.contains(self.target.range) {
            self.done = true;
            self.commands.push_back(MigrationCommand::Done);
            return;
        }
        self.ask_inventories();
        self.ask_blocks();
        self.choose_snapshot();
        self.ask_snapshot();
        let left = self.ask_segments();
        self.take_over(left);
    }

    fn ask(&mut self, donor: NodeId, body: MigrationBody) {
        let (now, config_id, from) = (self.now, self.target.config_id, self.pid);
        if let (Some(state), Some(asked)) = (self.donors.get_mut(&donor), body.asked()) {
            state.sent(asked, now);
            let message = MigrationMessage { config_id, from, to: donor, body };
            self.commands.push_back(MigrationCommand::Send(message));
        }
    }

    fn may_ask(&self, donor: &Donor) -> bool {
        donor.may_ask(self.now, self.config.window)
    }

    /// M1: who has said nothing yet, or may hold more by now.
    fn ask_inventories(&mut self) {
        let again = u64::from(self.config.inventory_ticks);
        let range = self.target.range;
        let unclear = |donor: &Donor| match &donor.holding {
            None => true,
            Some(holding) => {
                self.now.saturating_sub(holding.told) >= again && !holding.held.contains(range)
            }
        };
        let ask: Vec<NodeId> = self
            .donors
            .iter()
            .filter(|(_, donor)| self.may_ask(donor) && !donor.is_asked(Asked::Inventory))
            .filter(|(_, donor)| unclear(donor))
            .map(|(pid, _)| *pid)
            .collect();
        for donor in ask {
            self.ask(donor, MigrationBody::InventoryRequest);
        }
    }

    /// M2: the next part of the list of blocks, from one donor as long as it answers.
    fn ask_blocks(&mut self) {
        let List::Fetching(fetching) = &self.list else { return };
        let end = fetching.anchor.end;
        let first = fetching.blocks.len() as u64;
        let asked = |donor: &Donor| donor.is_asked(Asked::Blocks(first));
        let current = fetching.donor.and_then(|pid| Some((pid, self.donors.get(&pid)?)));
        if current.is_some_and(|(_, donor)| asked(donor)) {
            return;
        }
        let able = |donor: &Donor| {
            let lists = donor.holding.as_ref().is_some_and(|holding| holding.blocks_end >= end);
            lists && self.may_ask(donor)
        };
        if let Some((pid, _)) = current.filter(|(_, donor)| able(donor)) {
            return self.ask(pid, MigrationBody::BlocksRequest(BlocksRequest { first, end }));
        }
        // In turn: the next one after whoever did not go on.
        let last = fetching.donor.unwrap_or(0);
        let next = self.donors.iter().filter(|(_, donor)| able(donor)).map(|(pid, _)| *pid);
        let Some(next) = next.min_by_key(|pid| (*pid <= last, *pid)) else { return };
        if let List::Fetching(fetching) = &mut self.list {
            (fetching.donor, fetching.blocks) = (Some(next), Vec::new());
        }
        self.ask(next, MigrationBody::BlocksRequest(BlocksRequest { first: 0, end }));
    }

    /// What is still to be fetched, in whole blocks.
    fn wanted(&self) -> Ranges {
        let mut wanted = self.list.widen(self.held.missing(self.target.range));
        if let Some(fetch) = &self.snapshot {
            wanted.remove(IndexRange::new(0, fetch.offer.end));
        }
        wanted
    }

    /// The first of what nobody holds, where somebody has trimmed it. `None` while somebody may
    /// still say that it holds it.
    fn trimmed_everywhere(&self) -> Option<IndexRange> {
        let holdings = || {
            let expected = self.donors.values().filter(|donor| !donor.gone(self.now));
            expected.filter_map(|donor| donor.holding.as_ref())
        };
        let first = holdings().map(|holding| holding.first).max()?;
        let mut lacking = self.wanted();
        if lacking.iter().next().is_none_or(|range| range.from >= first)
            || self.donors.values().any(|donor| donor.pending(self.now))
        {
            return None;
        }
        for part in holdings().flat_map(|holding| holding.held.iter()) {
            lacking.remove(part);
        }
        lacking.iter().next().filter(|range| range.from < first)
    }

    fn offers(&self) -> impl Iterator<Item = SnapshotOffer> + '_ {
        self.donors.values().filter_map(|donor| donor.offers(self.now))
    }

    /// M5: which snapshot, if any.
    fn choose_snapshot(&mut self) {
        if let Some(fetch) = &self.snapshot {
            let (offer, now, resend) = (fetch.offer, self.now, self.resend());
            if fetch.stalled(now, resend) {
                let donors = self.donors.values_mut();
                let stalled = donors.filter(|donor| donor.offers(now) == Some(offer));
                stalled.for_each(|donor| donor.stalled(now, resend));
            } else if self.offers().any(|other| other == offer) {
                return;
            }
            self.commands.push_back(MigrationCommand::DiscardSnapshot(offer));
            self.snapshot = None;
        }
        let Some(lacking) = self.trimmed_everywhere() else {
            self.needs_snapshot = None;
            return;
        };
        let limit = self.target.anchor.map_or(u64::MAX, |anchor| anchor.end);
        // One that ends within a block does not help with the rest of that block.
        let missing = self.held.missing(self.target.range).iter().next();
        let from = missing.map_or(lacking.from, |missing| missing.from.max(lacking.from));
        let fits = |offer: &SnapshotOffer| {
            from < offer.end && offer.end <= limit && offer.bytes <= self.config.max_snapshot_bytes
        };
        let supporters = |offer: SnapshotOffer| self.offers().filter(|o| *o == offer).count();
        let best =
            self.offers().filter(fits).max_by_key(|offer| (offer.end, supporters(*offer), *offer));
        if best.is_none() && self.needs_snapshot != Some(lacking.to) {
            self.commands.push_back(MigrationCommand::NeedsSnapshot { below: lacking.to });
        }
        self.needs_snapshot = best.is_none().then_some(lacking.to);
        self.snapshot = best.map(|offer| SnapshotFetch::new(offer, self.now));
    }

    /// M5: the next chunks, from everyone who offers this snapshot.
    fn ask_snapshot(&mut self) {
        let Some(offer) = self.snapshot.as_ref().map(|fetch| fetch.offer) else { return };
        let serves = |donor: &Donor| donor.offers(self.now) == Some(offer);
        let serving = self.donors.iter().filter(|(_, donor)| serves(donor));
        let servers: Vec<NodeId> = serving.map(|(pid, _)| *pid).collect();
        let Some(fetch) = &mut self.snapshot else { return };
        if let Some(solo) = fetch.solo()
            && !servers.contains(&solo)
        {
            let next = servers.iter().copied().min_by_key(|pid| (*pid <= solo, *pid));
            if fetch.bytes() > 0 {
                self.commands.push_back(MigrationCommand::DiscardSnapshot(offer));
            }
            fetch.restart(next.unwrap_or(solo), self.now);
        }
        loop {
            let Some(fetch) = &self.snapshot else { return };
            let able = servers.iter().filter_map(|pid| Some((*pid, self.donors.get(pid)?)));
            let able = able.filter(|(pid, donor)| fetch.is_server(*pid) && self.may_ask(donor));
            let least = able.min_by_key(|(pid, donor)| (donor.in_flight().len(), *pid));
            let asked = |offset| {
                let asked = Asked::Snapshot(offer, offset);
                self.donors.values().any(|donor| donor.is_asked(asked))
            };
            let (Some((donor, _)), Some(offset)) = (least, fetch.next(asked)) else { return };
            self.ask(donor, MigrationBody::SnapshotRequest(SnapshotRequest { offer, offset }));
        }
    }

    /// M3: shares out what nobody is asked for, one request at a time to whoever has least to do.
    /// Returns how many records are left that could not be shared out yet.
    fn ask_segments(&mut self) -> u64 {
        if matches!(self.list, List::Fetching(_)) {
            return 0;
        }
        let mut free = self.wanted();
        let Some(first) = free.iter().next().map(|range| range.from) else { return 0 };
        let base = self.floor.map_or(first, |floor| floor.min(first));
        while let Some(entry) = self.ahead.first_entry().filter(|entry| entry.get().0 <= base) {
            entry.remove();
        }
        for range in self.donors.values().flat_map(Donor::segments) {
            free.remove(range);
        }
        // Requests become smaller towards the end of the log, not towards that of the window.
        let mut left = free.len();
        let turn = self.turn();
        loop {
            let stuck = base == first && free.iter().next().is_some_and(|r| r.from == first);
            let (end, in_turn) = self.window(base, stuck);
            free.remove(IndexRange::new(end, u64::MAX));
            let turn = turn.filter(|_| in_turn);
            let mut able: Vec<_> =
                self.donors.iter().filter(|(_, donor)| self.may_ask(donor)).collect();
            able.sort_by_key(|(pid, donor)| (donor.in_vain(), donor.in_flight().len(), **pid));
            let found = able
                .iter()
                .find_map(|(pid, donor)| Some((**pid, self.choose(turn, left, &free, donor)?)));
            let Some((donor, range)) = found else { break };
            free.remove(range);
            left = left.saturating_sub(range.len());
            self.ask_segment(donor, range);
        }
        self.ask_newcomers(&free);
        left
    }

    /// M1: a newcomer that has nothing to give may have something soon. It is asked at once, and
    /// less often the longer that is not so.
    fn ask_newcomers(&mut self, free: &Ranges) {
        let most = u64::from(self.config.inventory_ticks);
        let ask: Vec<NodeId> = self
            .donors
            .iter()
            .filter(|(_, donor)| self.may_ask(donor) && donor.in_flight().is_empty())
            .filter(|(_, donor)| self.is_newcomer(donor) && donor.may_have_more(self.now, most))
            .map(|(pid, _)| *pid)
            .collect();
        if !free.is_empty() {
            for donor in ask {
                self.ask(donor, MigrationBody::InventoryRequest);
            }
        }
    }

    fn ask_segment(&mut self, donor: NodeId, range: IndexRange) {
        let most = self.config.segment_bytes;
        let most = self.donors.get(&donor).map_or(most, |donor| donor.at_once(most));
        let max_cost = self.list.max_cost(range, most);
        self.ask(donor, MigrationBody::SegmentRequest(SegmentRequest { range, max_cost }));
    }

    /// M3: the end of what may be asked for, so that whoever stores in order has to keep little:
    /// not much beyond `base`, below which everything is stored; but always that record where it is
    /// missing and nobody is asked for it, so that everything is `stuck` there. Also whether there
    /// is room for more than what comes next.
    fn window(&self, base: u64, stuck: bool) -> (u64, bool) {
        let bytes = self.config.ahead_bytes;
        if let Some(end) = self.list.reach(base, bytes) {
            return (end, true);
        }
        // Records may be larger than those that arrived so far: what is on its way, and the next
        // request, count as full.
        let requests: usize = self.donors.values().map(|donor| donor.segments().count()).sum();
        let asked = self.config.segment_bytes.saturating_mul(requests as u64 + 1);
        let here: u64 = self.ahead.values().map(|(_, cost)| *cost).sum();
        let reach = |bytes: u64| base.saturating_add(bytes.div_ceil(self.each_cost()));
        if asked.saturating_add(here) <= bytes {
            (reach(bytes), true)
        } else if stuck {
            (reach(self.config.segment_bytes), false)
        } else {
            (base, false)
        }
    }

    /// Whether this donor migrates the same log, so that what it lacks it may get from this server.
    fn is_newcomer(&self, donor: &Donor) -> bool {
        let lacks = |holding: &Holding| !holding.held.contains(self.target.range);
        !donor.gone(self.now) && donor.holding.as_ref().is_some_and(lacks)
    }

    /// M3: which stripes this server asks for first where several migrate the same log, so that
    /// each soon has something that the others lack: those whose number has this remainder. `None`
    /// for a single one.
    fn turn(&self) -> Option<Turn> {
        let others = self.donors.iter().filter(|(_, donor)| self.is_newcomer(donor));
        let (mut of, mut remainder) = (1, 0);
        for (pid, _) in others {
            of += 1;
            remainder += u64::from(*pid < self.pid);
        }
        (of > 1).then_some(Turn { remainder, of })
    }

    /// The next request within what is both `free` and held by this donor. Whoever has everything
    /// is asked for what it is this server's turn to get, and then for what is far away, which the
    /// others may have before it is needed; they are asked for what comes next.
    fn choose(
        &self,
        turn: Option<Turn>,
        left: u64,
        free: &Ranges,
        donor: &Donor,
    ) -> Option<IndexRange> {
        let held = &donor.holding.as_ref()?.held;
        let all = IndexRange::new(0, u64::MAX);
        let mut parts = free.parts(all).flat_map(|part| held.parts(part));
        let bytes = donor.at_once(self.config.segment_bytes);
        let entries = self.entries_at_once(left, bytes);
        let chunk = |part| self.list.chunk(part, bytes, entries);
        let Some(turn) = turn.filter(|_| !self.is_newcomer(donor)) else {
            return parts.find_map(chunk);
        };
        let parts: Vec<IndexRange> = parts.collect();
        let mut own = parts.iter().flat_map(|part| self.stripes(*part, turn));
        let mut rest = parts.iter().rev().map(|part| self.last_stripe(*part));
        own.find_map(chunk).or_else(|| rest.find_map(chunk))
    }

    /// The stripes of `part` that it is this server's turn to get.
    fn stripes(&self, part: IndexRange, turn: Turn) -> impl Iterator<Item = IndexRange> + '_ {
        let mut rest = part;
        let next = move || {
            let (number, stripe) = self.list.stripe(rest.from, self.stripe_entries());
            let stripe = (!rest.is_empty()).then(|| stripe.and(rest))?;
            rest.from = stripe.to;
            Some((number, stripe))
        };
        let mine = move |(number, _): &(u64, IndexRange)| number % turn.of == turn.remainder;
        std::iter::from_fn(next).filter(mine).map(|(_, stripe)| stripe)
    }

    /// What of `part`, which is not empty, lies in its last stripe.
    fn last_stripe(&self, part: IndexRange) -> IndexRange {
        self.list.stripe(part.to.saturating_sub(1), self.stripe_entries()).1.and(part)
    }

    /// How many records make a stripe where blocks are not known.
    fn stripe_entries(&self) -> u64 {
        (self.config.segment_bytes / self.each_cost()).max(1)
    }

    /// What a record costs on average, as far as those that arrived tell.
    fn each_cost(&self) -> u64 {
        let (entries, cost) = self.arrived;
        cost.checked_div(entries).unwrap_or(GUESSED_COST).max(1)
    }

    /// How many records fit a request of so many `bytes`, and not more than each donor's share of
    /// what is `free`.
    fn entries_at_once(&self, free: u64, bytes: u64) -> u64 {
        let fit = bytes / self.each_cost();
        let expected = |donor: &&Donor| donor.holding.is_some() && !donor.gone(self.now);
        let donors = self.donors.values().filter(expected).count() as u64;
        let share = free.div_ceil(donors.max(1)).max(MIN_ENTRIES);
        match self.list {
            List::Known(_) => share,
            List::Unverified | List::Fetching(_) => fit.clamp(1, share),
        }
    }

    /// M3: where nothing is left to share out, whoever is idle and fast takes over from whoever is
    /// much slower. The first answer wins. Where something is `left`, only what comes next is taken
    /// over, because it holds up the rest.
    fn take_over(&mut self, left: u64) {
        let next = self.held.missing(self.target.range).iter().next().map(|range| range.from);
        let urgent = |range: IndexRange| left == 0 || next.is_some_and(|next| range.from <= next);
        loop {
            let found = self.donors.iter().find_map(|(thief, donor)| {
                let held = &donor.holding.as_ref()?.held;
                if !donor.is_prompt(self.now, self.config.window) {
                    return None;
                }
                let (range, expected) = self.slowest(*thief, held, urgent)?;
                let latency = donor.latency_of(range.len())?;
                let faster = expected > latency.saturating_add(1).saturating_mul(2);
                faster.then_some((*thief, range))
            });
            let Some((thief, range)) = found else { return };
            self.ask_segment(thief, range);
        }
    }

    /// What is not here of the segment that will take longest, of those that somebody else alone is
    /// asked for, that are `urgent` and `held` by the thief. Its answer may be shorter than what it
    /// is asked.
    fn slowest(
        &self,
        thief: NodeId,
        held: &Ranges,
        urgent: impl Fn(IndexRange) -> bool,
    ) -> Option<(IndexRange, u64)> {
        let others = self.donors.iter().filter(|(pid, _)| **pid != thief);
        let requests = others.flat_map(|(_, donor)| {
            donor.in_flight().iter().filter_map(|request| match request.asked {
                Asked::Segment(range) => Some((range, donor.expected(request, self.now))),
                _ => None,
            })
        });
        let alone = |range: IndexRange| {
            let asked = self.donors.values().flat_map(Donor::segments);
            asked.filter(|other| !other.and(range).is_empty()).count() == 1
        };
        requests
            .filter(|(range, _)| urgent(*range) && held.contains(*range))
            .filter(|(range, _)| !self.held.contains(*range) && alone(*range))
            .max_by_key(|(range, expected)| (*expected, *range))
            .and_then(|(range, expected)| {
                let missing = self.held.missing(range).iter().next()?;
                Some((missing, expected))
            })
    }
}
