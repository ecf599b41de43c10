//! Replicas that are killed while they replicate. The long run is a command: docs/TESTING.md.

use omnipaxos_tests::disks::kill_often;
use std::path::Path;
use tempfile::TempDir;

#[test]
fn replicas_that_are_killed_lose_nothing() {
    let dir = TempDir::new().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_crash"));
    let report = kill_often(program, dir.path(), 7, 15).unwrap_or_else(|e| panic!("seed 7: {e}"));
    println!("{report:?}");
    assert_eq!(report.kills, 15);
    assert!(report.flushes > 100 && report.decided > 100, "{report:?}");
}
