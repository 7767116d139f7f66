//! An erasure, turn by turn: ends the remaining lives, purges their data, then verifies until
//! a pass finds nothing. Only then deletes the expiry index entries and issues the receipt.

use std::collections::HashSet;
use std::time::Instant;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use shared::base::error::{Error, Result};
use shared::base::id::SubjectId;
use shared::base::recovery::KEPT;
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent};
use shared::domain::erasure::progress::Progress;
use shared::domain::erasure::receipt::{Lives, Receipt};
use shared::domain::erasure::spec::Erasing;
use shared::domain::jobs::{Job, JobKind, JobState};
use shared::domain::keys::LifeKey;

use crate::end::{end, set_ended};
use crate::worker::purge::purge;
use crate::worker::tenant;
use crate::worker::turn::{Halt, Turn};
use crate::worker::verify::{Done, close, look_back, record_in_ledger};

/// How long a failing erasure is retried without notice, and the interval of retries after
/// that.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Lives that are closed concurrently.
const AT_ONCE: usize = 8;

/// Works on an erasure until it is complete, has to wait, or its time is over.
pub async fn turn(app: &App, job: Job<Erasing>, deadline: Instant) -> Result<()> {
    let mut turn = Turn::new(app, job, deadline);
    let done = match turn.job.spec.tenant {
        true => tenant::work(&mut turn).await,
        false => work(&mut turn).await,
    };
    match done {
        Ok(Done::Everything) if turn.job.spec.tenant => tenant::finish(turn).await,
        Ok(Done::Everything) => finish(turn).await,
        Ok(Done::Until(state, until)) => turn.wait(state, until).await,
        Err(Halt::OutOfTime) => turn.hand_over().await,
        Err(Halt::Fenced) => Ok(()),
        Err(Halt::Failed(error)) => failed(turn, error).await,
    }
}

/// Handles an error of a store: Lambda retries, but after a day of failures the job names the
/// store.
async fn failed(mut turn: Turn<'_>, error: Error) -> Result<()> {
    let now = turn.app.clock.now();
    let since = *turn.job.progress.failing_since.get_or_insert(now);
    if now < since + DAY {
        // If this fails as well, the day begins with the next attempt.
        let _unsaved = turn.save().await;
        return Err(error);
    }
    tracing::error!(function = "delete", job = %turn.job.key.id, cause = %error, "an erasure is partial");
    turn.job.outcome.partial = vec![turn.job.progress.within.store().to_owned()];
    turn.wait(JobState::Partial, now + DAY).await
}

async fn work(turn: &mut Turn<'_>) -> Result<Done, Halt> {
    end_rest(turn).await?;
    record_in_ledger(turn).await?;
    if turn.job.progress.began.is_none() {
        turn.job.progress.began = Some(turn.app.clock.now());
    }
    loop {
        pass(turn).await?;
        if let Some(done) = look_back(turn)? {
            return Ok(done);
        }
    }
}

/// Ends the remaining lives: a request may have failed half way, and a hold may have been
/// lifted since.
async fn end_rest(turn: &mut Turn<'_>) -> Result<(), Halt> {
    let waiting = blocked(&turn.job);
    if turn.job.spec.ended && waiting.as_ref().is_none_or(HashSet::is_empty) {
        return Ok(());
    }
    let (app, now) = (turn.app, turn.app.clock.now());
    let mut lives = app.store.all_lives_of(turn.job.key, &turn.job.spec).await?;
    if let Some(waiting) = &waiting {
        // All others have ended and do not concern this job any more.
        lives.retain(|life| waiting.contains(&life.subject));
    }
    let ended = end(app, &turn.job, &lives).await?.ok_or(Halt::Fenced)?;
    turn.job.spec.uploads_until = turn.job.spec.uploads_until.max(ended.uploads_until);
    set_ended(app, &mut turn.job, &ended.blocked, now);
    turn.job.spec.ended = true;
    if waiting.is_some_and(|waiting| ended.blocked.len() < waiting.len()) {
        // The pass may have skipped them: it begins again.
        turn.begin_pass(now);
        turn.job.progress.began = None;
        turn.job.progress.pass = 0;
    }
    // More lives may have ended than were recorded.
    turn.job.progress.in_ledger = false;
    turn.save().await
}

/// People who wait for a hold to end; `None` before the job's lives have ended.
fn blocked(job: &Job<Erasing>) -> Option<HashSet<SubjectId>> {
    let blocked = job.outcome.blocked.as_ref()?;
    Some(blocked.iter().map(|it| it.subject).collect())
}

/// Processes all lives once.
async fn pass(turn: &mut Turn<'_>) -> Result<(), Halt> {
    let excluded: HashSet<_> = turn.job.outcome.excluded().collect();
    while turn.job.progress.life < turn.job.spec.count {
        let (job, at) = (turn.job.key, turn.job.progress.life);
        let lives = turn.app.store.lives_of(job, &turn.job.spec, at).await?;
        for life in &lives {
            if !excluded.contains(&life.subject) {
                purge(turn, life).await?;
            }
            turn.job.progress.life += 1;
            turn.still_time()?;
        }
    }
    Ok(())
}

/// Deletes the expiry index entries, then issues the receipt in one transaction with the job
/// and the audit event.
async fn finish(mut turn: Turn<'_>) -> Result<()> {
    let now = turn.app.clock.now();
    let excluded: HashSet<_> = turn.job.outcome.excluded().collect();
    let held = blocked(&turn.job).is_some_and(|blocked| !blocked.is_empty());
    let (app, job) = (turn.app, turn.job.key);
    let mut lives = app.store.all_lives_of(job, &turn.job.spec).await?;
    lives.retain(|life| !excluded.contains(&life.subject));
    let closing = lives.iter().map(|life| close(app, life, now).boxed());
    crate::at_once(AT_ONCE, closing.collect()).await?;
    if held {
        return match forget(&mut turn, &lives, now).await {
            Ok(()) => wait_for_holds(turn, excluded.len()).await,
            Err(Halt::Failed(error)) => Err(error),
            Err(Halt::Fenced | Halt::OutOfTime) => Ok(()),
        };
    }
    turn.count_closed(&lives);
    turn.job.total = turn.job.done;
    turn.job.progress = Progress::default();
    turn.job.outcome.erased_at = Some(now);
    turn.job.outcome.partial.clear();
    let lives = Lives::after(turn.job.spec.closed.clone(), &lives);
    end_job(app, turn.job, lives, now).await
}

/// Removes the erased people from the job after the time for which any job names people, even
/// if the job still waits.
async fn forget(turn: &mut Turn<'_>, closed: &[LifeKey], now: Timestamp) -> Result<(), Halt> {
    let unreadable_at = turn.job.outcome.unreadable_at.as_ref();
    let erased_at = unreadable_at.and_then(|at| at.attachments);
    if closed.is_empty() || erased_at.is_none_or(|at| at + KEPT > now) {
        return Ok(());
    }
    let mut kept = turn
        .app
        .store
        .all_lives_of(turn.job.key, &turn.job.spec)
        .await?;
    kept.retain(|life| !closed.contains(life));
    turn.count_closed(closed);
    closed
        .iter()
        .for_each(|life| turn.job.spec.closed.push(life));
    let lists = turn.job.keep_only(&kept);
    turn.save_with(lists).await
}

/// Waits for the holds to be lifted, then processes everything once more. First verifies
/// whether one has been lifted since.
async fn wait_for_holds(mut turn: Turn<'_>, before: usize) -> Result<()> {
    let now = turn.app.clock.now();
    turn.job.spec.ended = false;
    match end_rest(&mut turn).await {
        Err(Halt::Failed(error)) => return Err(error),
        Err(Halt::Fenced | Halt::OutOfTime) => return Ok(()),
        Ok(()) => {}
    }
    turn.begin_pass(now);
    turn.job.progress.began = None;
    turn.job.progress.pass = 0;
    if turn.job.outcome.excluded().count() < before {
        return turn.hand_over().await;
    }
    turn.job.spec.ended = false;
    turn.wait(JobState::Blocked, now + DAY).await
}

/// Ends the job with its audit event and, for a requested erasure, its receipt. Expiries share
/// one receipt a day.
async fn end_job(app: &App, mut job: Job<Erasing>, lives: Lives, now: Timestamp) -> Result<()> {
    let expired = job.key.kind == JobKind::Expiry;
    let mut about = lives.about();
    about.push(job.key.id.to_string());
    let entry = entry::Entry {
        tenant: job.key.tenant,
        event: if expired {
            AuditEvent::Expired
        } else {
            AuditEvent::ErasureCompleted
        },
        by: "lethe",
        about: &about,
        at: now,
        happened_at: None,
    };
    let mut writes = entry::writes(&[entry]);
    if !expired {
        let receipt = Receipt::of_job(&job, lives, now);
        writes.push(receipt.issue(app).await?.1);
    }
    writes.extend(job.lists_end_writes(now));
    writes.push(job.finish_write(JobState::Completed, now));
    // Refused: a later turn has completed it.
    let _fenced = app.store.transact(writes).await?;
    Ok(())
}
