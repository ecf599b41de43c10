//! The lines to replicate, and how they travel: as payloads that begin with the number of the run
//! and of the line, so that equal lines can be told apart.

use bytes::{Bytes, BytesMut};
use std::fs;
use std::io::{self, Read};
use std::path::Path;

/// A line's position in the input, from 0.
pub(crate) type LineNumber = usize;

/// Counts the runs over one directory, from 1.
pub(crate) type RunNumber = u64;

const NUMBER: usize = size_of::<u64>();

/// Reads the lines of a file, or of standard input.
pub(crate) fn read(file: Option<&Path>) -> io::Result<Vec<Bytes>> {
    let mut text = Vec::new();
    match file {
        Some(file) if file != Path::new("-") => text = fs::read(file)?,
        _ => {
            io::stdin().lock().read_to_end(&mut text)?;
        }
    }
    Ok(lines(Bytes::from(text)))
}

fn lines(text: Bytes) -> Vec<Bytes> {
    let text = if text.ends_with(b"\n") { text.slice(..text.len() - 1) } else { text };
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|byte| *byte == b'\n').map(|line| text.slice_ref(line)).collect()
}

/// The payload of a line.
pub(crate) fn payload(run: RunNumber, number: LineNumber, line: &[u8]) -> Bytes {
    let mut payload = BytesMut::with_capacity(2 * NUMBER + line.len());
    payload.extend_from_slice(&run.to_le_bytes());
    payload.extend_from_slice(&(number as u64).to_le_bytes());
    payload.extend_from_slice(line);
    payload.freeze()
}

/// The run, the line number and the line in a payload; `None` if it is no payload of ours.
pub(crate) fn parse(payload: &[u8]) -> Option<(RunNumber, LineNumber, &[u8])> {
    let (run, rest) = payload.split_first_chunk::<NUMBER>()?;
    let (number, line) = rest.split_first_chunk::<NUMBER>()?;
    let number = usize::try_from(u64::from_le_bytes(*number)).ok()?;
    Some((u64::from_le_bytes(*run), number, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_everything_but_the_line_ends() {
        assert_eq!(lines(Bytes::from_static(b"")), Vec::<Bytes>::new());
        assert_eq!(lines(Bytes::from_static(b"a\n\nb")), ["a", "", "b"]);
        assert_eq!(lines(Bytes::from_static(b"a\nb\n")), ["a", "b"]);
        assert_eq!(lines(Bytes::from_static(b"\xff\r\n\n")), [&b"\xff\r"[..], b""]);
    }

    #[test]
    fn a_payload_gives_its_line_back() {
        assert_eq!(parse(&payload(2, 7, b"line")), Some((2, 7, &b"line"[..])));
        assert_eq!(parse(b"shorter than 16"), None);
    }
}
