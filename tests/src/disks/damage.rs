//! Damages a directory behind the engine's back, and judges what opening says.

use super::image::Image;
use super::{MemoryDisk, OWNER, Workload};
use omnipaxos_kompact::durable::{Engine, OpenError};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// What became of one damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// A typed error that names a path in the directory.
    Detected,
    /// The last flush is gone, and every configuration that it may have concerned says so.
    Suspect,
    /// All data is there and right.
    WithoutEffect,
    /// Other data, or less, in silence.
    Wrong,
}

/// A sound directory, its content, and what it may be without its last flush.
#[derive(Debug)]
pub struct Sound {
    /// The disk.
    pub disk: MemoryDisk,
    /// The directory on it.
    pub dir: PathBuf,
    /// What it holds.
    pub image: Image,
    /// What it held before the last flush.
    pub before: Image,
}

impl Sound {
    /// The files of the directory that hold something, in the order of their names.
    ///
    /// # Errors
    /// What the disk reports.
    pub fn files(&self) -> io::Result<BTreeMap<String, Vec<u8>>> {
        use omnipaxos_kompact::durable::FileSystem;
        let mut files = BTreeMap::new();
        for name in self.disk.list(&self.dir)? {
            let content = self.disk.read(&self.dir.join(&name))?;
            if !content.is_empty() {
                files.insert(name, content);
            }
        }
        Ok(files)
    }

    /// Opens a copy that `damage` was done to.
    #[must_use]
    pub fn after(&self, damage: impl FnOnce(&MemoryDisk, &Path)) -> Verdict {
        let disk = self.disk.fork(0);
        damage(&disk, &self.dir);
        let engine = match Engine::open(&self.dir, OWNER, Workload::options(&disk)) {
            Ok(engine) => engine,
            Err(error) => return self.typed(&error),
        };
        if let Err(error) = engine.members() {
            return self.typed(&error);
        }
        let Ok((image, suspects)) = Image::of(&engine) else {
            return Verdict::Wrong;
        };
        let all_suspect = image.groups.keys().all(|group| suspects.contains(group));
        if image == self.image && suspects.is_empty() {
            Verdict::WithoutEffect
        } else if image == self.before && all_suspect {
            Verdict::Suspect
        } else {
            Verdict::Wrong
        }
    }

    fn typed(&self, error: &OpenError) -> Verdict {
        let path = match error {
            OpenError::Damaged { path, .. } | OpenError::Missing { path } => path,
            OpenError::File(error) => &error.path,
            _ => return Verdict::Wrong,
        };
        let said = error.to_string();
        let names = path.starts_with(&self.dir) && said.contains(&*path.to_string_lossy());
        if names && said.contains("; ") { Verdict::Detected } else { Verdict::Wrong }
    }
}
