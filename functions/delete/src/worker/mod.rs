//! The worker: processes turns of jobs from the table's stream, and lives whose door TTL has
//! deleted.

mod erasure;
mod purge;
mod rekey;
mod rotation;
mod tenant;
mod verify;

use std::time::{Duration, Instant};

use serde_json::Value;
use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::domain::jobs::{Job, JobKind};
use shared::domain::keys::{self, DOOR, LifeKey};
use shared::domain::redaction;
use shared::domain::turn::{Turn, taken_up};
use shared::lambda::{StreamRecord, Work, batch};

/// How long the turns of one batch may work before their next ones are handed over.
const BATCH: Duration = Duration::from_secs(60);

/// Does a batch of the stream.
pub async fn work_on(app: &App, records: &[StreamRecord]) -> Value {
    let work: Work = |app, record, deadline| Box::pin(one(app, record, deadline));
    batch(app, "delete", records, BATCH, work).await
}

async fn one(app: &App, record: &StreamRecord, deadline: Instant) -> Result<()> {
    if record.sort == DOOR {
        // TTL has deleted the door of an expired life.
        if let Some(life) = LifeKey::parse(&record.partition) {
            app.store.begin_expiry(&life, app.clock.now()).await?;
        }
        return Ok(());
    }
    if let Some(life) = keys::parse_purge(&record.partition, &record.sort) {
        return redaction::purge(app, &life).await;
    }
    match taken_up(app, &record.partition, &record.sort).await? {
        Some(job) => work(app, job, deadline).await,
        None => Ok(()),
    }
}

async fn work(app: &App, job: Job, deadline: Instant) -> Result<()> {
    /// A turn of a kind: its work, then its end.
    macro_rules! turn {
        ($work:path) => {{
            let mut turn = Turn::new(app, job.typed()?, deadline);
            let came_out = $work(&mut turn).await;
            turn.end(came_out).await
        }};
    }
    match job.key.kind {
        JobKind::Erasure | JobKind::Expiry => turn!(erasure::work),
        JobKind::Redaction => turn!(redaction::work),
        JobKind::Rekey => turn!(rekey::work),
        JobKind::Rotation => turn!(rotation::work),
        JobKind::Export | JobKind::Discard => {
            Err(Error::Unavailable("an export's turn came to delete".into()))
        }
    }
}
