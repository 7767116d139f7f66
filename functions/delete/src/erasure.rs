//! One turn of an erasure: whatever is left of each life goes, object by object and row by
//! row, then everything is looked at again.
//!
//! Every step may be the last one before a crash, and every step may be done again: what
//! is gone stays gone, keys carry the life, so nothing of a later life can be meant.

use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::app::App;
use shared::error::{Error, Result};
use shared::keyring;
use shared::store::activity::{self, Deed};
use shared::store::jobs::{Job, JobKind, JobState};
use shared::store::keys::{self, CLOCK, LifeKey};
use shared::store::{Query, Range, Refusal, Write};

/// Rows read and deleted before the progress is saved.
const PAGE: usize = 500;

/// How a turn ended.
enum End {
    /// Nothing is left.
    Done,
    /// The time of this turn is over.
    OutOfTime,
    /// A later turn has taken over.
    Fenced,
}

/// Works on an erasure until it is done, waits, or its time is over.
pub async fn turn(app: &App, mut job: Job, deadline: Instant) -> Result<()> {
    let lives = lives(&job)?;
    let first = usize::try_from(job.place["life"].as_u64().unwrap_or(0)).unwrap_or(0);
    for (at, life) in lives.iter().enumerate().skip(first) {
        job.place["life"] = at.into();
        match clear(app, &mut job, life, deadline).await? {
            End::Done => {}
            End::OutOfTime => {
                app.store.next_turn(&mut job, app.clock.now()).await?;
                return Ok(());
            }
            End::Fenced => return Ok(()),
        }
    }
    let now = app.clock.now();
    for store in ["attachments", "exports"] {
        if job.outcome["unreadable_at"][store].is_null() {
            job.outcome["unreadable_at"][store] = json!(now);
        }
    }
    // A link that was handed out before may still bring an object: look again after it.
    if let Some(until) = uploads_until(&job).filter(|until| *until > now) {
        job.state = JobState::Verifying;
        job.place = json!({"life": 0});
        app.store.wait_until(&job, until).await?;
        return Ok(());
    }
    finish(app, job, &lives).await
}

fn lives(job: &Job) -> Result<Vec<LifeKey>> {
    let lives = job.spec["lives"].as_array().into_iter().flatten();
    lives
        .map(|life| life.as_str().and_then(LifeKey::parse))
        .collect::<Option<_>>()
        .ok_or_else(|| Error::Unavailable("an erasure does not name its lives".into()))
}

fn uploads_until(job: &Job) -> Option<Timestamp> {
    job.spec["uploads_until"].as_str()?.parse().ok()
}

/// Removes what is left of one life but its clock, until two looks in a row find nothing.
async fn clear(app: &App, job: &mut Job, life: &LifeKey, deadline: Instant) -> Result<End> {
    loop {
        let objects = clear_objects(app, job, life).await?;
        let rows = match clear_rows(app, job, life, deadline).await? {
            Ok(rows) => rows,
            Err(end) => return Ok(end),
        };
        if objects + rows == 0 {
            return Ok(End::Done);
        }
        if !app.store.save_job(job, app.clock.now()).await? {
            return Ok(End::Fenced);
        }
        if Instant::now() >= deadline {
            return Ok(End::OutOfTime);
        }
    }
}

/// Deletes a life's objects in every version, and its unfinished uploads. How many.
async fn clear_objects(app: &App, job: &mut Job, life: &LifeKey) -> Result<u64> {
    let mut deleted = 0;
    for (store, prefix) in life.object_prefixes() {
        let uploads = app.objects.abort_uploads(&prefix).await?;
        let versions = app.objects.delete_all_versions(&prefix).await?;
        count(job, store, uploads + versions);
        deleted += uploads + versions;
    }
    Ok(deleted)
}

/// Deletes a life's rows page by page; a lookup's reverse goes after its lookup, so that a
/// crash between the two leaves the way to it.
async fn clear_rows(
    app: &App,
    job: &mut Job,
    life: &LifeKey,
    deadline: Instant,
) -> Result<Result<u64, End>> {
    let partition = life.partition();
    let mut deleted = 0;
    let mut after = None;
    loop {
        let query = Query {
            partition: &partition,
            range: Range::All,
            ascending: true,
            limit: Some(PAGE),
            after,
        };
        let (sorts, next) = app.store.query_sorts(query).await?;
        let sorts: Vec<_> = sorts.into_iter().filter(|sort| sort != CLOCK).collect();
        for sort in &sorts {
            clear_lookup(app, life, sort).await?;
        }
        app.store.delete_many(&partition, &sorts).await?;
        deleted += sorts.len() as u64;
        count(job, "records", sorts.len() as u64);
        after = next;
        if after.is_none() {
            return Ok(Ok(deleted));
        }
        if !app.store.save_job(job, app.clock.now()).await? {
            return Ok(Err(End::Fenced));
        }
        if Instant::now() >= deadline {
            return Ok(Err(End::OutOfTime));
        }
    }
}

/// Deletes the lookup that a reverse row points to, unless a later life has taken it over.
async fn clear_lookup(app: &App, life: &LifeKey, sort: &str) -> Result<()> {
    let Some(lookup) = keys::lookup_of_reverse(life.tenant, sort) else {
        return Ok(());
    };
    let write = Write::delete(&lookup, &life.subject.to_string())
        .only_if("attribute_not_exists(PK) OR life = :life")
        .value(":life", life.life.to_string());
    // Refused: it belongs to a later life.
    let _taken_over = app.store.write(write).await?;
    Ok(())
}

fn count(job: &mut Job, store: &str, more: u64) {
    job.done += more;
    let before = job.outcome["stores"][store].as_u64().unwrap_or(0);
    job.outcome["stores"][store] = (before + more).into();
}

/// The clocks go last, in one transaction with the keyring, the job and the log.
async fn finish(app: &App, mut job: Job, lives: &[LifeKey]) -> Result<()> {
    let now = app.clock.now();
    for life in lives {
        close(app, life, now).await?;
    }
    count(&mut job, "records", lives.len() as u64);
    count(&mut job, "keyring", lives.len() as u64);
    job.total = job.done;
    job.place = Value::Null;
    job.outcome["erased_at"] = json!(now);
    let mut about: Vec<_> = lives.iter().map(|life| life.life.to_string()).collect();
    about.push(job.key.id.to_string());
    let entry = activity::Entry {
        tenant: job.key.tenant,
        deed: match job.key.kind {
            JobKind::Expiry => Deed::Expired,
            _ => Deed::ErasureCompleted,
        },
        by: "lethe",
        about: &about,
        at: now,
        happened_at: None,
    };
    let mut writes = vec![job.finish_write(JobState::Completed, now)];
    writes.extend(activity::writes(&[entry]));
    // Refused: a later turn has finished it.
    let _fenced = app.store.transact(writes).await?;
    Ok(())
}

/// Deletes a life's clock and marks it as erased in the keyring, unless the keyring has
/// gone on to a later life: that one is not touched.
async fn close(app: &App, life: &LifeKey, now: Timestamp) -> Result<()> {
    let clock = Write::delete(&life.partition(), CLOCK);
    let writes = vec![keyring::erased_write(life, now), clock.clone()];
    if let Err(Refusal::Condition { .. }) = app.store.transact(writes).await? {
        let _gone = app.store.write(clock).await?;
    }
    Ok(())
}
