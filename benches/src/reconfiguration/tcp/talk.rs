//! What the program and the servers that it has started say to each other: one JSON value a line.

use super::super::RunError;
use super::super::ledger::Account;
use super::super::uplink::Sent;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::ConfigId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// Which server to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Its pid.
    pub pid: NodeId,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The members of the first configuration. One that is not among them waits to be added.
    pub members: BTreeMap<NodeId, SocketAddr>,
    /// How many entries they have.
    pub entries: u64,
    /// Bytes of entries in one message of a migration; the default where nothing is said.
    pub segment: Option<u64>,
    /// Whether it answers servers that migrate.
    pub serves: bool,
}

/// What a server is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Be this server.
    Start(Spec),
    /// From now on propose so many entries a millisecond.
    Load(f64),
    /// Say what was sent so far.
    Sent,
    /// Say how far the clients are.
    Seen,
    /// Go on with these members.
    Change(BTreeMap<NodeId, Option<SocketAddr>>),
    /// Say what became of the proposals below this one, which are all there are.
    Report(u64),
}

/// What a server says. Times are nanoseconds on a clock that all have.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Say {
    /// It runs.
    Ready,
    /// A configuration runs here.
    Started {
        /// When.
        at: u64,
        /// The configuration.
        config_id: ConfigId,
        /// The global index of its index 0.
        base: u64,
    },
    /// It has fetched another quarter of a log.
    Fetched {
        /// When.
        at: u64,
        /// The configuration.
        config_id: ConfigId,
        /// Quarters so far; with 0 it has something.
        quarters: u64,
        /// Megabytes of entries (costs) that came from each donor.
        donors: BTreeMap<NodeId, f64>,
    },
    /// Its replica of a configuration is in sync with this leader.
    Follows {
        /// When.
        at: u64,
        /// The configuration.
        config_id: ConfigId,
        /// The leader.
        leader: Option<NodeId>,
    },
    /// When the change was asked for.
    Asked(u64),
    /// When it was answered.
    Changed(u64),
    /// What it has sent.
    Sent(Sent),
    /// How far its clients are.
    Seen(Seen),
    /// What became of the proposals.
    Report(Report),
    /// It has failed.
    Failed(String),
}

/// How far clients are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The number that they propose next.
    pub next: u64,
    /// How many proposals are open.
    pub open: u64,
    /// The number after the highest one that was indicated as decided.
    pub end: u64,
}

/// What became of proposals at one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// By what was indicated.
    pub account: Account,
    /// When answers came, and how many at once.
    pub decisions: Vec<(u64, u64)>,
}

/// Nanoseconds on a clock that all processes have.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Writes a line.
///
/// # Errors
/// [`RunError`] where it cannot be written.
pub fn write(to: &mut impl Write, what: &impl Serialize) -> Result<(), RunError> {
    let mut line = serde_json::to_vec(what).map_err(RunError::new)?;
    line.push(b'\n');
    to.write_all(&line).and_then(|()| to.flush()).map_err(RunError::new)
}

/// Reads a line; `None` where there is no more.
///
/// # Errors
/// [`RunError`] where it cannot be read, or is something else.
pub fn read<T: DeserializeOwned>(from: &mut impl BufRead) -> Result<Option<T>, RunError> {
    let mut line = String::new();
    match from.read_line(&mut line).map_err(RunError::new)? {
        0 => Ok(None),
        _ => serde_json::from_str(&line).map(Some).map_err(RunError::new),
    }
}

#[cfg(test)]
mod tests {
    use super::{Order, Spec, read, write};

    #[test]
    fn lines_come_back_in_order() {
        let listen = "10.0.0.2:7000".parse().unwrap();
        let members = [(1, listen), (2, listen)].into_iter().collect();
        let spec = Spec { pid: 2, listen, members, entries: 3, segment: None, serves: true };
        let orders = [Order::Start(spec), Order::Change([(6, None)].into_iter().collect())];
        let mut lines = Vec::new();
        for order in &orders {
            write(&mut lines, order).unwrap();
        }
        let mut from = &lines[..];
        for order in &orders {
            let back: Order = read(&mut from).unwrap().unwrap();
            assert_eq!(format!("{back:?}"), format!("{order:?}"));
        }
        assert!(read::<Order>(&mut from).unwrap().is_none());
    }
}
