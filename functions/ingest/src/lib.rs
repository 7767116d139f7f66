//! Takes in what tenants' pages and servers send: events, files to come, corrections.

mod attachments;
mod correct;
mod done;
mod draft;
mod event;
mod events;
mod group;
mod token;

use lambda_runtime::Error as Failure;
use serde_json::Value;
use shared::base::error::Result;
use shared::domain::app::App;
use shared::handlers;
use shared::http::answers::PrivacyConfig;
use shared::http::serve::Handlers;
use shared::http::{Answer, Call};
use shared::lambda::http_only;

/// The routes that this function answers.
pub const HANDLERS: Handlers = handlers! {
    "POST /v1/events" => events::take_in,
    "POST /v1/attachments" => attachments::announce,
    "PATCH /v1/subjects/{subject}" => correct::correct,
    "GET /v1/privacy-config" => privacy_config,
};

/// Answers one HTTP request.
///
/// # Errors
/// When the event is of another kind.
pub async fn handle(app: &App, event: Value) -> Result<Value, Failure> {
    http_only(app, event, HANDLERS).await
}

/// What a client must obey before it sends anything.
async fn privacy_config(app: &App, call: &Call) -> Result<Answer> {
    let settings = app.tenants.settings(call.tenant()).await?;
    Ok(Answer::ok(&PrivacyConfig::from(&settings)))
}
