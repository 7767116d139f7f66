//! By which values people are found: a keyed hash leads to the lives that hold the value.
//! Each pair is one row, and its reverse lies within the life, so that an erasure finds it
//! when the value can no longer be read. Rows hold hashes, never values.

use std::collections::BTreeMap;

use serde_json::Value;

use super::keys::{self, LifeKey};
use super::records::Person;
use super::{Item, Store, Write};
use crate::catalog::FIELDS;
use crate::error::{Error, Result};
use crate::id::{KeyedHash, Life, Subject, Tenant};
use crate::vault::HashKey;

/// A life that holds a value, or held it: the keyring says whether it is the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub subject: Subject,
    pub life: Life,
    /// Whether the tenant's own server vouches for the value.
    pub verified: bool,
}

/// Makes a life findable by a value: the row and its reverse.
fn put_writes(key: &LifeKey, kind: &str, hash: KeyedHash, verified: bool) -> [Write; 2] {
    let row = Item::new(
        &keys::lookup(key.tenant, kind, hash),
        &key.subject.to_string(),
    )
    .with("life", key.life.to_string())
    .with("verified", verified);
    let reverse = Item::new(&key.partition(), &keys::lookup_reverse(kind, hash));
    [Write::put(row), Write::put(reverse)]
}

/// Ends that: both rows go, the first only if it still is this life's.
fn delete_writes(key: &LifeKey, kind: &str, hash: KeyedHash) -> [Write; 2] {
    let partition = keys::lookup(key.tenant, kind, hash);
    let row = Write::delete(&partition, &key.subject.to_string())
        .only_if("attribute_not_exists(PK) OR life = :life")
        .value(":life", key.life.to_string());
    let reverse = Write::delete(&key.partition(), &keys::lookup_reverse(kind, hash));
    [row, reverse]
}

/// The writes that bring a person's rows from one state to another.
pub fn change_writes(hash: &HashKey, key: &LifeKey, before: &Person, after: &Person) -> Vec<Write> {
    let (old, new) = (found_by(hash, before), found_by(hash, after));
    let mut writes = Vec::new();
    for ((kind, hash), verified) in &new {
        if old.get(&(*kind, *hash)) != Some(verified) {
            writes.extend(put_writes(key, kind, *hash, *verified));
        }
    }
    for (kind, hash) in old.keys().filter(|it| !new.contains_key(*it)) {
        writes.extend(delete_writes(key, kind, *hash));
    }
    writes
}

/// What a person is found by: kind and keyed hash, and whether it is vouched for.
fn found_by(hash: &HashKey, person: &Person) -> BTreeMap<(&'static str, KeyedHash), bool> {
    FIELDS
        .iter()
        .filter(|field| field.lookup)
        .filter_map(|field| {
            let known = person
                .identity
                .get(field.name)
                .or(person.contact.get(field.name))?;
            let Value::String(value) = &known.value else {
                return None;
            };
            Some((
                (field.name, hash.lookup(field.name, value)?),
                known.verified,
            ))
        })
        .collect()
}

impl Store {
    /// Everybody who holds a value, of any life.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when DynamoDB does not answer.
    pub async fn found(&self, tenant: Tenant, kind: &str, hash: KeyedHash) -> Result<Vec<Found>> {
        let rows = self
            .query_all(&keys::lookup(tenant, kind, hash), "")
            .await?;
        let read = |row: &Item| {
            Some(Found {
                subject: Subject::parse(row.sort())?,
                life: Life::parse(row.try_text("life")?)?,
                verified: row.flag("verified"),
            })
        };
        let broken = || Error::Corrupt("a lookup is not as it was written".into());
        rows.iter()
            .map(|row| read(row).ok_or_else(broken))
            .collect()
    }
}
