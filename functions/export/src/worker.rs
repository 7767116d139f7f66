//! Turns of exports: a turn writes the whole archive or nothing.
//!
//! An erasure that comes meanwhile deletes the door; a redaction begins another edition. The
//! last transaction of a turn requires both to be unchanged, so an archive is either finished
//! within the life and up to date, or deleted. The door stores until when a turn may write.
//! That is no longer than an upload link is valid, so every erasure and expiry verifies again
//! after it. The function's timeout must be below that as well (570 s): one person's archive
//! has to be made in eight and a half minutes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::aws::s3::{UPLOAD_SECONDS, Version};
use shared::base::error::{Result, found};
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent, Entry};
use shared::domain::jobs::{Job, JobKind, JobState};
use shared::domain::keyring::Living;
use shared::domain::keys::{self, LifeKey};
use shared::domain::life::door::LifeWrite;
use shared::domain::life::update::Whom;
use shared::lambda::StreamRecord;

use crate::archive::{Stored, Upload};
use crate::contents::{Contents, Stop};
use crate::door::{self, Passed, Step};
use crate::{Spec, discard};

/// The time limit of a turn.
const LIMIT: Duration = Duration::from_secs(510);
/// Turns after which an export fails: cleanup starts a new one when one has died.
const TURNS: u64 = 10;
/// Outdated turns that are retried at once. Later ones wait, since a series of redactions may
/// still continue.
const HASTE: u64 = 3;
const TIME: SignedDuration = SignedDuration::from_mins(5);

/// Processes a batch in order and returns the first record that failed: the stream retries
/// from it.
pub async fn work(app: &App, batch: &[StreamRecord]) -> Value {
    for record in batch {
        if let Err(error) = one(app, record).await {
            tracing::error!(function = "export", cause = %error, "a turn failed");
            return json!({"batchItemFailures": [{"itemIdentifier": record.sequence}]});
        }
    }
    json!({"batchItemFailures": []})
}

async fn one(app: &App, record: &StreamRecord) -> Result<()> {
    if let Some(life) = keys::parse_withdrawal(&record.partition, &record.sort) {
        return discard::withdrawn(app, &life).await;
    }
    let Some((key, number)) = keys::parse_turn(&record.partition, &record.sort) else {
        return Ok(());
    };
    // Over, or another turn has taken over: a late or repeated record changes nothing.
    match app.store.take_turn(key, number, app.clock.now()).await? {
        Some(job) if key.kind == JobKind::Discard => discard::turn(app, &job.typed()?).await,
        Some(job) => turn(app, job.typed()?).await,
        None => Ok(()),
    }
}

async fn turn(app: &App, mut job: Job<Spec>) -> Result<()> {
    let (spec, life) = (job.spec.clone(), job.spec.life()?);
    if job.turn > TURNS {
        return fail(app, job, &life, "too_many_tries").await;
    }
    // Before anything is written: from now on an erasure waits for this turn.
    let until = app.clock.now() + SignedDuration::from_secs(UPLOAD_SECONDS);
    let Passed::Through(living, edition) = door::pass(app, life, Step::Begin(until), &[]).await?
    else {
        return end(app, job, JobState::Cancelled).await;
    };
    let object = life.export_object(job.key.id, edition);
    let mut upload = Upload::new(&app.objects, object, edition);
    let written = write(app, &mut job, &spec, &living, &mut upload);
    let outcome = match tokio::time::timeout(LIMIT, written).await {
        Ok(Ok(stored)) => return finish(app, job, life, until, stored).await,
        Ok(Err(stop)) => Some(stop),
        Err(_elapsed) => None,
    };
    upload.abort().await?;
    match outcome {
        Some(Stop::Over) => end(app, job, JobState::Cancelled).await,
        Some(Stop::Untrue) => again(app, job).await,
        // An erasure aborts uploads and deletes what is being read; then this is no error.
        Some(Stop::Failed(_)) if found(app.life(Whom::life(&life)).await)?.is_none() => {
            end(app, job, JobState::Cancelled).await
        }
        Some(Stop::Failed(error)) => Err(error),
        None => fail(app, job, &life, "too_large").await,
    }
}

async fn write(
    app: &App,
    job: &mut Job<Spec>,
    spec: &Spec,
    living: &Living,
    upload: &mut Upload<'_>,
) -> Result<Stored, Stop> {
    let rest = Contents::new(app, job, spec, living, upload)
        .await?
        .write()
        .await?;
    Ok(upload.finish(rest).await?)
}

/// Completes the job if the life continues, the archive is up to date, and no later turn has
/// taken over. Otherwise deletes the archive.
async fn finish(
    app: &App,
    mut job: Job<Spec>,
    life: LifeKey,
    until: Timestamp,
    stored: Stored,
) -> Result<()> {
    let unfinished = job.clone();
    let now = app.clock.now();
    job.progress = Some(stored.clone());
    // The actual number: the door's count is older, and portability omits some.
    job.total = job.done;
    let about = [life.life.to_string(), job.key.id.to_string()];
    let event = AuditEvent::ExportCompleted;
    let entry = Entry {
        tenant: life.tenant,
        event,
        by: "lethe",
        about: &about,
        at: now,
        happened_at: None,
    };
    let mut writes: Vec<LifeWrite> = vec![
        job.finish_write(JobState::Completed, now).into(),
        discard::later(&life, job.key.id, now).into(),
    ];
    writes.extend(entry::writes(&[entry]));
    let passed = door::pass(app, life, Step::Finish(until, stored.edition), &writes).await?;
    if let Passed::Through(..) = passed {
        return Ok(());
    }
    let written = Version {
        object: life.export_object(job.key.id, stored.edition),
        version: stored.version,
    };
    app.objects.delete(&[written]).await?;
    match passed {
        Passed::Untrue => again(app, unfinished).await,
        _ => end(app, unfinished, JobState::Cancelled).await,
    }
}

/// Packs outdated data again.
async fn again(app: &App, mut job: Job<Spec>) -> Result<()> {
    let now = app.clock.now();
    // Refused in either case: a later turn has taken over.
    let _fenced = match job.turn < HASTE {
        true => app.store.next_turn(&mut job, now).await?,
        false => app.store.wait_until(&mut job, now + TIME).await?,
    };
    Ok(())
}

async fn fail(app: &App, mut job: Job<Spec>, life: &LifeKey, why: &str) -> Result<()> {
    // Objects that turns which died may have left.
    let objects = life.export_objects(job.key.id);
    app.objects.delete_all_versions(&objects).await?;
    job.outcome.error = Some(why.to_owned());
    end(app, job, JobState::Failed).await
}

async fn end(app: &App, mut job: Job<Spec>, state: JobState) -> Result<()> {
    let write = job.finish_write(state, app.clock.now());
    // Refused: a later turn has taken over and ends it.
    let _fenced = app.store.write(write).await?;
    Ok(())
}
