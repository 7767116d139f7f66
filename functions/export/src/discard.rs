//! Deletes exports from the bucket: a day after they were made, and at once when they are
//! outdated. Every step is idempotent.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::aws::dynamo::Write;
use shared::base::error::Result;
use shared::base::id::JobId;
use shared::domain::app::App;
use shared::domain::jobs::{Job, JobKind, Work};
use shared::domain::keys::{self, LifeKey};
use shared::domain::turn::{End, Halt, Turn};

use crate::KEPT;

/// The deletion of an export, as stored in its job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Discarding {
    /// The prefix of its objects.
    objects: String,
}

impl Work for Discarding {
    type Progress = ();
    type Outcome = ();
}

/// The job that deletes an export after its day: part of the transaction that completes the
/// export.
pub fn later(life: &LifeKey, export: JobId, now: Timestamp) -> Write {
    let objects = life.export_objects(export);
    let spec = Discarding { objects };
    let mut job = Job::new(life.tenant, JobKind::Discard, Vec::new(), spec, now);
    job.begin_later(now + KEPT)
}

/// Deletes an export whose day is over, then the job: it names whom it was about.
pub async fn work(turn: &Turn<'_, Discarding>) -> Result<End, Halt> {
    let (app, job) = (turn.app, &turn.job);
    app.objects.delete_all_versions(&job.spec.objects).await?;
    // Refused: a later turn has taken over, and deletes it.
    let _fenced = app.store.write(job.delete_write()).await?;
    Ok(End::Written)
}

/// Deletes all exports of a life except those of its current edition.
pub async fn withdrawn(app: &App, life: &LifeKey) -> Result<()> {
    // Without a door the life has ended, and its erasure deletes them.
    while let Some(door) = app.store.door(life).await? {
        let mut versions = app.objects.versions(&life.exports()).await?;
        versions.retain(|it| keys::edition_of_export(&it.object) != Some(door.edition));
        if versions.is_empty() {
            return Ok(());
        }
        app.objects.delete(&versions).await?;
    }
    Ok(())
}
