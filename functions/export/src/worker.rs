//! Turns of exports: a turn writes the whole archive or nothing.
//!
//! An erasure that comes meanwhile deletes the door; a redaction begins another edition. The
//! last transaction of a turn requires both to be unchanged, so an archive is either finished
//! within the life and up to date, or deleted. The door stores until when a turn may write.
//! That is no longer than an upload link is valid, so every erasure and expiry verifies again
//! after it. The function's timeout must be below that as well (570 s): one person's archive
//! has to be made in eight and a half minutes.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::aws::s3::{UPLOAD_SECONDS, Version};
use shared::base::error::{Result, found};
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent, Entry};
use shared::domain::jobs::{Job, JobKind, JobState};
use shared::domain::keyring::Living;
use shared::domain::keys::{self, LifeKey};
use shared::domain::life::door::LifeWrite;
use shared::domain::life::update::Whom;
use shared::domain::turn::{End, Halt, Turn, taken_up};
use shared::lambda::{StreamRecord, Work, batch};

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
/// The life has ended.
const CANCELLED: End = End::Job(JobState::Cancelled, Vec::new());

/// Does a batch of the stream.
pub async fn work_on(app: &App, records: &[StreamRecord]) -> Value {
    let work: Work = |app, record, deadline| Box::pin(one(app, record, deadline));
    batch(app, "export", records, LIMIT, work).await
}

async fn one(app: &App, record: &StreamRecord, deadline: Instant) -> Result<()> {
    if let Some(life) = keys::parse_withdrawal(&record.partition, &record.sort) {
        return discard::withdrawn(app, &life).await;
    }
    let Some(job) = taken_up(app, &record.partition, &record.sort).await? else {
        return Ok(());
    };
    if job.key.kind == JobKind::Discard {
        let turn = Turn::new(app, job.typed()?, deadline);
        let came_out = discard::work(&turn).await;
        return turn.end(came_out).await;
    }
    let mut turn = Turn::new(app, job.typed()?, deadline);
    let came_out = work(&mut turn).await;
    turn.end(came_out).await
}

async fn work(turn: &mut Turn<'_, Spec>) -> Result<End, Halt> {
    let app = turn.app;
    let (spec, life) = (turn.job.spec.clone(), turn.job.spec.life()?);
    if turn.job.turn > TURNS {
        return fail(turn, &life, "too_many_tries").await;
    }
    // Before anything is written: from now on an erasure waits for this turn.
    let until = app.clock.now() + SignedDuration::from_secs(UPLOAD_SECONDS);
    let Passed::Through(living, edition) = door::pass(app, life, Step::Begin(until), &[]).await?
    else {
        return Ok(CANCELLED);
    };
    let object = life.export_object(turn.job.key.id, edition);
    let mut upload = Upload::new(&app.objects, object, edition);
    let written = write(app, &mut turn.job, &spec, &living, &mut upload);
    let outcome = match tokio::time::timeout(LIMIT, written).await {
        Ok(Ok(stored)) => return finish(turn, life, until, stored).await,
        Ok(Err(stop)) => Some(stop),
        Err(_elapsed) => None,
    };
    upload.abort().await?;
    match outcome {
        Some(Stop::Over) => Ok(CANCELLED),
        Some(Stop::Untrue) => Ok(again(turn)),
        // An erasure aborts uploads and deletes what is being read: then there is no fault.
        Some(Stop::Failed(_)) if found(app.life(Whom::life(&life)).await)?.is_none() => {
            Ok(CANCELLED)
        }
        Some(Stop::Failed(error)) => Err(error.into()),
        None => fail(turn, &life, "too_large").await,
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
    turn: &Turn<'_, Spec>,
    life: LifeKey,
    until: Timestamp,
    stored: Stored,
) -> Result<End, Halt> {
    let (app, now) = (turn.app, turn.app.clock.now());
    let mut job = turn.job.clone();
    job.progress = Some(stored.clone());
    // The actual number: the door's count is older, and portability omits some.
    job.total = job.done;
    let about = [life.life.to_string(), job.key.id.to_string()];
    let event = AuditEvent::ExportCompleted;
    let entry = Entry::new(life.tenant, event, "lethe", &about, now);
    let mut writes: Vec<LifeWrite> = vec![
        job.finish_write(JobState::Completed, now).into(),
        discard::later(&life, job.key.id, now).into(),
    ];
    writes.extend(entry::writes(&[entry]));
    let passed = door::pass(app, life, Step::Finish(until, stored.edition), &writes).await?;
    if let Passed::Through(..) = passed {
        return Ok(End::Written);
    }
    let written = Version {
        object: life.export_object(job.key.id, stored.edition),
        version: stored.version,
    };
    app.objects.delete(&[written]).await?;
    Ok(match passed {
        Passed::Untrue => again(turn),
        _ => CANCELLED,
    })
}

/// Packs anew what has become untrue meanwhile.
fn again(turn: &Turn<'_, Spec>) -> End {
    match turn.job.turn < HASTE {
        true => End::HandOver,
        false => End::Wait(JobState::Running, turn.app.clock.now() + TIME),
    }
}

async fn fail(turn: &mut Turn<'_, Spec>, life: &LifeKey, why: &str) -> Result<End, Halt> {
    // What turns that died may have left.
    let objects = life.export_objects(turn.job.key.id);
    turn.app.objects.delete_all_versions(&objects).await?;
    turn.job.outcome.error = Some(why.to_owned());
    Ok(End::Job(JobState::Failed, Vec::new()))
}
