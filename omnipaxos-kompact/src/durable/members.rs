//! What this server knows of the others' storage, on disk.

use super::engine::Core;
use super::error::{FileError, OpenError};
use super::files::FileSystem;
use super::meta::{self, Unread};
use crate::identity::{Binding, MemberStore, StorageId};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::{Operation, StorageError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const NAME: &str = "members";

/// The [`MemberStore`] in the directory of an [`Engine`](super::Engine).
#[derive(Debug)]
pub struct DurableMembers {
    files: Arc<dyn FileSystem>,
    dir: PathBuf,
    storage_id: StorageId,
    bindings: BTreeMap<NodeId, Binding>,
    failed: Option<StorageError>,
    /// The directory stays locked, and nobody else writes the file, while this lives.
    core: Arc<Core>,
}

impl DurableMembers {
    pub(super) fn open(
        core: Arc<Core>,
        files: Arc<dyn FileSystem>,
        dir: PathBuf,
        storage_id: StorageId,
    ) -> Result<Self, OpenError> {
        let damaged = |detail| OpenError::Damaged { path: dir.join(NAME), detail };
        let fields = match meta::read(&*files, &dir, NAME) {
            Ok(fields) => fields,
            // It was created with the directory.
            Err(Unread::Missing) => return Err(damaged("the file is gone".to_owned())),
            Err(Unread::Damaged(detail)) => return Err(damaged(detail)),
            Err(Unread::File(error)) => return Err(error.into()),
        };
        let mut bindings = BTreeMap::new();
        for (pid, value) in &fields {
            let (pid, binding) =
                parse(pid, value).ok_or_else(|| damaged(format!("{pid} {value}")))?;
            bindings.insert(pid, binding);
        }
        Ok(Self { files, dir, storage_id, bindings, failed: None, core })
    }
}

impl Drop for DurableMembers {
    fn drop(&mut self) {
        self.core.release_members();
    }
}

/// Whether nothing was recorded yet in a directory that has the file.
pub(super) fn is_empty(files: &dyn FileSystem, dir: &Path) -> bool {
    meta::read(files, dir, NAME).is_ok_and(|fields| fields.is_empty())
}

fn parse(pid: &str, value: &str) -> Option<(NodeId, Binding)> {
    let (id, confirmed) = value.split_once(' ')?;
    let storage_id = StorageId::new(u128::from_str_radix(id, 16).ok()?)?;
    let confirmed = match confirmed {
        "confirmed" => true,
        "known" => false,
        _ => return None,
    };
    Some((pid.parse().ok()?, Binding { storage_id, confirmed }))
}

impl MemberStore for DurableMembers {
    fn storage_id(&self) -> StorageId {
        self.storage_id
    }

    fn bindings(&self) -> Result<BTreeMap<NodeId, Binding>, StorageError> {
        Ok(self.bindings.clone())
    }

    fn record(&mut self, pid: NodeId, binding: Binding) -> Result<(), StorageError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut bindings = self.bindings.clone();
        bindings.insert(pid, binding);
        let fields: Vec<_> = bindings
            .iter()
            .map(|(pid, Binding { storage_id, confirmed })| {
                let said = if *confirmed { "confirmed" } else { "known" };
                (pid.to_string(), format!("{storage_id} {said}"))
            })
            .collect();
        meta::write(&*self.files, &self.dir, NAME, &fields).map_err(|e: FileError| {
            let error = e.storage(Operation::Store);
            self.failed = Some(error.clone());
            error
        })?;
        self.bindings = bindings;
        Ok(())
    }
}
