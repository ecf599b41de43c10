//! Each story in tests/traces still goes as it is written. After a change that is meant:
//! `cargo run -p omnipaxos-tests --bin traces -- --update`, and read the difference.

use expect_test::expect_file;
use omnipaxos_tests::trace::{rendered, stories};
use std::fs;

#[test]
fn stories_go_as_they_are_written() {
    let files = stories().unwrap();
    assert!(files.len() >= 20, "stories are gone");
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let now = rendered(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(text.starts_with("# "), "{} says not what it is about", path.display());
        expect_file![path].assert_eq(&now);
    }
}

#[test]
fn wrong_commands_are_found() {
    for wrong in ["fly 1", "servers 1\ndeliver 1->2", "servers 1\ncrash", "elect one", "servers 0"]
    {
        assert!(rendered(wrong).is_err(), "{wrong}");
    }
}
