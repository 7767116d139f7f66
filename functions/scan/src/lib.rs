//! Scans every uploaded file once, before it can be downloaded.
//!
//! S3 invokes it for each new object under `attachments/`. It reads, judges and records the
//! version that the event names, and deletes a version that no row awaits. A clean version is
//! tagged first, then recorded; a rejected one is recorded first, then deleted. A retry after
//! any step begins from the row and has the same result.

mod archive;
mod arrival;
mod inspect;
mod row;
#[cfg(test)]
mod tests;
mod types;

use std::time::Instant;

use aws_lambda_events::s3::S3EventRecord;
use serde_json::Value;
use shared::aws::s3::{CLEAN, Version};
use shared::base::error::{Error, Result, found};
use shared::domain::app::App;
use shared::domain::keys;
use shared::domain::life::door::Passing;
use shared::domain::life::update::{Decision, Whom, update};
use shared::lambda::Trigger;
use tokio::sync::OnceCell;

use crate::arrival::Arrival;
use crate::row::Row;

/// # Errors
/// When a store does not answer: Lambda retries.
pub async fn handle(app: &App, event: Value) -> Result<Value, lambda_runtime::Error> {
    let event = match Trigger::parse(event) {
        Ok(Trigger::Objects(event)) => event,
        Ok(_) => return Err("scan is only called by S3".into()),
        Err(_) => {
            // A retry would not help.
            tracing::warn!(function = "scan", "an event of an unknown form");
            return Ok(Value::Null);
        }
    };
    let mut failed = None;
    for record in &event.records {
        failed = receive(app, record).await.err().or(failed);
    }
    failed.map_or(Ok(Value::Null), |cause| Err(cause.into()))
}

/// The outcome of one object's event.
#[derive(Clone, Copy)]
enum Outcome {
    Clean,
    Rejected,
    /// Scanned before: the event was delivered again.
    Known,
    /// No row awaits it: deleted.
    Unwanted,
    /// Deleted before it could be read.
    Gone,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Outcome::Clean => "clean",
            Outcome::Rejected => "rejected",
            Outcome::Known => "known",
            Outcome::Unwanted => "unwanted",
            Outcome::Gone => "gone",
        }
    }
}

async fn receive(app: &App, record: &S3EventRecord) -> Result<()> {
    let started = Instant::now();
    let Some(arrival) = Arrival::read(record) else {
        tracing::warn!(function = "scan", "an event of no attachment of ours");
        return Ok(());
    };
    let outcome = scan(app, &arrival).await;
    tracing::info!(
        function = "scan",
        tenant = %arrival.life.tenant,
        life = %arrival.life.life,
        attachment = %arrival.attachment,
        outcome = outcome.as_ref().map_or("failed", |outcome| outcome.name()),
        cause = outcome.as_ref().err().map(Error::to_string),
        duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "object"
    );
    outcome.map(|_| ())
}

async fn scan(app: &App, arrival: &Arrival) -> Result<Outcome> {
    let row = keys::attachment(arrival.attachment);
    let rows = [row.as_str()];
    let whom = Whom::life(&arrival.life).with(&rows);
    let judged = &OnceCell::new();
    let ended = update(app, whom, |life| async move {
        let file = match row::read(&life, arrival)? {
            Row::Awaiting(file) => file,
            Row::Known => return Ok(Decision::Done(Outcome::Known)),
            Row::Unwanted => return Ok(Decision::Done(Outcome::Unwanted)),
        };
        let verdict = judged.get_or_try_init(|| arrival.judge(app, &file)).await?;
        let Some(verdict) = verdict else {
            return Ok(Decision::Done(Outcome::Gone));
        };
        let outcome = match verdict.reasons.is_empty() {
            true => Outcome::Clean,
            false => Outcome::Rejected,
        };
        if let Outcome::Clean = outcome {
            let (object, version) = (&arrival.object, &arrival.version);
            app.objects.tag(object, version, CLEAN).await?;
        }
        let writes = row::writes(&life.living, arrival, *file, verdict, app.clock.now());
        Ok(life.write(Passing::default(), writes, outcome))
    });
    // The life has ended, so the version is not awaited any more.
    let outcome = found(ended.await)?.unwrap_or(Outcome::Unwanted);
    if let Outcome::Rejected | Outcome::Unwanted = outcome {
        discard(app, arrival).await?;
    }
    Ok(outcome)
}

async fn discard(app: &App, arrival: &Arrival) -> Result<()> {
    let version = Version {
        object: arrival.object.clone(),
        version: arrival.version.clone(),
    };
    app.objects.delete(&[version]).await
}
