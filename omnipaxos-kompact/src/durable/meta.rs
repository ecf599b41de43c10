//! The small files beside the log: who this storage belongs to, and what must outlive a restart at
//! once. Text that a person can read, replaced as a whole, with a checksum in the last line.

use super::error::FileError;
use super::files::{Access, FileSystem, RawFile};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// More than any of these files has.
const MAX_BYTES: u64 = 16 << 20;

/// Lines of a key and a value.
pub(super) type Fields = Vec<(String, String)>;

/// Why such a file is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    Missing,
    Damaged(String),
    File(FileError),
}

/// Replaces the file `name` of `dir`, and waits until that is durable.
pub(super) fn write(
    files: &dyn FileSystem,
    dir: &Path,
    name: &str,
    fields: &[(String, String)],
) -> Result<(), FileError> {
    let mut text: String = fields.iter().map(|(key, value)| format!("{key} {value}\n")).collect();
    text += &format!("crc {:08x}\n", crc32c::crc32c(text.as_bytes()));
    let (path, temporary) = (dir.join(name), dir.join(format!("{name}.tmp")));
    let file = files
        .open(&temporary, Access::Create)
        .map_err(FileError::of(&temporary, "creating the file"))?;
    file.write_all_at(text.as_bytes(), 0).map_err(FileError::of(&temporary, "writing"))?;
    file.sync().map_err(FileError::of(&temporary, "making the file durable"))?;
    files.rename(&temporary, &path).map_err(FileError::of(&path, "renaming the file"))?;
    files.sync_dir(dir).map_err(FileError::of(dir, "making the directory durable"))
}

/// Reads the file `name` of `dir`.
pub(super) fn read(files: &dyn FileSystem, dir: &Path, name: &str) -> Result<Fields, Unread> {
    let path = dir.join(name);
    let file = match files.open(&path, Access::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Unread::Missing),
        Err(e) => return Err(Unread::File(FileError::of(&path, "opening the file")(e))),
    };
    let bytes = read_all(&*file).map_err(FileError::of(&path, "reading")).map_err(Unread::File)?;
    let damaged = |what: &str| Unread::Damaged(what.to_owned());
    let text = String::from_utf8(bytes).map_err(|_| damaged("the file is no text"))?;
    let text = text.strip_suffix('\n').ok_or_else(|| damaged("the file has no checksum"))?;
    let (body, crc) = text.split_at(text.rfind('\n').map_or(0, |at| at + 1));
    let expected = format!("crc {:08x}", crc32c::crc32c(body.as_bytes()));
    if crc != expected {
        return Err(damaged("the checksum does not fit"));
    }
    body.lines()
        .map(|line| line.split_once(' ').map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect::<Option<_>>()
        .ok_or_else(|| damaged("a line has no value"))
}

/// The fields by their keys.
pub(super) fn by_key(fields: &Fields) -> BTreeMap<&str, &str> {
    fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn read_all(file: &dyn RawFile) -> io::Result<Vec<u8>> {
    let size = file.size()?;
    if size > MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; size as usize];
    read_exact(file, &mut bytes, 0)?;
    Ok(bytes)
}

/// Fills `buf` from `offset` on.
pub(super) fn read_exact(file: &dyn RawFile, buf: &mut [u8], offset: u64) -> io::Result<()> {
    let mut have = 0;
    while have < buf.len() {
        match file.read_at(&mut buf[have..], offset + have as u64) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
