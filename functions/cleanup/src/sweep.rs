//! The order of a sweep's steps, their time limits, and the failures in them.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared::aws::dynamo::Pages;
use shared::aws::emf::{Metric, Unit};
use shared::base::error::Result;
use shared::base::id::TenantId;
use shared::domain::app::App;
use shared::domain::checks::SweptUpTo;
use shared::domain::expiry_index::Cursor;
use shared::domain::tenant::rows::Record;

use crate::shorten::shorten;
use crate::{PAGE, drift, expiry, jobs, overdue, receipts, roots};

/// Each step's deadline, from the beginning of the sweep. The function's timeout leaves a
/// minute for the measurement at the end.
const JOBS: Duration = Duration::from_secs(60);
const FORGETTING: Duration = Duration::from_secs(180);
const SEALING: Duration = Duration::from_secs(240);
/// How long a step works on one tenant before the next tenant's turn.
const TURN: Duration = Duration::from_secs(10);

/// One sweep: its results and failures so far.
pub struct Sweep<'a> {
    pub app: &'a App,
    started: Instant,
    pub did: Did,
    complete: bool,
    failures: usize,
    failed: BTreeSet<&'static str>,
}

/// The results of a sweep.
#[derive(Clone, Copy, Debug, Default)]
pub struct Did {
    pub expired: u64,
    pub clocks_moved: u64,
    pub shortened: u64,
    pub jobs_resumed: u64,
    pub days_sealed: u64,
    pub holds_ended: u64,
}

/// The progress of expiry for one tenant.
struct Forgetting {
    tenant: TenantId,
    shortened: bool,
    expiry: Cursor,
}

impl<'a> Sweep<'a> {
    pub fn begin(app: &'a App) -> Sweep<'a> {
        Sweep {
            app,
            started: Instant::now(),
            did: Did::default(),
            complete: true,
            failures: 0,
            failed: BTreeSet::new(),
        }
    }

    /// Records a failure and its context: only ids of tenants, lives and jobs.
    pub fn note<T>(
        &mut self,
        step: &'static str,
        about: impl Display,
        done: Result<T>,
    ) -> Option<T> {
        let cause = match done {
            Ok(done) => return Some(done),
            Err(cause) => cause,
        };
        self.failures += 1;
        self.failed.insert(step);
        tracing::error!(function = "cleanup", step, about = %about, cause = %cause, "a part of the sweep failed");
        None
    }

    /// Runs every step and returns what the sweep did.
    pub async fn run(mut self) -> Value {
        let started = self.started;
        jobs::resume(&mut self, started + JOBS).await;
        let places = self.app.store.swept_up_to().await;
        let places = self.note("tenants", "-", places).unwrap_or_default();
        let tenants = tenants(self.app).await;
        let tenants = self.note("tenants", "-", tenants).unwrap_or_default();
        let next = SweptUpTo {
            forgetting: self.forget_all(&tenants, places.forgetting).await,
            // Last, so that expiry never waits for signing.
            sealing: self.sign_roots(&tenants, places.sealing).await,
        };
        if next != places {
            let noted = self.app.store.note_swept_up_to(next).await;
            self.note("tenants", "-", noted);
        }
        let measured = overdue::measure(self.app).await;
        self.note("overdue", "-", measured);
        let checked = drift::check(self.app).await;
        self.note("drift", "-", checked);
        self.tell()
    }

    /// Expires due lives of each tenant in turn. Returns the last tenant that was reached, if
    /// time ran out before the others.
    async fn forget_all(
        &mut self,
        tenants: &[Record],
        after: Option<TenantId>,
    ) -> Option<TenantId> {
        let until = self.started + FORGETTING;
        let mut left = Vec::new();
        let mut last = None;
        for tenant in round(tenants, after) {
            if Instant::now() >= until {
                self.complete = false;
                return last.or(after);
            }
            last = Some(tenant.tenant);
            let mut work = Forgetting {
                tenant: tenant.tenant,
                shortened: false,
                expiry: Cursor::default(),
            };
            if !self.forget(&mut work, until).await {
                left.push(work);
            }
        }
        // Every tenant had a turn. Those that need more share the remaining time.
        while !left.is_empty() {
            if Instant::now() >= until {
                self.complete = false;
                break;
            }
            for mut work in std::mem::take(&mut left) {
                if !self.forget(&mut work, until).await {
                    left.push(work);
                }
            }
        }
        None
    }

    /// One tenant's turn. False when it needs another.
    async fn forget(&mut self, work: &mut Forgetting, until: Instant) -> bool {
        let now = Instant::now();
        if !work.shortened {
            let done = shorten(self, work.tenant, until.min(now + TURN / 2)).await;
            work.shortened = self.note("shorten", work.tenant, done).unwrap_or(true);
        }
        expiry::sweep(self, work.tenant, &mut work.expiry, until.min(now + TURN)).await
            && work.shortened
    }

    /// Signs the finished days of every tenant's log and issues the receipts of its expiries.
    /// Returns as [`Sweep::forget_all`].
    async fn sign_roots(
        &mut self,
        tenants: &[Record],
        after: Option<TenantId>,
    ) -> Option<TenantId> {
        let until = self.started + SEALING;
        let mut last = None;
        for record in round(tenants, after) {
            let now = Instant::now();
            if now >= until {
                self.complete = false;
                return last.or(after);
            }
            let (tenant, created_at) = (record.tenant, record.created_at);
            last = Some(tenant);
            let days = roots::sign(self.app, tenant, created_at, until.min(now + TURN)).await;
            self.did.days_sealed += self.note("seal", tenant, days).unwrap_or_default();
            let receipts_until = until.min(Instant::now() + TURN);
            let issued = receipts::issue(self.app, tenant, created_at, receipts_until).await;
            self.note("receipts", tenant, issued);
        }
        None
    }

    /// Reports what the sweep did to the log, the alarms and the caller.
    fn tell(self) -> Value {
        let Did {
            expired,
            clocks_moved,
            shortened,
            jobs_resumed,
            days_sealed,
            holds_ended,
        } = self.did;
        let (complete, failures) = (self.complete, self.failures);
        tracing::info!(
            function = "cleanup",
            duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            expired,
            clocks_moved,
            shortened,
            jobs_resumed,
            days_sealed,
            holds_ended,
            complete,
            failures,
            "sweep"
        );
        Metric {
            name: "SweepFailures",
            value: failures,
            unit: Unit::Count,
            of: ("Table", &self.app.config.records_table),
            about: ("steps", json!(self.failed)),
        }
        .log(self.app.clock.now());
        json!({
            "expired": expired,
            "clocks_moved": clocks_moved,
            "shortened": shortened,
            "jobs_resumed": jobs_resumed,
            "days_sealed": days_sealed,
            "holds_ended": holds_ended,
            "complete": complete,
            "failures": failures,
        })
    }
}

/// Every tenant that is not leaving. The job that erases a tenant erases its people.
async fn tenants(app: &App) -> Result<Vec<Record>> {
    let stays = |it: &Record| it.erased_at.is_none() && !it.going;
    let mut staying = Vec::new();
    let mut pages = Pages::new(|after| app.store.tenants(PAGE, after));
    while let Some(tenants) = pages.next().await? {
        staying.extend(tenants.into_iter().filter(stays));
    }
    Ok(staying)
}

/// All tenants in order, beginning after the one at which the last sweep stopped.
fn round(tenants: &[Record], after: Option<TenantId>) -> impl Iterator<Item = &Record> {
    let first = tenants.partition_point(|it| Some(it.tenant) <= after);
    tenants[first..].iter().chain(&tenants[..first])
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_round_begins_after_the_last_one_and_reaches_everybody_once() {
        let mut tenants: Vec<_> = (0..4).map(|_| TenantId::new()).collect();
        tenants.sort_unstable();
        let record = |tenant: &TenantId| Record {
            tenant: *tenant,
            created_at: Timestamp::UNIX_EPOCH,
            leaving: None,
            going: false,
            erased_at: None,
            receipt: None,
        };
        let records: Vec<_> = tenants.iter().map(record).collect();
        let reached = |after| -> Vec<_> { round(&records, after).map(|it| it.tenant).collect() };
        assert_eq!(reached(None), tenants);
        for at in 0..4 {
            let mut expected = tenants.clone();
            expected.rotate_left((at + 1) % 4);
            assert_eq!(reached(Some(tenants[at])), expected, "after {at}");
        }
        // A tenant that has left since is still a valid position.
        let fewer = [records[0].clone(), records[2].clone()];
        let reached: Vec<_> = round(&fewer, Some(tenants[1]))
            .map(|it| it.tenant)
            .collect();
        assert_eq!(reached, [tenants[2], tenants[0]]);
    }
}
