//! Reading a segment from its beginning, and judging how it ends.

use super::files::RawFile;
use super::format::{
    ALIGN, END_MARK, FOOTER_BYTES, HEADER_BYTES, Header, Item, Place, Span, is_footer_of,
    read_frame,
};
use std::io;

/// Bytes that are read at a time.
const WINDOW: usize = 1 << 20;

/// How the frames of a segment end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing but zeros behind the last frame.
    Clean,
    /// A frame that was never written to its end: nobody was told that it is durable.
    Torn,
    /// A frame that was written to its end but is damaged: it may have been acknowledged.
    Suspect,
    /// A valid frame behind a damaged one: what was certainly acknowledged is gone.
    Corrupt,
}

/// What a scan found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scanned {
    /// The sequence number of the first frame.
    pub(super) first: Option<u64>,
    /// Where the last valid frame begins.
    pub(super) last: u64,
    /// Where the valid frames end.
    pub(super) end: u64,
    /// The sequence number that comes next; `None` where there is no frame.
    pub(super) next: Option<u64>,
    pub(super) tail: Tail,
    /// Where the last byte behind the end lies that is not 0.
    pub(super) dirty: u64,
}

/// A file, read in windows.
struct Window<'a> {
    file: &'a dyn RawFile,
    start: u64,
    bytes: Vec<u8>,
    size: u64,
}

impl<'a> Window<'a> {
    fn new(file: &'a dyn RawFile) -> io::Result<Self> {
        Ok(Self { file, start: 0, bytes: Vec::new(), size: file.size()? })
    }

    /// The bytes `[offset, offset + length)`, or as many of them as there are.
    fn get(&mut self, offset: u64, length: u64) -> io::Result<&[u8]> {
        let length = length.min(self.size.saturating_sub(offset)) as usize;
        let end = offset + length as u64;
        if offset < self.start || end > self.start + self.bytes.len() as u64 {
            self.start = offset;
            self.bytes.resize(WINDOW.max(length), 0);
            let mut have = 0;
            while have < self.bytes.len() {
                match self.file.read_at(&mut self.bytes[have..], offset + have as u64) {
                    Ok(0) => break,
                    Ok(n) => have += n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
            self.bytes.truncate(have);
        }
        let from = (offset - self.start) as usize;
        Ok(&self.bytes[from..(from + length).min(self.bytes.len())])
    }
}

/// Hands the items of each valid frame to `take`, up to the first invalid one, or to `end`.
///
/// # Errors
/// What the file reports, or `take` returns.
pub(super) fn scan<E: From<io::Error>>(
    file: &dyn RawFile,
    place: Place,
    end: Option<u64>,
    mut take: impl FnMut(Item, Span) -> Result<(), E>,
) -> Result<Scanned, E> {
    let mut window = Window::new(file)?;
    let (mut first, mut last, mut at, mut next) = (None, 0, 0, None);
    while end.is_none_or(|end| at < end) {
        let Some(header) = Header::read(place, at, window.get(at, HEADER_BYTES as u64)?) else {
            break;
        };
        let frame = window.get(at, header.frame_bytes())?;
        let follows = next.is_none_or(|next| next == header.sequence);
        let Some(items) = read_frame(place, at, header, frame).filter(|_| follows) else {
            break;
        };
        for (item, span) in items {
            take(item, span)?;
        }
        first = first.or(Some(header.sequence));
        last = at;
        at += header.frame_bytes();
        next = header.sequence.checked_add(1);
    }
    let (tail, dirty) = match end {
        Some(_) => (Tail::Clean, at),
        None => judge(&mut window, place, at, next)?,
    };
    Ok(Scanned { first, last, end: at, next, tail, dirty })
}

/// What stands behind the last valid frame, and where its last byte is that is not 0.
fn judge(
    window: &mut Window<'_>,
    place: Place,
    end: u64,
    next: Option<u64>,
) -> io::Result<(Tail, u64)> {
    let size = window.size;
    let mut dirty = end;
    let mut footer = false;
    let mut at = end;
    while at < size {
        let length = (WINDOW as u64).min(size - at);
        let bytes = window.get(at, length + FOOTER_BYTES as u64)?;
        if bytes.is_empty() {
            break;
        }
        let here = &bytes[..bytes.len().min(length as usize)];
        let Some(last) = last_byte(here) else {
            at += here.len() as u64;
            continue;
        };
        dirty = at + last as u64 + 1;
        for step in (0..here.len()).step_by(ALIGN as usize) {
            let (offset, rest) = (at + step as u64, &bytes[step..]);
            // A frame is written once the one before it is durable.
            let behind = offset > end || next.is_none();
            if behind && Header::read(place, offset, rest).is_some() {
                return Ok((Tail::Corrupt, size));
            }
            let sequence = next.unwrap_or_default();
            footer |= offset > end && is_footer_of(rest, sequence, offset - end);
        }
        at += here.len() as u64;
    }
    if dirty == end {
        return Ok((Tail::Clean, dirty));
    }
    if dirty < end + (HEADER_BYTES + FOOTER_BYTES) as u64 {
        // Less than any frame has, since the last byte of one is not 0.
        return Ok((Tail::Torn, dirty));
    }
    let head = window.get(end, HEADER_BYTES as u64)?;
    let whole = match Header::read(place, end, head) {
        Some(header) => {
            let mark = end + header.frame_bytes() - 4;
            window.get(mark, 4)?.iter().any(|b| *b != 0)
        }
        None => {
            // A header of which only a part arrived has zeros at one of its ends.
            let cut = head.first() == Some(&0) || head.ends_with(&[0; 4]);
            footer || !cut
        }
    };
    Ok((if whole { Tail::Suspect } else { Tail::Torn }, dirty))
}

/// Where the last byte is that is not 0. Most of what is looked at is zeros: whole pieces of them
/// are compared at once.
fn last_byte(bytes: &[u8]) -> Option<usize> {
    let pieces = bytes.chunks(NOTHING.len()).enumerate().rev();
    let mut other = pieces.filter(|(_, piece)| **piece != NOTHING[..piece.len()]);
    let (number, piece) = other.next()?;
    Some(number * NOTHING.len() + piece.iter().rposition(|b| *b != 0)?)
}

static NOTHING: [u8; 4096] = [0; 4096];

const _: () = assert!(END_MARK.to_le_bytes()[3] != 0);
