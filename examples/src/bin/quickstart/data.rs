//! Where the servers keep what they must not forget.

use crate::error::QuickstartError;
use crate::input::RunNumber;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_kompact::durable::{Engine, OpenError, Options, Owner};
use omnipaxos_kompact::wire::ClusterId;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The cluster of all runs.
pub(crate) const CLUSTER_ID: ClusterId = 1;

/// One directory with a directory for each server.
pub(crate) struct Data {
    root: PathBuf,
    /// Removed at the end of the program.
    _temporary: Option<TempDir>,
    /// Counts the runs over this directory.
    pub(crate) run: RunNumber,
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

    /// The servers that have a directory here.
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

    /// The storage that earlier runs left; where no server has ever run on any of it, that of
    /// servers 1 to `servers`, and whether it is so.
    pub(crate) fn engines(
        &self,
        servers: NodeId,
    ) -> Result<(BTreeMap<NodeId, Engine>, bool), QuickstartError> {
        let mut engines = BTreeMap::new();
        let mut new = true;
        for pid in self.known()? {
            match self.open_server(pid) {
                Ok(engine) => {
                    new &= engine.history()?.is_none();
                    engines.insert(pid, engine);
                }
                // An earlier run was stopped while it created it: it never took part.
                Err(OpenError::Missing { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for pid in (1..=servers).filter(|_| new) {
            if let Entry::Vacant(place) = engines.entry(pid) {
                place.insert(self.create(pid)?);
            }
        }
        Ok((engines, new))
    }
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
