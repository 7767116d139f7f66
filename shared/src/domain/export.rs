//! What an export's job shows. How an export is made is the `export` function's own.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::id::SubjectId;
use crate::base::named::named;

named! {
    /// The right that an export serves.
    pub enum Kind {
        /// Everything, and how it is processed (GDPR Art. 15).
        Access = "access",
        /// What the person gave, to take elsewhere (GDPR Art. 20).
        Portability = "portability",
    }
}

/// What an export adds to its job.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Export")]
pub struct Outcome {
    #[schemars(with = "SubjectId")]
    pub subject: Option<SubjectId>,
    #[schemars(with = "Kind")]
    pub export: Option<Kind>,
    /// Why the export failed, as a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Not stored: only the answer about one export has it.
    #[serde(flatten, default)]
    pub made: Option<Made>,
}

/// What an export has made.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Made {
    /// Whether the export is no longer available because it is outdated: its data was redacted
    /// or corrected, a consent was withdrawn, or the person's data was deleted. Start a new
    /// export.
    pub withdrawn: bool,
    pub downloads: Vec<Download>,
}

/// A file of an export.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Download {
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    #[schemars(extend("format" = "uri"))]
    pub url: String,
    /// When the link expires. A new request returns a new link.
    pub expires_at: Timestamp,
}
