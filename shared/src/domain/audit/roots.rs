//! Seals of the activity log: the watermarks that let nothing more into a day, the leaves of its
//! tree, and the signed root. Owns their rows; knows nothing of how a day is signed.

use std::collections::VecDeque;

use jiff::civil::Date;

use crate::aws::dynamo::{Item, Page, Query, Range, Store, Write};
use crate::base::error::{Error, Result};
use crate::base::id::TenantId;
use crate::domain::keys::{self, SHARDS, WATERMARKS};
use crate::proof::merkle::{Hash, LENGTH};

/// Leaves in one row: 160 KB, under DynamoDB's 400.
pub const PART: usize = 5_000;
/// Watermarks moved in one transaction, try by try: all, unless a busy tenant's events stand in
/// the way.
const TOGETHER: [usize; 4] = [WATERMARKS as usize, 4, 1, 1];

/// The signed root of a day's log (RFC 6962: a signed tree head).
#[derive(Clone, Debug)]
pub struct LogRoot {
    pub day: Date,
    pub entries: u64,
    pub root: Hash,
    /// The signed statement of these.
    pub jws: String,
}

impl LogRoot {
    fn read(row: &Item) -> Result<LogRoot> {
        let broken = || Error::Corrupt("a seal is not as it was written".into());
        Ok(LogRoot {
            day: row.sort().parse().map_err(|_| broken())?,
            entries: row.count("entries"),
            root: Hash::parse(row.text("root")?).ok_or_else(broken)?,
            jws: row.text("jws")?.to_owned(),
        })
    }
}

/// Some of a day's leaves, in their order.
#[derive(Clone, Debug)]
pub struct Leaves {
    pub number: usize,
    pub hashes: Vec<Hash>,
    /// The sort key of the entry behind the last of them: where to go on after.
    pub last: String,
}

impl Leaves {
    fn read(number: usize, row: &Item) -> Result<Leaves> {
        let bytes = row.bytes("hashes").unwrap_or_default();
        Ok(Leaves {
            number,
            hashes: bytes.chunks(LENGTH).filter_map(Hash::from_bytes).collect(),
            last: row.text("last")?.to_owned(),
        })
    }
}

impl Store {
    /// Lets nothing more into this day of the log, nor into any before it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], as everywhere below.
    pub async fn close_day(&self, tenant: TenantId, day: Date) -> Result<()> {
        let partition = keys::watermarks(tenant);
        let day = day.to_string();
        for together in TOGETHER {
            let watermarks = self.query_all(&partition, "watermark#").await?;
            let closed = |name: &String| {
                let until = watermarks.iter().find(|row| row.sort() == name);
                until.and_then(|row| row.try_text("sealed_until")) >= Some(&day)
            };
            let open: Vec<_> = (0..WATERMARKS)
                .map(keys::watermark)
                .filter(|name| !closed(name))
                .collect();
            let mut moved = 0;
            for watermarks in open.chunks(together) {
                let close = |watermark: &String| {
                    Write::update(&partition, watermark)
                        .set("sealed_until", day.clone())
                        .only_if("attribute_not_exists(sealed_until) OR sealed_until < :day")
                        .value(":day", day.clone())
                };
                // Refused: another sweep has moved one of them. A fault: too many events at
                // them. Either way the next try looks again.
                let outcome = self.transact(watermarks.iter().map(close).collect()).await;
                if matches!(outcome, Ok(Ok(()))) {
                    moved += watermarks.len();
                }
            }
            if moved == open.len() {
                return Ok(());
            }
        }
        Err(Error::Unavailable(
            "the watermarks of a log do not close".into(),
        ))
    }

    /// Up to which day a tenant's log is signed.
    ///
    /// # Errors
    /// As [`Store::close_day`].
    pub async fn newest_root(&self, tenant: TenantId) -> Result<Option<LogRoot>> {
        Ok(self.seals(tenant, 1, None).await?.0.pop())
    }

    /// One page of a tenant's roots, newest first, and the day to go on after.
    ///
    /// # Errors
    /// As [`Store::close_day`].
    pub async fn seals(
        &self,
        tenant: TenantId,
        limit: usize,
        after: Option<Date>,
    ) -> Result<(Vec<LogRoot>, Option<Date>)> {
        let partition = keys::seals(tenant);
        let query = Query {
            partition: &partition,
            range: Range::All,
            ascending: false,
            limit: Some(limit),
            after: after.map(|day| day.to_string()),
        };
        let Page { rows, next } = self.query(query).await?;
        let seals: Vec<_> = rows.iter().map(LogRoot::read).collect::<Result<_>>()?;
        Ok((seals, next.and_then(|day| day.parse().ok())))
    }

    /// The signed root of one day.
    ///
    /// # Errors
    /// As [`Store::close_day`].
    pub async fn seal(&self, tenant: TenantId, day: Date) -> Result<Option<LogRoot>> {
        let row = self.get(&keys::seals(tenant), &day.to_string()).await?;
        row.as_ref().map(LogRoot::read).transpose()
    }

    /// Stores the signed root of a day. False when it has one.
    ///
    /// # Errors
    /// As [`Store::close_day`].
    pub async fn add_root(&self, tenant: TenantId, seal: &LogRoot) -> Result<bool> {
        let row = Item::new(&keys::seals(tenant), &seal.day.to_string())
            .with("entries", seal.entries)
            .with("root", seal.root.to_string())
            .with("jws", seal.jws.clone());
        Ok(self.write(Write::put(row).only_new()).await?.is_ok())
    }

    /// Some of a day's leaves, if there are so many.
    ///
    /// # Errors
    /// As [`Store::close_day`].
    pub async fn leaves(
        &self,
        tenant: TenantId,
        day: Date,
        number: usize,
    ) -> Result<Option<Leaves>> {
        let row = self
            .get(&keys::leaves(tenant, day), &keys::leaves_part(number))
            .await?;
        row.map(|row| Leaves::read(number, &row)).transpose()
    }

    /// Writes some of a day's leaves. False when they are there already.
    ///
    /// # Errors
    /// As [`Store::close_day`].
    pub async fn add_leaves(&self, tenant: TenantId, day: Date, leaves: &Leaves) -> Result<bool> {
        let hashes: Vec<_> = leaves
            .hashes
            .iter()
            .flat_map(Hash::bytes)
            .copied()
            .collect();
        let sort = keys::leaves_part(leaves.number);
        let row = Item::new(&keys::leaves(tenant, day), &sort)
            .with("hashes", hashes)
            .with("last", leaves.last.clone());
        Ok(self.write(Write::put(row).only_new()).await?.is_ok())
    }

    /// The entries of a day, oldest first, from after a sort key on.
    pub fn day(&self, tenant: TenantId, day: Date, after: Option<&str>) -> Day<'_> {
        let shard = |shard| Shard {
            partition: keys::activity(tenant, day, shard),
            rows: VecDeque::new(),
            after: after.map(str::to_owned),
            over: false,
        };
        Day {
            store: self,
            shards: (0..SHARDS).map(shard).collect(),
        }
    }
}

/// A day's entries, all shards merged; one page of each is held at a time.
pub struct Day<'a> {
    store: &'a Store,
    shards: Vec<Shard>,
}

struct Shard {
    partition: String,
    rows: VecDeque<Item>,
    after: Option<String>,
    over: bool,
}

impl Shard {
    async fn fill(&mut self, store: &Store) -> Result<()> {
        while self.rows.is_empty() && !self.over {
            let query = Query {
                partition: &self.partition,
                range: Range::All,
                ascending: true,
                limit: None,
                after: self.after.take(),
            };
            let Page { rows, next } = store.query(query).await?;
            self.rows = rows.into();
            self.over = next.is_none();
            self.after = next;
        }
        Ok(())
    }
}

impl Day<'_> {
    /// The next entry; none when there are no more.
    ///
    /// # Errors
    /// As [`Store::close_day`].
    pub async fn next(&mut self) -> Result<Option<Item>> {
        for shard in &mut self.shards {
            shard.fill(self.store).await?;
        }
        let earliest = self
            .shards
            .iter_mut()
            .filter(|shard| !shard.rows.is_empty())
            .min_by(|one, other| one.rows[0].sort().cmp(other.rows[0].sort()));
        Ok(earliest.and_then(|shard| shard.rows.pop_front()))
    }
}
