//! The table of data keys, and of what may be done with each subject. Owns who is alive;
//! no stream, no index and no backup plan touches it, so a key deleted here is gone.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::held::Held;
use crate::id::{Life, Subject, Tenant};
use crate::store::keys::{self, LifeKey};
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
    wrapped: Option<Sealed>,
}

/// What the keyring held before.
#[derive(Clone, Copy, Debug)]
pub enum Follows {
    /// Nobody: a new acquaintance.
    Nobody,
    /// A life that was erased, and when.
    Erased(LifeKey, Timestamp),
    /// A life whose time is over, which nobody had noticed.
    Expired(LifeKey),
    /// A life whose time is over, and which is being removed.
    Expiring(LifeKey),
}

/// A life that the keyring says goes on, with its data key in the clear. Held for one
/// request, then wiped.
pub struct Living {
    pub key: LifeKey,
    pub gate: u64,
    pub data_key: SealingKey,
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
        let plain = zeroize::Zeroizing::new(
            serde_json::to_vec(value).expect("maps with text keys are always JSON"),
        );
        self.seal(row, part, &plain)
    }

    /// Opens a part of one of this life's rows.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not open: not as we wrote it.
    pub fn open<T: DeserializeOwned>(&self, row: &str, part: &str, sealed: &Sealed) -> Result<T> {
        let place = Place {
            partition: &self.key.partition(),
            row,
            part,
        };
        let plain = self.data_key.open(place, sealed)?;
        serde_json::from_slice(&plain)
            .map_err(|_| Error::Unavailable("a sealed value is not as it was written".into()))
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
                    name.ok_or_else(|| Error::Unavailable("a keyring row has no subject".into()))?;
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
        let data_key = keys
            .wrapping
            .unwrap(data_key_place(&entry.key.partition()), wrapped)?;
        Ok(Some(Living {
            key: entry.key,
            gate: entry.gate,
            data_key,
        }))
    }

    /// A new life with a new key, and that key wrapped. Nothing is stored yet.
    ///
    /// # Errors
    /// As [`Keyring::tenant`].
    pub async fn new_life(&self, tenant: Tenant, subject: Subject) -> Result<(Living, Sealed)> {
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
                gate: 1,
                data_key,
            },
            wrapped,
        ))
    }
}

impl Entry {
    fn read(tenant: Tenant, subject: Subject, row: &Item) -> Result<Entry> {
        let broken = || Error::Unavailable("a keyring row is not as it was written".into());
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
            wrapped: row.sealed("data_key"),
        })
    }
}

fn partition(key: &LifeKey) -> String {
    keys::keyring_subject(key.tenant, key.subject)
}

/// Puts a life's key into the keyring, in place of what it follows and only of that.
pub(crate) fn begin_write(living: &Living, wrapped: Sealed, follows: &Follows) -> Write {
    // Kept through the next life: an event older than the erasure is still refused.
    let erased_at = match follows {
        Follows::Erased(_, at) => Some(*at),
        Follows::Nobody | Follows::Expired(_) | Follows::Expiring(_) => None,
    };
    let row = Item::default()
        .with("PK", partition(&living.key))
        .with("state", State::Active.name())
        .with("life", living.key.life.to_string())
        .with("gate", living.gate)
        .with_some("erased_at", erased_at)
        .with("data_key", wrapped);
    let write = Write::put_keyring(row);
    let in_place_of = |write: Write, old: &LifeKey, state: State| {
        write
            .only_if("#state = :before AND life = :old")
            .name("#state", "state")
            .value(":before", state.name())
            .value(":old", old.life.to_string())
    };
    match follows {
        Follows::Nobody => write.only_new(),
        Follows::Erased(old, _) => in_place_of(write, old, State::Erased),
        Follows::Expired(old) => in_place_of(write, old, State::Active),
        Follows::Expiring(old) => in_place_of(write, old, State::Erasing),
    }
}

/// Deletes a life's key, if the life is the current one: unreadable from here on.
/// `expired`: nobody asked for it, so who returns meanwhile is welcome.
pub(crate) fn erasing_write(key: &LifeKey, expired: bool) -> Write {
    let expression = "SET #state = :erasing, expired = :expired REMOVE data_key";
    Write::update_keyring(&partition(key), expression)
        .only_if("#state = :active AND life = :life")
        .name("#state", "state")
        .value(":erasing", State::Erasing.name())
        .value(":active", State::Active.name())
        .value(":expired", expired)
        .value(":life", key.life.to_string())
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
