//! An erasure of many people: the job with its list first, then the ends of the lives, then
//! the answer. The worker completes what a request that dies leaves out.

use shared::base::error::{Error, Result};
use shared::base::id::JobId;
use shared::base::retry::Tries;
use shared::domain::app::App;
use shared::domain::erasure::spec::Erasing;
use shared::domain::jobs::{Job, JobKind, JobState};
use shared::domain::keys::JobKey;
use shared::http::jobs::accepted;
use shared::http::{Answer, Call};

use super::{DAY, Erase, job, requested};
use crate::end::{Present, end, set_ended};

/// The part of a request under which it notes the job that it has begun.
const BEGUN: &str = "job";

/// The job with its list first, then the lives end, then the answer. Should this die in the
/// middle, the worker ends the rest.
pub(super) async fn begin(
    app: &App,
    call: &Call,
    erase: &Erase,
    found: Vec<Present>,
) -> Result<Answer> {
    let now = app.clock.now();
    let (mut job, lists) = job(call, erase, &found, erase.erasing(), now);
    for list in lists {
        let _new = app.store.write(list).await?;
    }
    let mut writes = requested(call, &job, &found, now);
    writes.push(job.prepare_write());
    let id = job.key.id.to_string();
    let once = call.once();
    writes.extend(once.map(|once| once.part_write(BEGUN, &id, now)));
    if app.store.transact(writes).await?.is_err() {
        return Err(Error::Unavailable("a new job's id is taken".into()));
    }
    end_all(app, job).await
}

/// The job that this very request has begun, when it came before and died half way.
pub(super) async fn begun(app: &App, call: &Call) -> Result<Option<Job<Erasing>>> {
    let (tenant, Some(once)) = (call.tenant(), call.once()) else {
        return Ok(None);
    };
    let id = app.store.part(once, BEGUN, app.clock.now()).await?;
    let Some(id) = id.as_deref().and_then(JobId::parse) else {
        return Ok(None);
    };
    let kind = JobKind::Erasure;
    app.store.job(JobKey { tenant, kind, id }).await
}

/// Ends all lives of a job that is prepared, and hands it over. Where the worker has taken the
/// job up meanwhile, both end what is left, so that everybody is unreadable in the answer.
pub(super) async fn end_all(app: &App, mut job: Job<Erasing>) -> Result<Answer> {
    let mut tries = Tries::default();
    loop {
        tries.next().await?;
        if !tries.first() {
            job = app.store.job(job.key).await?.ok_or(Error::NotFound)?;
        }
        let over = job.finished_at.is_some();
        if over || job.spec.ended || job.state == JobState::Blocked {
            return Ok(accepted(&job, "erasures"));
        }
        let lives = app.store.all_lives_of(job.key, &job.spec).await?;
        let Some(ended) = end(app, &job, &lives).await? else {
            continue;
        };
        if job.turn > 0 {
            return Ok(accepted(&job, "erasures"));
        }
        let now = app.clock.now();
        job.spec.uploads_until = ended.uploads_until;
        set_ended(app, &mut job, &ended.blocked, now);
        let waits = ended.blocked.len() == job.spec.count;
        job.spec.ended = !waits;
        let saved = if waits {
            job.state = JobState::Blocked;
            app.store.wait_until(&mut job, now + DAY).await?
        } else {
            app.store.next_turn(&mut job, now).await?
        };
        if saved {
            return Ok(accepted(&job, "erasures"));
        }
    }
}
