//! The tenant's permanent log of who did what. Each entry is written in its event's own
//! transaction, into a partition a day and shard, so that no event is without its entry.
//!
//! The same transaction checks one of the tenant's watermarks: rows that say up to which day the
//! log is sealed. So nothing is added to a day once every watermark has been moved to it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Serialize;

use crate::aws::dynamo::{Item, Page, Query, Range, Store, Write};
use crate::base::error::{Error, Result};
use crate::base::id::TenantId;
use crate::base::named::named;
use crate::crypto::fill_random;
use crate::domain::audit::mask::mask;
use crate::domain::keys::{self, SHARDS, WATERMARKS};
use crate::proof::leaf::SALT;

named! {
    /// What was done: a closed list, so that every reader decides about a new one.
    pub enum AuditEvent {
        TenantCreated = "tenant.created",
        KeyCreated = "key.created",
        KeyRevoked = "key.revoked",
        SettingsChanged = "settings.changed",
        PersonCorrected = "person.corrected",
        Restricted = "person.restricted",
        RestrictionLifted = "restriction.lifted",
        Objected = "person.objected",
        ObjectionWithdrawn = "objection.withdrawn",
        Held = "person.held",
        HoldLifted = "hold.lifted",
        Suppressed = "person.suppressed",
        SuppressionLifted = "suppression.lifted",
        ConsentWithdrawn = "consent.withdrawn",
        ErasureRequested = "erasure.requested",
        ErasureCancelled = "erasure.cancelled",
        ErasureCompleted = "erasure.completed",
        TenantErasureRequested = "tenant.erasure_requested",
        Expired = "person.expired",
        RedactionRequested = "redaction.requested",
        Redacted = "redaction.done",
        RedactionCompleted = "redaction.completed",
        Rekeyed = "person.rekeyed",
        ExportRequested = "export.requested",
        ExportCompleted = "export.completed",
        AttachmentScanned = "attachment.scanned",
        SessionStarted = "session.started",
        SessionEnded = "session.ended",
    }
}

/// One entry.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    pub tenant: TenantId,
    pub event: AuditEvent,
    /// Who: a key's id, a member's, or `lethe` for what it does by itself.
    pub by: &'a str,
    /// What it was done to: lives, jobs, keys; never a subject or anything a person sent.
    pub about: &'a [String],
    /// When it is recorded, which decides its day: now.
    pub at: Timestamp,
    /// When it happened, where it is told of later.
    pub happened_at: Option<Timestamp>,
}

impl<'a> Entry<'a> {
    /// An entry of something that happens now.
    pub const fn new(
        tenant: TenantId,
        event: AuditEvent,
        by: &'a str,
        about: &'a [String],
        at: Timestamp,
    ) -> Entry<'a> {
        Entry {
            tenant,
            event,
            by,
            about,
            at,
            happened_at: None,
        }
    }
}

/// The writes of some entries, for their event's transaction: a row each, and one check that
/// their day is not sealed. All are of one tenant and one moment, and written by one call,
/// since a transaction must not touch a watermark twice.
pub fn writes<W: From<Write>>(entries: &[Entry<'_>]) -> Vec<W> {
    let watermark = entries
        .first()
        .map(|entry| not_sealed(entry.tenant, keys::day_of(entry.at)));
    let writes = entries.iter().map(put).chain(watermark);
    writes.map(W::from).collect()
}

/// Any one watermark will do, since sealing moves them all. Chosen at random, because DynamoDB
/// takes checks of one row by two transactions at a time for a conflict.
fn not_sealed(tenant: TenantId, day: Date) -> Write {
    let mut any = [0];
    fill_random(&mut any);
    Write::check(
        &keys::watermarks(tenant),
        &keys::watermark(any[0] % WATERMARKS),
    )
    .only_if("attribute_not_exists(sealed_until) OR sealed_until < :day")
    .value(":day", day.to_string())
    .or_fault("the activity's day is sealed")
}

fn put(entry: &Entry<'_>) -> Write {
    let id = crate::base::id::uuid_at(entry.at);
    let shard = keys::shard(id.as_bytes());
    let partition = keys::activity(entry.tenant, keys::day_of(entry.at), shard);
    let sort = format!("{}#{}", keys::moment(entry.at), id.simple());
    // What makes its leaf of the day's tree one that nobody can guess: the row may go, and
    // the leaf that stays tells nothing of it.
    let mut salt = vec![0; SALT];
    fill_random(&mut salt);
    let row = Item::new(&partition, &sort)
        .with("kind", entry.event.name())
        .with("by", mask(entry.by))
        .with("about", entry.about.join(" "))
        .with("at", entry.at)
        .with_some("happened_at", entry.happened_at)
        .with("salt", salt);
    Write::put(row).only_new()
}

/// An entry as the API shows it, and as its leaf is computed. Its ID is ordered by time
/// (UUID v7), like the leaves of its day.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ActivityEntry")]
pub struct EntryView {
    #[schemars(regex(pattern = "^act_[0-9a-f]{32}$"))]
    id: String,
    /// When the event was recorded.
    at: Timestamp,
    /// When the event happened, if it was recorded later.
    #[serde(skip_serializing_if = "Option::is_none")]
    happened_at: Option<Timestamp>,
    kind: AuditEvent,
    /// The ID of a key or member, or `lethe`.
    by: String,
    /// The IDs of what the event was done to.
    about: Vec<String>,
    /// 16 bytes in base64url. The entry's leaf in the Merkle tree of the day (RFC 6962) is the
    /// SHA-256 of a zero byte, the salt, and the entry without the salt in canonical JSON (RFC
    /// 8785).
    salt: String,
}

impl EntryView {
    /// # Errors
    /// [`Error::Corrupt`] if the row is not as it was written.
    pub fn read(row: &Item) -> Result<EntryView> {
        let broken = || Error::Corrupt("an entry is not as it was written".into());
        let (_, id) = row.sort().split_once('#').ok_or_else(broken)?;
        let about = row.text("about")?.split_whitespace();
        Ok(EntryView {
            id: format!("act_{id}"),
            at: row.time("at")?,
            happened_at: row.try_time("happened_at"),
            kind: AuditEvent::parse(row.text("kind")?).ok_or_else(broken)?,
            by: row.text("by")?.to_owned(),
            about: about.map(str::to_owned).collect(),
            salt: BASE64URL.encode(row.bytes("salt").ok_or_else(broken)?),
        })
    }
}

impl Store {
    /// Up to `limit` entries of one day before the sort key `before`, newest first, all
    /// shards together.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Unavailable`] when DynamoDB does not answer.
    pub async fn activity(
        &self,
        tenant: TenantId,
        day: Date,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Item>> {
        let mut rows = Vec::new();
        for shard in 0..SHARDS {
            let partition = keys::activity(tenant, day, shard);
            let mut after = before.map(str::to_owned);
            let mut wanted = limit;
            loop {
                let query = Query {
                    partition: &partition,
                    range: Range::All,
                    ascending: false,
                    limit: Some(wanted),
                    after,
                };
                let Page { rows: page, next } = self.query(query).await?;
                wanted -= page.len().min(wanted);
                rows.extend(page);
                after = next;
                if after.is_none() || wanted == 0 {
                    break;
                }
            }
        }
        rows.sort_by(|one, other| other.sort().cmp(one.sort()));
        rows.truncate(limit);
        Ok(rows)
    }
}
