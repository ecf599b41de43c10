//! The tables of docs/ARCHITECTURE.md hold.

use omnipaxos_tests::sources::{code, root, rust_files, table, text};
use std::collections::BTreeSet;

const CRATES: [&str; 2] = ["omnipaxos-core", "omnipaxos-kompact"];

fn is_test(file: &str) -> bool {
    file.contains("/tests/") || file.ends_with("/tests.rs")
}

/// The top-level module that a file of a crate's `src` belongs to.
fn module_of(file: &str) -> &str {
    let inside = file.split("/src/").nth(1).unwrap_or(file);
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

/// The top-level modules that some code names with `crate::`.
fn used(code: &str) -> BTreeSet<String> {
    let after = code.split("crate::").skip(1);
    after
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        .collect()
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let document = text("docs/ARCHITECTURE.md").unwrap();
    let rows = table(&document, "imports");
    assert!(!rows.is_empty(), "the table is gone");
    for name in CRATES {
        let files = rust_files(&format!("{name}/src")).unwrap();
        let modules: BTreeSet<&str> = files.iter().map(|file| module_of(file)).collect();
        for file in files.iter().filter(|file| !is_test(file)) {
            let module = module_of(file);
            if module == "lib" {
                continue;
            }
            let row = rows.iter().find(|row| row[0][0] == format!("{name}::{module}"));
            let allowed = &row.unwrap_or_else(|| panic!("{name}::{module} is not in the table"))[1];
            for other in used(&code(file).unwrap()) {
                let fine = other == module
                    || !modules.contains(other.as_str())
                    || allowed.contains(&other);
                assert!(fine, "{file} uses crate::{other}");
            }
        }
        for row in &rows {
            if let Some(module) = row[0][0].strip_prefix(&format!("{name}::")) {
                assert!(modules.contains(module), "{} is gone", row[0][0]);
            }
        }
    }
}

#[test]
fn names_are_used_only_where_the_table_allows() {
    let document = text("docs/ARCHITECTURE.md").unwrap();
    let rows = table(&document, "names");
    assert!(!rows.is_empty(), "the table is gone");
    for folder in CRATES.into_iter().chain(["examples", "tests"]) {
        for file in rust_files(folder).unwrap() {
            let code = code(&file).unwrap();
            for row in &rows {
                let name = &row[0][0];
                let named = code.match_indices(name.as_str()).any(|(at, _)| {
                    // `std::net` is not named by `kompact_net`, nor `leader::` by
                    // `follow_leader::`.
                    let before = code[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
                });
                let allowed = row[1].iter().any(|place| file.starts_with(place.as_str()));
                let test_of_its_own = file.starts_with("tests/tests/all/architecture.rs");
                assert!(!named || allowed || test_of_its_own, "{file} names {name}");
            }
        }
    }
}

#[test]
fn sources_are_small_and_lines_are_short() {
    for folder in CRATES.into_iter().chain(["examples", "tests"]) {
        for file in rust_files(folder).unwrap() {
            let text = text(&file).unwrap();
            assert!(text.lines().count() <= 600, "{file} has over 600 lines: one subject each?");
            let long = text.lines().find(|line| line.chars().count() > 100);
            assert!(long.is_none(), "{file} has a long line: {}", long.unwrap_or_default());
        }
    }
    assert!(root().join("Cargo.toml").is_file());
}
