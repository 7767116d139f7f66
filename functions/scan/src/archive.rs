//! The inside of a ZIP, entry by entry: how much it unpacks to, and that it can be
//! examined at all. Hands every entry's bytes to the caller; does not judge them.
//!
//! One level of nesting is looked into, since an Office document with another one in it
//! is a ZIP in a ZIP.

use std::io::{Cursor, Read, copy, sink};

use zip::ZipArchive;
use zip::result::ZipError;

/// Entries of an archive, those of the archives in it included.
pub const ENTRIES: usize = 10_000;
/// Bytes that all of it may unpack to.
pub const UNPACKED_BYTES: u64 = 250 * 1024 * 1024;
/// How many times its own size it may unpack to, once past [`FREE_BYTES`]: Deflate
/// reaches 1,032 on zeros, and tens on logs.
pub const RATIO: u64 = 100;
/// What any archive may unpack to, however small it is.
pub const FREE_BYTES: u64 = 1024 * 1024;
/// Archives within archives.
pub const NESTED: u32 = 1;
/// Bytes of an entry that are kept to be examined; the rest is counted.
pub const EXAMINED_BYTES: u64 = 32 * 1024 * 1024;

/// Why an archive was not examined to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many entries, or they unpack to too much.
    Limit,
    /// Archives within archives within archives.
    Nesting,
    /// An entry that a password protects.
    Encrypted,
    /// An entry that would be written outside the folder it is unpacked into.
    Path,
    /// Cut off, contradicting itself, or packed in a way that this reader does not know.
    Unreadable,
}

/// Whether the bytes begin as a ZIP does. `PK00` does so too, the mark of one that was to
/// be split and was not; a text may as well, but has no end of a directory.
pub fn is_zip(bytes: &[u8]) -> bool {
    let end = b"PK\x05\x06";
    bytes.starts_with(b"PK\x03\x04")
        || bytes.starts_with(end)
        || (bytes.starts_with(b"PK00") && bytes.windows(end.len()).any(|it| it == end))
}

/// Shows every entry, by name and content, to `examine`.
///
/// # Errors
/// At the first reason why not everything can be examined.
pub fn walk(bytes: &[u8], examine: &mut dyn FnMut(&str, &[u8])) -> Result<(), Refusal> {
    let ratio_allows = (bytes.len() as u64).saturating_mul(RATIO).max(FREE_BYTES);
    let mut left = Left {
        entries: ENTRIES,
        bytes: UNPACKED_BYTES.min(ratio_allows),
    };
    open(bytes, 0, &mut left, examine)
}

/// What may still be unpacked.
struct Left {
    entries: usize,
    bytes: u64,
}

fn open(
    bytes: &[u8],
    depth: u32,
    left: &mut Left,
    examine: &mut dyn FnMut(&str, &[u8]),
) -> Result<(), Refusal> {
    if depth > NESTED {
        return Err(Refusal::Nesting);
    }
    // Counted before the directory is read, which takes memory for each.
    let headers = bytes.windows(4).filter(|it| *it == b"PK\x01\x02").count();
    left.entries = left.entries.checked_sub(headers).ok_or(Refusal::Limit)?;
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(refusal)?;
    // Two names for one entry, entries that overlap or that the directory hides: another
    // reader would unpack something else than what is examined here.
    archive.validate_header_consistency().map_err(refusal)?;
    let mut content = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(refusal)?;
        if entry.is_symlink() || entry.enclosed_name().is_none() {
            return Err(Refusal::Path);
        }
        let name = entry.name().map_err(refusal)?.into_owned();
        content.clear();
        let mut entry = entry.take(left.bytes + 1);
        (&mut entry)
            .take(EXAMINED_BYTES)
            .read_to_end(&mut content)
            .map_err(|_| Refusal::Unreadable)?;
        let rest = copy(&mut entry, &mut sink()).map_err(|_| Refusal::Unreadable)?;
        let size = content.len() as u64 + rest;
        left.bytes = left.bytes.checked_sub(size).ok_or(Refusal::Limit)?;
        examine(&name, &content);
        if is_zip(&content) {
            if rest > 0 {
                return Err(Refusal::Limit);
            }
            open(&content, depth + 1, left, examine)?;
        }
    }
    Ok(())
}

fn refusal(cause: ZipError) -> Refusal {
    match cause {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
            Refusal::Encrypted
        }
        _ => Refusal::Unreadable,
    }
}
