//! The worker: processes turns of jobs from the table's stream, and lives whose door TTL has
//! deleted.

mod erasure;
mod purge;
mod rekey;
mod rotation;
mod tenant;
mod turn;
mod verify;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::domain::jobs::{Job, JobKind};
use shared::domain::keys::{self, DOOR, LifeKey};
use shared::domain::redaction;
use shared::lambda::StreamRecord;

/// How long the turns of one batch may work before their next ones are handed over.
const BATCH: Duration = Duration::from_secs(60);

/// Processes a batch in order and returns the first record that failed: the stream retries
/// from it.
pub async fn batch(app: &App, records: &[StreamRecord]) -> Value {
    let deadline = Instant::now() + BATCH;
    for record in records {
        if let Err(error) = one(app, record, deadline).await {
            tracing::error!(function = "delete", cause = %error, "a turn failed");
            return json!({"batchItemFailures": [{"itemIdentifier": record.sequence}]});
        }
    }
    json!({"batchItemFailures": []})
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
    let Some((key, turn)) = keys::parse_turn(&record.partition, &record.sort) else {
        return Ok(());
    };
    // Over, or another turn has taken over: a late or repeated record changes nothing.
    let Some(job) = app.store.take_turn(key, turn, app.clock.now()).await? else {
        return Ok(());
    };
    work(app, job, deadline).await
}

async fn work(app: &App, job: Job, deadline: Instant) -> Result<()> {
    match job.key.kind {
        JobKind::Erasure | JobKind::Expiry => erasure::turn(app, job.typed()?, deadline).await,
        JobKind::Redaction => redaction::turn(app, job.typed()?, deadline).await,
        JobKind::Rekey => rekey::turn(app, job.typed()?, deadline).await,
        JobKind::Rotation => rotation::turn(app, job.typed()?).await,
        JobKind::Export | JobKind::Discard => {
            Err(Error::Unavailable("an export's turn came to delete".into()))
        }
    }
}
