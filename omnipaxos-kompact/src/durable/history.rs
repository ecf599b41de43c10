//! What a server knows of the configurations, as one value beside the log.

use super::error::{FileError, OpenError};
use super::files::FileSystem;
use super::meta::{self, Unread};
use bytes::Bytes;
use std::fmt::Write as _;
use std::path::Path;

pub(super) const NAME: &str = "history";
const KEY: &str = "value";

/// Reads the value; `None` where none was ever written.
pub(super) fn read(files: &dyn FileSystem, dir: &Path) -> Result<Option<Bytes>, OpenError> {
    let damaged = |detail: &str| {
        let detail = detail.to_owned();
        OpenError::Damaged { path: dir.join(NAME), detail }
    };
    let fields = match meta::read(files, dir, NAME) {
        Ok(fields) => fields,
        Err(Unread::Missing) => return Ok(None),
        Err(Unread::Damaged(detail)) => return Err(damaged(&detail)),
        Err(Unread::File(error)) => return Err(error.into()),
    };
    match fields.as_slice() {
        [(key, value)] if key == KEY => {
            bytes_of(value).map(Some).ok_or_else(|| damaged("the value is not hexadecimal"))
        }
        _ => Err(damaged("there must be one value")),
    }
}

/// Replaces the value, and waits until that is durable.
pub(super) fn write(files: &dyn FileSystem, dir: &Path, value: &[u8]) -> Result<(), FileError> {
    let mut hex = String::with_capacity(2 * value.len());
    for byte in value {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    meta::write(files, dir, NAME, &[(KEY.to_owned(), hex)])
}

fn bytes_of(hex: &str) -> Option<Bytes> {
    let digits = hex.as_bytes();
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    let byte = |pair: &[u8]| Some(16 * digit(pair[0])? + digit(pair[1])?);
    pairs.map(byte).collect::<Option<Vec<u8>>>().map(Bytes::from)
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
