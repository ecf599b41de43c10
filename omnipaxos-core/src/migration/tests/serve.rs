//! The donor's side.

use super::world::{CONFIG, Held, ME, log, offer};
use crate::digest::{BLOCK_COST, SNAPSHOT_CHUNK};
use crate::migration::{
    AnswerError, Asked, BlocksRequest, IndexRange, MAX_INVENTORY_RANGES, MigrationBody,
    MigrationMessage, SegmentRequest, SnapshotRequest, Trimmed, Unknown, answer, refuse,
};
use crate::storage::Records;
use bytes::Bytes;

fn request(body: MigrationBody) -> MigrationMessage {
    MigrationMessage { config_id: CONFIG, from: ME, to: 1, body }
}

fn ask(held: &Held, body: MigrationBody, max_cost: u64) -> MigrationBody {
    let request = request(body);
    let reply = answer(CONFIG, 1, held, &request, max_cost).expect("a request");
    assert_eq!((reply.config_id, reply.from, reply.to), (CONFIG, 1, ME));
    // Stateless: a repeat is answered, and the same.
    assert_eq!(answer(CONFIG, 1, held, &request, max_cost), Ok(reply.clone()));
    reply.body
}

fn segment(held: &Held, from: u64, to: u64, max_cost: u64, limit: u64) -> MigrationBody {
    let range = IndexRange::new(from, to);
    ask(held, MigrationBody::SegmentRequest(SegmentRequest { range, max_cost }), limit)
}

fn records(body: MigrationBody) -> Records {
    match body {
        MigrationBody::Segment(segment) => segment.records,
        other => panic!("{}", other.name()),
    }
}

#[test]
fn a_segment_keeps_both_limits_and_has_at_least_one_record() {
    let log = log(1, 500, true, |_| 984);
    let held = Held::all(&log);
    let len = |from, to, max_cost, limit| {
        let records = records(segment(&held, from, to, max_cost, limit));
        assert_eq!(records, log.slice(from, from + records.len()));
        records.len()
    };
    assert_eq!(len(0, 500, 10_000, 1 << 20), 10);
    assert_eq!(len(0, 500, u64::MAX, 100_000), 100);
    assert_eq!(len(7, 9, u64::MAX, 100_000), 2);
    assert_eq!(len(499, 500, 0, 0), 1);
    // One block always passes, or nobody could verify it.
    assert_eq!(len(0, 500, u64::MAX, 1), BLOCK_COST / 1000);
    assert_eq!(len(0, u64::MAX, u64::MAX, u64::MAX), 500);
}

#[test]
fn what_is_not_there_is_said_to_be_trimmed_or_unknown() {
    let log = log(1, 500, true, |_| 1000);
    let mut held = Held::all(&log);
    held.trim(200, None);
    held.held.remove(IndexRange::new(300, 400));
    let first = held.first;
    let trimmed = |from| MigrationBody::Trimmed(Trimmed { from, first });
    assert_eq!(segment(&held, 0, 500, 1000, 1000), trimmed(0));
    assert_eq!(segment(&held, first - 1, 500, 1000, 1000), trimmed(first - 1));
    for (from, to) in [(300, 301), (399, 500), (500, 501), (250, 250), (260, 250), (u64::MAX, 0)] {
        let range = IndexRange::new(from, to);
        let unknown = MigrationBody::Unknown(Unknown { asked: Asked::Segment(range) });
        assert_eq!(segment(&held, from, to, 1000, 1000), unknown, "{range}");
    }
    // As far as it goes.
    assert_eq!(records(segment(&held, 295, 500, u64::MAX, 1 << 20)).len(), 5);
}

#[test]
fn the_inventory_is_bounded() {
    let log = log(1, 500, true, |_| 10);
    let mut held = Held::all(&log);
    (0..100).for_each(|n| held.held.remove(IndexRange::new(4 * n, 4 * n + 1)));
    let MigrationBody::Inventory(m) = ask(&held, MigrationBody::InventoryRequest, 0) else {
        panic!("no inventory");
    };
    assert_eq!(m.held.len(), MAX_INVENTORY_RANGES);
    assert_eq!((m.held[0], m.first, m.blocks_end), (IndexRange::new(1, 4), 0, 500));
}

#[test]
fn blocks_are_listed_up_to_the_end_that_is_asked_for_if_one_ends_there() {
    let log = log(1, 500, true, |_| 1000);
    let held = Held::all(&log);
    let ask =
        |first, end| ask(&held, MigrationBody::BlocksRequest(BlocksRequest { first, end }), 0);
    let MigrationBody::Blocks(m) = ask(2, 500) else { panic!("no blocks") };
    assert_eq!((m.first, &m.blocks[..]), (2, &held.blocks[2..]));
    let unknown = |first| MigrationBody::Unknown(Unknown { asked: Asked::Blocks(first) });
    assert_eq!(ask(0, held.blocks[0].end + 1), unknown(0));
    assert_eq!(ask(0, 501), unknown(0));
    assert_eq!(ask(100, 500), unknown(100));
    assert_eq!(ask(u64::MAX, 500), unknown(u64::MAX));
}

#[test]
fn chunks_of_the_snapshot_that_is_offered() {
    let log = log(1, 500, true, |_| 1000);
    let data = Bytes::from(vec![5; SNAPSHOT_CHUNK as usize + 9]);
    let mut held = Held::all(&log);
    held.trim(200, Some(data.clone()));
    let offer = offer(held.first, &data);
    let chunk = |offer, offset| {
        ask(&held, MigrationBody::SnapshotRequest(SnapshotRequest { offer, offset }), 0)
    };
    let MigrationBody::SnapshotChunk(m) = chunk(offer, SNAPSHOT_CHUNK) else { panic!("no chunk") };
    assert_eq!((m.offset, m.data.len()), (SNAPSHOT_CHUNK, 9));
    let mut other = offer;
    other.end += 1;
    for (offer, offset) in [(offer, 1), (offer, 2 * SNAPSHOT_CHUNK), (other, 0), (offer, u64::MAX)]
    {
        let unknown = MigrationBody::Unknown(Unknown { asked: Asked::Snapshot(offer, offset) });
        assert_eq!(chunk(offer, offset), unknown);
    }
}

#[test]
fn requests_for_others_are_not_answered() {
    let held = Held::all(&log(1, 10, false, |_| 10));
    let good = request(MigrationBody::InventoryRequest);
    let other = MigrationMessage { config_id: 9, ..good.clone() };
    let error = AnswerError::OtherConfiguration { theirs: 9, ours: CONFIG };
    assert_eq!(answer(CONFIG, 1, &held, &other, 0), Err(error));
    let error = AnswerError::OtherReceiver(1);
    assert_eq!(answer(CONFIG, 2, &held, &good, 0), Err(error));
    let refused = refuse(&good);
    assert_eq!((refused.from, refused.to, &refused.body), (1, ME, &MigrationBody::Refused));
    let back = MigrationMessage { to: 1, ..refused };
    let error = AnswerError::NotARequest("Refused");
    assert_eq!(answer(CONFIG, 1, &held, &back, 0), Err(error));
}
