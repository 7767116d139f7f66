//! Resumes jobs without a worker: the worker died, or the job's wait is over.

use std::time::Instant;

use futures::FutureExt;
use serde_json::Value;
use shared::base::error::Result;
use shared::domain::app::App;
use shared::domain::keys::{self, JOBS_DUE, JobKey};

use crate::sweep::Sweep;
use crate::{PAGE, at_once};

/// Hands over the next turn of every due job, the longest due first.
pub async fn resume(sweep: &mut Sweep<'_>, until: Instant) {
    let app = sweep.app;
    let due = keys::moment(app.clock.now());
    let mut after = None;
    loop {
        let page = app.store.due(JOBS_DUE, Some(&due), PAGE, after).await;
        let Some((sorts, next)) = sweep.note("jobs", "-", page) else {
            return;
        };
        let jobs = sorts.iter().filter_map(|sort| keys::parse_job_due(sort));
        let jobs: Vec<_> = jobs.collect();
        let turns = jobs.iter().map(|key| hand_over(app, *key).boxed());
        for (key, resumed) in jobs.iter().zip(at_once(turns.collect()).await) {
            let about = format!("{} {}", key.tenant, key.id);
            let resumed = sweep.note("jobs", about, resumed);
            sweep.did.jobs_resumed += u64::from(resumed == Some(true));
        }
        after = next;
        if after.is_none() || Instant::now() >= until {
            return;
        }
    }
}

/// Hands over the next turn of a job if it is due. The index is eventually consistent, so the
/// job row decides. If a worker takes up the job meanwhile, the hand-over is refused.
async fn hand_over(app: &App, key: JobKey) -> Result<bool> {
    let now = app.clock.now();
    let Some(mut job) = app.store.job::<Value>(key).await? else {
        return Ok(false);
    };
    if job.look_at.is_none_or(|at| at > now) {
        return Ok(false);
    }
    app.store.next_turn(&mut job, now).await
}
