//! The table of data keys, and of what may be done with each subject. Owns who is alive;
//! no stream, no index and no backup plan touches it, so a key deleted here is gone.

pub mod restore;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::held::Held;
use crate::id::{JobId, Life, Subject, Tenant};
use crate::store::keys::{self, LifeKey, Standing};
use crate::store::{Item, Store, Write};
use crate::vault::{Place, Sealed, SealingKey, TenantKeys, Vault, WrappedTenantKeys};

/// Where a subject stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A life goes on, if its door stands.
    Active,
    /// The key is gone; what it sealed is being removed.
    Erasing,
    /// Nothing is left but this row, for as long as a backup could bring anything back.
    Erased,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Erasing => "erasing",
            State::Erased => "erased",
        }
    }

    fn parse(name: &str) -> Option<State> {
        [State::Active, State::Erasing, State::Erased]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// A subject's row.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: LifeKey,
    pub state: State,
    pub gate: u64,
    pub erased_at: Option<Timestamp>,
    /// Of a life that is being erased: nobody asked for it, its time was over.
    pub expired: bool,
    pub rules: Rules,
    pub hold: Option<Hold>,
    /// Erasures that wait for the hold to end.
    pub blocked: Vec<JobId>,
    /// Which of the life's data keys is the current one: counts the re-keyings.
    pub generation: u64,
    /// When the latest re-keying began.
    pub rekeyed_at: Option<Timestamp>,
    /// The re-keying that is to come. It has not begun: whatever was redacted so far is
    /// sealed under the keys that it retires.
    pub rekey: Option<Rekey>,
    /// Of a tombstone, after a restore: the erasure that will remove it.
    pub removed_by: Option<JobId>,
    wrapped: Option<Sealed>,
    retiring: Option<Sealed>,
}

/// A re-keying that has yet to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rekey {
    pub job: JobId,
    pub at: Timestamp,
}

/// What may be done with a subject: changed together with the door's gate, so that a write
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

impl Rules {
    /// Whether the life has no end for the time being.
    pub const fn stop_clock(self) -> bool {
        self.restricted || self.held
    }

    pub const fn under(self, rule: Standing) -> bool {
        match rule {
            Standing::Held => self.held,
            Standing::Restricted => self.restricted,
            Standing::Objected => self.objected,
            Standing::Suppressed => self.suppressed,
        }
    }

    /// These rules, with one of them in force or not.
    #[must_use]
    pub const fn with(mut self, rule: Standing, in_force: bool) -> Rules {
        match rule {
            Standing::Held => self.held = in_force,
            Standing::Restricted => self.restricted = in_force,
            Standing::Objected => self.objected = in_force,
            Standing::Suppressed => self.suppressed = in_force,
        }
        self
    }

    /// Where somebody who lives stands, as callers read it: the rule that binds most.
    /// Suppression does not show: it begins with the life's end.
    pub const fn state(self) -> &'static str {
        if self.held {
            Standing::Held.name()
        } else if self.restricted {
            Standing::Restricted.name()
        } else if self.objected {
            Standing::Objected.name()
        } else {
            "active"
        }
    }

    /// Whether what is kept may be changed or taken out: a hold keeps it as it is.
    ///
    /// # Errors
    /// [`Error::Conflict`] under a hold.
    pub const fn expect_no_hold(self) -> Result<()> {
        if self.held {
            return Err(Error::Conflict {
                code: "held",
                detail: "A hold keeps this person as they are until it is lifted.",
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

/// A life that the keyring says goes on, with its data key in the clear. Held for one
/// request, then wiped.
pub struct Living {
    pub key: LifeKey,
    pub gate: u64,
    pub rules: Rules,
    /// The generation of `data_key`: every row sealed under it says so in its attribute
    /// `key`.
    pub generation: u64,
    data_key: SealingKey,
    /// What some rows are still sealed under, while the life is being re-keyed.
    retiring: Option<SealingKey>,
}

impl Living {
    /// Seals a part of one of this life's rows.
    pub fn seal(&self, row: &str, part: &str, plain: &[u8]) -> Sealed {
        self.data_key.seal(
            Place {
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
        let place = Place {
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
    /// [`Error::Unreadable`] when none of the life's keys opens it, and
    /// [`Error::Corrupt`] when what was sealed is not as we wrote it.
    pub fn open<T: DeserializeOwned>(&self, row: &str, part: &str, sealed: &Sealed) -> Result<T> {
        serde_json::from_slice(&self.unseal(row, part, sealed)?)
            .map_err(|_| Error::Corrupt("a sealed value is not as it was written".into()))
    }

    /// Seals a part under the current key, whichever it was sealed under.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when none of the life's keys opens it.
    pub fn reseal(&self, row: &str, part: &str, sealed: &Sealed) -> Result<Sealed> {
        Ok(self.seal(row, part, &self.unseal(row, part, sealed)?))
    }

    /// Opens a part of a row as read; `None` when it has no such part.
    ///
    /// # Errors
    /// As [`Living::open`].
    pub fn open_json<T: DeserializeOwned>(&self, row: &Item, part: &str) -> Result<Option<T>> {
        row.sealed(part)
            .map(|sealed| self.open(row.sort(), part, &sealed))
            .transpose()
    }
}

/// Where a life's data key is bound: to the life, in the keyring.
fn data_key_place(partition: &str) -> Place<'_> {
    Place {
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
    tenants: Held<Tenant, Arc<TenantKeys>>,
}

impl Keyring {
    pub fn new(store: Store, vault: Vault, clock: Clock) -> Keyring {
        Keyring {
            store,
            vault,
            clock,
            tenants: Held::default(),
        }
    }

    /// Makes the keys of a new tenant.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when a store does not answer, as everywhere below.
    pub async fn add_tenant(&self, tenant: Tenant) -> Result<()> {
        let wrapped = self.vault.new_tenant_keys(tenant).await?;
        let row = Item::default()
            .with("PK", tenant.to_string())
            .with("wrapping_key", wrapped.wrapping)
            .with("hash_key", wrapped.hash);
        let added = self.store.write(Write::put_keyring(row).only_new()).await?;
        added
            .map(|_| ())
            .map_err(|_| Error::Unavailable("a new tenant's id is taken".into()))
    }

    /// A tenant's keys, from memory for up to 60 seconds.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such tenant.
    pub async fn tenant(&self, tenant: Tenant) -> Result<Arc<TenantKeys>> {
        let now = self.clock.now();
        if let Some(keys) = self.tenants.get(&tenant, now) {
            return Ok(keys);
        }
        let row = self
            .store
            .get_keyring(&tenant.to_string())
            .await?
            .ok_or(Error::NotFound)?;
        let part = |name| row.bytes(name).map(<[u8]>::to_vec);
        let (Some(wrapping), Some(hash)) = (part("wrapping_key"), part("hash_key")) else {
            return Err(Error::NotFound);
        };
        let wrapped = WrappedTenantKeys { wrapping, hash };
        let keys = Arc::new(self.vault.open_tenant_keys(tenant, &wrapped).await?);
        self.tenants.put(tenant, Arc::clone(&keys), now);
        Ok(keys)
    }

    /// Deletes the keys of a tenant: nothing that was sealed under them opens any more, and
    /// no name leads to a pseudonym. What a cache holds of them lasts a minute.
    ///
    /// # Errors
    /// As [`Keyring::add_tenant`].
    pub async fn remove_tenant(&self, tenant: Tenant) -> Result<()> {
        let expression =
            "SET erased_at = if_not_exists(erased_at, :now) REMOVE wrapping_key, hash_key";
        let write = Write::update_keyring(&tenant.to_string(), expression)
            .only_if("attribute_exists(PK)")
            .value(":now", self.clock.now());
        let _gone = self.store.write(write).await?;
        self.tenants.forget(|held| *held == tenant);
        Ok(())
    }

    /// A subject's row, strongly consistent.
    ///
    /// # Errors
    /// As [`Keyring::add_tenant`].
    pub async fn entry(&self, tenant: Tenant, subject: Subject) -> Result<Option<Entry>> {
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
        tenant: Tenant,
        subjects: &[Subject],
    ) -> Result<HashMap<Subject, Entry>> {
        let partitions: Vec<_> = subjects
            .iter()
            .map(|subject| keys::keyring_subject(tenant, *subject))
            .collect();
        let rows = self.store.get_many_keyring(&partitions).await?;
        rows.iter()
            .map(|row| {
                let name = row.partition().rsplit('#').next().and_then(Subject::parse);
                let subject =
                    name.ok_or_else(|| Error::Corrupt("a keyring row has no subject".into()))?;
                Ok((subject, Entry::read(tenant, subject, row)?))
            })
            .collect()
    }

    /// Opens the data key of a life that goes on.
    ///
    /// # Errors
    /// As [`Keyring::add_tenant`].
    pub async fn open(&self, entry: &Entry) -> Result<Option<Living>> {
        let (State::Active, Some(wrapped)) = (entry.state, &entry.wrapped) else {
            return Ok(None);
        };
        let keys = self.tenant(entry.key.tenant).await?;
        let partition = entry.key.partition();
        let unwrap = |wrapped| keys.wrapping.unwrap(data_key_place(&partition), wrapped);
        Ok(Some(Living {
            key: entry.key,
            gate: entry.gate,
            rules: entry.rules,
            generation: entry.generation,
            data_key: unwrap(wrapped)?,
            retiring: entry.retiring.as_ref().map(unwrap).transpose()?,
        }))
    }

    /// A new data key for a life, with a new gate: from here on everything is sealed under
    /// it, and the one before only opens what is left. For the transaction that brings the
    /// gate to the door, if this is still the re-keying to come and none is under way.
    ///
    /// # Errors
    /// As [`Keyring::tenant`].
    pub async fn rekey_write(&self, entry: &Entry, job: JobId, now: Timestamp) -> Result<Write> {
        let keys = self.tenant(entry.key.tenant).await?;
        let place = entry.key.partition();
        let wrapped = keys
            .wrapping
            .wrap(data_key_place(&place), &SealingKey::random());
        let expression = "SET retiring_key = data_key, data_key = :key, generation = :generation, \
                          gate = :next, rekeyed_at = :now REMOVE rekey, rekey_at";
        Ok(entry
            .change(expression)
            .and_if("rekey = :job AND attribute_not_exists(retiring_key)")
            .value(":key", wrapped)
            .value(":generation", entry.generation + 1)
            .value(":next", entry.gate + 1)
            .value(":now", now)
            .value(":job", job.to_string()))
    }

    /// A new life with a new key, and that key wrapped. Nothing is stored yet. `follows`:
    /// what the keyring holds of the subject.
    ///
    /// # Errors
    /// As [`Keyring::tenant`].
    pub async fn new_life(
        &self,
        tenant: Tenant,
        subject: Subject,
        follows: Option<&Entry>,
    ) -> Result<(Living, Sealed)> {
        let key = LifeKey {
            tenant,
            subject,
            life: Life::random(),
        };
        let data_key = SealingKey::random();
        let keys = self.tenant(tenant).await?;
        let wrapped = keys
            .wrapping
            .wrap(data_key_place(&key.partition()), &data_key);
        Ok((
            Living {
                key,
                gate: follows.map_or(1, |entry| entry.gate + 1),
                rules: Rules {
                    objected: follows.is_some_and(|entry| entry.rules.objected),
                    ..Rules::default()
                },
                generation: 1,
                data_key,
                retiring: None,
            },
            wrapped,
        ))
    }
}

impl Entry {
    fn read(tenant: Tenant, subject: Subject, row: &Item) -> Result<Entry> {
        let broken = || Error::Corrupt("a keyring row is not as it was written".into());
        let life = Life::parse(row.text("life")?).ok_or_else(broken)?;
        Ok(Entry {
            key: LifeKey {
                tenant,
                subject,
                life,
            },
            state: State::parse(row.text("state")?).ok_or_else(broken)?,
            gate: row.count("gate"),
            erased_at: row.try_time("erased_at"),
            expired: row.flag("expired"),
            rules: Rules {
                restricted: row.flag("restricted"),
                objected: row.flag("objected"),
                held: row.flag("held"),
                suppressed: row.flag("suppressed"),
            },
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
            rekey: row
                .try_text("rekey")
                .and_then(JobId::parse)
                .zip(row.try_time("rekey_at"))
                .map(|(job, at)| Rekey { job, at }),
            removed_by: row.try_text("removed_by").and_then(JobId::parse),
            wrapped: row.sealed("data_key"),
            retiring: row.sealed("retiring_key"),
        })
    }

    /// Whether a re-keying is under way: some rows may still be sealed under the key before.
    pub fn rekeying(&self) -> bool {
        self.retiring.is_some()
    }

    /// A change of this row that happens only if the row is still as it was read: a gate
    /// never comes twice.
    pub fn change(&self, expression: &str) -> Write {
        Write::update_keyring(&partition(&self.key), expression)
            .only_if("#state = :state AND life = :life AND gate = :gate")
            .name("#state", "state")
            .value(":state", self.state.name())
            .value(":life", self.key.life.to_string())
            .value(":gate", self.gate)
    }
}

fn partition(key: &LifeKey) -> String {
    keys::keyring_subject(key.tenant, key.subject)
}

/// Puts a life's key into the keyring, in place of what it follows and only of that.
pub(crate) fn begin_write(living: &Living, wrapped: Sealed, follows: Option<&Entry>) -> Write {
    let row = Item::default()
        .with("PK", partition(&living.key))
        .with("state", State::Active.name())
        .with("life", living.key.life.to_string())
        .with("gate", living.gate)
        .with("generation", living.generation)
        .with_some("objected", living.rules.objected.then_some(true))
        // Kept through the next life: an event older than the erasure is still refused.
        .with_some("erased_at", follows.and_then(|entry| entry.erased_at))
        .with("data_key", wrapped);
    let write = Write::put_keyring(row);
    match follows {
        None => write.only_new(),
        Some(old) => write
            .only_if("#state = :before AND life = :old AND gate = :gate")
            .name("#state", "state")
            .value(":before", old.state.name())
            .value(":old", old.key.life.to_string())
            .value(":gate", old.gate),
    }
}

/// What ends with a life, and goes from the keyring the moment it does.
const ENDS: &str = "data_key, retiring_key, restricted, rekeyed_at, rekey, rekey_at";

/// Deletes the keys of a life whose time is over, if it is the current one and nothing
/// holds it. Nobody asked for it, so who returns meanwhile is welcome.
pub(crate) fn expiring_write(key: &LifeKey) -> Write {
    let expression = format!("SET #state = :erasing, expired = :true REMOVE {ENDS}");
    ending_write(key, expression)
        .only_if("#state = :active AND life = :life AND attribute_not_exists(held)")
        .value(":true", true)
}

/// Deletes the keys of a life whose tenant leaves, if it is the current one.
pub(crate) fn leaving_write(key: &LifeKey) -> Write {
    let rules = "objected, suppressed, held, hold_reason, hold_until, blocked";
    let expression = format!("SET #state = :erasing REMOVE {ENDS}, {rules}");
    ending_write(key, expression).only_if("#state = :active AND life = :life")
}

fn ending_write(key: &LifeKey, expression: String) -> Write {
    Write::update_keyring(&partition(key), expression)
        .name("#state", "state")
        .value(":erasing", State::Erasing.name())
        .value(":active", State::Active.name())
        .value(":life", key.life.to_string())
}

/// Deletes the keys of a life that is asked to be erased, if its row is still as it was
/// read: unreadable from here on. `suppress`: the person stays away afterwards.
pub(crate) fn erasing_write(entry: &Entry, suppress: bool) -> Write {
    let suppressed = if suppress { ", suppressed = :true" } else { "" };
    let write = entry
        .change(&format!(
            "SET #state = :erasing, expired = :false{suppressed} REMOVE {ENDS}"
        ))
        .value(":erasing", State::Erasing.name())
        .value(":false", false);
    if suppress {
        write.value(":true", true)
    } else {
        write
    }
}

/// Notes an erasure that waits for a hold to end.
pub fn block_write(entry: &Entry, job: JobId) -> Write {
    entry
        .change("ADD blocked :job")
        .value(":job", vec![job.to_string()])
}

/// Deletes the tombstone of a life, if it is one still and the subject stands under no rule
/// that outlasts lives.
pub fn forget_write(key: &LifeKey) -> Write {
    Write::delete_keyring(&partition(key))
        .only_if("#state = :erased AND life = :life AND attribute_not_exists(objected) AND attribute_not_exists(suppressed)")
        .name("#state", "state")
        .value(":erased", State::Erased.name())
        .value(":life", key.life.to_string())
}

/// Notes the re-keying to come, if there is none.
pub(crate) fn rekey_later_write(entry: &Entry, rekey: Rekey) -> Write {
    entry
        .change("SET rekey = :rekey, rekey_at = :at")
        .and_if("attribute_not_exists(rekey)")
        .value(":rekey", rekey.job.to_string())
        .value(":at", rekey.at)
}

/// Deletes the key that nothing is sealed under any more. Whatever rules have changed
/// meanwhile: it is about the keys alone.
pub fn retire_write(living: &Living) -> Write {
    Write::update_keyring(&partition(&living.key), "REMOVE retiring_key")
        .only_if("#state = :active AND life = :life AND generation = :generation")
        .name("#state", "state")
        .value(":active", State::Active.name())
        .value(":life", living.key.life.to_string())
        .value(":generation", living.generation)
}

/// Marks a life as erased, if the keyring has not gone on to a later one.
pub fn erased_write(key: &LifeKey, now: Timestamp) -> Write {
    Write::update_keyring(&partition(key), "SET #state = :erased, erased_at = :now")
        .only_if("#state = :erasing AND life = :life")
        .name("#state", "state")
        .value(":erased", State::Erased.name())
        .value(":erasing", State::Erasing.name())
        .value(":life", key.life.to_string())
        .value(":now", now)
}
