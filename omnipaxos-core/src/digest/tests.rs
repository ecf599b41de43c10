use super::{
    Anchor, BLOCK_COST, BLOCK_ENTRIES, Block, BlockDigests, Digest, GATHERED, block_digest,
    chain_digest, check_blocks, chunk_digest, snapshot_digest,
};
use crate::ballot::{Ballot, Leader};
use crate::storage::{Entry, ProposalId, Records, RecordsBuilder, StopSign};
use bytes::Bytes;

fn id(number: u64) -> ProposalId {
    ProposalId { proposer: 1, session: 1, number }
}

fn records(entries: impl IntoIterator<Item = Entry>) -> Records {
    let mut records = RecordsBuilder::new();
    records.extend((1..).map(id).zip(entries));
    records.build()
}

fn of_sizes(sizes: &[usize]) -> Records {
    records(sizes.iter().map(|size| Entry::Normal(vec![*size as u8; *size].into())))
}

fn stop_sign() -> StopSign {
    StopSign {
        config_id: 2,
        nodes: vec![1, 2],
        learners: vec![],
        metadata: None,
        digest: None,
        skip_prepare_use_leader: None,
    }
}

fn digests(records: &Records) -> BlockDigests {
    let mut digests = BlockDigests::new(1);
    digests.push(records);
    digests
}

#[test]
fn blocks_end_by_count_by_cost_and_before_a_stop_sign() {
    let small = digests(&of_sizes(&vec![0; 2 * BLOCK_ENTRIES as usize + 1]));
    let ends: Vec<u64> = small.blocks().iter().map(|block| block.end).collect();
    assert_eq!(ends, [2048, 4096, 4097]);
    assert_eq!(small.closed().len(), 2);

    let half = (BLOCK_COST / 2 - 16) as usize;
    let large = digests(&of_sizes(&[half, half, half, 1 << 17, 0, 0]));
    let list: Vec<(u64, u64)> = large.blocks().iter().map(|b| (b.end, b.cost)).collect();
    assert_eq!(list, [(2, BLOCK_COST), (3, BLOCK_COST / 2), (4, (1 << 17) + 16), (6, 32)]);

    let normal = Entry::Normal(Bytes::from_static(b"x"));
    let sealed = digests(&records([normal, Entry::stop_sign(stop_sign())]));
    let ends: Vec<u64> = sealed.closed().iter().map(|block| block.end).collect();
    assert_eq!(ends, [1, 2], "a StopSign is a block of its own");
}

#[test]
fn how_a_log_was_pushed_does_not_matter() {
    let sizes: Vec<usize> = (0..300).map(|n| n * 37 % 5000).collect();
    let log = of_sizes(&sizes);
    let whole = digests(&log);
    assert!(whole.closed().len() > 5);
    for step in [1, 2, 7, 100] {
        let mut parts = BlockDigests::new(1);
        for from in (0..log.len()).step_by(step) {
            parts.push(&log.slice(from, from + step as u64));
            if from % 3 == 0 {
                // As after a restart: what was not closed is pushed again.
                parts = BlockDigests::resume(1, parts.closed().to_vec()).expect("blocks");
                parts.push(&log.slice(parts.end(), from + step as u64));
            }
        }
        assert_eq!(parts, whole);
        assert_eq!(parts.blocks(), whole.blocks());
    }
    let blocks = whole.blocks();
    let anchor = Anchor { end: log.len(), digest: chain_digest(1, blocks.iter()) };
    assert_eq!(whole.anchor(), anchor);
    let mut start = 0;
    for block in &blocks {
        let records = log.slice(start, block.end);
        assert_eq!(block_digest(1, start, records.iter()), block.digest);
        assert_eq!(records.cost(), block.cost);
        start = block.end;
    }
    assert_eq!(whole.boundary(start), whole.closed().last().map_or(0, |block| block.end));
    assert_eq!(whole.boundary(blocks[1].end), blocks[1].end);
    assert_eq!(whole.boundary(blocks[1].end - 1), blocks[0].end);
    assert_eq!(whole.boundary(0), 0);
}

#[test]
fn an_anchor_of_what_precedes_a_stop_sign_gives_that_of_the_sealed_log() {
    let before = of_sizes(&[5; 10]);
    let mut digests = digests(&before);
    let anchor = digests.anchor();
    let last = {
        let mut builder = RecordsBuilder::new();
        builder.push(id(11), Entry::stop_sign(stop_sign()));
        builder.build()
    };
    digests.push(&last);
    assert_eq!(anchor.sealed(1, &last), Some(digests.anchor()));
    assert_eq!(anchor.sealed(1, &before), None);
    assert_eq!(anchor.sealed(1, &Records::default()), None);
}

#[test]
fn every_part_of_a_record_counts() {
    let one = |config_id, start, id, entry: Entry| {
        block_digest(config_id, start, [(id, &entry)].into_iter())
    };
    let normal = |data: &'static str| Entry::from(data);
    let stop = |change: fn(&mut StopSign)| {
        let mut ss = stop_sign();
        change(&mut ss);
        Entry::stop_sign(ss)
    };
    let ballot = Ballot::new(1, 2, 3);
    let other_id = |proposer, session, number| ProposalId { proposer, session, number };
    let mut all = vec![
        one(1, 0, id(1), normal("a")),
        one(2, 0, id(1), normal("a")),
        one(1, 1, id(1), normal("a")),
        one(1, 0, other_id(2, 1, 1), normal("a")),
        one(1, 0, other_id(1, 2, 1), normal("a")),
        one(1, 0, other_id(1, 1, 2), normal("a")),
        one(1, 0, id(1), normal("b")),
        one(1, 0, id(1), normal("")),
        one(1, 0, id(1), stop(|_| ())),
        one(1, 0, id(1), stop(|ss| ss.config_id = 3)),
        one(1, 0, id(1), stop(|ss| ss.nodes = vec![2, 1])),
        one(1, 0, id(1), stop(|ss| ss.nodes = vec![1])),
        one(1, 0, id(1), stop(|ss| ss.learners = vec![3])),
        one(1, 0, id(1), stop(|ss| (ss.nodes, ss.learners) = (vec![1], vec![2]))),
        one(1, 0, id(1), stop(|ss| ss.digest = Some(Digest([0; 32])))),
        one(1, 0, id(1), stop(|ss| ss.digest = Some(Digest([1; 32])))),
        one(1, 0, id(1), stop(|ss| ss.metadata = Some(Bytes::new()))),
        one(1, 0, id(1), stop(|ss| ss.metadata = Some(Bytes::from_static(b"m")))),
        one(1, 0, id(1), {
            let mut ss = stop_sign();
            ss.skip_prepare_use_leader = Some(Leader::new(ballot));
            Entry::stop_sign(ss)
        }),
        block_digest(1, 0, [(id(1), &normal("a")), (id(2), &normal(""))].into_iter()),
        block_digest(1, 0, std::iter::empty()),
    ];
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count, "two of them are the same");
}

#[test]
fn the_chain_covers_ends_costs_and_order() {
    let block = |end, cost, byte| Block { end, cost, digest: Digest([byte; 32]) };
    let lists = [
        vec![],
        vec![block(1, 5, 1)],
        vec![block(1, 6, 1)],
        vec![block(2, 5, 1)],
        vec![block(1, 5, 2)],
        vec![block(1, 5, 1), block(2, 5, 2)],
        vec![block(1, 5, 2), block(2, 5, 1)],
    ];
    let mut all: Vec<Digest> = lists.iter().map(|list| chain_digest(1, list.iter())).collect();
    all.push(chain_digest(2, [].iter()));
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn impossible_lists_are_refused() {
    let block = |end, cost| Block { end, cost, digest: Digest([0; 32]) };
    for list in [
        vec![block(0, 0)],
        vec![block(5, 100), block(5, 100)],
        vec![block(5, 100), block(4, 100)],
        vec![block(BLOCK_ENTRIES + 1, 100)],
        vec![block(2, BLOCK_COST + 1)],
    ] {
        assert!(check_blocks(0, &list).is_err(), "{list:?}");
        assert!(BlockDigests::resume(1, list).is_err());
    }
    assert_eq!(check_blocks(7, &[block(8, u64::MAX), block(9, 1)]), Ok(9));
    assert_eq!(check_blocks(7, &[]), Ok(7));
}

#[test]
fn a_snapshot_is_its_length_and_its_chunks() {
    let (a, b) = (chunk_digest(b"a"), chunk_digest(b"b"));
    let all = [
        snapshot_digest(2, [a, b].into_iter()),
        snapshot_digest(2, [b, a].into_iter()),
        snapshot_digest(3, [a, b].into_iter()),
        snapshot_digest(2, [a].into_iter()),
    ];
    assert!((1..4).all(|at| !all[..at].contains(&all[at])));
}

/// Digests are written into StopSigns: other versions must compute the same.
#[test]
fn the_format_does_not_change() {
    let mut builder = RecordsBuilder::new();
    builder.push(id(1), Entry::from("hello"));
    builder.push(
        id(2),
        Entry::stop_sign(StopSign {
            config_id: 2,
            nodes: vec![1, 2, 4],
            learners: vec![5],
            metadata: Some(Bytes::from_static(b"addresses")),
            digest: Some(Digest([7; 32])),
            skip_prepare_use_leader: Some(Leader::new(Ballot::new(3, 0, 2))),
        }),
    );
    let digests = digests(&builder.build());
    let anchor = digests.anchor();
    assert_eq!(anchor.end, 2);
    let known = "2dd88c48e25375f9c94c4948f1ddb9f09b68ee222e71b1af8cdb84aa76eb3717";
    assert_eq!(anchor.digest.to_string(), known);

    // Where blocks end is a part of it.
    let sizes: Vec<usize> = (0..100).map(|n| n * 41 % 3000).collect();
    let mut several = BlockDigests::new(1);
    several.push(&of_sizes(&sizes));
    assert_eq!(several.closed().len(), 3);
    let known = "687276fa7d1eb62a580f19f2324aaef74d0cf51721eba5e21447c28be36b191f";
    assert_eq!(several.anchor().digest.to_string(), known);
}

/// However the bytes of records are gathered for the hash, it sees one string of them.
#[test]
fn a_digest_is_the_hash_of_all_bytes_in_a_row() {
    let large = GATHERED;
    let sizes = [0, 1, 255, large - 41, large - 40, large - 1, large, large + 1, 5 * large + 7, 3];
    for start in 0..sizes.len() {
        let records = of_sizes(&sizes[start..]);
        let mut bytes = Vec::new();
        let mut numbers = |numbers: &[u64], data: &[u8]| {
            numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
            bytes.extend_from_slice(data);
        };
        numbers(&[1, 9], b"");
        for (id, entry) in records.iter() {
            let Entry::Normal(data) = entry else { panic!("a StopSign") };
            let head = [id.proposer, id.session, id.number, 0, data.len() as u64];
            numbers(&head, data);
        }
        let hash = blake3::derive_key("omnipaxos 1 block", &bytes);
        assert_eq!(block_digest(1, 9, records.iter()), Digest(hash), "from {start} on");
    }
}
