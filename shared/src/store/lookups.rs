//! By which values people are found: a keyed hash leads to the lives that hold the value.
//! Each pair is one row, and its reverse lies within the life, so that an erasure finds it
//! when the value can no longer be read. Knows hashes, never values.

use super::keys::{self, LifeKey};
use super::{Item, Store, Write};
use crate::error::{Error, Result};
use crate::id::{KeyedHash, Life, Subject, Tenant};

/// A life that holds a value, or held it: the keyring says whether it is the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub subject: Subject,
    pub life: Life,
    /// Whether the tenant's own server vouches for the value.
    pub verified: bool,
}

/// Makes a life findable by a value: the row and its reverse.
pub fn put_writes(key: &LifeKey, kind: &str, hash: KeyedHash, verified: bool) -> [Write; 2] {
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
pub fn delete_writes(key: &LifeKey, kind: &str, hash: KeyedHash) -> [Write; 2] {
    let partition = keys::lookup(key.tenant, kind, hash);
    let row = Write::delete(&partition, &key.subject.to_string())
        .only_if("attribute_not_exists(PK) OR life = :life")
        .value(":life", key.life.to_string());
    let reverse = Write::delete(&key.partition(), &keys::lookup_reverse(kind, hash));
    [row, reverse]
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
        let broken = || Error::Unavailable("a lookup is not as it was written".into());
        rows.iter()
            .map(|row| read(row).ok_or_else(broken))
            .collect()
    }
}
