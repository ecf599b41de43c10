//! Where the one stream of all configurations stands: what is delivered next, and whether it comes
//! by itself or has to be read.

use super::port::LogBatch;
use bytes::Bytes;
use omnipaxos_core::storage::{ConfigId, ENTRY_OVERHEAD, Entry, StopSign};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The cursor of the stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    /// The global index, the configuration and the index in its log of what comes next; `None`
    /// before that is known.
    cursor: Option<Cursor>,
    /// How far each log is decided and durable here, and its length once it is sealed.
    logs: BTreeMap<ConfigId, Known>,
    /// A read is under way.
    reading: bool,
    pace: Option<Pace>,
}

/// A place in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The global index.
    pub global: u64,
    /// The configuration.
    pub config_id: ConfigId,
    /// The index in its log.
    pub index: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    end: u64,
    len: Option<u64>,
}

/// How far the user may fall behind.
#[derive(Clone, Debug)]
struct Pace {
    limit: u64,
    /// Where each delivery ended, and what it cost.
    delivered: VecDeque<(u64, u64)>,
    bytes: u64,
}

/// What is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Batch(LogBatch),
    StopSign { index: u64, config_id: ConfigId, stop_sign: Arc<StopSign> },
}

impl Stream {
    pub(super) fn new(pace: Option<u64>) -> Self {
        let pace = pace.map(|limit| Pace { limit, delivered: VecDeque::new(), bytes: 0 });
        Self { pace, ..Self::default() }
    }

    /// Where the stream begins.
    pub(super) fn begin(&mut self, cursor: Cursor) {
        self.cursor.get_or_insert(cursor);
    }

    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// A log is decided and durable here up to `end`; sealed with `len` records where that is
    /// known.
    pub(super) fn known(&mut self, config_id: ConfigId, end: u64, len: Option<u64>) {
        if self.cursor.is_some_and(|cursor| config_id < cursor.config_id) {
            return;
        }
        let known = self.logs.entry(config_id).or_default();
        known.end = known.end.max(end);
        known.len = known.len.or(len);
        self.skip_ended();
    }

    /// Entries that a replica has just decided; returns those that come next.
    pub(super) fn live(
        &mut self,
        config_id: ConfigId,
        first_index: u64,
        entries: &Arc<[Bytes]>,
    ) -> Option<Delivery> {
        let end = first_index + entries.len() as u64;
        self.known(config_id, end, None);
        let cursor = self.fits(config_id, first_index, end)?;
        let entries = match usize::try_from(cursor.index - first_index) {
            Ok(0) => Arc::clone(entries),
            Ok(skip) => entries.get(skip..)?.into(),
            Err(_) => return None,
        };
        Some(Delivery::Batch(self.deliver(cursor, entries)))
    }

    /// A StopSign that a replica has just decided; returned where it comes next.
    pub(super) fn live_stop_sign(
        &mut self,
        config_id: ConfigId,
        index: u64,
        stop_sign: &Arc<StopSign>,
    ) -> Option<Delivery> {
        self.known(config_id, index + 1, Some(index + 1));
        let cursor = self.fits(config_id, index, index + 1)?;
        Some(self.deliver_stop_sign(cursor, Arc::clone(stop_sign)))
    }

    /// What has to be read next, where anything is; the caller reads, and reports that with
    /// [`read`](Self::read).
    pub(super) fn wanted(&mut self) -> Option<(ConfigId, u64)> {
        let cursor = self.cursor.filter(|_| !self.reading && self.may_deliver())?;
        let known = self.logs.get(&cursor.config_id)?;
        (cursor.index < known.end).then(|| {
            self.reading = true;
            (cursor.config_id, cursor.index)
        })
    }

    /// What was read; returns what is delivered of it, in order.
    pub(super) fn read(
        &mut self,
        config_id: ConfigId,
        first_index: u64,
        entries: Vec<Entry>,
    ) -> Vec<Delivery> {
        self.reading = false;
        let mut stop_sign = None;
        let payloads: Arc<[Bytes]> = entries
            .into_iter()
            .filter_map(|entry| match entry {
                Entry::Normal(data) => Some(data),
                Entry::StopSign(ss) => {
                    stop_sign = Some(Arc::new(*ss));
                    None
                }
            })
            .collect();
        let end = first_index + payloads.len() as u64;
        let mut deliveries = Vec::new();
        if !payloads.is_empty() {
            deliveries.extend(self.live(config_id, first_index, &payloads));
        }
        if let Some(stop_sign) = stop_sign {
            deliveries.extend(self.live_stop_sign(config_id, end, &stop_sign));
        }
        deliveries
    }

    /// The user has processed everything below `index`.
    pub(super) fn confirm(&mut self, index: u64) {
        if let Some(pace) = &mut self.pace {
            while let Some((_, cost)) = pace.delivered.pop_front_if(|(end, _)| *end <= index) {
                pace.bytes -= cost;
            }
        }
    }

    fn may_deliver(&self) -> bool {
        self.pace.as_ref().is_none_or(|pace| pace.bytes < pace.limit)
    }

    /// The cursor, where it lies within `[first, end)` of this log and deliveries may go on.
    fn fits(&self, config_id: ConfigId, first: u64, end: u64) -> Option<Cursor> {
        let inside =
            |cursor: &Cursor| cursor.config_id == config_id && (first..end).contains(&cursor.index);
        self.cursor.filter(inside).filter(|_| !self.reading && self.may_deliver())
    }

    fn deliver(&mut self, cursor: Cursor, entries: Arc<[Bytes]>) -> LogBatch {
        let Cursor { global, config_id, index } = cursor;
        let count = entries.len() as u64;
        let cost = entries.iter().map(|e| e.len() as u64 + ENTRY_OVERHEAD).sum();
        self.advance(Cursor { global: global + count, config_id, index: index + count }, cost);
        LogBatch { index: global, config_id, first_index: index, entries }
    }

    fn deliver_stop_sign(&mut self, cursor: Cursor, stop_sign: Arc<StopSign>) -> Delivery {
        let Cursor { global, config_id, index } = cursor;
        let next = Cursor { global: global + 1, config_id, index: index + 1 };
        self.advance(next, ENTRY_OVERHEAD);
        Delivery::StopSign { index: global, config_id, stop_sign }
    }

    fn advance(&mut self, cursor: Cursor, cost: u64) {
        if let Some(pace) = &mut self.pace {
            pace.delivered.push_back((cursor.global, cost));
            pace.bytes += cost;
        }
        self.cursor = Some(cursor);
        self.skip_ended();
    }

    /// Goes on in the next configuration behind the end of a sealed log.
    fn skip_ended(&mut self) {
        while let Some(cursor) = &mut self.cursor
            && let Some(len) = self.logs.get(&cursor.config_id).and_then(|known| known.len)
            && let Some(index) = cursor.index.checked_sub(len)
        {
            self.logs.remove(&cursor.config_id);
            cursor.config_id += 1;
            cursor.index = index;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads(from: u64, count: u64) -> Arc<[Bytes]> {
        (from..from + count).map(|n| Bytes::from(vec![n as u8])).collect()
    }

    fn entries(from: u64, count: u64) -> Vec<Entry> {
        payloads(from, count).iter().cloned().map(Entry::Normal).collect()
    }

    fn stop_sign(config_id: ConfigId) -> StopSign {
        StopSign {
            config_id,
            nodes: vec![1],
            learners: vec![],
            metadata: None,
            digest: None,
            skip_prepare_use_leader: None,
        }
    }

    fn begun(pace: Option<u64>) -> Stream {
        let mut stream = Stream::new(pace);
        stream.begin(Cursor { global: 0, config_id: 1, index: 0 });
        stream
    }

    /// Global index, configuration, first index and number of entries.
    fn batch(delivery: Option<Delivery>) -> Option<(u64, ConfigId, u64, usize)> {
        match delivery? {
            Delivery::Batch(b) => Some((b.index, b.config_id, b.first_index, b.entries.len())),
            Delivery::StopSign { .. } => None,
        }
    }

    #[test]
    fn what_comes_by_itself_is_delivered_once_and_in_order() {
        let mut stream = begun(None);
        assert_eq!(batch(stream.live(1, 0, &payloads(0, 3))), Some((0, 1, 0, 3)));
        assert_eq!(batch(stream.live(1, 0, &payloads(0, 3))), None);
        // A batch that overlaps, as a replica that was read from may send it.
        assert_eq!(batch(stream.live(1, 1, &payloads(1, 4))), Some((3, 1, 3, 2)));
        assert_eq!(stream.wanted(), None);
    }

    #[test]
    fn a_gap_is_read_and_what_comes_meanwhile_is_read_too() {
        let mut stream = begun(None);
        assert_eq!(batch(stream.live(1, 5, &payloads(5, 2))), None);
        assert_eq!(stream.wanted(), Some((1, 0)));
        // One read at a time, and nothing overtakes it.
        assert_eq!(stream.wanted(), None);
        assert_eq!(batch(stream.live(1, 7, &payloads(7, 1))), None);
        assert_eq!(stream.read(1, 0, entries(0, 6)).len(), 1);
        assert_eq!(stream.wanted(), Some((1, 6)));
        assert_eq!(stream.read(1, 6, entries(6, 2)).len(), 1);
        assert_eq!(stream.wanted(), None);
        assert_eq!(batch(stream.live(1, 8, &payloads(8, 1))), Some((8, 1, 8, 1)));
    }

    #[test]
    fn a_stop_sign_leads_to_the_next_configuration_and_keeps_the_global_index() {
        let mut stream = begun(None);
        drop(stream.live(1, 0, &payloads(0, 3)));
        // The next configuration may be known before this one is delivered.
        assert_eq!(batch(stream.live(2, 0, &payloads(9, 2))), None);
        let sign = Arc::new(stop_sign(2));
        let expected = Delivery::StopSign { index: 3, config_id: 1, stop_sign: Arc::clone(&sign) };
        assert_eq!(stream.live_stop_sign(1, 3, &sign), Some(expected));
        assert_eq!(stream.live_stop_sign(1, 3, &sign), None);
        assert_eq!(stream.wanted(), Some((2, 0)));
        let read = stream.read(2, 0, entries(9, 2));
        assert_eq!(batch(read.into_iter().next()), Some((4, 2, 0, 2)));
    }

    #[test]
    fn a_read_may_end_in_a_stop_sign() {
        let mut stream = begun(None);
        stream.known(1, 3, Some(3));
        assert_eq!(stream.wanted(), Some((1, 0)));
        let mut all = entries(0, 2);
        all.push(Entry::StopSign(Box::new(stop_sign(2))));
        assert_eq!(stream.read(1, 0, all).len(), 2);
        assert_eq!(stream.cursor(), Some(Cursor { global: 3, config_id: 2, index: 0 }));
    }

    #[test]
    fn a_beginning_behind_the_end_of_a_log_is_in_a_later_one() {
        let mut stream = Stream::new(None);
        stream.begin(Cursor { global: 12, config_id: 1, index: 12 });
        stream.known(1, 5, Some(5));
        stream.known(2, 4, Some(4));
        assert_eq!(stream.cursor(), Some(Cursor { global: 12, config_id: 3, index: 3 }));
    }

    #[test]
    fn a_user_that_confirms_nothing_gets_no_more_than_it_asked_for() {
        let one = 1 + ENTRY_OVERHEAD;
        let mut stream = begun(Some(2 * one));
        assert_eq!(batch(stream.live(1, 0, &payloads(0, 1))), Some((0, 1, 0, 1)));
        assert_eq!(batch(stream.live(1, 1, &payloads(1, 1))), Some((1, 1, 1, 1)));
        assert_eq!(batch(stream.live(1, 2, &payloads(2, 1))), None);
        assert_eq!(stream.wanted(), None);
        stream.confirm(1);
        assert_eq!(stream.wanted(), Some((1, 2)));
        assert_eq!(stream.read(1, 2, entries(2, 1)).len(), 1);
    }
}
