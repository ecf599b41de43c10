//! What the fuzz targets in `tests/fuzz` run, and the tests run again over the corpus in the
//! repository: bytes become inputs, and whatever must never happen is a panic.

mod forge;
mod reader;
mod replicas;
mod wire;

pub use replicas::replicas;
pub use wire::{packets, wire};

use std::path::{Path, PathBuf};
use std::{fs, io};

/// The inputs in the repository for the target `name`, in the order of their names.
///
/// # Errors
/// When they cannot be read.
pub fn corpus(name: &str) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = fs::read_dir(folder)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    paths.into_iter().map(|path| Ok((path.clone(), fs::read(path)?))).collect()
}
