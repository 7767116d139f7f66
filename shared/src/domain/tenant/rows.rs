//! Tenants, their settings and their API keys.

use jiff::Timestamp;

use crate::aws::dynamo::{Item, Page, Query, Range, Store, Write};
use crate::base::error::{Error, Result};
use crate::base::id::{JobId, KeyId, TenantId};
use crate::crypto::Sealed;
use crate::domain::expiry_index::Cursor;
use crate::domain::jobs::{Job, JobKind};
use crate::domain::keyring::ROTATION;
use crate::domain::keys::{self, SETTINGS, TENANTS};
use crate::domain::tenant::settings::Settings;

/// A tenant's settings with their revision.
#[derive(Clone, Debug)]
pub struct Stored {
    pub settings: Settings,
    /// Counts the changes: the settings' `ETag`.
    pub rev: u64,
    pub changed_at: Timestamp,
    /// The retention that every door has been brought to: cleanup shortens the rest.
    pub applied_days: u8,
    /// How far it is with that.
    pub shortened: Shortened,
}

/// How far a shorter retention has been applied to the doors of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shortened {
    pub at: Cursor,
    /// Some could not be seen to: then all are gone through once more.
    pub missed: bool,
}

/// An API key as stored: never the secret in the clear.
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub tenant: TenantId,
    pub id: KeyId,
    pub scopes: Vec<String>,
    pub origins: Vec<String>,
    /// The tenant's own name for it.
    pub reference: Option<String>,
    pub created_at: Timestamp,
    /// SHA-256 of the secret, which has 256 random bits: nothing to guess.
    pub digest: Vec<u8>,
    /// The secret itself, sealed under the tenant's key, for those that verify visitor
    /// tokens with it.
    pub secret: Option<Sealed>,
}

impl ApiKey {
    pub fn write(&self) -> Write {
        let row = Item::new(&keys::api_keys(self.tenant), &keys::api_key(self.id))
            .with("scopes", self.scopes.clone())
            .with_some(
                "origins",
                (!self.origins.is_empty()).then(|| self.origins.clone()),
            )
            .with_some("reference", self.reference.clone())
            .with("created_at", self.created_at)
            .with("digest", self.digest.clone())
            .with_some("secret", self.secret.clone());
        Write::put(row).only_new()
    }

    pub fn delete_write(tenant: TenantId, id: KeyId) -> Write {
        Write::delete(&keys::api_keys(tenant), &keys::api_key(id)).if_there()
    }

    /// Makes a transaction depend on the existence of a key.
    pub fn stays_check(tenant: TenantId, id: KeyId) -> Write {
        Write::check(&keys::api_keys(tenant), &keys::api_key(id)).if_there()
    }

    fn read(row: &Item) -> Result<ApiKey> {
        let broken = || Error::Corrupt("an API key is not as it was written".into());
        let tenant = row.partition().split('#').next().and_then(TenantId::parse);
        Ok(ApiKey {
            tenant: tenant.ok_or_else(broken)?,
            id: KeyId::parse(row.sort()).ok_or_else(broken)?,
            scopes: row.texts("scopes"),
            origins: row.texts("origins"),
            reference: row.try_text("reference").map(str::to_owned),
            created_at: row.time("created_at")?,
            digest: row.bytes("digest").ok_or_else(broken)?.to_vec(),
            secret: row.sealed("secret"),
        })
    }
}

/// The operator's record of a tenant. It outlasts the tenant.
#[derive(Clone, Debug)]
pub struct Record {
    pub tenant: TenantId,
    pub created_at: Timestamp,
    /// The erasure of it that has been asked for.
    pub leaving: Option<JobId>,
    /// That erasure has begun and cannot be taken back.
    pub going: bool,
    /// When everybody and everything of it was gone.
    pub erased_at: Option<Timestamp>,
    /// The signed receipt of that.
    pub receipt: Option<String>,
}

impl Record {
    fn read(row: &Item) -> Result<Record> {
        let tenant = TenantId::parse(row.sort());
        Ok(Record {
            tenant: tenant.ok_or_else(|| Error::Corrupt("a tenant's row has no id".into()))?,
            created_at: row.time("created_at")?,
            leaving: row.try_text("leaving").and_then(JobId::parse),
            going: row.try_text("going").is_some(),
            erased_at: row.try_time("erased_at"),
            receipt: row.try_text("receipt").map(str::to_owned),
        })
    }
}

/// The writes that create a tenant, besides its keys in the keyring.
pub fn create_writes(tenant: TenantId, now: Timestamp) -> Vec<Write> {
    let row = Item::new(TENANTS, &tenant.to_string()).with("created_at", now);
    let settings = Stored {
        settings: Settings::default(),
        rev: 1,
        changed_at: now,
        applied_days: 30,
        shortened: Shortened::default(),
    };
    vec![
        Write::put(row).only_new(),
        Write::put(settings_item(tenant, &settings)).only_new(),
        Job::new(tenant, JobKind::Rotation, Vec::new(), (), now).begin_later(now + ROTATION),
    ]
}

fn settings_item(tenant: TenantId, stored: &Stored) -> Item {
    let text = serde_json::to_string(&stored.settings).expect("settings are plain data");
    Item::new(&keys::settings(tenant), SETTINGS)
        .with("settings", text)
        .with("rev", stored.rev)
        .with("changed_at", stored.changed_at)
        .with("applied_days", u64::from(stored.applied_days))
}

/// Replaces the settings, if they are unchanged since `before` was read.
pub fn change_write(
    tenant: TenantId,
    before: &Stored,
    settings: Settings,
    now: Timestamp,
) -> Write {
    let after = Stored {
        settings,
        rev: before.rev + 1,
        changed_at: now,
        applied_days: before.applied_days.max(before.settings.retention_days),
        shortened: Shortened::default(),
    };
    Write::put(settings_item(tenant, &after))
        .only_if("rev = :rev")
        .value(":rev", before.rev)
}

impl Store {
    /// # Errors
    /// [`Error::NotFound`] without such a tenant, [`Error::Unavailable`] as everywhere.
    pub async fn settings(&self, tenant: TenantId) -> Result<Stored> {
        let row = self
            .get(&keys::settings(tenant), SETTINGS)
            .await?
            .ok_or(Error::NotFound)?;
        let settings = serde_json::from_str(row.text("settings")?)
            .map_err(|_| Error::Corrupt("settings are not as they were written".into()))?;
        let small = |name| u8::try_from(row.count(name)).unwrap_or(u8::MAX);
        Ok(Stored {
            settings,
            rev: row.count("rev"),
            changed_at: row.time("changed_at")?,
            applied_days: small("applied_days"),
            shortened: Shortened {
                at: Cursor {
                    shard: small("shortened_shard"),
                    after: row.try_text("shortened_after").map(str::to_owned),
                },
                missed: row.flag("shortened_missed"),
            },
        })
    }

    /// Records that every door has the retention of this revision.
    ///
    /// # Errors
    /// As [`Store::settings`].
    pub async fn retention_applied(&self, tenant: TenantId, stored: &Stored) -> Result<()> {
        let write = Write::update(&keys::settings(tenant), SETTINGS)
            .set("applied_days", u64::from(stored.settings.retention_days))
            .remove(&["shortened_shard", "shortened_after", "shortened_missed"])
            .if_is("rev", stored.rev);
        // Refused: the settings have changed again, and all doors will be updated to that
        // revision.
        let _changed = self.write(write).await?;
        Ok(())
    }

    /// Records the progress of applying this revision's retention to the doors.
    ///
    /// # Errors
    /// As [`Store::settings`].
    pub async fn note_shortened(
        &self,
        tenant: TenantId,
        rev: u64,
        place: &Shortened,
    ) -> Result<()> {
        let write = Write::update(&keys::settings(tenant), SETTINGS)
            .set("shortened_shard", u64::from(place.at.shard))
            .set("shortened_missed", place.missed)
            .set_or_remove("shortened_after", place.at.after.as_deref())
            .if_is("rev", rev);
        // As above.
        let _changed = self.write(write).await?;
        Ok(())
    }

    /// # Errors
    /// As [`Store::settings`].
    pub async fn api_key(&self, tenant: TenantId, id: KeyId) -> Result<Option<ApiKey>> {
        let row = self
            .get(&keys::api_keys(tenant), &keys::api_key(id))
            .await?;
        row.as_ref().map(ApiKey::read).transpose()
    }

    /// One page of a tenant's keys.
    ///
    /// # Errors
    /// As [`Store::settings`].
    pub async fn api_keys(
        &self,
        tenant: TenantId,
        limit: usize,
        after: Option<String>,
    ) -> Result<(Vec<ApiKey>, Option<String>)> {
        let partition = keys::api_keys(tenant);
        let query = Query {
            partition: &partition,
            range: Range::All,
            ascending: true,
            limit: Some(limit),
            after,
        };
        let Page { rows, next } = self.query(query).await?;
        Ok((rows.iter().map(ApiKey::read).collect::<Result<_>>()?, next))
    }

    /// The operator's record of one tenant.
    ///
    /// # Errors
    /// As [`Store::settings`].
    pub async fn tenant(&self, tenant: TenantId) -> Result<Record> {
        let row = self.get(TENANTS, &tenant.to_string()).await?;
        Record::read(&row.ok_or(Error::NotFound)?)
    }

    /// One page of all tenants.
    ///
    /// # Errors
    /// As [`Store::settings`].
    pub async fn tenants(
        &self,
        limit: usize,
        after: Option<String>,
    ) -> Result<(Vec<Record>, Option<String>)> {
        let query = Query {
            partition: TENANTS,
            range: Range::All,
            ascending: true,
            limit: Some(limit),
            after,
        };
        let Page { rows, next } = self.query(query).await?;
        Ok((rows.iter().map(Record::read).collect::<Result<_>>()?, next))
    }
}
