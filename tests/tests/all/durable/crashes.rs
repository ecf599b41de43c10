//! A workload that is stopped, torn or failed at each of its operations in turn. What is opened
//! afterwards is one of its states, not older than the last acknowledged one.

use omnipaxos_core::storage::ConfigId;
use omnipaxos_kompact::durable::{Engine, OpenError};
use omnipaxos_kompact::identity::MemberStore;
use omnipaxos_tests::disks::{Crash, Fault, Image, MemoryDisk, OWNER, Plan, Progress, Workload};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

const DIR: &str = "/data/servers/three";

/// What was found after a crash.
struct Found {
    engine: Engine,
    image: Image,
    suspects: BTreeSet<ConfigId>,
}

#[derive(Debug, Default)]
struct Counts {
    crashes: u64,
    within_recovery: u64,
    suspect: u64,
}

/// Opens what a crash left, and holds it against what was done before.
fn reopen(disk: &MemoryDisk, done: &Progress, what: &str) -> Found {
    let dir = Path::new(DIR);
    let engine = match Engine::open(dir, OWNER, Workload::options(disk)) {
        Ok(engine) => engine,
        Err(OpenError::Missing { .. }) if !done.created => {
            Engine::create(dir, OWNER, Workload::options(disk))
                .unwrap_or_else(|e| panic!("{what}: not created again: {e}"))
        }
        Err(error) => panic!("{what}: {error}"),
    };
    let (image, suspects) = Image::of(&engine).unwrap_or_else(|e| panic!("{what}: {e}"));
    let allowed = &done.images[done.acknowledged..];
    assert!(allowed.contains(&image), "{what}: not a state since the last acknowledged one");
    let members = engine.members().unwrap_or_else(|e| panic!("{what}: {e}"));
    let allowed = &done.members[done.members_acknowledged..];
    assert!(allowed.contains(&members.bindings().unwrap()), "{what}: members");
    Found { engine, image, suspects }
}

/// Every which case is looked at closely: `times`, or all of them where `THOROUGH` is set.
fn seldom(times: u64) -> u64 {
    if std::env::var_os("THOROUGH").is_some() { 1 } else { times }
}

/// Everything that must hold after a crash of a workload.
fn check(disk: &MemoryDisk, done: &Progress, crash: Crash, what: &str, counts: &mut Counts) {
    counts.crashes += 1;
    assert_eq!(done.broken, None, "{what}");
    disk.crash(crash);
    let before = disk.fork(counts.crashes);
    disk.plan(None);
    let found = reopen(disk, done, what);
    let operations = disk.operations();
    let suspect = !found.suspects.is_empty();
    counts.suspect += u64::from(suspect);
    if suspect {
        assert_eq!(crash, Crash::Power, "{what}: a killed process leaves no doubt");
        assert!(done.images.len() > done.acknowledged + 1, "{what}: nothing was under way");
    }
    // What was found is told to others, so it must be durable.
    let image = found.image.clone();
    let told = Progress { images: vec![image.clone()], acknowledged: 0, ..done.clone() };
    let told = Progress { created: true, ..told };
    drop(found.engine);
    disk.crash(Crash::Power);
    let again = reopen(disk, &told, &format!("{what}, then found, then the power went"));
    assert!(again.suspects.is_superset(&found.suspects), "{what}: a doubt was forgotten");
    let last = Workload::go_on(&again.engine, disk, image);
    let last = last.unwrap_or_else(|e| panic!("{what}: does not go on: {e}"));
    drop(again.engine);
    disk.crash(Crash::Power);
    let engine = Engine::open(Path::new(DIR), OWNER, Workload::options(disk)).unwrap();
    let (image, suspects) = Image::of(&engine).unwrap();
    assert!(image == last, "{what}: not what was flushed after recovery");
    assert!(suspects.is_empty(), "{what}: {suspects:?} were passed on");
    if !counts.crashes.is_multiple_of(seldom(16)) {
        return;
    }
    // A second crash, in the middle of recovery.
    for operation in 0..operations {
        for fault in [Fault::DieBefore, Fault::DieWithin] {
            let disk = before.fork(counts.within_recovery);
            counts.within_recovery += 1;
            disk.plan(Some(Plan { operation, fault }));
            let dir = Path::new(DIR);
            if let Ok(engine) = Engine::open(dir, OWNER, Workload::options(&disk)) {
                // Only what was not created yet may need more operations than it took to open.
                assert!(fault == Fault::DieWithin || !done.created, "{what} {engine:?}");
            }
            disk.crash(crash);
            let what = format!("{what}, then operation {operation} of recovery: {fault:?}");
            let found = reopen(&disk, done, &what);
            assert!(found.suspects.is_empty() || crash == Crash::Power, "{what}");
        }
    }
}

/// Runs the workload of `seed`, with `fault` at each of its operations.
fn everywhere(seed: u64, steps: u32, fault: Fault, crash: Crash) {
    let workload = Workload { seed, steps };
    let whole = MemoryDisk::new(seed);
    let done = workload.run(&whole, Path::new(DIR));
    assert_eq!((done.ended_by, done.broken), (None, None), "seed {seed}");
    let log = whole.log();
    let mut counts = Counts::default();
    for operation in 0..whole.operations() {
        let disk = MemoryDisk::new(seed.wrapping_mul(1000) + operation);
        disk.plan(Some(Plan { operation, fault }));
        let done = workload.run(&disk, Path::new(DIR));
        let name = log[operation as usize];
        let what = format!("seed {seed}, operation {operation} ({name}): {fault:?}, {crash:?}");
        assert!(done.ended_by.is_some(), "{what}: nobody noticed");
        check(&disk, &done, crash, &what, &mut counts);
    }
    println!("seed {seed}, {fault:?}, {crash:?}: {counts:?}");
}

/// The same for 20 seeds where `THOROUGH` is set, also with deaths before the operations. (To die
/// before a write is to die within it with nothing written, which is among the prefixes.)
fn seeds(first: u64, fault: Fault, crash: Crash) {
    let thorough = std::env::var_os("THOROUGH").is_some();
    for seed in first..first + if thorough { 20 } else { 1 } {
        everywhere(seed, 40, fault, crash);
        if thorough && fault == Fault::DieWithin {
            everywhere(seed, 40, Fault::DieBefore, crash);
        }
    }
}

#[test]
fn killed_at_every_operation() {
    seeds(100, Fault::DieWithin, Crash::Kill);
}

#[test]
fn power_lost_at_every_operation() {
    seeds(200, Fault::DieWithin, Crash::Power);
}

#[test]
fn a_failure_at_every_operation_is_the_last_thing_that_happens() {
    seeds(300, Fault::Fail(ErrorKind::StorageFull), Crash::Kill);
    seeds(400, Fault::Fail(ErrorKind::Other), Crash::Power);
}
