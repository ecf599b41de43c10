//! What the frames written so far say: the durable view, and what opening replays.

use super::format::{Checkpoint, GroupCheckpoint, Item};
use bytes::Bytes;
use omnipaxos_core::storage::ConfigId;
use std::collections::{BTreeMap, BTreeSet};

/// One configuration in the durable view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) state: Option<Bytes>,
    /// Which part `[from, to)` of the log lies in which segment. In the order of the segments these
    /// parts follow one another without gaps.
    pub(super) live: BTreeMap<u32, (u64, u64)>,
}

impl Group {
    fn truncate(&mut self, from: u64) {
        while let Some(mut last) = self.live.last_entry() {
            let (start, end) = last.get_mut();
            if *start < from {
                *end = from.min(*end);
                break;
            }
            last.remove();
        }
        self.end = from;
    }

    fn trim(&mut self, to: u64) {
        while let Some(mut head) = self.live.first_entry() {
            let (start, end) = head.get_mut();
            if *end > to {
                *start = to.max(*start);
                break;
            }
            head.remove();
        }
        self.first = to;
    }
}

/// The durable view of all configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) groups: BTreeMap<ConfigId, Group>,
}

impl Model {
    /// Applies an item of segment `segment`; what cannot follow from what was before is returned as
    /// a sentence.
    pub(super) fn apply(&mut self, segment: u32, item: &Item) -> Result<(), String> {
        let bad = |what: String| Err(what);
        match item {
            Item::Append { group, start, count } => {
                let g = self.groups.entry(*group).or_default();
                let end = start.checked_add(u64::from(*count));
                let Some(end) = end.filter(|_| g.first <= *start && *start <= g.end) else {
                    return bad(format!("records at {start} of a log [{}, {})", g.first, g.end));
                };
                if *start < g.end {
                    g.truncate(*start);
                }
                g.end = end;
                g.live.entry(segment).or_insert((*start, end)).1 = end;
            }
            Item::Truncate { group, from } => {
                let g = self.groups.entry(*group).or_default();
                if *from < g.first || *from > g.end {
                    return bad(format!("a log [{}, {}) cut at {from}", g.first, g.end));
                }
                g.truncate(*from);
            }
            Item::Trim { group, to } => {
                let g = self.groups.entry(*group).or_default();
                if *to < g.first || *to > g.end {
                    return bad(format!("a log [{}, {}) trimmed to {to}", g.first, g.end));
                }
                g.trim(*to);
            }
            Item::State { group, state } => {
                self.groups.entry(*group).or_default().state = Some(state.clone());
            }
            Item::Remove { group } => {
                self.groups.remove(group);
            }
            Item::Checkpoint(_) | Item::Continued { .. } => {}
        }
        Ok(())
    }

    /// The segments that hold something that is needed.
    pub(super) fn live_segments(&self) -> BTreeSet<u32> {
        self.live_segments_of(None)
    }

    /// The same for one configuration, or for all.
    pub(super) fn live_segments_of(&self, only: Option<ConfigId>) -> BTreeSet<u32> {
        let groups = self.groups.iter().filter(|(id, _)| only.is_none_or(|only| only == **id));
        groups.flat_map(|(_, g)| g.live.keys().copied()).collect()
    }

    /// What the next segment has to know, given where the frames of each segment end.
    pub(super) fn checkpoint(&self, segment_bytes: u64, ends: &BTreeMap<u32, u64>) -> Checkpoint {
        let live = self.live_segments();
        let groups = self.groups.iter().map(|(group, g)| GroupCheckpoint {
            group: *group,
            first: g.first,
            end: g.end,
            state: g.state.as_ref().map(|state| state.to_vec()),
            live: g.live.iter().map(|(segment, (from, to))| (*segment, *from, *to)).collect(),
        });
        Checkpoint {
            segment_bytes,
            segments: ends
                .iter()
                .filter(|(segment, _)| live.contains(segment))
                .map(|(segment, end)| (*segment, *end))
                .collect(),
            groups: groups.collect(),
        }
    }

    /// The view that a checkpoint describes.
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        let groups = checkpoint.groups.iter().map(|g| {
            let live = g.live.iter().map(|(segment, from, to)| (*segment, (*from, *to)));
            let group = Group {
                first: g.first,
                end: g.end,
                state: g.state.clone().map(Bytes::from),
                live: live.collect(),
            };
            (g.group, group)
        });
        Self { groups: groups.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(start: u64, count: u32) -> Item {
        Item::Append { group: 1, start, count }
    }

    #[test]
    fn parts_follow_one_another_through_cuts_and_trims() {
        let mut model = Model::default();
        model.apply(1, &append(0, 10)).unwrap();
        model.apply(2, &append(10, 10)).unwrap();
        model.apply(3, &append(15, 5)).unwrap();
        let live = |m: &Model| m.groups[&1].live.clone();
        assert_eq!(live(&model), BTreeMap::from([(1, (0, 10)), (2, (10, 15)), (3, (15, 20))]));
        model.apply(3, &Item::Trim { group: 1, to: 12 }).unwrap();
        assert_eq!(live(&model), BTreeMap::from([(2, (12, 15)), (3, (15, 20))]));
        model.apply(4, &Item::Truncate { group: 1, from: 12 }).unwrap();
        assert_eq!(live(&model), BTreeMap::new());
        model.apply(4, &append(12, 1)).unwrap();
        assert_eq!(live(&model), BTreeMap::from([(4, (12, 13))]));
        let ends = BTreeMap::from([(3, 100), (4, 200)]);
        let checkpoint = model.checkpoint(1 << 20, &ends);
        assert_eq!(checkpoint.segments, [(4, 200)]);
        assert_eq!(Model::of(&checkpoint), model);
    }

    #[test]
    fn what_cannot_follow_is_refused() {
        let mut model = Model::default();
        assert!(model.apply(1, &append(1, 1)).is_err());
        model.apply(1, &append(0, 3)).unwrap();
        assert!(model.apply(1, &append(4, 1)).is_err());
        assert!(model.apply(1, &Item::Truncate { group: 1, from: 4 }).is_err());
        model.apply(1, &Item::Trim { group: 1, to: 2 }).unwrap();
        assert!(model.apply(1, &Item::Truncate { group: 1, from: 1 }).is_err());
        assert!(model.apply(1, &Item::Trim { group: 1, to: 1 }).is_err());
        assert!(model.apply(1, &append(u64::MAX, 1)).is_err());
    }
}
