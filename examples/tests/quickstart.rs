//! quickstart as a user runs it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Output, Stdio};

fn quickstart(arguments: &[&str], input: &[u8]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments does not read.
    let _ = program.stdin.take().unwrap().write_all(input);
    program.wait_with_output().unwrap()
}

/// The cells of the table's rows.
fn rows(output: &Output) -> Vec<Vec<String>> {
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = table.lines().skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

fn assert_replicated(output: &Output, lines: usize, servers: usize) {
    assert_goes_on(output, lines, servers, 2);
}

fn assert_goes_on(output: &Output, entries: usize, servers: usize, config_id: u64) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let rows = rows(output);
    let live: Vec<_> = rows.iter().filter(|row| row[1] == "live").collect();
    assert_eq!((rows.len(), live.len()), (servers + 1, servers), "{rows:?}");
    for row in live {
        assert_eq!((&row[2], &row[4]), (&config_id.to_string(), &entries.to_string()));
        assert_ne!(row[3], "-", "a leader at the end");
    }
}

#[test]
fn lines_survive_a_crash_and_a_reconfiguration() {
    let text: String = (0..3000).map(|n| format!("line {}\n", n % 7)).collect();
    assert_replicated(&quickstart(&["--quiet"], text.as_bytes()), 3000, 3);
    assert_replicated(&quickstart(&["--lines", "100", "-"], text.as_bytes()), 100, 3);
    assert_replicated(&quickstart(&["--servers", "5"], text.as_bytes()), 3000, 5);
}

#[test]
fn a_later_run_on_the_same_directory_goes_on() {
    let dir = tempfile::TempDir::new().unwrap();
    let data = dir.path().to_str().unwrap();
    for run in 1..=3 {
        let output = quickstart(&["--quiet", "--data", data], b"one\ntwo\nthree");
        assert_goes_on(&output, 3 * run, 3, run as u64 + 1);
    }
}

/// Kills the whole program with all its servers when it says something that begins with `moment`.
fn killed_when_it_says(moment: &str, data: &str, input: &[u8]) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .args(["--data", data])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = program.stdin.take().unwrap().write_all(input);
    let said = BufReader::new(program.stderr.take().unwrap());
    let found = said.lines().any(|line| line.unwrap().starts_with(moment));
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(found, "it never said {moment}");
}

#[test]
fn after_a_crash_of_everything_the_next_run_goes_on() {
    let text: String = (0..2000).map(|n| format!("line {n}\n")).collect();
    for moment in ["configuration 1: ", "killed", "configuration 1 ends", "configuration 2: "] {
        let dir = tempfile::TempDir::new().unwrap();
        let data = dir.path().to_str().unwrap();
        killed_when_it_says(moment, data, text.as_bytes());
        let output = quickstart(&["--quiet", "--data", data], b"one\ntwo\nthree");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "after {moment}: {errors}");
        let rows = rows(&output);
        let decided: Vec<usize> =
            rows.iter().filter(|r| r[1] == "live").map(|r| r[4].parse().unwrap()).collect();
        assert!(decided.len() == 3 && decided[0] >= 3, "after {moment}: {rows:?}");
    }
}

#[test]
fn few_lines_and_bytes_that_are_no_text() {
    for (text, lines) in [(&b""[..], 0), (b"one", 1), (b"\n\xff\xfe\0\n\n", 3)] {
        assert_replicated(&quickstart(&["--quiet"], text), lines, 3);
    }
}

#[test]
fn what_is_wrong_is_said_and_the_exit_code_tells() {
    let missing = quickstart(&["no/such/file"], b"");
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no/such/file"));

    let long = quickstart(&["--quiet"], &vec![b'x'; 2 << 20]);
    assert_eq!(long.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&long.stderr).contains("line 1 was not replicated"));

    assert_eq!(quickstart(&["--servers", "2"], b"").status.code(), Some(2));
    assert!(quickstart(&["--help"], b"").status.success());
}
