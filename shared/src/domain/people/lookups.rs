//! By which values people are found: a keyed hash leads to the lives that hold the value.
//! Each pair is one row, and its reverse lies within the life, so that an erasure finds it
//! when the value can no longer be read. Rows hold hashes, never values.
//!
//! What the tenant's server vouches for lies apart from what nobody does. A page may claim
//! anybody's address as often as it likes: whoever goes by vouched values never reads that,
//! and whoever lists claims reads [`CLAIMS`] of them. A claim is two rows, beside the four
//! of the life that makes it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::aws::dynamo::{Item, Query, Range, Store, Write};
use crate::base::error::{Error, Result};
use crate::base::id::{KeyedHash, LifeId, SubjectId, TenantId};
use crate::crypto::HashKey;
use crate::domain::keys::{self, LifeKey, Lookup};
use crate::domain::life::door::LifeWrite;
use crate::domain::records::rows::Person;
use crate::schema::catalog::FIELDS;

/// Claims of one value that are read; the others are not found by it.
pub const CLAIMS: usize = 50;

/// A life that holds a value, or held it: the keyring says whether it is the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub subject: SubjectId,
    pub life: LifeId,
    pub verified: bool,
}

/// Whose values count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those that the tenant's server vouches for.
    Vouched,
    /// Those that pages claim, too.
    All,
}

impl Lookup {
    /// Makes a life findable: the row and its reverse.
    fn put_writes(&self, key: &LifeKey) -> [Write; 2] {
        let partition = keys::lookup(key.tenant, self);
        let row =
            Item::new(&partition, &key.subject.to_string()).with("life", key.life.to_string());
        let reverse = Item::new(&key.partition(), &keys::lookup_reverse(self));
        [Write::put(row), Write::put(reverse)]
    }

    /// Ends that: both rows go, the first only if it still is this life's.
    fn delete_writes(&self, key: &LifeKey) -> [Write; 2] {
        let partition = keys::lookup(key.tenant, self);
        let row = delete_write(&partition, key);
        let reverse = Write::delete(&key.partition(), &keys::lookup_reverse(self));
        [row, reverse]
    }
}

/// Ends that a value leads to a life, unless it leads to a later one by now.
fn delete_write(partition: &str, key: &LifeKey) -> Write {
    Write::delete(partition, &key.subject.to_string())
        .only_if("attribute_not_exists(PK) OR life = :life")
        .value(":life", key.life.to_string())
}

/// The writes that bring a person's rows from one state to another.
pub fn change_writes(
    hash: &HashKey,
    key: &LifeKey,
    before: &Person,
    after: &Person,
) -> Vec<LifeWrite> {
    let (old, new) = (found_by(hash, before), found_by(hash, after));
    let begun = new.difference(&old).flat_map(|it| it.put_writes(key));
    let ended = old.difference(&new).flat_map(|it| it.delete_writes(key));
    begun.chain(ended).map(LifeWrite::from).collect()
}

/// What a person is found by.
pub fn found_by(hash: &HashKey, person: &Person) -> BTreeSet<Lookup> {
    let held = |name| person.identity.get(name).or(person.contact.get(name));
    let fields = FIELDS.iter().filter(|field| field.lookup);
    let lookup = |field: &crate::schema::catalog::Field| {
        let known = held(field.name)?;
        let Value::String(value) = &known.value else {
            return None;
        };
        Some(Lookup {
            kind: field.name,
            hash: hash.lookup(field.name, value)?,
            verified: known.verified,
        })
    };
    fields.filter_map(lookup).collect()
}

impl Store {
    /// Those who hold a value, of any life, `many` at most for whom it is vouched and as many
    /// who claim it, but never more of these than [`CLAIMS`].
    ///
    /// # Errors
    /// [`Error::Unavailable`] when DynamoDB does not answer.
    pub async fn holders(
        &self,
        tenant: TenantId,
        kind: &'static str,
        hash: KeyedHash,
        whose: Whose,
        many: Option<usize>,
    ) -> Result<Vec<Found>> {
        let lookup = |verified| Lookup {
            kind,
            hash,
            verified,
        };
        let vouched = self.found(tenant, lookup(true), many);
        if whose == Whose::Vouched {
            return vouched.await;
        }
        let many = many.map_or(CLAIMS, |many| many.min(CLAIMS));
        let claimed = self.found(tenant, lookup(false), Some(many));
        let (mut vouched, claimed) = tokio::try_join!(vouched, claimed)?;
        vouched.extend(claimed);
        Ok(vouched)
    }

    /// Deletes the lookup that a reverse row of a life points to, unless a later life has
    /// taken it over.
    ///
    /// # Errors
    /// As [`Store::holders`].
    pub async fn clear_lookup(&self, life: &LifeKey, reverse: &str) -> Result<()> {
        if let Some(partition) = keys::lookup_of_reverse(life.tenant, reverse) {
            // Refused: it belongs to a later life.
            let _taken_over = self.write(delete_write(&partition, life)).await?;
        }
        Ok(())
    }

    async fn found(
        &self,
        tenant: TenantId,
        lookup: Lookup,
        many: Option<usize>,
    ) -> Result<Vec<Found>> {
        let partition = keys::lookup(tenant, &lookup);
        let rows = match many {
            None => self.query_all(&partition, "").await?,
            many => self.query(some(&partition, many)).await?.rows,
        };
        let read = |row: &Item| {
            Some(Found {
                subject: SubjectId::parse(row.sort())?,
                life: LifeId::parse(row.try_text("life")?)?,
                verified: lookup.verified,
            })
        };
        let broken = || Error::Corrupt("a lookup is not as it was written".into());
        rows.iter()
            .map(|row| read(row).ok_or_else(broken))
            .collect()
    }
}

fn some(partition: &str, limit: Option<usize>) -> Query<'_> {
    Query {
        partition,
        range: Range::All,
        ascending: true,
        limit,
        after: None,
    }
}
