//! One migration, message by message.

use super::world::{CONFIG, Donor, Held, ME, Nature, World, digests, log, target};
use crate::digest::{Anchor, Block, Digest, chain_digest};
use crate::migration::{
    AddDonorError, Blame, Blocks, IndexRange, Inventory, Migration, MigrationBody,
    MigrationCommand, MigrationConfig, MigrationMessage, MigrationMessageError,
    MigrationStartError, Ranges, Segment, Target, Trimmed,
};
use crate::storage::Records;

fn message(from: u64, body: MigrationBody) -> MigrationMessage {
    MigrationMessage { config_id: CONFIG, from, to: ME, body }
}

fn inventory(to: u64, blocks_end: u64) -> MigrationBody {
    let held = vec![IndexRange::new(0, to)];
    MigrationBody::Inventory(Inventory { held, first: 0, blocks_end, snapshot: None })
}

fn unverified(len: u64) -> Migration {
    let range = IndexRange::new(0, len);
    let target = Target { config_id: CONFIG, range, anchor: None };
    Migration::new(ME, target, &Ranges::new(), MigrationConfig::default()).expect("possible")
}

fn commands(migration: &mut Migration) -> Vec<MigrationCommand> {
    std::iter::from_fn(|| migration.next_command()).collect()
}

/// Receiver and name of each request, and the range of a SegmentRequest.
fn sent(migration: &mut Migration) -> Vec<(u64, &'static str, Option<IndexRange>)> {
    let sends = commands(migration).into_iter().filter_map(|command| match command {
        MigrationCommand::Send(message) => Some(message),
        _ => None,
    });
    let short = sends.map(|message| {
        let range = match &message.body {
            MigrationBody::SegmentRequest(m) => Some(m.range),
            _ => None,
        };
        (message.to, message.body.name(), range)
    });
    short.collect()
}

fn segment(log: &Records, from: u64, to: u64) -> MigrationBody {
    MigrationBody::Segment(Segment { start: from, records: log.slice(from, to) })
}

#[test]
fn m1_a_donor_is_asked_what_it_holds_and_then_for_that_only() {
    let mut migration = unverified(100);
    migration.add_donor(1).expect("a donor");
    migration.add_donor(1).expect("again");
    assert_eq!(sent(&mut migration), [(1, "InventoryRequest", None)]);
    migration.handle_message(message(1, inventory(10, 0))).expect("for it");
    let segments = sent(&mut migration);
    assert_eq!(segments, [(1, "SegmentRequest", Some(IndexRange::new(0, 10)))]);
}

#[test]
fn m1_impossible_inventories_are_blamed() {
    let held = [
        vec![IndexRange::new(5, 5)],
        vec![IndexRange::new(5, 9), IndexRange::new(8, 12)],
        vec![IndexRange::new(9, 5)],
        vec![IndexRange::new(1, 5)],
        (0..100).map(|i| IndexRange::new(10 + 2 * i, 11 + 2 * i)).collect(),
    ];
    for held in held {
        let mut migration = unverified(100);
        migration.add_donor(1).expect("a donor");
        commands(&mut migration);
        let m = Inventory { held, first: 4, blocks_end: 0, snapshot: None };
        migration.handle_message(message(1, MigrationBody::Inventory(m))).expect("for it");
        let commands = commands(&mut migration);
        assert!(matches!(commands[..], [MigrationCommand::Blame { donor: 1, .. }]), "{commands:?}");
    }
}

#[test]
fn m2_a_long_list_comes_in_parts_from_one_donor_and_a_wrong_one_from_another() {
    let digest = |n: u64| Digest([n as u8; 32]);
    let blocks: Vec<Block> =
        (0..10_000).map(|n| Block { end: n + 1, cost: 20, digest: digest(n) }).collect();
    let anchor = Anchor { end: 10_000, digest: chain_digest(CONFIG, blocks.iter()) };
    let range = IndexRange::new(0, 10_000);
    let target = Target { config_id: CONFIG, range, anchor: Some(anchor) };
    let mut migration =
        Migration::new(ME, target, &Ranges::new(), MigrationConfig::default()).expect("possible");
    for donor in [1, 2] {
        migration.add_donor(donor).expect("a donor");
        migration.handle_message(message(donor, inventory(10_000, 10_000))).expect("for it");
    }
    let mut liar = blocks.clone();
    liar[9000].cost += 1;
    let mut asked = Vec::new();
    loop {
        let sends = commands(&mut migration).into_iter().filter_map(|command| match command {
            MigrationCommand::Send(MigrationMessage {
                to,
                body: MigrationBody::BlocksRequest(m),
                ..
            }) => Some((to, m)),
            _ => None,
        });
        let Some((donor, m)) = sends.last() else { break };
        assert_eq!(migration.blocks(), None);
        asked.push((donor, m.first));
        let list = if donor == 1 { &liar } else { &blocks };
        let from = m.first as usize;
        let blocks = list[from..(from + 4096).min(10_000)].to_vec();
        let body = MigrationBody::Blocks(Blocks { first: m.first, end: m.end, blocks });
        // Twice: a duplicate changes nothing.
        migration.handle_message(message(donor, body.clone())).expect("for it");
        let before = migration.clone();
        migration.handle_message(message(donor, body)).expect("for it");
        assert_eq!(migration, before);
    }
    assert_eq!(asked, [(1, 0), (1, 4096), (1, 8192), (2, 0), (2, 4096), (2, 8192)]);
    assert_eq!(migration.progress().donors[0].blame, Some(Blame::WrongBlocks));
    assert_eq!(migration.blocks(), Some(&blocks[..]));
    assert_eq!(migration.progress().total_bytes, Some(200_000));
}

#[test]
fn m2_parts_of_a_list_that_are_too_short_are_blamed() {
    let blocks: Vec<Block> =
        (0..20).map(|n| Block { end: n + 1, cost: 20, digest: Digest([0; 32]) }).collect();
    let anchor = Anchor { end: 20, digest: chain_digest(CONFIG, blocks.iter()) };
    let target = Target { config_id: CONFIG, range: IndexRange::new(0, 20), anchor: Some(anchor) };
    let mut migration =
        Migration::new(ME, target, &Ranges::new(), MigrationConfig::default()).expect("possible");
    migration.add_donor(1).expect("a donor");
    migration.handle_message(message(1, inventory(20, 20))).expect("for it");
    commands(&mut migration);
    let m = Blocks { first: 0, end: 20, blocks: blocks[..10].to_vec() };
    migration.handle_message(message(1, MigrationBody::Blocks(m))).expect("for it");
    let blame = Blame::Impossible("too many or too few blocks at once");
    assert_eq!(commands(&mut migration), [MigrationCommand::Blame { donor: 1, blame }]);
}

#[test]
fn m4_what_later_answers_overtake_is_asked_for_again_before_the_timeout() {
    let log = log(1, 5000, false, |_| 8);
    let range = IndexRange::new(0, 5000);
    let target = Target { config_id: CONFIG, range, anchor: None };
    let config =
        MigrationConfig { segment_bytes: 2400, resend_ticks: 10_000, ..MigrationConfig::default() };
    let mut migration = Migration::new(ME, target, &Ranges::new(), config).expect("possible");
    migration.add_donor(1).expect("a donor");
    migration.handle_message(message(1, inventory(5000, 0))).expect("for it");
    let (mut lost, mut answered) = (None, 0);
    'again: loop {
        for (_, _, range) in sent(&mut migration) {
            let Some(range) = range else { continue };
            if lost == Some(range) {
                break 'again;
            }
            if lost.is_none() {
                lost = Some(range);
                continue;
            }
            answered += 1;
            assert!(answered < 10, "not asked for again");
            let body = segment(&log, range.from, range.to);
            migration.handle_message(message(1, body)).expect("for it");
        }
        migration.tick();
    }
    assert!(answered >= 4, "reordering is no loss");
}

#[test]
fn m4_timeouts_adapt_to_a_donor_that_is_slower_than_them() {
    let log = log(1, 2000, false, |_| 1000);
    let config = MigrationConfig {
        segment_bytes: 64 << 10,
        window: 2,
        resend_ticks: 20,
        ..MigrationConfig::default()
    };
    let mut world = World::new(1, &log, target(&log, false), &Ranges::new(), config);
    // 30 ticks a segment.
    world.add(1, Donor::new(Held::all(&log), Nature::Honest, (64 << 10) / 30));
    world.run(2000);
    let served = world.donors[&1].served;
    assert!(served <= log.cost() * 130 / 100, "{served} of {}", log.cost());
}

#[test]
fn m4_the_first_answer_counts_and_later_ones_are_harmless() {
    let log = log(1, 100, false, |_| 8);
    let mut migration = unverified(100);
    for donor in [1, 2] {
        migration.add_donor(donor).expect("a donor");
        migration.handle_message(message(donor, inventory(100, 0))).expect("for it");
    }
    commands(&mut migration);
    migration.handle_message(message(2, segment(&log, 20, 70))).expect("for it");
    let stores = |commands: Vec<MigrationCommand>| -> Vec<(u64, u64)> {
        let stores = commands.into_iter().filter_map(|command| match command {
            MigrationCommand::Store { start, records } => Some((start, records.len())),
            _ => None,
        });
        stores.collect()
    };
    assert_eq!(stores(commands(&mut migration)), [(20, 50)]);
    migration.handle_message(message(1, segment(&log, 10, 100))).expect("for it");
    assert_eq!(stores(commands(&mut migration)), [(10, 10), (70, 30)]);
    migration.handle_message(message(1, segment(&log, 10, 100))).expect("for it");
    assert_eq!(stores(commands(&mut migration)), []);
    migration.handle_message(message(1, segment(&log, 0, 11))).expect("for it");
    let last = commands(&mut migration);
    assert_eq!(last.last(), Some(&MigrationCommand::Done));
    assert_eq!(stores(last), [(0, 10)]);
    let progress = migration.progress();
    assert_eq!((progress.bytes, progress.have, progress.total), (log.cost(), 100, 100));
    assert_eq!(progress.wasted_bytes, (50 + 90 + 1) * 24);
    assert!(progress.donors.iter().all(|donor| donor.blames == 0));
}

#[test]
fn m4_what_nobody_asked_for_changes_nothing() {
    let log = log(1, 100, true, |_| 8);
    let mut migration = unverified(100);
    migration.add_donor(1).expect("a donor");
    migration.handle_message(message(1, inventory(100, 0))).expect("for it");
    commands(&mut migration);
    let before = migration.clone();
    for (start, len) in [(u64::MAX, 1), (u64::MAX - 1, 2), (95, 6), (100, 1), (3, 0)] {
        let body = MigrationBody::Segment(Segment { start, records: log.slice(0, len) });
        migration.handle_message(message(1, body)).expect("for it");
        assert_eq!(migration, before, "{start} {len}");
    }
    let stop_sign = MigrationBody::Segment(Segment { start: 5, records: log.slice(99, 100) });
    migration.handle_message(message(1, stop_sign)).expect("for it");
    let blame = Blame::Impossible("a StopSign within the log");
    assert_eq!(commands(&mut migration), [MigrationCommand::Blame { donor: 1, blame }]);
}

#[test]
fn messages_that_are_not_for_it_are_refused() {
    let mut migration = unverified(100);
    migration.add_donor(1).expect("a donor");
    commands(&mut migration);
    let before = migration.clone();
    let good = message(1, inventory(100, 0));
    let cases = [
        (
            MigrationMessage { config_id: 9, ..good.clone() },
            MigrationMessageError::OtherConfiguration { theirs: 9, ours: CONFIG },
        ),
        (MigrationMessage { to: 7, ..good.clone() }, MigrationMessageError::OtherReceiver(7)),
        (message(2, good.body), MigrationMessageError::UnknownDonor(2)),
        (
            message(1, MigrationBody::InventoryRequest),
            MigrationMessageError::NotAnAnswer("InventoryRequest"),
        ),
    ];
    for (message, error) in cases {
        assert_eq!(migration.handle_message(message), Err(error));
        assert_eq!(migration, before);
    }
    assert_eq!(migration.add_donor(0), Err(AddDonorError::PidZero));
    assert_eq!(migration.add_donor(ME), Err(AddDonorError::Oneself));
}

#[test]
fn impossible_targets_are_refused() {
    let range = IndexRange::new(0, 10);
    let anchor = Some(Anchor { end: 9, digest: Digest([0; 32]) });
    let target = Target { config_id: CONFIG, range, anchor };
    let new = |pid, target: &Target, config: MigrationConfig| {
        Migration::new(pid, target.clone(), &Ranges::new(), config).map(|_| ())
    };
    let config = MigrationConfig::default();
    let beyond = MigrationStartError::BeyondAnchor { range, end: 9 };
    assert_eq!(new(ME, &target, config.clone()), Err(beyond));
    assert_eq!(new(0, &target, config.clone()), Err(MigrationStartError::PidZero));
    let none = MigrationConfig { window: 0, ..config.clone() };
    assert_eq!(new(ME, &target, none), Err(MigrationStartError::Zero("window")));
    let range = IndexRange::new(3, 2);
    let backwards = Target { range, ..target };
    assert_eq!(new(ME, &backwards, config.clone()), Err(MigrationStartError::Backwards(range)));
    let empty = Target { range: IndexRange::new(3, 3), ..backwards };
    let mut migration = Migration::new(ME, empty, &Ranges::new(), config).expect("possible");
    assert_eq!(commands(&mut migration), [MigrationCommand::Done]);
}

#[test]
fn a_dead_donor_is_asked_again_at_a_bounded_rate_and_a_new_one_finishes() {
    let log = log(1, 300, true, |_| 1000);
    let all = Held::all(&log);
    let config = MigrationConfig::default();
    let mut world = World::new(1, &log, target(&log, true), &Ranges::new(), config);
    world.add(1, Donor::new(all.clone(), Nature::Mute, 1 << 20));
    for _ in 0..1000 {
        world.tick();
    }
    // Pauses of 20, 40, 80, 80, ... ticks, and a timeout of 20 each time.
    assert!((9..16).contains(&world.segments_asked), "{}", world.segments_asked);
    assert!(world.migration.progress().donors[0].outstanding <= 1);
    world.add(2, Donor::new(all, Nature::Honest, 1 << 20));
    let ticks = world.run(100);
    assert!(ticks < 50, "{ticks}");
}

#[test]
fn a_blamed_donor_is_left_alone_for_a_while_and_then_tried_again() {
    let log = log(1, 300, true, |_| 1000);
    let config = MigrationConfig::default();
    let mut world = World::new(1, &log, target(&log, true), &Ranges::new(), config);
    world.add(1, Donor::new(Held::all(&log), Nature::WrongBytes, 1 << 20));
    for _ in 0..300 {
        world.tick();
    }
    assert_eq!(world.blames.len(), 1, "{:?}", world.blames);
    let asked = world.segments_asked;
    // Somebody had spoken in its name.
    world.donors.get_mut(&1).expect("it was added").nature = Nature::Honest;
    let ticks = world.run(400);
    assert!(world.segments_asked > asked && ticks > 10);
}

#[test]
fn a_donor_that_has_trimmed_less_than_it_was_asked_for_lies() {
    let mut migration = unverified(100);
    migration.add_donor(1).expect("a donor");
    migration.handle_message(message(1, inventory(100, 0))).expect("for it");
    commands(&mut migration);
    let trimmed = MigrationBody::Trimmed(Trimmed { from: 10, first: 10 });
    migration.handle_message(message(1, trimmed)).expect("for it");
    let commands = commands(&mut migration);
    assert!(matches!(commands[..], [MigrationCommand::Blame { donor: 1, .. }]), "{commands:?}");
}

#[test]
fn part_of_a_log_is_verified_in_whole_blocks_and_stored_exactly() {
    let log = log(1, 300, true, |_| 1000);
    let bounds: Vec<u64> = digests(&log).blocks().iter().map(|block| block.end).collect();
    let range = IndexRange::new(bounds[0] + 5, bounds[2] - 5);
    let mut target = target(&log, true);
    target.range = range;
    let config = MigrationConfig::default();
    let mut world = World::new(1, &log, target, &Ranges::new(), config);
    world.add(1, Donor::new(Held::all(&log), Nature::Honest, 1 << 20));
    while !world.migration.is_done() {
        assert!(world.now < 100);
        world.tick();
    }
    assert_eq!(world.stored, [range].into_iter().collect());
    let asked: Vec<u64> = (0..300).filter(|at| world.requested[*at as usize] > 0).collect();
    assert_eq!(asked, (bounds[0]..bounds[2]).collect::<Vec<_>>());
}

/// An answer may be shorter than what was asked: the rest only is asked for again.
#[test]
fn m3_whoever_takes_over_is_not_asked_for_what_it_has_sent() {
    let records = log(1, 100, false, |_| 8);
    let mut migration = unverified(100);
    for donor in [1, 2] {
        migration.add_donor(donor).expect("a donor");
        migration.handle_message(message(donor, inventory(100, 0))).expect("for it");
    }
    let mut answers = 0;
    for _ in 0..200 {
        // Donor 2 never answers; donor 1 sends two records at a time.
        for (to, _, range) in sent(&mut migration) {
            let Some(range) = range.filter(|_| to == 1) else { continue };
            assert!(migration.held().missing(range).iter().next() == Some(range), "{range}");
            let segment = segment(&records, range.from, range.to.min(range.from + 2));
            migration.handle_message(message(1, segment)).expect("for it");
            answers += 1;
        }
        migration.tick();
    }
    assert!(migration.is_done());
    assert!(answers <= 100, "{answers} answers");
}
