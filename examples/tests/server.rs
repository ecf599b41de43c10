//! Three processes that become one cluster, as in the README.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// No test asserts on time; this is when one gives up.
const DEADLINE: Duration = Duration::from_secs(60);

struct Process {
    child: Child,
    stdin: ChildStdin,
    said: Receiver<String>,
    /// What was said so far.
    heard: Vec<String>,
}

impl Process {
    fn start(pid: u64, data: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_server"))
            .args(["--pid", &pid.to_string(), "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, stdin, said, heard: Vec::new() }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Waits until it says a line with this in it; returns the line.
    fn says(&mut self, part: &str) -> String {
        if let Some(line) = self.heard.iter().find(|line| line.contains(part)) {
            return line.clone();
        }
        loop {
            let line = self.said.recv_timeout(DEADLINE);
            let line = line.unwrap_or_else(|_| panic!("never said {part:?}: {:?}", self.heard));
            self.heard.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    fn address(&mut self) -> String {
        self.says("listens at").rsplit(' ').next().unwrap().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_cluster_grows_from_one_server_to_three_processes_and_loses_the_first() {
    let dir = tempfile::TempDir::new().unwrap();
    let data = |pid: u64| dir.path().join(format!("server-{pid}"));
    let mut one = Process::start(1, &data(1), &[]);
    let contact = one.address();
    one.type_line("first");
    assert!(one.says(": first").starts_with("0: "));
    let mut two = Process::start(2, &data(2), &["--join", &contact]);
    two.says("takes part in configuration 2");
    let mut three = Process::start(3, &data(3), &["--join", &contact]);
    three.says("takes part in configuration 3");
    three.type_line("second");
    for process in [&mut one, &mut two, &mut three] {
        // The log is the same everywhere: one entry, two StopSigns, one entry.
        assert!(process.says(": first").starts_with("0: "));
        assert!(process.says(": second").starts_with("3: "));
    }
    two.type_line("/remove 1");
    two.says("done: configuration 4");
    one.says("nobody needs this server any more");
    one.type_line("/quit");
    assert!(one.child.wait().unwrap().success());
    three.type_line("third");
    assert!(two.says(": third").starts_with("5: "));
}
