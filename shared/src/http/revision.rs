//! Revisions as entity tags (RFC 9110, 8.8.3 and 13.1.1): `"3"` names the third.

use super::{Answer, Call};
use crate::base::error::{Error, Result};

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
    /// [`Error::Stale`] when it names others only, [`Error::Invalid`] when it names none.
    pub fn expect_revision(&self, rev: u64) -> Result<()> {
        let Some(sent) = self.request.headers().get("if-match") else {
            return Ok(());
        };
        let expected = "must be * or a list of entity tags, such as \"3\"";
        match names(sent.as_bytes(), rev) {
            None => Err(Error::field("If-Match", "format", expected)),
            Some(false) => Err(Error::Stale),
            Some(true) => Ok(()),
        }
    }
}

/// Whether `*` or one of the tags names a revision; nothing where these are no tags. The
/// comparison is strong: a weak tag never matches.
fn names(if_match: &[u8], rev: u64) -> Option<bool> {
    let mut rest = if_match.trim_ascii();
    if rest == b"*" {
        return Some(true);
    }
    let tag = rev.to_string();
    let mut named = false;
    loop {
        let weak = rest.strip_prefix(b"W/");
        let quoted = weak.unwrap_or(rest).strip_prefix(b"\"")?;
        let end = quoted.iter().position(|byte| *byte == b'"')?;
        let (sent, after) = quoted.split_at(end);
        if !sent
            .iter()
            .all(|byte| byte.is_ascii_graphic() || *byte >= 0x80)
        {
            return None;
        }
        named |= weak.is_none() && sent == tag.as_bytes();
        rest = after[1..].trim_ascii_start();
        if rest.is_empty() {
            return Some(named);
        }
        rest = rest.strip_prefix(b",")?.trim_ascii_start();
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_revision_is_named_by_its_strong_tag() {
        for sent in ["\"3\"", "\"2\", \"3\"", "\"a,b\",\"3\"", "*"] {
            assert_eq!(names(sent.as_bytes(), 3), Some(true), "{sent}");
        }
        for sent in ["W/\"3\"", "\"33\"", "\"\""] {
            assert_eq!(names(sent.as_bytes(), 3), Some(false), "{sent}");
        }
        for sent in [
            "",
            "3",
            "\"3",
            "\"3\" \"3\"",
            "\"3\",",
            "w/\"3\"",
            "*, \"3\"",
        ] {
            assert_eq!(names(sent.as_bytes(), 3), None, "{sent}");
        }
    }
}
