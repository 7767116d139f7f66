//! What has become of an erasure, as its job keeps it and callers read it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::id::SubjectId;
use crate::base::named::named;

named! {
    /// What an erasure is about, where it is not about some people.
    pub enum Scope {
        Tenant = "tenant",
    }
}

named! {
    /// What an erasure of somebody waits for.
    pub enum Bar {
        Hold = "hold",
    }
}

/// What has become of an erasure. Nothing personal.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Erasure", description = "")]
pub struct Outcome {
    /// `tenant` for the erasure of a whole tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// When the erasure of a tenant starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The reason that the request stated, as a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The caller's own reference for the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable_at: Option<UnreadableAt>,
    /// The time from which no backup can restore a key that decrypts the erased data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backups_clear_by: Option<Timestamp>,
    /// The number of items that were deleted from each store.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Stores")]
    pub stores: BTreeMap<String, u64>,
    /// The people under a legal hold. Their erasure resumes when the hold is lifted. Absent
    /// until everyone else has become unreadable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Vec<Waiting>>,
    /// The people who were under a legal hold when the rest was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<Vec<Waiting>>,
    /// Data that could not be deleted so far. Deletion is retried daily.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partial: Vec<String>,
    /// When the deletion of everything was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erased_at: Option<Timestamp>,
}

/// When the data became unreadable, by store. For several people, the latest time.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UnreadableAt {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachments: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exports: Option<Timestamp>,
}

impl UnreadableAt {
    /// Records that became unreadable at this time.
    pub fn records(at: Timestamp) -> UnreadableAt {
        UnreadableAt {
            records: Some(at),
            ..UnreadableAt::default()
        }
    }
}

/// A person whose erasure is blocked.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "BlockedPerson")]
pub struct Waiting {
    pub subject: SubjectId,
    pub by: Bar,
}

/// The number of items in each store.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Stores {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyring: Option<u64>,
    /// Rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// File versions. Files that were only announced are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachments: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exports: Option<u64>,
}

/// What an erasure would delete.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErasureCounts {
    #[schemars(extend("enum" = [true]))]
    pub dry_run: bool,
    /// The number of people.
    pub subjects: usize,
    /// The number of these people who are under a legal hold.
    pub blocked: usize,
    pub stores: Stores,
}

impl Outcome {
    /// People who are not erased: held, or held when the rest was cancelled.
    pub fn excluded(&self) -> impl Iterator<Item = SubjectId> {
        let lists = [&self.blocked, &self.cancelled];
        lists.into_iter().flatten().flatten().map(|it| it.subject)
    }

    /// Adds to a store's count.
    pub fn count(&mut self, store: &str, more: u64) {
        *self.stores.entry(store.to_owned()).or_default() += more;
    }
}
