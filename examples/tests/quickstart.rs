//! quickstart as a user runs it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::io::Write as _;
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
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let rows = rows(output);
    let live: Vec<_> = rows.iter().filter(|row| row[1] == "live").collect();
    assert_eq!((rows.len(), live.len()), (servers + 1, servers), "{rows:?}");
    for row in live {
        assert_eq!((row[2].as_str(), row[4].as_str()), ("2", lines.to_string().as_str()));
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
