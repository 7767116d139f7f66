//! Revisions as entity tags (RFC 9110, 8.8.3 and 13.1.1): `"3"` names the third.

use super::{Answer, Call};
use crate::error::{Error, Result};

impl Answer {
    /// Sets the `ETag` of a revision.
    #[must_use]
    pub fn revision(self, rev: u64) -> Answer {
        self.header("etag", format!("\"{rev}\""))
    }
}

impl Call {
    /// Whether `If-Match`, where it is sent, names this revision.
    ///
    /// # Errors
    /// [`Error::Stale`] when it names others only.
    pub fn expect_revision(&self, rev: u64) -> Result<()> {
        match self.header("if-match") {
            Some(sent) if !names(sent, rev) => Err(Error::Stale),
            _ => Ok(()),
        }
    }
}

fn names(if_match: &str, rev: u64) -> bool {
    let tag = format!("\"{rev}\"");
    if_match
        .split(',')
        .map(str::trim)
        // Strong comparison: a weak tag never matches.
        .any(|sent| sent == "*" || sent == tag)
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_revision_is_named_by_its_strong_tag() {
        assert!(names("\"3\"", 3));
        assert!(names("\"2\", \"3\"", 3));
        assert!(names("*", 3));
        assert!(!names("W/\"3\"", 3));
        assert!(!names("3", 3));
        assert!(!names("\"33\"", 3));
    }
}
