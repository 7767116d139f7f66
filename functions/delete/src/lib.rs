//! Forgets people: takes the request, makes them unreadable at once, and removes what is
//! left in turns.
//!
//! It is also the worker of redactions that outlast a request, of the re-keyings that
//! redactions cause, and of the rotation of tenants' keys: one reader of the table's stream does all that destroys, since a
//! stream serves two readers well, and no more.

mod end;
mod erasure;
mod people;
mod preview;
mod purge;
mod rekey;
mod request;
mod rotation;
mod tenant;
mod turn;
mod verify;

use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use lambda_runtime::Error as Failure;
use serde_json::{Value, json};
use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::domain::jobs::{Job, JobKind};
use shared::domain::keys::{self, DOOR, LifeKey};
use shared::handlers;
use shared::http::serve::{Handlers, serve};
use shared::lambda::{StreamRecord, Trigger};

/// How long the turns of one batch may work; then their next ones are handed over.
const BATCH: Duration = Duration::from_secs(60);

/// The routes that this function answers.
pub const HANDLERS: Handlers = handlers! {
    "DELETE /v1/subjects/{subject}" => request::erase_one,
    "POST /v1/erasures" => request::erase,
    "GET /v1/erasures" => request::list,
    "GET /v1/erasures/{id}" => request::show,
    "GET /v1/erasures/{id}/receipt" => request::receipt,
    "POST /v1/erasures/{id}/cancel" => request::cancel,
};

/// Answers one HTTP request, or does the turns in one batch of the stream.
///
/// # Errors
/// When the event is of another kind.
pub async fn handle(app: &App, event: Value) -> Result<Value, Failure> {
    match Trigger::parse(event)? {
        Trigger::Http(request) => Ok(serve(app, *request, HANDLERS).await),
        Trigger::Stream(records) => Ok(batch(app, &records).await),
        _ => Err("delete is woken by HTTP and by the table's stream".into()),
    }
}

/// Does a batch, in order, and names the first record that failed: the stream comes again
/// with it and what follows.
async fn batch(app: &App, records: &[StreamRecord]) -> Value {
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
        // TTL has taken the door of a life whose time is over.
        if let Some(life) = LifeKey::parse(&record.partition) {
            app.store.begin_expiry(&life, app.clock.now()).await?;
        }
        return Ok(());
    }
    if let Some(life) = keys::parse_purge(&record.partition, &record.sort) {
        return shared::domain::redaction::purge(app, &life).await;
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

/// Does some work of one kind at the same time, up to `most` of it. The results stand in
/// the order of the work.
async fn at_once<T>(most: usize, work: Vec<BoxFuture<'_, Result<T>>>) -> Result<Vec<T>> {
    futures::stream::iter(work)
        .buffered(most)
        .try_collect()
        .await
}

async fn work(app: &App, job: Job, deadline: Instant) -> Result<()> {
    match job.key.kind {
        JobKind::Erasure | JobKind::Expiry => erasure::turn(app, job.typed()?, deadline).await,
        JobKind::Redaction => shared::domain::redaction::turn(app, job.typed()?, deadline).await,
        JobKind::Rekey => rekey::turn(app, job.typed()?, deadline).await,
        JobKind::Rotation => rotation::turn(app, job.typed()?).await,
        JobKind::Export | JobKind::Discard => {
            Err(Error::Unavailable("an export's turn came to delete".into()))
        }
    }
}
