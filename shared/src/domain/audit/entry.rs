//! The tenant's permanent log of who did what. Each entry is written in its event's own
//! transaction, into a partition a day and shard, so that no event is without its entry.
//!
//! The same transaction checks one of the tenant's watermarks: rows that say up to which day the
//! log is sealed. So nothing is added to a day once every watermark has been moved to it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

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

/// An entry as the API shows it, and as its leaf is made from it. Its id is ordered by time
/// (UUID v7), as the leaves of its day are.
///
/// # Errors
/// [`Error::Unavailable`] when the row is not as we wrote it.
pub fn shown(row: &Item) -> Result<Value> {
    let broken = || Error::Corrupt("an entry is not as it was written".into());
    let (_, id) = row.sort().split_once('#').ok_or_else(broken)?;
    let about: Vec<_> = row.text("about")?.split_whitespace().collect();
    let mut entry = json!({
        "id": format!("act_{id}"),
        "at": row.time("at")?,
        "kind": row.text("kind")?,
        "by": row.text("by")?,
        "about": about,
        "salt": BASE64URL.encode(row.bytes("salt").ok_or_else(broken)?),
    });
    if let Some(at) = row.try_time("happened_at") {
        entry["happened_at"] = json!(at);
    }
    Ok(entry)
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
