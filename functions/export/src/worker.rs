//! Turns of exports: a turn writes the whole archive, or nothing.
//!
//! An erasure that comes meanwhile takes the door away, and the last transaction of a turn
//! insists on it: an archive is either finished within the life, or deleted. Until when a
//! turn may write stands on the door, and is no longer than an upload link lives, so every
//! erasure and expiry looks again after it. The function's timeout must be below that, too
//! (570 s): one person's archive has to be made in eight and a half minutes.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::app::App;
use shared::error::Result;
use shared::keyring::Living;
use shared::objects::UPLOAD_SECONDS;
use shared::objects::Version;
use shared::runtime::StreamRecord;
use shared::store::activity::{self, Deed, Entry};
use shared::store::jobs::{Job, JobState};
use shared::store::keys::{self, LifeKey};

use crate::Spec;
use crate::archive::{Stored, Upload};
use crate::contents::{Contents, Stop};
use crate::door::{self, Links};

/// How long a turn may work.
const LIMIT: Duration = Duration::from_secs(510);
/// Turns after which an export is given up: cleanup begins a new one when one has died.
const TURNS: u64 = 10;

/// Does a batch, in order, and names the first record that failed: the stream comes again
/// with it and what follows.
pub async fn work(app: &App, batch: &[StreamRecord]) -> Value {
    for record in batch {
        let Some((job, number)) = keys::parse_turn(&record.partition, &record.sort) else {
            continue;
        };
        // Over, or another turn has taken over: a late or repeated record changes nothing.
        let outcome = match app.store.take_turn(job, number, app.clock.now()).await {
            Ok(Some(job)) => turn(app, job).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::error!(cause = %error, job = %job.id, "a turn failed");
            return json!({"batchItemFailures": [{"itemIdentifier": record.sequence}]});
        }
    }
    json!({"batchItemFailures": []})
}

async fn turn(app: &App, mut job: Job) -> Result<()> {
    let (spec, life) = Spec::of(&job)?;
    if job.turn > TURNS {
        return fail(app, job, "too_many_tries").await;
    }
    // Before anything is written: from here on an erasure waits for this turn.
    let until = app.clock.now() + SignedDuration::from_secs(UPLOAD_SECONDS);
    let Some(living) = door::pass(app, life, Links::Add(until), &[]).await? else {
        return end(app, job, JobState::Cancelled).await;
    };
    let mut upload = Upload::begin(&app.objects, life.export_object(job.key.id)).await?;
    let written = write(app, &mut job, &spec, &living, &mut upload);
    let outcome = match tokio::time::timeout(LIMIT, written).await {
        Ok(Ok(stored)) => return finish(app, job, life, Links::Remove(until), stored).await,
        Ok(Err(stop)) => Some(stop),
        Err(_elapsed) => None,
    };
    upload.abort().await?;
    match outcome {
        Some(Stop::Over) => end(app, job, JobState::Cancelled).await,
        // An erasure aborts uploads and deletes what is being read: then there is no fault.
        Some(Stop::Failed(_)) if app.living(&life).await?.is_none() => {
            end(app, job, JobState::Cancelled).await
        }
        Some(Stop::Failed(error)) => Err(error),
        None => fail(app, job, "too_large").await,
    }
}

async fn write(
    app: &App,
    job: &mut Job,
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

/// Completes the job if the life still goes on and no later turn has taken over; else what
/// was written goes.
async fn finish(
    app: &App,
    mut job: Job,
    life: LifeKey,
    links: Links,
    stored: Stored,
) -> Result<()> {
    let unfinished = job.clone();
    let now = app.clock.now();
    job.place = json!(stored);
    // As many as there were: the door's count is from before, and portability skips some.
    job.total = job.done;
    let about = [life.life.to_string(), job.key.id.to_string()];
    let deed = Deed::ExportCompleted;
    let entry = Entry {
        tenant: life.tenant,
        deed,
        by: "lethe",
        about: &about,
        at: now,
        happened_at: None,
    };
    let mut writes = vec![job.finish_write(JobState::Completed, now)];
    writes.extend(activity::writes(&[entry]));
    if door::pass(app, life, links, &writes).await?.is_some() {
        return Ok(());
    }
    let written = Version {
        object: life.export_object(job.key.id),
        version: stored.version,
    };
    app.objects.delete(&[written]).await?;
    end(app, unfinished, JobState::Cancelled).await
}

async fn fail(app: &App, mut job: Job, why: &str) -> Result<()> {
    job.outcome["error"] = why.into();
    end(app, job, JobState::Failed).await
}

async fn end(app: &App, mut job: Job, state: JobState) -> Result<()> {
    let write = job.finish_write(state, app.clock.now());
    // Refused: a later turn has taken over, and ends it.
    let _fenced = app.store.write(write).await?;
    Ok(())
}
