//! Measures with each sweep how long the oldest erasure has been overdue. An alarm watches the
//! value, and its absence.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::aws::dynamo::Pages;
use shared::aws::emf::{Metric, Unit};
use shared::base::error::Result;
use shared::base::id::JobId;
use shared::domain::app::App;
use shared::domain::erasure::spec::Erasing;
use shared::domain::jobs::{Job, JobKind, JobState};
use shared::domain::keys::{self, JOBS_DUE};

/// Jobs listed together: about one DynamoDB page.
const PAGE: usize = 1000;
/// The longest that an erasure takes in normal operation: a person's takes some minutes; a
/// tenant's waits for caches, links and sweeps.
const TAKES: SignedDuration = SignedDuration::from_hours(3);

/// Reports for how many seconds the oldest erasure is overdue; 0 when none is.
pub async fn measure(app: &App) -> Result<()> {
    let now = app.clock.now();
    let younger = JobId::bound(now - TAKES);
    let (mut longest, mut oldest) = (SignedDuration::ZERO, None);
    let mut pages = Pages::new(|after| app.store.due(JOBS_DUE, None, PAGE, after));
    while let Some(sorts) = pages.next().await? {
        for key in sorts.iter().filter_map(|sort| keys::parse_job_due(sort)) {
            let erases = matches!(key.kind, JobKind::Erasure | JobKind::Expiry);
            if !erases || key.id >= younger {
                continue;
            }
            let Some(job) = app.store.job(key).await? else {
                continue;
            };
            let overdue = overdue(&job, now);
            if overdue > longest {
                (longest, oldest) = (overdue, Some(key.id.to_string()));
            }
        }
    }
    Metric {
        name: "OldestOverdueErasure",
        value: usize::try_from(longest.as_secs()).unwrap_or(0),
        unit: Unit::Seconds,
        of: ("Table", &app.config.records_table),
        about: ("job", json!(oldest)),
    }
    .log(now);
    Ok(())
}

/// How long the job is overdue. A job that a hold blocks is not late, nor is a tenant's before
/// its day of grace is over.
fn overdue(job: &Job<Erasing>, now: Timestamp) -> SignedDuration {
    if job.state.over() || job.state == JobState::Blocked {
        return SignedDuration::ZERO;
    }
    let begins = job.outcome.not_before.unwrap_or(job.created_at);
    (now.duration_since(begins) - TAKES).max(SignedDuration::ZERO)
}
