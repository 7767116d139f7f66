//! What an erasure is to do: whose lives end, and how that is kept in its job. Owns the
//! lists of lives; knows nothing of how a life's rows are removed.
//!
//! A few lives stand in the job itself; thousands stand in rows beside it, since a row
//! holds 400 KB at most, and is written anew with every step.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::aws::dynamo::{Item, Store, Write};
use crate::aws::s3::last_upload;
use crate::base::error::{Error, Result};
use crate::base::id::{SubjectId, TenantId};
use crate::base::recovery::KEPT;
use crate::domain::erasure::outcome::{Outcome, UnreadableAt};
use crate::domain::erasure::progress::{Progress, Within};
use crate::domain::jobs::{Job, Work};
use crate::domain::keys::{self, EXPIRIES, JobKey, JobKind, LifeKey};
use crate::proof::merkle::{Hash, Tree};

/// Lives that stand in the job itself.
const INLINE: usize = 100;
/// Lives in one row beside it.
pub const LISTED: usize = 1000;

/// What an erasure is to do. Stored with its job: nothing personal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Erasing {
    /// The lives, where they are few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lives: Vec<String>,
    /// How many there are in all, but for those that are closed.
    pub count: usize,
    /// Lives that were erased long ago, while others still wait for a hold.
    #[serde(default)]
    pub closed: Closed,
    /// Everybody of the tenant, and the tenant.
    #[serde(default)]
    pub tenant: bool,
    /// They stay away afterwards.
    #[serde(default)]
    pub suppress: bool,
    /// All lives that could be ended are ended: what is left is to remove what is left.
    #[serde(default)]
    pub ended: bool,
    /// When the last upload that may still write under these lives has come to its end.
    #[serde(default)]
    pub uploads_until: Option<Timestamp>,
}

/// Lives by their own names alone, which lead to nobody.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Closed {
    /// All of them, while they are few.
    pub names: Vec<String>,
    /// The tree over them, in this order (RFC 6962).
    pub tree: Tree,
}

impl Closed {
    pub fn push(&mut self, life: &LifeKey) {
        let name = life.life.to_string();
        self.tree.push(Hash::leaf(&[name.as_bytes()]));
        match self.tree.size() <= INLINE as u64 {
            true => self.names.push(name),
            false => self.names.clear(),
        }
    }
}

impl Erasing {
    /// How many lists beside the job name its lives.
    fn lists(&self) -> usize {
        match self.lives.is_empty() {
            true => self.count.div_ceil(LISTED),
            false => 0,
        }
    }

    /// The lives that are stored in the job itself.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the job is not as it was written.
    pub fn inline(&self, tenant: TenantId) -> Result<Vec<LifeKey>> {
        let parse = |text: &String| LifeKey::parse_short(tenant, text);
        let lives: Option<_> = self.lives.iter().map(parse).collect();
        lives.ok_or_else(broken)
    }
}

fn broken() -> Error {
    Error::Corrupt("an erasure is not as it was written".into())
}

impl Work for Erasing {
    type Progress = Progress;
    type Outcome = Outcome;
}

impl Job<Erasing> {
    /// Adds to the count of a store.
    pub fn add(&mut self, store: &str, more: u64) {
        self.done += more;
        self.outcome.count(store, more);
    }

    /// Counts lives of which nothing is left: each had an expiry index entry, and has a row in
    /// the keyring.
    pub fn count_closed(&mut self, lives: &[LifeKey]) {
        for store in ["records", "keyring"] {
            self.add(store, lives.len() as u64);
        }
    }

    /// Begins another pass over everything.
    pub fn begin_pass(&mut self, now: Timestamp) {
        self.progress.pass += 1;
        self.progress.began = Some(now);
        self.progress.found = 0;
        self.progress.life = 0;
        self.progress.failing_since = None;
        self.progress.within = Within::default();
    }

    /// A job that erases these lives, each with the number of its records as counted at
    /// its door; and the rows of its list, where that is long.
    pub fn erasure(
        kind: JobKind,
        tenant: TenantId,
        lives: &[(LifeKey, u64)],
        erasing: Erasing,
        now: Timestamp,
    ) -> (Job<Erasing>, Vec<Write>) {
        let mut job = Job::new(tenant, kind, Vec::new(), erasing, now);
        // Besides the counted records, each life has its door, person and expiry index entry.
        job.total = lives.iter().map(|(_, count)| count + 3).sum();
        let keys: Vec<LifeKey> = lives.iter().map(|(key, _)| *key).collect();
        let lists = job.name(&keys);
        (job, lists)
    }

    /// Stores exactly these lives: in the job if they are few, otherwise in the returned
    /// lists.
    fn name(&mut self, lives: &[LifeKey]) -> Vec<Write> {
        self.spec.count = lives.len();
        (self.spec.lives, self.subjects) = (Vec::new(), Vec::new());
        if lives.len() > INLINE {
            let lists = lives.chunks(LISTED).enumerate();
            return lists
                .map(|(number, lives)| list_write(self.key, number, lives))
                .collect();
        }
        self.spec.lives = lives.iter().map(LifeKey::short).collect();
        self.subjects = lives.iter().map(|life| life.subject).collect();
        Vec::new()
    }

    /// Reduces the job to these lives; the others are erased. Returns the writes that update
    /// its lists.
    pub fn keep_only(&mut self, kept: &[LifeKey]) -> Vec<Write> {
        let before = self.spec.lists();
        let mut writes = self.name(kept);
        let partition = keys::jobs(self.key.tenant, self.key.kind);
        let surplus = (writes.len()..before).map(|number| keys::list_of_job(self.key.id, number));
        let surplus: Vec<_> = surplus
            .map(|sort| Write::delete(&partition, &sort))
            .collect();
        writes.extend(surplus);
        writes
    }

    /// Lets an erasure's lists expire with it: part of the transaction that ends it.
    pub fn lists_end_writes(&self, now: Timestamp) -> Vec<Write> {
        let partition = keys::jobs(self.key.tenant, self.key.kind);
        let until = (now + KEPT).as_second();
        let end = |number| {
            let list = keys::list_of_job(self.key.id, number);
            Write::update(&partition, &list).set("expires_at", until)
        };
        (0..self.spec.lists()).map(end).collect()
    }

    /// The job that erases an expired life.
    pub fn expiry(key: LifeKey, now: Timestamp) -> Job<Erasing> {
        let erasing = Erasing {
            ended: true,
            // Links may have been issued until the very end.
            uploads_until: Some(last_upload(now)),
            ..Erasing::default()
        };
        let (mut job, _none) = Job::erasure(JobKind::Expiry, key.tenant, &[(key, 0)], erasing, now);
        job.outcome.unreadable_at = Some(UnreadableAt::records(now));
        job
    }
}

/// One part of a long list, indexed by its subjects as the job itself would be.
fn list_write(job: JobKey, number: usize, lives: &[LifeKey]) -> Write {
    let row = Item::new(
        &keys::jobs(job.tenant, job.kind),
        &keys::list_of_job(job.id, number),
    );
    let short: Vec<_> = lives.iter().map(LifeKey::short).collect();
    let mut subjects: Vec<_> = lives.iter().map(|life| life.subject).collect();
    subjects.sort_unstable();
    subjects.dedup();
    let subjects = subjects
        .iter()
        .map(SubjectId::to_string)
        .collect::<Vec<_>>();
    let row = row
        .with("lives", short.join(" "))
        .with("subjects", subjects);
    Write::put(row)
}

impl Store {
    /// The lives of an erasure from this position on, as many as are stored together.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when DynamoDB does not answer, or a list is not as it was
    /// written.
    pub async fn lives_of(
        &self,
        job: JobKey,
        erasing: &Erasing,
        from: usize,
    ) -> Result<Vec<LifeKey>> {
        if from >= erasing.count {
            return Ok(Vec::new());
        }
        if !erasing.lives.is_empty() {
            return Ok(erasing.inline(job.tenant)?.split_off(from));
        }
        let sort = keys::list_of_job(job.id, from / LISTED);
        let row = self.get(&keys::jobs(job.tenant, job.kind), &sort).await?;
        let row = row.ok_or_else(broken)?;
        let parse = |text: &str| LifeKey::parse_short(job.tenant, text).ok_or_else(broken);
        let lives = row.text("lives")?.split(' ').skip(from % LISTED);
        lives.map(parse).collect()
    }

    /// All lives of an erasure: a few thousand at most.
    ///
    /// # Errors
    /// As [`Store::lives_of`].
    pub async fn all_lives_of(&self, job: JobKey, erasing: &Erasing) -> Result<Vec<LifeKey>> {
        let mut lives = Vec::new();
        while lives.len() < erasing.count {
            lives.extend(self.lives_of(job, erasing, lives.len()).await?);
        }
        Ok(lives)
    }

    /// The last day whose expiries have a receipt, if any.
    ///
    /// # Errors
    /// As [`Store::lives_of`].
    pub async fn expiries_receipted(&self, tenant: TenantId) -> Result<Option<Date>> {
        let row = self.get(&keys::receipts(tenant), EXPIRIES).await?;
        let day = row.and_then(|row| row.try_text("day")?.parse().ok());
        Ok(day)
    }

    /// # Errors
    /// As [`Store::lives_of`].
    pub async fn set_expiries_receipted(&self, tenant: TenantId, day: Date) -> Result<()> {
        let row = Item::new(&keys::receipts(tenant), EXPIRIES).with("day", day.to_string());
        let _done = self.write(Write::put(row)).await?;
        Ok(())
    }
}
