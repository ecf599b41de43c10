//! A last flush that was acknowledged and is damaged: which configurations may have lost it.
//!
//! Kept in a file of its own, written before the damaged frame is cut off, until the replica of
//! each configuration has made it durable in its own state that it is to be synchronised by others.

use super::error::FileError;
use super::files::FileSystem;
use super::meta::{self, Unread};
use omnipaxos_core::storage::ConfigId;
use std::collections::BTreeSet;
use std::path::Path;

pub(super) const NAME: &str = "suspect";

/// The configurations in doubt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Suspicion {
    groups: BTreeSet<ConfigId>,
    /// The lost flush may have been the first one of a configuration from this one on.
    from: Option<ConfigId>,
}

impl Suspicion {
    /// Doubt about all of these, and about one that may have begun with the lost flush.
    pub(super) fn about(groups: BTreeSet<ConfigId>) -> Self {
        Self { from: Some(groups.last().map_or(0, |last| last.saturating_add(1))), groups }
    }

    pub(super) fn concerns(&self, group: ConfigId) -> bool {
        self.groups.contains(&group) || self.from.is_some_and(|from| group >= from)
    }

    /// Notes that the doubt about `group` is durable elsewhere.
    pub(super) fn passed_on(
        &mut self,
        files: &dyn FileSystem,
        dir: &Path,
        group: ConfigId,
    ) -> Result<(), FileError> {
        if !self.concerns(group) {
            return Ok(());
        }
        // A flush begins one configuration at the most: the next one starts behind a sealed log.
        if !self.groups.remove(&group) {
            self.from = None;
        }
        if self.groups.is_empty() && self.from.is_none() {
            return remove(files, dir);
        }
        self.write(files, dir)
    }

    /// Whether the lost flush may have been the first one of the configuration behind `group`.
    pub(super) fn may_follow(&self, group: ConfigId) -> bool {
        self.from.is_some_and(|from| group.checked_add(1) == Some(from))
            && !self.groups.contains(&group)
    }

    /// Notes that it was not.
    pub(super) fn nothing_follows(
        &mut self,
        files: &dyn FileSystem,
        dir: &Path,
    ) -> Result<(), FileError> {
        self.from = None;
        if self.groups.is_empty() { remove(files, dir) } else { self.write(files, dir) }
    }

    /// Ends all doubt.
    pub(super) fn clear(&mut self, files: &dyn FileSystem, dir: &Path) -> Result<(), FileError> {
        if *self == Self::default() {
            return Ok(());
        }
        remove(files, dir)?;
        *self = Self::default();
        Ok(())
    }

    pub(super) fn write(&self, files: &dyn FileSystem, dir: &Path) -> Result<(), FileError> {
        let field = |key: &str, id: &ConfigId| (key.to_owned(), id.to_string());
        let mut fields: Vec<_> = self.groups.iter().map(|id| field("configuration", id)).collect();
        fields.extend(self.from.iter().map(|id| field("from", id)));
        meta::write(files, dir, NAME, &fields)
    }

    /// What an earlier opening left.
    pub(super) fn read(files: &dyn FileSystem, dir: &Path) -> Result<Self, Unread> {
        let fields = match meta::read(files, dir, NAME) {
            Ok(fields) => fields,
            Err(Unread::Missing) => return Ok(Self::default()),
            Err(unread) => return Err(unread),
        };
        let mut suspicion = Self::default();
        for (key, value) in fields {
            let id = value.parse().map_err(|_| Unread::Damaged(format!("{key} {value}")))?;
            match key.as_str() {
                "configuration" => drop(suspicion.groups.insert(id)),
                "from" => suspicion.from = Some(id),
                _ => return Err(Unread::Damaged(format!("{key} is unknown"))),
            }
        }
        Ok(suspicion)
    }
}

fn remove(files: &dyn FileSystem, dir: &Path) -> Result<(), FileError> {
    let path = dir.join(NAME);
    files.remove(&path).map_err(FileError::of(&path, "removing the file"))?;
    files.sync_dir(dir).map_err(FileError::of(dir, "making it durable"))
}
