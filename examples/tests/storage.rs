//! The operator's program.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use omnipaxos_core::storage::{
    Commit as _, Entry, PaxosState as _, ProposalId, RecordsBuilder, Sequence as _, State,
};
use omnipaxos_kompact::durable::{Engine, Options, Owner};
use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

fn storage(arguments: &[&str], dir: &Path) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_storage"));
    program.args(arguments).arg(dir).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A directory with three flushes in it.
fn directory() -> TempDir {
    let dir = TempDir::new().unwrap();
    let owner = Owner { cluster_id: 9, pid: 4 };
    let engine = Engine::create(dir.path(), owner, Options::default()).unwrap();
    let (mut sequence, mut state) = engine.parts(1).unwrap();
    for number in 1..=3 {
        let mut builder = RecordsBuilder::new();
        builder.push(ProposalId { proposer: 4, session: 1, number }, Entry::from("payload"));
        sequence.append(builder.build()).unwrap();
        state.store(&State { session: number, ..State::default() }).unwrap();
        state.commit().unwrap().run().unwrap();
    }
    dir
}

/// Changes a byte of the last payload.
fn damage_the_last_flush(dir: &Path) {
    let path = dir.join("0000000001.log");
    let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let at = bytes.windows(7).rposition(|window| window == b"payload").unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(b"P").unwrap();
}

#[test]
fn it_shows_a_directory_and_trusts_it_only_on_demand() {
    let dir = directory();
    let shown = text(&storage(&["show"], dir.path()));
    assert!(shown.contains("cluster 9, server 4") && shown.contains("[0, 3)"), "{shown}");
    assert!(shown.contains("open") && !shown.contains("suspect"), "{shown}");

    damage_the_last_flush(dir.path());
    for _ in 0..2 {
        let shown = text(&storage(&["show"], dir.path()));
        assert!(shown.contains("[0, 2)") && shown.contains("suspect"), "{shown}");
    }
    let refused = storage(&["trust"], dir.path());
    assert_eq!(refused.status.code(), Some(2));
    let trusted = text(&storage(&["trust", "--may-lose-acknowledged-entries"], dir.path()));
    assert!(trusted.contains("configurations [1] vote again"), "{trusted}");
    let shown = text(&storage(&["show"], dir.path()));
    assert!(shown.contains("[0, 2)") && !shown.contains("suspect"), "{shown}");
    let again = text(&storage(&["trust", "--may-lose-acknowledged-entries"], dir.path()));
    assert!(again.contains("was suspect"), "{again}");
}

#[test]
fn what_is_no_storage_is_said_to_be_none() {
    let dir = TempDir::new().unwrap();
    let output = storage(&["show"], dir.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("no storage"), "{}", text(&output));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "and nothing is put there");
}
