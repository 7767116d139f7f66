//! The bodies of single routes' answers. Those about a noun are views next to it in `domain`.

use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Serialize;

use super::routes::Scope;
use crate::aws::s3::Link;
use crate::base::id::{AttachmentId, JobId, KeyId, KeyedHash, MessageId, SubjectId, TenantId};
use crate::base::named::named;
use crate::domain::audit::roots::LogRoot;
use crate::domain::keyring::PersonState;
use crate::domain::people::person::Present;
use crate::domain::records::content::{FileState, Verdict};
use crate::domain::redaction::TargetStatus;
use crate::domain::tenant::rows::{ApiKey, Record};
use crate::domain::tenant::settings::{Integrations, Settings, StoreUrl};
use crate::proof::merkle::Hash;
use crate::schema::violations::Listed;

/// The state of the service.
#[derive(Serialize, JsonSchema)]
pub struct Health {
    #[schemars(extend("const" = "ok"))]
    pub status: &'static str,
    pub version: &'static str,
    /// The service's time: what a countdown must go by.
    pub time: Timestamp,
}

/// What became of the events of a request.
#[derive(Serialize, JsonSchema)]
pub struct EventResults {
    /// One for each event, in the order of the request.
    pub results: Vec<EventResult>,
}

/// What became of an event.
#[derive(Serialize, JsonSchema)]
pub struct EventResult {
    pub index: usize,
    pub status: EventStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// Why the event was ignored: `suppressed`, `objected`, `held`, `erasing`, `erased` or
    /// `no_consent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// For a rejected event, the reasons. For any other event, the fields that were left out.
    #[serde(flatten)]
    pub errors: Option<Listed>,
}

named! {
    pub enum EventStatus {
        Stored = "stored",
        Duplicate = "duplicate",
        Ignored = "ignored",
        Rejected = "rejected",
        /// All that a web page is told.
        Accepted = "accepted",
    }
}

/// An announced file, and the link to upload it with.
#[derive(Serialize, JsonSchema)]
pub struct AnnouncedAttachment {
    pub attachment: AttachmentId,
    pub upload: Link,
}

/// The settings that a client must obey before it sends anything.
#[derive(Serialize, JsonSchema)]
pub struct PrivacyConfig<'a> {
    full_privacy: bool,
    hide_selectors: &'a [String],
    location: bool,
    store_url: StoreUrl,
    integrations: Integrations,
}

impl<'a> From<&'a Settings> for PrivacyConfig<'a> {
    fn from(settings: &'a Settings) -> PrivacyConfig<'a> {
        PrivacyConfig {
            full_privacy: settings.full_privacy,
            hide_selectors: &settings.hide_selectors,
            location: settings.location,
            store_url: settings.store_url,
            integrations: settings.integrations,
        }
    }
}

/// A person in a list.
#[derive(Serialize, JsonSchema)]
pub struct PersonRow {
    pub subject: SubjectId,
    pub last_seen: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub state: PersonState,
    pub verified: bool,
}

impl From<&Present> for PersonRow {
    fn from(person: &Present) -> PersonRow {
        PersonRow {
            subject: person.key.subject,
            last_seen: Some(person.door.last_seen),
            expires_at: person.door.expires_at,
            state: person.rules.state(),
            verified: person.verified,
        }
    }
}

/// The people that a lookup matches.
#[derive(Serialize, JsonSchema)]
pub struct FoundPeople {
    pub subjects: Vec<PersonRow>,
}

/// The state of a file.
#[derive(Serialize, JsonSchema)]
pub struct AttachmentState {
    pub state: FileState,
    pub verdict: Option<Verdict>,
    /// A link to the scanned version, if it is clean.
    pub download: Option<DownloadLink>,
}

/// A link to a file.
#[derive(Serialize, JsonSchema)]
pub struct DownloadLink {
    #[schemars(extend("format" = "uri"))]
    pub url: String,
    pub expires_at: Timestamp,
}

/// The results of a redaction that was carried out at once.
#[derive(Serialize, JsonSchema)]
pub struct RedactionResults {
    /// One for each target, in the order of the request.
    pub results: Vec<RedactionResult>,
    /// The time from which no backup can restore the redacted data. `null` if nothing was
    /// redacted.
    pub backups_clear_by: Option<Timestamp>,
}

/// What became of a target.
#[derive(Serialize, JsonSchema)]
pub struct RedactionResult {
    pub index: usize,
    pub status: TargetStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachment: Option<AttachmentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Of the body that is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<KeyedHash>,
}

/// What a change of the settings would delete.
#[derive(Serialize, JsonSchema)]
pub struct SettingsPreview {
    #[schemars(extend("enum" = [true]))]
    pub dry_run: bool,
    /// The number of people who would expire.
    pub would_erase: u64,
    pub retention_days: RetentionChange,
}

/// Days before and after a change.
#[derive(Serialize, JsonSchema)]
pub struct RetentionChange {
    pub from: u8,
    pub to: u8,
}

/// An API key.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Key")]
pub struct KeyView {
    id: KeyId,
    /// In the order in which scopes are published.
    scopes: Vec<Scope>,
    allowed_origins: Vec<String>,
    /// The tenant's own name for the key.
    reference: Option<String>,
    created_at: Timestamp,
}

impl From<&ApiKey> for KeyView {
    fn from(key: &ApiKey) -> KeyView {
        let has = |scope: &Scope| key.scopes.iter().any(|name| name == scope.name());
        KeyView {
            id: key.id,
            scopes: Scope::ALL.into_iter().filter(has).collect(),
            allowed_origins: key.origins.clone(),
            reference: key.reference.clone(),
            created_at: key.created_at,
        }
    }
}

/// A new API key.
#[derive(Serialize, JsonSchema)]
pub struct NewKey {
    #[serde(flatten)]
    pub key: KeyView,
    /// The complete key, as sent in requests. A repeated request does not return it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// A signed root of a day's activity log.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Seal")]
pub struct SealView {
    day: Date,
    entries: u64,
    /// The Merkle tree root of the day's entries (RFC 6962, SHA-256), in base64url.
    #[schemars(with = "String")]
    root: Hash,
    /// A compact JWS (ES256) of the day, the number of entries, the root and the root of the
    /// previous day. Verify it with the keys at /.well-known/jwks.json.
    jws: String,
    /// Returned only for a single day: its leaves, in the order of the entry IDs. If the page
    /// does not contain all leaves, use its cursor to get the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub leaves: Option<Vec<Hash>>,
}

impl From<LogRoot> for SealView {
    fn from(seal: LogRoot) -> SealView {
        SealView {
            day: seal.day,
            entries: seal.entries,
            root: seal.root,
            jws: seal.jws,
            leaves: None,
        }
    }
}

/// A tenant, as its operator sees it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tenant")]
pub struct TenantView {
    tenant: TenantId,
    created_at: Timestamp,
    state: TenantState,
    /// The ID of the requested erasure.
    erasure: Option<JobId>,
    erased_at: Option<Timestamp>,
    /// The signed receipt of the erasure, a compact JWS.
    receipt: Option<String>,
}

named! {
    pub enum TenantState {
        Active = "active",
        /// Its erasure was requested.
        Leaving = "leaving",
        Erased = "erased",
    }
}

impl From<Record> for TenantView {
    fn from(record: Record) -> TenantView {
        TenantView {
            tenant: record.tenant,
            created_at: record.created_at,
            state: match (record.erased_at, record.leaving) {
                (Some(_), _) => TenantState::Erased,
                (None, Some(_)) => TenantState::Leaving,
                (None, None) => TenantState::Active,
            },
            erasure: record.leaving,
            erased_at: record.erased_at,
            receipt: record.receipt,
        }
    }
}

/// A new tenant.
#[derive(Serialize, JsonSchema)]
pub struct NewTenant {
    pub tenant: TenantId,
    pub keys: FirstKeys,
}

/// The keys that a tenant begins with.
#[derive(Serialize, JsonSchema)]
pub struct FirstKeys {
    /// The complete key with every scope but `collect`. A repeated request does not return it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}
