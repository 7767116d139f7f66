//! An erasure, turn by turn: ends the remaining lives, purges their data, then verifies until
//! a pass finds nothing. Only then deletes the expiry index entries and issues the receipt.

use std::collections::HashSet;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use shared::aws::dynamo::Write;
use shared::base::error::{Error, Result};
use shared::base::id::SubjectId;
use shared::base::recovery::KEPT;
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent, Entry};
use shared::domain::erasure::progress::Progress;
use shared::domain::erasure::receipt::{Lives, Receipt};
use shared::domain::erasure::spec::Erasing;
use shared::domain::jobs::{Job, JobKind, JobState};
use shared::domain::keys::LifeKey;
use shared::domain::turn::{End, Halt, Turn};

use crate::end::{end, set_ended};
use crate::worker::purge::purge;
use crate::worker::tenant;
use crate::worker::verify::{Look, close, look_back, record_in_ledger};

/// How long a failing erasure is retried without notice, and the interval of retries after
/// that.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Lives that are closed concurrently.
const AT_ONCE: usize = 8;

/// Works on an erasure until it is done, waits, or its time is over.
pub async fn work(turn: &mut Turn<'_, Erasing>) -> Result<End, Halt> {
    let came_out = match turn.job.spec.tenant {
        true => tenant::work(turn).await,
        false => people(turn).await,
    };
    match came_out {
        Ok(Some(end)) => Ok(end),
        Ok(None) if turn.job.spec.tenant => tenant::finish(turn).await,
        Ok(None) => finish(turn).await,
        Err(Halt::Failed(error)) => failed(turn, error).await,
        Err(halt) => Err(halt),
    }
}

/// A store did not do what it should: the platform tries again, but after a day of it the
/// job says which store it is.
async fn failed(turn: &mut Turn<'_, Erasing>, error: Error) -> Result<End, Halt> {
    let now = turn.app.clock.now();
    let since = *turn.job.progress.failing_since.get_or_insert(now);
    if now < since + DAY {
        // If this fails as well, the day begins with the next attempt.
        let _unsaved = turn.save().await;
        return Err(error.into());
    }
    tracing::error!(function = "delete", job = %turn.job.key.id, cause = %error, "an erasure is partial");
    turn.job.outcome.partial = vec![turn.job.progress.within.store().to_owned()];
    Ok(End::Wait(JobState::Partial, now + DAY))
}

/// Removes what is left of people; `None` when nothing is.
async fn people(turn: &mut Turn<'_, Erasing>) -> Result<Option<End>, Halt> {
    end_rest(turn).await?;
    record_in_ledger(turn).await?;
    if turn.job.progress.began.is_none() {
        turn.job.progress.began = Some(turn.app.clock.now());
    }
    loop {
        pass(turn).await?;
        match look_back(turn) {
            Look::Clean => return Ok(None),
            Look::Wait(end) => return Ok(Some(end)),
            Look::Again => {}
        }
    }
}

/// Ends the lives that are left: a request that died half way left some, and a hold that
/// has been lifted, at any time since, lets others go.
async fn end_rest(turn: &mut Turn<'_, Erasing>) -> Result<(), Halt> {
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
        // The pass may have left them out: it begins again.
        turn.job.begin_pass(now);
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

/// Goes through all lives once.
async fn pass(turn: &mut Turn<'_, Erasing>) -> Result<(), Halt> {
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

/// The expiry index entries go last; then the receipt, in one transaction with the job and the
/// log.
async fn finish(turn: &mut Turn<'_, Erasing>) -> Result<End, Halt> {
    let now = turn.app.clock.now();
    let excluded: HashSet<_> = turn.job.outcome.excluded().collect();
    let held = blocked(&turn.job).is_some_and(|blocked| !blocked.is_empty());
    let (app, job) = (turn.app, turn.job.key);
    let mut lives = app.store.all_lives_of(job, &turn.job.spec).await?;
    lives.retain(|life| !excluded.contains(&life.subject));
    let closing = lives.iter().map(|life| close(app, life, now).boxed());
    crate::at_once(AT_ONCE, closing.collect()).await?;
    if held {
        forget(turn, &lives, now).await?;
        return wait_for_holds(turn, excluded.len()).await;
    }
    let job = &mut turn.job;
    job.count_closed(&lives);
    job.total = job.done;
    job.progress = Progress::default();
    job.outcome.erased_at = Some(now);
    job.outcome.partial.clear();
    let lives = Lives::after(job.spec.closed.clone(), &lives);
    Ok(End::Job(
        JobState::Completed,
        last_writes(app, job, lives, now).await?,
    ))
}

/// A job leads to the people whom it has erased for as long as any job does, and no longer,
/// whatever else it waits for.
async fn forget(
    turn: &mut Turn<'_, Erasing>,
    closed: &[LifeKey],
    now: Timestamp,
) -> Result<(), Halt> {
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
    turn.job.count_closed(closed);
    closed
        .iter()
        .for_each(|life| turn.job.spec.closed.push(life));
    let lists = turn.job.keep_only(&kept);
    turn.save_with(lists).await
}

/// Waits for whoever lifts the holds, and then goes through everything once more. Looks
/// first whether one has been lifted since.
async fn wait_for_holds(turn: &mut Turn<'_, Erasing>, before: usize) -> Result<End, Halt> {
    let now = turn.app.clock.now();
    turn.job.spec.ended = false;
    end_rest(turn).await?;
    turn.job.begin_pass(now);
    turn.job.progress.began = None;
    turn.job.progress.pass = 0;
    if turn.job.outcome.excluded().count() < before {
        return Ok(End::HandOver);
    }
    turn.job.spec.ended = false;
    Ok(End::Wait(JobState::Blocked, now + DAY))
}

/// What is written as the job ends: its entry in the log and, where somebody asked for the
/// erasure, its receipt. Expiries get one receipt a day.
async fn last_writes(
    app: &App,
    job: &Job<Erasing>,
    lives: Lives,
    now: Timestamp,
) -> Result<Vec<Write>> {
    let expired = job.key.kind == JobKind::Expiry;
    let mut about = lives.about();
    about.push(job.key.id.to_string());
    let event = match expired {
        true => AuditEvent::Expired,
        false => AuditEvent::ErasureCompleted,
    };
    let entry = Entry::new(job.key.tenant, event, "lethe", &about, now);
    let mut writes = entry::writes(&[entry]);
    if !expired {
        let receipt = Receipt::of_job(job, lives, now);
        writes.push(receipt.issue(app).await?.1);
    }
    writes.extend(job.lists_end_writes(now));
    Ok(writes)
}
