//! What a user is told: the path, and what to do.

use omnipaxos_core::storage::{Commit, Operation, PaxosState, Sequence, State, StorageError};
use omnipaxos_kompact::durable::{CreateError, Engine, FileSystem, OpenError, Owner};
use omnipaxos_tests::disks::{MemoryDisk, OWNER, Workload};
use std::error::Error;
use std::io::ErrorKind;
use std::path::Path;

const DIR: &str = "/data";

fn create(disk: &MemoryDisk) -> Engine {
    Engine::create(Path::new(DIR), OWNER, Workload::options(disk)).unwrap()
}

fn open(disk: &MemoryDisk, owner: Owner) -> Result<Engine, OpenError> {
    Engine::open(Path::new(DIR), owner, Workload::options(disk))
}

/// The text names the path and what to do.
fn says(error: &dyn Error, path: &str, remedy: &str) {
    let said = error.to_string();
    assert!(said.contains(path), "no path {path}: {said}");
    assert!(said.contains(remedy), "no remedy {remedy}: {said}");
}

#[test]
fn a_directory_in_use_or_of_somebody_else_is_left_alone() {
    let disk = MemoryDisk::new(1);
    let engine = create(&disk);
    let error = open(&disk, OWNER).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    says(&error, DIR, "stop whoever uses it first");
    let error = Engine::create(Path::new(DIR), OWNER, Workload::options(&disk)).unwrap_err();
    says(&error, DIR, "stop whoever uses it, or choose another directory");
    drop(engine);
    let error = Engine::create(Path::new(DIR), OWNER, Workload::options(&disk)).unwrap_err();
    assert!(matches!(error, CreateError::Exists { .. }), "{error:?}");
    says(&error, DIR, "open it");
    let error = open(&disk, Owner { pid: 4, ..OWNER }).unwrap_err();
    assert!(matches!(error, OpenError::OtherServer { theirs: 3, ours: 4, .. }), "{error:?}");
    says(&error, DIR, "give the right directory");
    let error = open(&disk, Owner { cluster_id: 8, ..OWNER }).unwrap_err();
    assert!(matches!(error, OpenError::OtherCluster { theirs: 7, ours: 8, .. }), "{error:?}");
    says(&error, DIR, "give the right directory");
    let engine = open(&disk, OWNER).unwrap();
    assert_eq!(engine.owner(), OWNER);
}

#[test]
fn a_later_format_is_not_touched() {
    let disk = MemoryDisk::new(2);
    drop(create(&disk));
    let path = Path::new(DIR).join("identity");
    let text = String::from_utf8(disk.read(&path).unwrap()).unwrap();
    let (body, _) = text.split_once("crc ").unwrap();
    let body = body.replace("format 1\n", "format 2\n");
    let crc = crc32c::crc32c(body.as_bytes());
    disk.write(&path, format!("{body}crc {crc:08x}\n").into_bytes());
    let error = open(&disk, OWNER).unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { theirs: 2, ours: 1, .. }), "{error:?}");
    says(&error, "/data/identity", "run the version that wrote it");
}

#[test]
fn what_is_missing_is_not_created_anew_by_opening() {
    let disk = MemoryDisk::new(3);
    for _ in 0..2 {
        let error = open(&disk, OWNER).unwrap_err();
        assert!(matches!(error, OpenError::Missing { .. }), "{error:?}");
        says(&error, DIR, "replace the server by a reconfiguration under a new pid");
        // The second time it is there, and empty.
        disk.create_dir(Path::new(DIR)).unwrap();
        assert_eq!(disk.list(Path::new(DIR)).unwrap(), [""; 0], "not even a lock");
    }
    drop(create(&disk));
    disk.delete(&Path::new(DIR).join("identity"));
    says(&open(&disk, OWNER).unwrap_err(), DIR, "under a new pid");
}

#[test]
fn a_log_without_its_identity_is_not_taken_for_a_new_one() {
    let disk = MemoryDisk::new(5);
    let engine = create(&disk);
    let (_, mut state) = engine.parts(1).unwrap();
    state.store(&State::default()).unwrap();
    state.commit().unwrap().run().unwrap();
    drop((state, engine));
    disk.delete(&Path::new(DIR).join("identity"));
    let error = Engine::create(Path::new(DIR), OWNER, Workload::options(&disk)).unwrap_err();
    assert!(matches!(error, CreateError::Leftover { .. }), "{error:?}");
    says(&error, DIR, "restore that, or choose another directory");
}

#[test]
fn a_directory_that_may_not_be_written_says_so() {
    for kind in [ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied] {
        let disk = MemoryDisk::new(6);
        disk.refuse(Some(kind));
        let error = Engine::create(Path::new(DIR), OWNER, Workload::options(&disk)).unwrap_err();
        says(&error, DIR, "let the server's user write there");
        disk.refuse(None);
        drop(create(&disk));
        disk.refuse(Some(kind));
        let error = open(&disk, OWNER).unwrap_err();
        assert!(matches!(error, OpenError::File(_)), "{error:?}");
        says(&error, DIR, "let the server's user write there");
    }
}

#[test]
fn a_failing_flush_names_the_file_and_the_remedy_and_is_the_last() {
    for (kind, remedy) in [
        (ErrorKind::StorageFull, "free space on this disk"),
        (ErrorKind::QuotaExceeded, "free space on this disk"),
        (ErrorKind::ReadOnlyFilesystem, "let the server's user write there"),
        (ErrorKind::Other, "check the disk"),
    ] {
        let disk = MemoryDisk::new(7);
        let engine = create(&disk);
        let (_, mut state) = engine.parts(1).unwrap();
        state.store(&State { decided: 0, session: 1, ..State::default() }).unwrap();
        disk.refuse(Some(kind));
        let error = state.commit().unwrap().run().unwrap_err();
        says(&error, "/data/0000000001.log", remedy);
        assert_eq!(
            matches!(error, StorageError::Full { operation: Operation::Flush, .. }),
            remedy.starts_with("free")
        );
        disk.refuse(None);
        assert_eq!(state.commit().unwrap().run(), Err(error.clone()));
        assert_eq!(engine.status().failed, Some(error));
    }
}

#[test]
fn what_changes_under_an_open_engine_is_found_when_it_is_read() {
    let disk = MemoryDisk::new(8);
    let engine = {
        let options =
            omnipaxos_kompact::durable::Options { cache_bytes: 0, ..Workload::options(&disk) };
        Engine::create(Path::new(DIR), OWNER, options).unwrap()
    };
    let (mut sequence, mut state) = engine.parts(1).unwrap();
    let mut builder = omnipaxos_core::storage::RecordsBuilder::new();
    for number in 1..=10 {
        let id = omnipaxos_core::storage::ProposalId { proposer: 3, session: 1, number };
        builder.push(id, vec![7; 1000].into());
    }
    sequence.append(builder.build()).unwrap();
    state.commit().unwrap().run().unwrap();
    let path = Path::new(DIR).join("0000000001.log");
    let mut content = disk.read(&path).unwrap();
    content[5000] ^= 4;
    disk.write(&path, content);
    let error = sequence.read(0, 10, u64::MAX).unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error:?}");
    says(&error, "/data/0000000001.log", "replace the server");
}
