//! Network namespaces behind one switch, each with an uplink of limited rate.

use omnipaxos_core::leader_election::NodeId;
use std::io::{ErrorKind, Read as _, stdin};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio, id};
use thiserror::Error;

/// The name of the interface in each namespace.
pub const INTERFACE: &str = "eth0";

/// The argument with which this program removes what it is told.
pub const SWEEP: &str = "sweep";

/// At the end of each namespace's uplink.
const SWITCH: &str = "switch";

/// Where servers listen. Each has a namespace of its own.
const PORT: u16 = 7000;

/// Bytes that may leave at once: less than TCP hands down at a time, so that the kernel cuts that
/// into packets before they are counted.
const BURST: &str = "16kb";

/// What may wait in front of an uplink. More than servers ever send ahead: nothing is dropped.
const QUEUE: &str = "16mb";

/// Why there are no shaped uplinks here: rights or tools are lacking.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct NotHere(String);

/// Namespaces that are gone when this is dropped, or this process ends, however that comes.
#[derive(Debug)]
pub struct Namespaces {
    prefix: String,
    program: PathBuf,
    sweeper: Child,
}

impl Namespaces {
    /// A namespace for each server, whose uplink carries so many bytes a second.
    ///
    /// # Errors
    /// [`NotHere`].
    pub fn new(pids: &[NodeId], bytes_per_second: u64) -> Result<Self, NotHere> {
        let program = std::env::current_exe()
            .map_err(|e| NotHere(format!("this program cannot find itself: {e}")))?;
        let prefix = format!("omnipaxos-{}", id());
        let names: Vec<String> =
            pids.iter().map(NodeId::to_string).chain([SWITCH.to_owned()]).collect();
        let sweeper = Command::new(&program)
            .arg(SWEEP)
            .args(names.iter().map(|name| format!("{prefix}-{name}")))
            .stdin(Stdio::piped())
            // What interrupts this process shall not keep it from cleaning up.
            .process_group(0)
            .spawn()
            .map_err(|e| NotHere(format!("this program cannot start itself: {e}")))?;
        let namespaces = Self { prefix, program, sweeper };
        for name in &names {
            ip(&["netns", "add", &namespaces.name(name)])?;
        }
        let switch = namespaces.name(SWITCH);
        ip(&["-n", &switch, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &switch, "link", "set", "bridge", "up"])?;
        for pid in pids {
            namespaces.connect(*pid, &switch, bytes_per_second)?;
        }
        Ok(namespaces)
    }

    fn connect(&self, pid: NodeId, switch: &str, bytes_per_second: u64) -> Result<(), NotHere> {
        let (name, port) = (self.name(&pid.to_string()), format!("port{pid}"));
        let address = format!("{}/24", self.address(pid).ip());
        let rate = format!("{}bit", bytes_per_second * 8);
        let peer = ["peer", "name", INTERFACE, "netns", &name];
        ip(&[&["-n", switch, "link", "add", &port, "type", "veth"], &peer[..]].concat())?;
        ip(&["-n", switch, "link", "set", &port, "master", "bridge", "up"])?;
        ip(&["-n", &name, "address", "add", &address, "dev", INTERFACE])?;
        ip(&["-n", &name, "link", "set", INTERFACE, "up"])?;
        ip(&["-n", &name, "link", "set", "lo", "up"])?;
        let shape = ["tbf", "rate", &rate, "burst", BURST, "limit", QUEUE];
        let add = ["-n", &name, "qdisc", "add", "dev", INTERFACE, "root"];
        call("tc", &[&add, &shape[..]].concat())
    }

    /// Where a server listens.
    #[must_use]
    pub fn address(&self, pid: NodeId) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::new(10, 0, 0, pid as u8), PORT))
    }

    /// This program with `argument`, in the namespace of a server.
    #[must_use]
    pub fn program(&self, pid: NodeId, argument: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(&pid.to_string())]);
        command.arg(&self.program).arg(argument);
        command
    }

    fn name(&self, of: &str) -> String {
        format!("{}-{of}", self.prefix)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}

/// Waits until the process that started this one has ended or does not need the namespaces any
/// more, and removes them.
pub fn sweep(names: &[String]) {
    // However it ends, it ends.
    let _ = stdin().read_to_end(&mut Vec::new());
    for name in names {
        // Some may never have been added.
        let _ = Command::new("ip").args(["netns", "delete", name]).stderr(Stdio::null()).status();
    }
}

fn ip(arguments: &[&str]) -> Result<(), NotHere> {
    call("ip", arguments)
}

fn call(program: &str, arguments: &[&str]) -> Result<(), NotHere> {
    match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim();
            Err(NotHere(format!("`{program} {}` failed: {said}", arguments.join(" "))))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {
            Err(NotHere(format!("there is no program `{program}` (iproute2)")))
        }
        Err(e) => Err(NotHere(format!("`{program}` cannot be started: {e}"))),
    }
}
