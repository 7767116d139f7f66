//! From a file's bytes, and what was said of it, to a verdict. Pure: no clock, no network.
//!
//! Everything that speaks against a file is found, not the first reason alone, but for
//! what would be unpacked past a limit.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use boreal::{Compiler, Scanner};
use jiff::Timestamp;
use shared::domain::records::content::{AttachmentContent, Verdict};

use crate::archive::{self, Refusal};
use crate::types;

/// Why a file is rejected: what the verdict says, and nothing of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Not the bytes that were announced.
    SizeMismatch,
    ChecksumMismatch,
    /// Not of the type that was announced.
    TypeMismatch,
    /// A program, a script, or something that is run by opening it.
    Executable,
    /// A rule matched: `rules` says which.
    Malware,
    ArchiveLimit,
    ArchiveNesting,
    ArchiveEncrypted,
    ArchivePath,
    /// An archive that cannot be looked into: what is not examined is not clean.
    ArchiveUnreadable,
}

impl Reason {
    /// The code by which callers know it.
    pub const fn code(self) -> &'static str {
        match self {
            Reason::SizeMismatch => "size_mismatch",
            Reason::ChecksumMismatch => "checksum_mismatch",
            Reason::TypeMismatch => "type_mismatch",
            Reason::Executable => "executable",
            Reason::Malware => "malware",
            Reason::ArchiveLimit => "archive_limit",
            Reason::ArchiveNesting => "archive_nesting",
            Reason::ArchiveEncrypted => "archive_encrypted",
            Reason::ArchivePath => "archive_path",
            Reason::ArchiveUnreadable => "archive_unreadable",
        }
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Reason {
        match refusal {
            Refusal::Limit => Reason::ArchiveLimit,
            Refusal::Nesting => Reason::ArchiveNesting,
            Refusal::Encrypted => Reason::ArchiveEncrypted,
            Refusal::Path => Reason::ArchivePath,
            Refusal::Unreadable => Reason::ArchiveUnreadable,
        }
    }
}

/// What speaks against a file, so far.
#[derive(Default)]
struct Findings {
    reasons: BTreeSet<Reason>,
    rules: BTreeSet<String>,
}

impl Findings {
    fn add(&mut self, reason: Reason, found: bool) {
        if found {
            self.reasons.insert(reason);
        }
    }

    /// What no bytes may be, as a file or as an entry of one.
    fn examine(&mut self, name: &str, bytes: &[u8], runs: bool) {
        self.add(Reason::Executable, runs || types::named_to_run(name));
        // A scan of memory without a time limit always comes to its end.
        let (Ok(found) | Err((_, found))) = rules().scan_mem(bytes);
        self.add(Reason::Malware, !found.rules.is_empty());
        let names = found.rules.iter().map(|rule| rule.name.to_owned());
        self.rules.extend(names);
    }

    fn verdict(self, media_type: String, at: Timestamp) -> Verdict {
        let codes = self.reasons.into_iter().map(|it| it.code().to_owned());
        Verdict {
            media_type,
            reasons: codes.collect(),
            rules: self.rules.into_iter().collect(),
            scanned_at: Some(at),
        }
    }
}

/// The verdict on a file that was announced as `size` bytes and `said`. Clean when it
/// gives no reasons.
pub fn inspect(bytes: &[u8], size: u64, said: &AttachmentContent, at: Timestamp) -> Verdict {
    let mut findings = Findings::default();
    findings.add(Reason::SizeMismatch, bytes.len() as u64 != size);
    findings.add(Reason::ChecksumMismatch, sha256(bytes) != said.sha256);
    let mut actual = types::detect(bytes);
    if actual.media_type.starts_with(OFFICE_OPEN_XML) && !holds(bytes, b"[Content_Types].xml") {
        // Folders named as in an Office document, and no more than that.
        actual.media_type = "application/zip".to_owned();
    }
    let agree = types::agree(&said.content_type, &actual.media_type);
    findings.add(Reason::TypeMismatch, !agree);
    findings.add(Reason::ArchiveUnreadable, actual.opaque);
    let runs = actual.runs || types::declared_to_run(&said.content_type);
    findings.examine(&said.filename, bytes, runs);
    if archive::is_zip(bytes) {
        let walked = archive::walk(bytes, &mut |name, content| {
            let entry = types::detect(content);
            findings.add(Reason::ArchiveUnreadable, entry.opaque);
            findings.examine(name, content, entry.runs);
        });
        findings.reasons.extend(walked.err().map(Reason::from));
    }
    findings.verdict(actual.media_type, at)
}

/// The verdict on a file that is larger than announced, of which the rest was not read.
pub fn too_large(at: Timestamp) -> Verdict {
    let mut findings = Findings::default();
    findings.add(Reason::SizeMismatch, true);
    findings.verdict("application/octet-stream".to_owned(), at)
}

const OFFICE_OPEN_XML: &str = "application/vnd.openxmlformats-officedocument.";

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|it| it == part)
}

/// In lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let hash = digest(&SHA256, bytes);
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The rules, compiled once in a process.
fn rules() -> &'static Scanner {
    static RULES: OnceLock<Scanner> = OnceLock::new();
    RULES.get_or_init(|| {
        let mut compiler = Compiler::new();
        compiler
            .add_rules_str(include_str!("rules.yar"))
            .expect("the rules are part of the program, and tests compile them");
        compiler.finalize()
    })
}
