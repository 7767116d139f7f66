//! An erasure, turn by turn: lives that have not ended yet end, whatever is left of them
//! goes, then everything is looked at again until a look finds nothing. Only then are the
//! expiry index entries deleted, and the receipt made.

use std::collections::HashSet;
use std::time::Instant;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::base::error::{Error, Result};
use shared::base::id::SubjectId;
use shared::base::recovery::KEPT;
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent};
use shared::domain::erasure::receipt::{Lives, Receipt};
use shared::domain::jobs::{Job, JobKind, JobState};
use shared::domain::keys::LifeKey;

use crate::end::end;
use crate::purge::purge;
use crate::tenant;
use crate::turn::{Halt, Turn};
use crate::verify::{Done, close, excluded, look_back, record_in_ledger};

/// How long an erasure that cannot be completed is tried again without a word, and how
/// often after that.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Lives that are closed at the same time.
const AT_ONCE: usize = 8;

/// Works on an erasure until it is done, waits, or its time is over.
pub async fn turn(app: &App, job: Job, deadline: Instant) -> Result<()> {
    let mut turn = Turn::take(app, job, deadline)?;
    let done = match turn.erasing.tenant {
        true => tenant::work(&mut turn).await,
        false => work(&mut turn).await,
    };
    match done {
        Ok(Done::Everything) if turn.erasing.tenant => tenant::finish(turn).await,
        Ok(Done::Everything) => finish(turn).await,
        Ok(Done::Until(state, until)) => turn.wait(state, until).await,
        Err(Halt::OutOfTime) => turn.hand_over().await,
        Err(Halt::Fenced) => Ok(()),
        Err(Halt::Failed(error)) => failed(turn, error).await,
    }
}

/// A store did not do what it should: the platform tries again, but after a day of it the
/// job says which store it is.
async fn failed(mut turn: Turn<'_>, error: Error) -> Result<()> {
    let now = turn.app.clock.now();
    let since = *turn.progress.failing_since.get_or_insert(now);
    if now < since + DAY {
        // Where it cannot be saved either, the day begins with the next try.
        let _unsaved = turn.save().await;
        return Err(error);
    }
    tracing::error!(function = "delete", job = %turn.job.key.id, cause = %error, "an erasure is partial");
    turn.job.outcome["partial"] = json!([turn.progress.within.store()]);
    turn.wait(JobState::Partial, now + DAY).await
}

async fn work(turn: &mut Turn<'_>) -> Result<Done, Halt> {
    end_rest(turn).await?;
    record_in_ledger(turn).await?;
    if turn.progress.began.is_none() {
        turn.progress.began = Some(turn.app.clock.now());
    }
    loop {
        pass(turn).await?;
        if let Some(done) = look_back(turn)? {
            return Ok(done);
        }
    }
}

/// Ends the lives that are left: a request that died half way left some, and a hold that
/// has been lifted, at any time since, lets others go.
async fn end_rest(turn: &mut Turn<'_>) -> Result<(), Halt> {
    let waiting = blocked(&turn.job);
    if turn.erasing.ended && waiting.as_ref().is_none_or(HashSet::is_empty) {
        return Ok(());
    }
    let (app, now) = (turn.app, turn.app.clock.now());
    let mut lives = app.store.all_lives_of(turn.job.key, &turn.erasing).await?;
    if let Some(waiting) = &waiting {
        // All others have ended, and are none of this job's any more.
        lives.retain(|life| waiting.contains(&life.subject));
    }
    let ended = end(app, &turn.job, &lives).await?.ok_or(Halt::Fenced)?;
    turn.erasing.uploads_until = turn.erasing.uploads_until.max(ended.uploads_until);
    set_ended(app, &mut turn.job, &ended.blocked, now);
    turn.erasing.ended = true;
    if waiting.is_some_and(|waiting| ended.blocked.len() < waiting.len()) {
        // The pass may have left them out: it begins again.
        turn.begin_pass(now);
        turn.progress.began = None;
        turn.progress.pass = 0;
    }
    // Others may have ended than were noted before.
    turn.progress.in_ledger = false;
    turn.save().await
}

/// Notes on a job that its lives have ended, but for those who are held. Its times are those
/// of the last of them.
pub fn set_ended(app: &App, job: &mut Job, held: &[SubjectId], now: Timestamp) {
    let ended = |held: usize| job_lives(job) - held.min(job_lives(job));
    let before = blocked(job).map_or(0, |blocked| ended(blocked.len()));
    if ended(held.len()) > before {
        job.outcome["unreadable_at"]["records"] = json!(now);
        job.outcome["backups_clear_by"] = json!(app.config.backups_clear_by(now, now).sealed);
    }
    let held = held
        .iter()
        .map(|subject| json!({"subject": subject, "by": "hold"}));
    job.outcome["blocked"] = Value::Array(held.collect());
}

/// Who waits for a hold to end; `None` before the lives of the job have ended.
fn blocked(job: &Job) -> Option<HashSet<SubjectId>> {
    let blocked = job.outcome["blocked"].as_array()?;
    let subject = |it: &Value| SubjectId::parse(it["subject"].as_str()?);
    Some(blocked.iter().filter_map(subject).collect())
}

fn job_lives(job: &Job) -> usize {
    let count = job.spec["count"].as_u64();
    count
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(0)
}

/// Goes through all lives once.
async fn pass(turn: &mut Turn<'_>) -> Result<(), Halt> {
    let excluded = excluded(&turn.job);
    while turn.progress.life < turn.erasing.count {
        let (job, at) = (turn.job.key, turn.progress.life);
        let lives = turn.app.store.lives_of(job, &turn.erasing, at).await?;
        for life in &lives {
            if !excluded.contains(&life.subject) {
                purge(turn, life).await?;
            }
            turn.progress.life += 1;
            turn.still_time()?;
        }
    }
    Ok(())
}

/// The expiry index entries go last; then the receipt, in one transaction with the job and the log.
async fn finish(mut turn: Turn<'_>) -> Result<()> {
    let now = turn.app.clock.now();
    let excluded = excluded(&turn.job);
    let held = blocked(&turn.job).is_some_and(|blocked| !blocked.is_empty());
    let (app, job) = (turn.app, turn.job.key);
    let mut lives = app.store.all_lives_of(job, &turn.erasing).await?;
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
    turn.job.progress = Value::Null;
    turn.job.outcome["erased_at"] = json!(now);
    if let Value::Object(outcome) = &mut turn.job.outcome {
        outcome.remove("partial");
    }
    let lives = Lives::after(turn.erasing.closed, &lives);
    end_job(app, turn.job, lives, now).await
}

/// A job leads to the people whom it has erased for as long as any job does, and no longer,
/// whatever else it waits for.
async fn forget(turn: &mut Turn<'_>, closed: &[LifeKey], now: Timestamp) -> Result<(), Halt> {
    let erased_at = turn.job.outcome["unreadable_at"]["attachments"].as_str();
    let erased_at: Option<Timestamp> = erased_at.and_then(|at| at.parse().ok());
    if closed.is_empty() || erased_at.is_none_or(|at| at + KEPT > now) {
        return Ok(());
    }
    let mut kept = turn
        .app
        .store
        .all_lives_of(turn.job.key, &turn.erasing)
        .await?;
    kept.retain(|life| !closed.contains(life));
    turn.count_closed(closed);
    closed
        .iter()
        .for_each(|life| turn.erasing.closed.push(life));
    let lists = turn.erasing.keep_only(&mut turn.job, &kept);
    turn.save_with(lists).await
}

/// Waits for whoever lifts the holds, and then goes through everything once more. Looks
/// first whether one has been lifted since.
async fn wait_for_holds(mut turn: Turn<'_>, before: usize) -> Result<()> {
    let now = turn.app.clock.now();
    turn.erasing.ended = false;
    match end_rest(&mut turn).await {
        Err(Halt::Failed(error)) => return Err(error),
        Err(Halt::Fenced | Halt::OutOfTime) => return Ok(()),
        Ok(()) => {}
    }
    turn.begin_pass(now);
    turn.progress.began = None;
    turn.progress.pass = 0;
    if excluded(&turn.job).len() < before {
        return turn.hand_over().await;
    }
    turn.erasing.ended = false;
    turn.wait(JobState::Blocked, now + DAY).await
}

/// Ends the job with its entry in the log and, where somebody asked for the erasure, its
/// receipt. Expiries get one receipt a day.
async fn end_job(app: &App, mut job: Job, lives: Lives, now: Timestamp) -> Result<()> {
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
    writes.extend(job.lists_end_writes(now)?);
    writes.push(job.finish_write(JobState::Completed, now));
    // Refused: a later turn has finished it.
    let _fenced = app.store.transact(writes).await?;
    Ok(())
}
