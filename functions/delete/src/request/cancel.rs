//! Cancelling an erasure that waits for a hold, or has not begun.

use std::collections::HashSet;

use shared::aws::dynamo::{Write, in_transactions};
use shared::base::error::{Error, Result};
use shared::base::retry::Tries;
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent};
use shared::domain::erasure::offboarding;
use shared::domain::erasure::spec::Erasing;
use shared::domain::jobs::{Job, JobKind, JobState};
use shared::domain::keyring::unblock_write;
use shared::domain::keys::LifeKey;
use shared::http::{Answer, Call};

use crate::end::TOGETHER;

/// `POST /v1/erasures/{id}/cancel`: what has not gone yet stays.
pub async fn cancel(app: &App, call: &Call) -> Result<Answer> {
    let mut tries = Tries::default();
    loop {
        tries.next().await?;
        let mut job: Job<Erasing> = call.job(app, JobKind::Erasure).await?;
        let now = app.clock.now();
        let waits =
            job.state == JobState::Blocked || (job.state == JobState::Queued && job.spec.tenant);
        if !waits {
            let detail = "Only an erasure that is blocked or has not started can be cancelled.";
            return Err(Error::Conflict {
                code: "not_cancellable",
                detail,
            });
        }
        let about = [job.key.id.to_string()];
        let mut writes = entry::writes(&[entry::Entry {
            tenant: call.tenant(),
            event: AuditEvent::ErasureCancelled,
            by: &call.by(),
            about: &about,
            at: now,
            happened_at: None,
        }]);
        if job.spec.tenant {
            writes.extend(offboarding::cancel_writes(&mut job, now));
        } else {
            let Some(unblock) = unblock_writes(app, &job).await? else {
                // The hold on one of them has ended, and with it perhaps their life.
                let _refused = app.store.transact(job.wake_writes(now).into()).await?;
                continue;
            };
            writes.extend(unblock);
            if job.outcome.unreadable_at.is_none() {
                writes.extend(job.lists_end_writes(now));
                writes.push(job.finish_write(JobState::Cancelled, now));
            } else {
                // Others have been erased: for them the job continues to its receipt.
                job.spec.ended = true;
                job.outcome.cancelled = job.outcome.blocked.replace(Vec::new());
                job.state = JobState::Queued;
                writes.extend(job.next_writes(now));
            }
        }
        if app.store.transact(writes).await?.is_ok() {
            return Ok(Answer::ok(&job.view()));
        }
        // It went on meanwhile: look again.
    }
}

/// The writes that take a blocked erasure off the holds that it waits for: each of those must
/// be in force still. Of very many, all but the last are written already. `None` when a hold
/// has been lifted: then the erasure continues.
async fn unblock_writes(app: &App, job: &Job<Erasing>) -> Result<Option<Vec<Write>>> {
    let excluded: HashSet<_> = job.outcome.excluded().collect();
    let mut lives = app.store.all_lives_of(job.key, &job.spec).await?;
    lives.retain(|life| excluded.contains(&life.subject));
    let subjects: Vec<_> = lives.iter().map(|life| life.subject).collect();
    let entries = app.keyring.entries(job.key.tenant, &subjects).await?;
    let held = |life: &LifeKey| {
        let entry = entries.get(&life.subject);
        entry.is_some_and(|entry| entry.key == *life && entry.rules.held)
    };
    if !lives.iter().all(held) {
        return Ok(None);
    }
    let unblock = |life: &LifeKey| unblock_write(life, job.key.id);
    let mut writes: Vec<_> = lives.iter().map(unblock).collect();
    let rest = writes.split_off(writes.len().min(TOGETHER));
    for some in in_transactions(rest) {
        if !some.is_empty() && app.store.transact(some).await?.is_err() {
            return Ok(None);
        }
    }
    Ok(Some(writes))
}
