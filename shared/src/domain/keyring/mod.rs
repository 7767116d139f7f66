//! The table of data keys, and of what may be done with each subject. Owns who is alive;
//! no stream, no index and no backup plan touches it, so a key deleted here is gone.

pub mod restore;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::aws::dynamo::{Item, Store, Write};
use crate::aws::kms::Vault;
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::id::{JobId, LifeId, SubjectId, TenantId};
use crate::base::named::named;
use crate::base::recovery::KEPT;
use crate::base::ttl_cache::TtlCache;
use crate::crypto::{Aad, Sealed, SealingKey, TenantKeys};
use crate::domain::keys::{self, LifeKey, Rule};

/// Erasures that may wait for one hold.
pub const BLOCKED: usize = 40;

named! {
    /// Where a subject stands.
    pub enum State {
        /// A life goes on, if its door stands.
        Active = "active",
        /// The key is gone; what it sealed is being removed.
        Erasing = "erasing",
        /// Nothing is left but this row, for as long as a backup could bring anything back.
        Erased = "erased",
    }
}

/// A subject's row.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: LifeKey,
    pub state: State,
    pub rules_version: u64,
    pub erased_at: Option<Timestamp>,
    /// Of a life that is being erased: nobody asked for it, its time was over.
    pub expired: bool,
    pub rules: Rules,
    pub hold: Option<Hold>,
    /// Erasures that wait for the hold to end; of a hold that has ended, those that are still
    /// to be released.
    pub blocked: Vec<JobId>,
    /// Which of the life's data keys is the current one: counts the re-keyings.
    pub generation: u64,
    /// When the latest re-keying began.
    pub rekeyed_at: Option<Timestamp>,
    /// When the key before the current one was deleted.
    pub retired_at: Option<Timestamp>,
    /// The re-keying that is to come. It has not begun: whatever was redacted so far is
    /// sealed under the keys that it retires.
    pub rekey: Option<Rekey>,
    /// When somebody last lifted the suppression: no erasure asked for before restores it.
    pub welcome_at: Option<Timestamp>,
    wrapped: Option<Sealed>,
    retiring: Option<Sealed>,
}

/// A re-keying that has yet to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rekey {
    pub job: JobId,
    pub at: Timestamp,
}

/// What may be done with a subject: changed together with the door's rules version, so that a write
/// happens within the rules in force or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// GDPR Art. 18: kept, and used by nobody. Ends with the life.
    pub restricted: bool,
    /// GDPR Art. 21: visits and interactions are not stored. Outlasts lives.
    pub objected: bool,
    /// Nothing of the person may be erased or redacted.
    pub held: bool,
    /// Nothing is stored once this life has ended.
    pub suppressed: bool,
}

named! {
    /// The rule that binds a person most.
    pub enum PersonState {
        Active = "active",
        Held = "held",
        Restricted = "restricted",
        Objected = "objected",
        Suppressed = "suppressed",
    }
}

impl Rules {
    /// Whether expiry is paused.
    pub const fn stop_clock(self) -> bool {
        self.restricted || self.held
    }

    /// Whether a rule outlasts the life, and keeps the row after it.
    pub const fn outlast(self) -> bool {
        self.objected || self.suppressed
    }

    pub const fn under(self, rule: Rule) -> bool {
        match rule {
            Rule::Held => self.held,
            Rule::Restricted => self.restricted,
            Rule::Objected => self.objected,
            Rule::Suppressed => self.suppressed,
        }
    }

    /// These rules, with one of them set.
    #[must_use]
    pub const fn with(mut self, rule: Rule, in_force: bool) -> Rules {
        match rule {
            Rule::Held => self.held = in_force,
            Rule::Restricted => self.restricted = in_force,
            Rule::Objected => self.objected = in_force,
            Rule::Suppressed => self.suppressed = in_force,
        }
        self
    }

    /// Where somebody who lives stands, as callers read it: the rule that binds most.
    /// Suppression does not show: it begins with the life's end.
    pub const fn state(self) -> PersonState {
        if self.held {
            PersonState::Held
        } else if self.restricted {
            PersonState::Restricted
        } else if self.objected {
            PersonState::Objected
        } else {
            PersonState::Active
        }
    }

    /// Requires that stored data may be changed or removed, which a hold forbids.
    ///
    /// # Errors
    /// [`Error::Conflict`] under a hold.
    pub const fn expect_no_hold(self) -> Result<()> {
        if self.held {
            return Err(Error::Conflict {
                code: "held",
                detail: "This person is under a legal hold. Lift the hold first.",
            });
        }
        Ok(())
    }
}

/// Why nothing of a person may go, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// A code, never free text.
    pub reason: String,
    pub until: Option<Timestamp>,
}

/// A life that is active by the keyring, with its data key in the clear. Kept for one
/// request, then wiped.
pub struct Living {
    pub key: LifeKey,
    pub rules_version: u64,
    pub rules: Rules,
    /// The generation of `data_key`: every row sealed under it says so in its attribute
    /// `key`.
    pub generation: u64,
    /// As of [`Entry`].
    pub rekeyed_at: Option<Timestamp>,
    pub rekey: Option<Rekey>,
    data_key: SealingKey,
    /// What some rows are still sealed under, while the life is being re-keyed.
    retiring: Option<SealingKey>,
}

impl Living {
    /// Seals a part of one of this life's rows.
    pub fn seal(&self, row: &str, part: &str, plain: &[u8]) -> Sealed {
        self.data_key.seal(
            Aad {
                partition: &self.key.partition(),
                row,
                part,
            },
            plain,
        )
    }

    /// Seals a value as JSON.
    pub fn seal_json(&self, row: &str, part: &str, value: &impl serde::Serialize) -> Sealed {
        let plain =
            Zeroizing::new(serde_json::to_vec(value).expect("maps with text keys are always JSON"));
        self.seal(row, part, &plain)
    }

    fn unseal(&self, row: &str, part: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>> {
        let place = Aad {
            partition: &self.key.partition(),
            row,
            part,
        };
        let mut keys = std::iter::once(&self.data_key).chain(&self.retiring);
        keys.find_map(|key| key.open(place, sealed).ok())
            .ok_or(Error::Unreadable)
    }

    /// Opens a part of one of this life's rows.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when none of the life's keys opens it, and [`Error::Corrupt`]
    /// when the sealed value is not as it was written.
    pub fn open<T: DeserializeOwned>(&self, row: &str, part: &str, sealed: &Sealed) -> Result<T> {
        serde_json::from_slice(&self.unseal(row, part, sealed)?)
            .map_err(|_| Error::Corrupt("a sealed value is not as it was written".into()))
    }

    /// Seals a part again under the current key, whichever key it was sealed under.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when none of the life's keys opens it.
    pub fn reseal(&self, row: &str, part: &str, sealed: &Sealed) -> Result<Sealed> {
        Ok(self.seal(row, part, &self.unseal(row, part, sealed)?))
    }

    /// Opens a part of a row; `None` when the row has no such part.
    ///
    /// # Errors
    /// As [`Living::open`].
    pub fn open_json<T: DeserializeOwned>(&self, row: &Item, part: &str) -> Result<Option<T>> {
        row.sealed(part)
            .map(|sealed| self.open(row.sort(), part, &sealed))
            .transpose()
    }
}

/// The attribute of a tenant's row that holds its keys.
const TENANT_KEYS: &str = "tenant_keys";
/// The age at which the newest version of a wrapping key is followed by another (NIST SP
/// 800-57 Part 1, 5.3.6: two years at most).
pub const ROTATION: SignedDuration = SignedDuration::from_hours(365 * 24);
/// A new version of the wrapping key seals nothing until then: by now every cache has it,
/// and so has every copy that the keyring can be recovered to.
const SETTLED: SignedDuration = SignedDuration::from_hours(48);

/// The [`Aad`] of a life's data key: binds the key to the life, in the keyring.
fn data_key_place(partition: &str) -> Aad<'_> {
    Aad {
        partition,
        row: "keyring",
        part: "data_key",
    }
}

/// The keyring and the tenant keys held in memory.
#[derive(Clone)]
pub struct Keyring {
    store: Store,
    vault: Vault,
    clock: Clock,
    tenants: TtlCache<TenantId, Arc<TenantKeys>>,
}

impl Keyring {
    pub fn new(store: Store, vault: Vault, clock: Clock) -> Keyring {
        Keyring {
            store,
            vault,
            clock,
            tenants: TtlCache::tenant_keys(),
        }
    }

    /// Creates the keys of a new tenant.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when a store does not answer, as everywhere below.
    pub async fn add_tenant(&self, tenant: TenantId) -> Result<()> {
        let now = self.clock.now();
        let keys = TenantKeys::random(tenant);
        let row = Item::default()
            .with("PK", tenant.to_string())
            .with(
                TENANT_KEYS,
                self.vault.wrap_tenant_keys(tenant, &keys).await?,
            )
            .with("rotated_at", now);
        let added = self.store.write(Write::put_keyring(row).only_new()).await?;
        added.map_err(|_| Error::Unavailable("a new tenant's id is taken".into()))?;
        self.tenants.put(tenant, Arc::new(keys), now);
        Ok(())
    }

    /// A tenant's keys, cached for up to [`crate::base::ttl_cache::TENANT_KEYS_HELD`].
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such tenant.
    pub async fn tenant(&self, tenant: TenantId) -> Result<Arc<TenantKeys>> {
        let now = self.clock.now();
        if let Some(keys) = self.tenants.get(&tenant, now) {
            return Ok(keys);
        }
        let row = self.store.get_keyring(&tenant.to_string()).await?;
        let row = row.ok_or(Error::NotFound)?;
        let wrapped = row.bytes(TENANT_KEYS).ok_or(Error::NotFound)?;
        let newest = now >= row.time("rotated_at")? + SETTLED;
        let keys = self.vault.unwrap_tenant_keys(tenant, wrapped, newest);
        let keys = Arc::new(keys.await?);
        self.tenants.put(tenant, Arc::clone(&keys), now);
        Ok(keys)
    }

    /// Adds a version to a tenant's wrapping key once the newest is a year old. Earlier
    /// versions are kept, as KMS keeps those of its own keys: data sealed under them opens
    /// until it is deleted or sealed again. False when the tenant's keys have been deleted.
    ///
    /// # Errors
    /// As [`Keyring::add_tenant`].
    pub async fn rotate(&self, tenant: TenantId) -> Result<bool> {
        let now = self.clock.now();
        let row = self.store.get_keyring(&tenant.to_string()).await?;
        let row = row.unwrap_or_default();
        let Some(wrapped) = row.bytes(TENANT_KEYS) else {
            return Ok(false);
        };
        if now < row.time("rotated_at")? + ROTATION {
            return Ok(true);
        }
        let mut keys = self.vault.unwrap_tenant_keys(tenant, wrapped, true).await?;
        keys.rotate();
        let rotated = self.vault.wrap_tenant_keys(tenant, &keys).await?;
        let write = Write::update_keyring(&tenant.to_string())
            .set(TENANT_KEYS, rotated)
            .set("rotated_at", now)
            .if_is(TENANT_KEYS, wrapped.to_vec());
        // Refused: another turn was first, or the tenant has just left.
        let _done = self.store.write(write).await?;
        Ok(true)
    }

    /// Deletes a tenant's keys. Once no cache holds them, nothing sealed under them opens, and
    /// no name leads to a pseudonym.
    ///
    /// # Errors
    /// As [`Keyring::add_tenant`].
    pub async fn remove_tenant(&self, tenant: TenantId) -> Result<()> {
        let write = Write::update_keyring(&tenant.to_string())
            .set_first("erased_at", self.clock.now())
            .remove(&[TENANT_KEYS])
            .if_there();
        let _gone = self.store.write(write).await?;
        self.tenants.forget(|held| *held == tenant);
        Ok(())
    }

    /// A subject's row, strongly consistent.
    ///
    /// # Errors
    /// As [`Keyring::add_tenant`].
    pub async fn entry(&self, tenant: TenantId, subject: SubjectId) -> Result<Option<Entry>> {
        let row = self
            .store
            .get_keyring(&keys::keyring_subject(tenant, subject))
            .await?;
        row.map(|row| Entry::read(tenant, subject, &row))
            .transpose()
    }

    /// The rows of several subjects, in one batch.
    ///
    /// # Errors
    /// As [`Keyring::add_tenant`].
    pub async fn entries(
        &self,
        tenant: TenantId,
        subjects: &[SubjectId],
    ) -> Result<HashMap<SubjectId, Entry>> {
        let partitions: Vec<_> = subjects
            .iter()
            .map(|subject| keys::keyring_subject(tenant, *subject))
            .collect();
        let rows = self.store.get_many_keyring(&partitions).await?;
        rows.iter()
            .map(|row| {
                let name = row
                    .partition()
                    .rsplit('#')
                    .next()
                    .and_then(SubjectId::parse);
                let subject =
                    name.ok_or_else(|| Error::Corrupt("a keyring row has no subject".into()))?;
                Ok((subject, Entry::read(tenant, subject, row)?))
            })
            .collect()
    }

    /// Opens the data key of an active life.
    ///
    /// # Errors
    /// As [`Keyring::add_tenant`].
    pub async fn open(&self, entry: &Entry) -> Result<Option<Living>> {
        let (State::Active, Some(wrapped)) = (entry.state, &entry.wrapped) else {
            return Ok(None);
        };
        let keys = self.tenant(entry.key.tenant).await?;
        let partition = entry.key.partition();
        let unwrap = |wrapped| keys.unwrap(data_key_place(&partition), wrapped);
        Ok(Some(Living {
            key: entry.key,
            rules_version: entry.rules_version,
            rules: entry.rules,
            generation: entry.generation,
            rekeyed_at: entry.rekeyed_at,
            rekey: entry.rekey,
            data_key: unwrap(wrapped)?,
            retiring: entry.retiring.as_ref().map(unwrap).transpose()?,
        }))
    }

    /// A new data key for a life, with a new rules version. From then on everything is sealed
    /// under it, and the previous key only opens remaining data. Part of the transaction that
    /// also writes the rules version to the door. Refused unless this is the scheduled
    /// re-keying and none is under way.
    ///
    /// # Errors
    /// As [`Keyring::tenant`].
    pub async fn rekey_write(&self, entry: &Entry, job: JobId, now: Timestamp) -> Result<Write> {
        let keys = self.tenant(entry.key.tenant).await?;
        let place = entry.key.partition();
        let wrapped = keys.wrap(data_key_place(&place), &SealingKey::random());
        Ok(entry
            .change()
            .set_some("retiring_key", entry.wrapped.clone())
            .set("data_key", wrapped)
            .set("generation", entry.generation + 1)
            .set("rules_version", entry.rules_version + 1)
            .set("rekeyed_at", now)
            .remove(&["rekey", "rekey_at"])
            .if_is("rekey", job.to_string())
            .if_none("retiring_key"))
    }

    /// A new life with a new key, and the wrapped key. Stores nothing. `follows`: the
    /// keyring's current entry of the subject.
    ///
    /// # Errors
    /// As [`Keyring::tenant`].
    pub async fn new_life(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        follows: Option<&Entry>,
    ) -> Result<(Living, Sealed)> {
        let key = LifeKey {
            tenant,
            subject,
            life: LifeId::random(),
        };
        let data_key = SealingKey::random();
        let keys = self.tenant(tenant).await?;
        let wrapped = keys.wrap(data_key_place(&key.partition()), &data_key);
        Ok((
            Living {
                key,
                rules_version: follows.map_or(1, |entry| entry.rules_version + 1),
                rules: Rules {
                    objected: follows.is_some_and(|entry| entry.rules.objected),
                    ..Rules::default()
                },
                generation: 1,
                rekeyed_at: None,
                rekey: None,
                data_key,
                retiring: None,
            },
            wrapped,
        ))
    }
}

impl Entry {
    fn read(tenant: TenantId, subject: SubjectId, row: &Item) -> Result<Entry> {
        let broken = || Error::Corrupt("a keyring row is not as it was written".into());
        let life = LifeId::parse(row.text("life")?).ok_or_else(broken)?;
        Ok(Entry {
            key: LifeKey {
                tenant,
                subject,
                life,
            },
            state: State::parse(row.text("state")?).ok_or_else(broken)?,
            rules_version: row.count("rules_version"),
            erased_at: row.try_time("erased_at"),
            expired: row.flag("expired"),
            rules: rules(row),
            hold: row.try_text("hold_reason").map(|reason| Hold {
                reason: reason.to_owned(),
                until: row.try_time("hold_until"),
            }),
            blocked: row
                .texts("blocked")
                .iter()
                .filter_map(|id| JobId::parse(id))
                .collect(),
            generation: row.count("generation"),
            rekeyed_at: row.try_time("rekeyed_at"),
            retired_at: row.try_time("retired_at"),
            rekey: row
                .try_text("rekey")
                .and_then(JobId::parse)
                .zip(row.try_time("rekey_at"))
                .map(|(job, at)| Rekey { job, at }),
            welcome_at: row.try_time("welcome_at"),
            wrapped: row.sealed("data_key"),
            retiring: row.sealed("retiring_key"),
        })
    }

    /// Whether a re-keying is under way: some rows may still be sealed under the previous key.
    pub fn rekeying(&self) -> bool {
        self.retiring.is_some()
    }

    /// When TTL deletes this row under these rules. Only a tombstone without a lasting rule
    /// expires.
    pub fn expires_at(&self, rules: Rules) -> Option<Timestamp> {
        let erased_at = self.erased_at.filter(|_| self.state == State::Erased)?;
        (!rules.outlast()).then_some(erased_at + KEPT)
    }

    /// Requires that the erasures that wait for the hold are unchanged since they were read:
    /// adding or cancelling one does not change the rules version.
    pub(crate) fn if_blocked_as_read(&self, write: Write) -> Write {
        if self.blocked.is_empty() {
            return write.if_none("blocked");
        }
        let blocked: Vec<_> = self.blocked.iter().map(JobId::to_string).collect();
        write.if_is("blocked", blocked)
    }

    /// Deletes this row, if it is unchanged since it was read.
    pub fn forget_write(&self) -> Write {
        self.as_read(Write::delete_keyring(&partition(&self.key)))
    }

    /// A change of this row that requires it to be unchanged since it was read: a rules
    /// version is never reused.
    pub(crate) fn change(&self) -> Write {
        self.as_read(Write::update_keyring(&partition(&self.key)))
    }

    fn as_read(&self, write: Write) -> Write {
        write
            .if_is("state", self.state.name())
            .if_is("life", self.key.life.to_string())
            .if_is("rules_version", self.rules_version)
    }
}

fn rules(row: &Item) -> Rules {
    Rules {
        restricted: row.flag("restricted"),
        objected: row.flag("objected"),
        held: row.flag("held"),
        suppressed: row.flag("suppressed"),
    }
}

/// Adds a person to the list of a rule, or removes them.
pub fn list_write(life: &LifeKey, rule: Rule, in_force: bool) -> Write {
    let (list, subject) = (keys::listed(life.tenant, rule), life.subject.to_string());
    match in_force {
        true => Write::put(Item::new(&list, &subject)),
        false => Write::delete(&list, &subject),
    }
}

/// Whether a rule in a subject's row outlasts the life.
pub fn outlasted(row: &Item) -> bool {
    rules(row).outlast()
}

fn partition(key: &LifeKey) -> String {
    keys::keyring_subject(key.tenant, key.subject)
}

/// Writes a new life's key to the keyring, in place of exactly the entry that it follows.
pub(crate) fn begin_write(living: &Living, wrapped: Sealed, follows: Option<&Entry>) -> Write {
    let row = Item::default()
        .with("PK", partition(&living.key))
        .with("state", State::Active.name())
        .with("life", living.key.life.to_string())
        .with("rules_version", living.rules_version)
        .with("generation", living.generation)
        .with_some("objected", living.rules.objected.then_some(true))
        // Kept through the next life: events older than the erasure are still refused.
        .with_some("erased_at", follows.and_then(|entry| entry.erased_at))
        .with_some("welcome_at", follows.and_then(|entry| entry.welcome_at))
        .with("data_key", wrapped);
    let write = Write::put_keyring(row);
    match follows {
        None => write.only_new(),
        Some(old) => old.as_read(write),
    }
}

/// What ends with a life, and goes from the keyring the moment it does.
const ENDS: [&str; 7] = [
    "data_key",
    "retiring_key",
    "restricted",
    "rekeyed_at",
    "retired_at",
    "rekey",
    "rekey_at",
];

/// A hold, without the erasures that wait for its end.
const HOLD: [&str; 3] = ["held", "hold_reason", "hold_until"];

/// Deletes the keys of an expired life, if it is the current one and not held. Nobody
/// requested its end, so the person may return meanwhile.
pub(crate) fn expiring_write(key: &LifeKey) -> Write {
    ending_write(key).set("expired", true).if_none("held")
}

/// Deletes the keys of a life whose tenant leaves, if it is the current one.
pub(crate) fn leaving_write(key: &LifeKey) -> Write {
    let rules = ["objected", "suppressed", "blocked"];
    ending_write(key).remove(&HOLD).remove(&rules)
}

fn ending_write(key: &LifeKey) -> Write {
    active_write(key)
        .set("state", State::Erasing.name())
        .remove(&ENDS)
}

/// A change of this life's row, while it is the current life and active.
fn active_write(key: &LifeKey) -> Write {
    Write::update_keyring(&partition(key))
        .if_is("state", State::Active.name())
        .if_is("life", key.life.to_string())
}

/// Deletes the keys of a life by request, if its row is unchanged since it was read: from here
/// on the life is unreadable. Ends a hold as well; the erasures that wait for it stay recorded
/// until they are released. `suppress`: the person is suppressed afterwards.
pub(crate) fn erasing_write(entry: &Entry, suppress: bool) -> Write {
    let write = entry
        .change()
        .set("state", State::Erasing.name())
        .set("expired", false)
        .set_some("suppressed", suppress.then_some(true))
        .remove(&ENDS)
        .remove(&HOLD);
    match entry.rules.held {
        true => entry.if_blocked_as_read(write),
        false => write,
    }
}

/// Records an erasure that waits for a hold to end. Refused when the maximum already waits.
pub fn block_write(entry: &Entry, job: JobId) -> Write {
    entry
        .change()
        .add("blocked", vec![job.to_string()])
        .and_if("attribute_not_exists(blocked) OR size(blocked) < :most")
        .value(":most", BLOCKED as u64)
}

/// Removes an erasure that waits for the hold on this life, if the hold is still in force.
pub fn unblock_write(key: &LifeKey, job: JobId) -> Write {
    Write::update_keyring(&partition(key))
        .take("blocked", vec![job.to_string()])
        .if_is("life", key.life.to_string())
        .and_if("attribute_exists(held)")
}

/// Removes the record of the erasures that waited for the hold on this life, once it has
/// ended.
pub(crate) fn released_write(key: &LifeKey) -> Write {
    Write::update_keyring(&partition(key))
        .remove(&["blocked"])
        .if_is("life", key.life.to_string())
        .if_none("held")
}

/// Schedules a re-keying, if none is scheduled and the life still has the rules version at
/// which it was read.
pub(crate) fn rekey_later_write(living: &Living, rekey: Rekey) -> Write {
    active_write(&living.key)
        .set("rekey", rekey.job.to_string())
        .set("rekey_at", rekey.at)
        .if_is("rules_version", living.rules_version)
        .if_none("rekey")
}

/// Deletes the key under which nothing is sealed any more. Changes of rules meanwhile do not
/// matter.
pub fn retire_write(living: &Living, now: Timestamp) -> Write {
    active_write(&living.key)
        .set("retired_at", now)
        .remove(&["retiring_key"])
        .if_is("generation", living.generation)
}

/// Marks a life as erased, if the keyring has no later life of the subject. The row becomes a
/// tombstone, which TTL deletes. `kept`: the row stays, for a rule that outlasts lives;
/// refused without such a rule.
pub fn erased_write(key: &LifeKey, kept: bool, now: Timestamp) -> Write {
    let write = Write::update_keyring(&partition(key))
        .set("state", State::Erased.name())
        .set("erased_at", now)
        .if_is("state", State::Erasing.name())
        .if_is("life", key.life.to_string());
    match kept {
        true => write.and_if("attribute_exists(objected) OR attribute_exists(suppressed)"),
        false => write
            .set("expires_at", (now + KEPT).as_second())
            .if_none("objected")
            .if_none("suppressed"),
    }
}
