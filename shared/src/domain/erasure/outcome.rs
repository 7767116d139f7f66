//! What has become of an erasure, as its job keeps it and callers read it.

use std::collections::BTreeMap;

use jiff::Timestamp;
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
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// `tenant` for the erasure of a whole tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// When the erasure of a tenant begins, at the earliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The caller's code for why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The caller's own name for the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable_at: Option<UnreadableAt>,
    /// When no backup holds anything readable any more, at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backups_clear_by: Option<Timestamp>,
    /// How many items were removed from each store.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub stores: BTreeMap<String, u64>,
    /// Those whose erasure waits. Absent until all others have become unreadable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Vec<Waiting>>,
    /// Those who waited when the erasure was cancelled for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<Vec<Waiting>>,
    /// The stores from which something could not be removed. It is tried again each day.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partial: Vec<String>,
    /// When everything was verified to be gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erased_at: Option<Timestamp>,
}

/// When what an erasure is about became unreadable, store by store; of several people, the
/// last of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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

/// Somebody whose erasure waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Waiting {
    pub subject: SubjectId,
    pub by: Bar,
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
