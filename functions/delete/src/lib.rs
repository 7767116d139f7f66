//! Forgets people: takes the request, makes them unreadable at once, and removes what is
//! left in turns.
//!
//! It is also the worker of redactions that outlast a request, of the re-keyings that they
//! cause, and of the rotation of tenants' keys: one consumer of the table's stream does all
//! that destroys, since DynamoDB supports no more than two consumers a shard.

mod end;
mod request;
mod worker;

use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use lambda_runtime::Error as Failure;
use serde_json::Value;
use shared::base::error::Result;
use shared::domain::app::App;
use shared::handlers;
use shared::http::serve::{Handlers, serve};
use shared::lambda::Trigger;

/// The routes that this function answers.
pub const HANDLERS: Handlers = handlers! {
    "DELETE /v1/subjects/{subject}" => request::erase_one,
    "POST /v1/erasures" => request::erase,
    "GET /v1/erasures" => request::list,
    "GET /v1/erasures/{id}" => request::show,
    "GET /v1/erasures/{id}/receipt" => request::receipt,
    "POST /v1/erasures/{id}/cancel" => request::cancel::cancel,
};

/// Answers one HTTP request, or does the turns in one batch of the stream.
///
/// # Errors
/// When the event is of another kind.
pub async fn handle(app: &App, event: Value) -> Result<Value, Failure> {
    match Trigger::parse(event)? {
        Trigger::Http(request) => Ok(serve(app, *request, HANDLERS).await),
        Trigger::Stream(records) => Ok(worker::work_on(app, &records).await),
        _ => Err("delete is woken by HTTP and by the table's stream".into()),
    }
}

/// Does some work of one kind at the same time, up to `most` of it. The results stand in
/// the order of the work.
async fn at_once<T>(most: usize, work: Vec<BoxFuture<'_, Result<T>>>) -> Result<Vec<T>> {
    futures::stream::iter(work)
        .buffered(most)
        .try_collect()
        .await
}
