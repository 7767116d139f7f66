//! The receipt of a day's expiries: one for each tenant and day with an expiry, issued once
//! the day is over and its last erasure is verified.

use std::collections::BTreeMap;
use std::time::Instant;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use shared::base::error::{Error, Result};
use shared::base::id::{JobId, TenantId};
use shared::domain::app::App;
use shared::domain::erasure::receipt::Receipt;
use shared::domain::erasure::spec::Erasing;
use shared::domain::jobs::{Job, JobKind};
use shared::domain::keys::day_of;

/// Jobs read together: about one DynamoDB page.
const PAGE: usize = 1000;
/// How long a day stays open after midnight: an expiry that began on it may be written a
/// little later.
const GRACE: SignedDuration = SignedDuration::from_hours(1);

/// Issues the receipts of every finished day that has none yet, oldest first.
pub async fn issue(
    app: &App,
    tenant: TenantId,
    created_at: Timestamp,
    deadline: Instant,
) -> Result<()> {
    let today = day_of(app.clock.now() - GRACE);
    let mut day = match app.store.expiries_receipted(tenant).await? {
        Some(last) => last.tomorrow().unwrap_or(last),
        None => day_of(created_at),
    };
    let mut done = None;
    while day < today && Instant::now() < deadline {
        match expiries(app, tenant, day, deadline).await? {
            // A life of that day is not yet verified, or time is up.
            None => break,
            Some(ended) if ended.lives.is_empty() => {}
            Some(ended) => {
                let now = app.clock.now();
                let when = (ended.unreadable_at, ended.erased_at);
                let receipt = Receipt::of_day(tenant, day, &ended.lives, &ended.stores, when, now);
                let (_, kept) = receipt.issue(app).await?;
                let _new = app.store.write(kept).await?;
            }
        }
        done = Some(day);
        day = day.tomorrow().unwrap_or(today);
    }
    match done {
        Some(last) => app.store.set_expiries_receipted(tenant, last).await,
        None => Ok(()),
    }
}

/// The lives that expired on one day.
struct Ended {
    lives: Vec<shared::domain::keys::LifeKey>,
    stores: BTreeMap<String, u64>,
    /// When the last of them became unreadable, and when its erasure was verified.
    unreadable_at: Timestamp,
    erased_at: Timestamp,
}

/// The expiries of a day; `None` while one of them is unfinished, or when time is up.
async fn expiries(
    app: &App,
    tenant: TenantId,
    day: Date,
    deadline: Instant,
) -> Result<Option<Ended>> {
    let midnight = |day: Date| day.to_zoned(TimeZone::UTC).map(|at| at.timestamp());
    let broken = |_| Error::Unavailable("a day has no midnight".into());
    let from = midnight(day).map_err(broken)?;
    let until = from + SignedDuration::from_hours(24);
    let mut ended = Ended {
        lives: Vec::new(),
        stores: BTreeMap::new(),
        unreadable_at: from,
        erased_at: from,
    };
    let mut after = None;
    loop {
        let range = (JobId::bound(from), JobId::bound(until));
        let (jobs, next) = app
            .store
            .jobs_between(tenant, JobKind::Expiry, range, PAGE, after)
            .await?;
        for job in &jobs {
            if !job.state.over() {
                return Ok(None);
            }
            ended.add(job)?;
        }
        after = next;
        if after.is_none() {
            return Ok(Some(ended));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
    }
}

impl Ended {
    fn add(&mut self, job: &Job<Erasing>) -> Result<()> {
        self.lives.extend(job.spec.inline(job.key.tenant)?);
        self.unreadable_at = self.unreadable_at.max(job.created_at);
        self.erased_at = self
            .erased_at
            .max(job.finished_at.unwrap_or(job.created_at));
        for (store, count) in &job.outcome.stores {
            *self.stores.entry(store.clone()).or_default() += count;
        }
        Ok(())
    }
}
