//! Takes in what tenants' pages and servers send: events, files to come, corrections.

mod attachments;
mod correct;
mod done;
mod draft;
mod event;
mod events;
mod group;
mod token;

use lambda_http::Request;
use lambda_runtime::Error as Failure;
use serde_json::{Value, json};
use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::http::{Answer, Call};
use shared::lambda::Trigger;

/// Answers one HTTP request.
///
/// # Errors
/// When the event is no HTTP request.
pub async fn handle(app: &App, event: Value) -> Result<Value, Failure> {
    match Trigger::parse(event)? {
        Trigger::Http(request) => Ok(answer(app, *request).await),
        _ => Err("ingest is only called over HTTP".into()),
    }
}

async fn answer(app: &App, request: Request) -> Value {
    let call = match Call::open(app, request).await {
        Ok(call) => call,
        Err(refused) => return refused,
    };
    let outcome = match call.route() {
        "POST /v1/events" => events::take_in(app, &call).await,
        "POST /v1/attachments" => attachments::announce(app, &call).await,
        "PATCH /v1/subjects/{subject}" => correct::correct(app, &call).await,
        "GET /v1/privacy-config" => privacy_config(app, &call).await,
        _ => Err(Error::NotFound),
    };
    call.close(app, outcome).await
}

/// What a client must obey before it sends anything.
async fn privacy_config(app: &App, call: &Call) -> Result<Answer> {
    let settings = app.tenants.settings(call.tenant()).await?;
    Ok(Answer::ok(json!({
        "full_privacy": settings.full_privacy,
        "hide_selectors": settings.hide_selectors,
        "location": settings.location,
        "store_url": settings.store_url,
        "integrations": settings.integrations,
    })))
}
