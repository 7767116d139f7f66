//! Reads a ZIP entry by entry: limits what it unpacks to, and refuses what cannot be examined.
//! Passes every entry's bytes to the caller; does not judge them.
//!
//! One level of nesting is examined, since an Office document with an embedded one is a ZIP in
//! a ZIP.

use std::io::{Cursor, Read, copy, sink};

use zip::ZipArchive;
use zip::result::ZipError;

/// The most entries of an archive, including those of nested archives.
pub const ENTRIES: usize = 10_000;
/// The most bytes that the whole archive may unpack to.
pub const UNPACKED_BYTES: u64 = 250 * 1024 * 1024;
/// The highest compression ratio past [`FREE_BYTES`]: Deflate reaches 1,032 on zeros, and tens
/// on logs.
pub const RATIO: u64 = 100;
/// Bytes that any archive may unpack to, however small it is.
pub const FREE_BYTES: u64 = 1024 * 1024;
/// The deepest nesting of archives.
pub const NESTED: u32 = 1;
/// Bytes of an entry that are examined; the rest is only counted.
pub const EXAMINED_BYTES: u64 = 32 * 1024 * 1024;

/// Why an archive was not fully examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many entries, or too many unpacked bytes.
    Limit,
    /// Archives are nested too deeply.
    Nesting,
    /// A password-protected entry.
    Encrypted,
    /// An entry that would be written outside the target folder.
    Path,
    /// Truncated, inconsistent, or compressed with an unsupported method.
    Unreadable,
}

/// Whether the bytes begin like a ZIP. `PK00`, the mark of a split archive in a single
/// segment, counts if the bytes contain an end of directory; a text may begin with it too.
pub fn is_zip(bytes: &[u8]) -> bool {
    let end = b"PK\x05\x06";
    bytes.starts_with(b"PK\x03\x04")
        || bytes.starts_with(end)
        || (bytes.starts_with(b"PK00") && bytes.windows(end.len()).any(|it| it == end))
}

/// Calls `examine` with the name and content of every entry.
///
/// # Errors
/// The first reason why something cannot be examined.
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
    // Counted before the directory is read, because each entry takes memory.
    let headers = bytes.windows(4).filter(|it| *it == b"PK\x01\x02").count();
    left.entries = left.entries.checked_sub(headers).ok_or(Refusal::Limit)?;
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(refusal)?;
    // Duplicate names, and overlapping or hidden entries: another reader would unpack
    // something other than what is examined here.
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
