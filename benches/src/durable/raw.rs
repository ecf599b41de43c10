//! The floors: what the disk gives to whoever writes nothing but the payloads.

use super::load::Load;
use super::{MeasureError, Target};
use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Appends to a file that grows: each `fdatasync` makes the new size durable as well.
#[derive(Debug)]
pub struct Growing<'a> {
    load: &'a Load,
    file: File,
    path: PathBuf,
}

impl<'a> Growing<'a> {
    /// With a new file in `dir`, which goes with this.
    ///
    /// # Errors
    /// [`MeasureError::File`].
    pub fn new(dir: &Path, load: &'a Load) -> Result<Self, MeasureError> {
        let path = dir.join("growing");
        Ok(Self { load, file: File::create(&path)?, path })
    }
}

impl Target for Growing<'_> {
    fn commit(&mut self) -> Result<(), MeasureError> {
        self.file.write_all(self.load.blob())?;
        Ok(self.file.sync_data()?)
    }
}

impl Drop for Growing<'_> {
    fn drop(&mut self) {
        // It lies in a directory that is removed as a whole.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Bytes of the file of zeros.
const ZEROS: u64 = 256 << 20;

/// A file of zeros: writing into it changes neither its size nor where its blocks are, so that
/// nothing can be cheaper. Making it is not part of any measurement.
#[derive(Debug)]
pub struct Zeros {
    path: PathBuf,
}

impl Zeros {
    /// Makes the file in `dir`.
    ///
    /// # Errors
    /// [`MeasureError::File`].
    pub fn new(dir: &Path) -> Result<Self, MeasureError> {
        let path = dir.join("zeros");
        let mut file = File::create(&path)?;
        let zeros = vec![0; 1 << 20];
        for _ in 0..ZEROS >> 20 {
            file.write_all(&zeros)?;
        }
        file.sync_all()?;
        Ok(Self { path })
    }
}

/// Writes into the file of zeros, and from its beginning again once that is full.
#[derive(Debug)]
pub struct Preallocated<'a> {
    load: &'a Load,
    file: File,
    at: u64,
}

impl<'a> Preallocated<'a> {
    /// From the beginning of `zeros`.
    ///
    /// # Errors
    /// [`MeasureError::File`].
    pub fn new(zeros: &Zeros, load: &'a Load) -> Result<Self, MeasureError> {
        let file = OpenOptions::new().write(true).open(&zeros.path)?;
        Ok(Self { load, file, at: 0 })
    }
}

impl Target for Preallocated<'_> {
    fn commit(&mut self) -> Result<(), MeasureError> {
        let bytes = self.load.blob().len() as u64;
        if self.at + bytes > ZEROS {
            self.file.seek(SeekFrom::Start(0))?;
            self.at = 0;
        }
        self.file.write_all(self.load.blob())?;
        self.at += bytes;
        Ok(self.file.sync_data()?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Growing, Load, Preallocated, Target, ZEROS, Zeros};
    use tempfile::TempDir;

    #[test]
    fn one_file_grows_and_the_other_does_not() {
        let dir = TempDir::new().unwrap();
        let load = Load::new(1000, 100);
        let size = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().len();
        let zeros = Zeros::new(dir.path()).unwrap();
        let mut growing = Growing::new(dir.path(), &load).unwrap();
        let mut preallocated = Preallocated::new(&zeros, &load).unwrap();
        preallocated.at = ZEROS - 1;
        for _ in 0..3 {
            growing.commit().unwrap();
            preallocated.commit().unwrap();
        }
        assert_eq!((size("growing"), size("zeros")), (300_000, ZEROS));
        assert_eq!(preallocated.at, 300_000);
        drop(growing);
        assert!(!dir.path().join("growing").exists());
    }
}
