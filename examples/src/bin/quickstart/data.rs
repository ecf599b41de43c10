//! Where the servers keep what they must not forget, and what an earlier run left there.

use crate::collector::Log;
use crate::error::QuickstartError;
use crate::input::RunNumber;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::{ConfigId, Entry, Sequence as _};
use omnipaxos_kompact::durable::{Engine, OpenError, Options, Owner};
use omnipaxos_kompact::wire::ClusterId;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// The cluster of all runs.
pub(crate) const CLUSTER_ID: ClusterId = 1;

const FIRST: ConfigId = 1;

/// The bytes of an old log that are read at a time.
const READ_BYTES: u64 = 1 << 20;

/// One directory with a directory for each server.
pub(crate) struct Data {
    root: PathBuf,
    /// Removed at the end of the program.
    _temporary: Option<TempDir>,
    /// Counts the runs over this directory.
    pub(crate) run: RunNumber,
}

/// Where an earlier run came to; a first configuration of new servers without one.
pub(crate) struct Recovered {
    pub(crate) config_id: ConfigId,
    pub(crate) nodes: Vec<NodeId>,
    /// What the configurations before it have decided.
    pub(crate) log: Log,
    /// The storage of its servers.
    pub(crate) engines: BTreeMap<NodeId, Engine>,
}

impl Data {
    /// The directory `dir`, or a temporary one.
    pub(crate) fn open(dir: Option<&Path>) -> Result<Self, QuickstartError> {
        let failed = |dir: &Path| {
            let directory = dir.display().to_string();
            move |source| QuickstartError::Data { directory, source }
        };
        let (root, temporary) = match dir {
            Some(dir) => (dir.to_path_buf(), None),
            None => {
                let temporary = TempDir::new().map_err(failed(&std::env::temp_dir()))?;
                (temporary.path().to_path_buf(), Some(temporary))
            }
        };
        fs::create_dir_all(&root).map_err(failed(&root))?;
        let run = next_run(&root.join("runs")).map_err(failed(&root))?;
        Ok(Self { root, _temporary: temporary, run })
    }

    /// The servers that have storage here.
    fn known(&self) -> Result<Vec<NodeId>, QuickstartError> {
        let failed =
            |source| QuickstartError::Data { directory: self.root.display().to_string(), source };
        let mut known = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix("server-"));
            known.extend(pid.and_then(|pid| pid.parse::<NodeId>().ok()));
        }
        known.sort_unstable();
        Ok(known)
    }

    /// A pid that no server ever had.
    pub(crate) fn new_pid(&self) -> Result<NodeId, QuickstartError> {
        Ok(self.known()?.last().map_or(1, |pid| pid + 1))
    }

    /// Creates the storage of a server that never had any.
    pub(crate) fn create(&self, pid: NodeId) -> Result<Engine, QuickstartError> {
        let owner = Owner { cluster_id: CLUSTER_ID, pid };
        Ok(Engine::create(&self.path(pid), owner, Options::default())?)
    }

    fn open_server(&self, pid: NodeId) -> Result<Engine, OpenError> {
        let owner = Owner { cluster_id: CLUSTER_ID, pid };
        Engine::open(&self.path(pid), owner, Options::default())
    }

    fn path(&self, pid: NodeId) -> PathBuf {
        self.root.join(format!("server-{pid}"))
    }

    /// What an earlier run left, or servers 1 to `servers` of a first configuration.
    pub(crate) fn recover(&self, servers: NodeId) -> Result<Recovered, QuickstartError> {
        let mut engines = BTreeMap::new();
        for pid in self.known()? {
            match self.open_server(pid) {
                Ok(engine) => drop(engines.insert(pid, engine)),
                // An earlier run was stopped while it created it: it never took part.
                Err(OpenError::Missing { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut config_id = FIRST;
        let mut nodes: Vec<NodeId> = engines
            .iter()
            .filter(|(_, e)| e.configurations().contains(&FIRST))
            .map(|(p, _)| *p)
            .collect();
        if nodes.is_empty() {
            nodes = (1..=servers).collect();
        }
        let mut log = Log::default();
        while let Some(next) = sealed(&engines, config_id, &mut log)? {
            (config_id, nodes) = next;
        }
        engines.retain(|pid, _| nodes.contains(pid));
        for pid in &nodes {
            if !engines.contains_key(pid) {
                engines.insert(*pid, self.create(*pid)?);
            }
        }
        Ok(Recovered { config_id, nodes, log, engines })
    }
}

/// Reads the log of a configuration that is over, from the first server that knows it is; returns
/// the next one and its servers. (A server component will do this by itself.)
fn sealed(
    engines: &BTreeMap<NodeId, Engine>,
    config_id: ConfigId,
    log: &mut Log,
) -> Result<Option<(ConfigId, Vec<NodeId>)>, QuickstartError> {
    for engine in engines.values() {
        let Some(stop_sign) = engine.sealed(config_id)? else {
            continue;
        };
        let (sequence, _state) = engine.parts(config_id)?;
        let (mut at, end) = (sequence.first_index(), sequence.end_index());
        while at < end {
            let records = sequence.read(at, end, READ_BYTES)?;
            at += records.len();
            for entry in records.entries() {
                match entry {
                    Entry::Normal(data) => log.entries.push((config_id, data.clone())),
                    Entry::StopSign(stop_sign) => {
                        log.stop_signs.push((log.entries.len(), Arc::new((**stop_sign).clone())));
                    }
                }
            }
        }
        return Ok(Some((stop_sign.config_id, stop_sign.nodes)));
    }
    Ok(None)
}

/// Counts this run in a file.
fn next_run(path: &Path) -> io::Result<RunNumber> {
    let earlier = match fs::read_to_string(path) {
        Ok(text) => text.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
        Err(e) => return Err(e),
    };
    let run: RunNumber = earlier + 1;
    fs::write(path, format!("{run}\n"))?;
    Ok(run)
}
