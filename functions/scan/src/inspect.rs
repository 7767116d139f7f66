//! Inspects a file's bytes and its announcement, and returns a verdict. Pure: no clock, no
//! network.
//!
//! Collects every reason against a file, not only the first, except that unpacking stops at
//! its limits.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use boreal::{Compiler, Scanner};
use jiff::Timestamp;
use shared::domain::records::content::{AttachmentContent, Verdict};

use crate::archive::{self, Refusal};
use crate::types;

/// Why a file is rejected. Part of the verdict; reveals nothing of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Size or checksum differ from the announcement.
    SizeMismatch,
    ChecksumMismatch,
    /// The type differs from the announcement.
    TypeMismatch,
    /// A program, a script, or a file that runs when it is opened.
    Executable,
    /// A YARA rule matched; `rules` names it.
    Malware,
    ArchiveLimit,
    ArchiveNesting,
    ArchiveEncrypted,
    ArchivePath,
    /// An archive that cannot be examined, and therefore is not clean.
    ArchiveUnreadable,
}

impl Reason {
    /// The code in the API.
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

/// The findings against a file so far.
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

    /// Checks that apply to a file and to each of its entries.
    fn examine(&mut self, name: &str, bytes: &[u8], runs: bool) {
        self.add(Reason::Executable, runs || types::named_to_run(name));
        // A memory scan without a time limit always completes.
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

/// The verdict on a file that was announced as `size` bytes and `said`. Clean when there are
/// no reasons.
pub fn inspect(bytes: &[u8], size: u64, said: &AttachmentContent, at: Timestamp) -> Verdict {
    let mut findings = Findings::default();
    findings.add(Reason::SizeMismatch, bytes.len() as u64 != size);
    findings.add(Reason::ChecksumMismatch, sha256(bytes) != said.sha256);
    let mut actual = types::detect(bytes);
    if actual.media_type.starts_with(OFFICE_OPEN_XML) && !holds(bytes, b"[Content_Types].xml") {
        // The folder names of an Office document, but nothing else of one.
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

/// The verdict on a file that is larger than announced; the excess was not read.
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

/// The YARA rules, compiled once per process.
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
