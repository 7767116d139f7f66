//! Hands ended lives to ordinary erasure jobs: several lives a job, each in one transaction
//! with the writes that end it. A row in each life's partition records the hand-over, so that
//! a repeated replay does not hand it over again; the worker removes the row with everything
//! else.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::aws::dynamo::Write;
use shared::aws::s3::last_upload;
use shared::base::error::{Error, Result};
use shared::base::id::TenantId;
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent};
use shared::domain::erasure::outcome::UnreadableAt;
use shared::domain::erasure::spec::Erasing;
use shared::domain::jobs::Job;
use shared::domain::keys::{JobKind, LifeKey};
use shared::domain::life::repair::end_writes;

/// The reason in the log and the receipt.
const REASON: &str = "restore";
/// The most writes about lives in one transaction, before the job and its audit event.
const TOGETHER: usize = 90;

/// Lives to hand over, each with the writes that end it.
#[derive(Default)]
pub struct HandOver(BTreeMap<TenantId, Vec<(LifeKey, Vec<Write>)>>);

impl HandOver {
    /// Adds a life. `ends`: further writes of the same transaction.
    pub fn add(&mut self, life: LifeKey, mut ends: Vec<Write>) {
        ends.extend(end_writes(&life));
        self.0.entry(life.tenant).or_default().push((life, ends));
    }

    /// Writes the erasure jobs.
    pub async fn write(self, app: &App) -> Result<()> {
        for (tenant, lives) in self.0 {
            let mut some = Vec::new();
            let mut writes = Vec::new();
            for (life, ends) in lives {
                if writes.len() + ends.len() > TOGETHER {
                    begin(
                        app,
                        tenant,
                        &std::mem::take(&mut some),
                        std::mem::take(&mut writes),
                    )
                    .await?;
                }
                some.push((life, 0));
                writes.extend(ends);
            }
            begin(app, tenant, &some, writes).await?;
        }
        Ok(())
    }
}

/// One erasure job with the writes that end its lives.
async fn begin(
    app: &App,
    tenant: TenantId,
    lives: &[(LifeKey, u64)],
    mut writes: Vec<Write>,
) -> Result<()> {
    if lives.is_empty() {
        return Ok(());
    }
    let now = app.clock.now();
    let erasing = erasing(now);
    let (mut job, lists) = Job::erasure(JobKind::Erasure, tenant, lives, erasing, now);
    job.outcome.reason = Some(REASON.to_owned());
    job.outcome.unreadable_at = Some(UnreadableAt::records(now));
    writes.extend(lists);
    writes.extend(job.begin_writes());
    let mut about: Vec<_> = lives
        .iter()
        .map(|(life, _)| life.life.to_string())
        .collect();
    about.extend([job.key.id.to_string(), format!("reason:{REASON}")]);
    writes.extend(entry::writes(&[entry::Entry {
        tenant,
        event: AuditEvent::ErasureRequested,
        by: "lethe",
        about: &about,
        at: now,
        happened_at: None,
    }]));
    carry_out(app, writes).await
}

/// The lives have ended; an upload link that was issued last may still write.
fn erasing(now: Timestamp) -> Erasing {
    let mut erasing = Erasing::default();
    erasing.ended = true;
    erasing.uploads_until = Some(last_upload(now));
    erasing
}

/// Executes all writes. Nothing else writes meanwhile, so none may be refused.
pub async fn carry_out(app: &App, writes: Vec<Write>) -> Result<()> {
    let refused = |_| {
        let cause = "the tables change while they are replayed: pause what writes to them first";
        Error::Unavailable(cause.into())
    };
    app.store.transact(writes).await?.map_err(refused)
}
