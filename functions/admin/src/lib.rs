//! What a tenant decides, who may call for it, and what has been done: people's rights,
//! settings, API keys, activity. For the operator: tenants.

mod activity;
mod consent;
mod keys;
mod rights;
mod roots;
mod settings;
mod tenants;

use lambda_runtime::Error as Failure;
use serde_json::Value;
use shared::domain::app::App;
use shared::handlers;
use shared::http::serve::Handlers;
use shared::lambda::http_only;

/// The routes that this function answers.
pub const HANDLERS: Handlers = handlers! {
    "PUT /v1/subjects/{subject}/restriction" => rights::put,
    "PUT /v1/subjects/{subject}/objection" => rights::put,
    "PUT /v1/subjects/{subject}/hold" => rights::put,
    "PUT /v1/subjects/{subject}/suppression" => rights::put,
    "DELETE /v1/subjects/{subject}/restriction" => rights::lift,
    "DELETE /v1/subjects/{subject}/objection" => rights::lift,
    "DELETE /v1/subjects/{subject}/hold" => rights::lift,
    "DELETE /v1/subjects/{subject}/suppression" => rights::lift,
    "DELETE /v1/subjects/{subject}/consent" => consent::withdraw,
    "GET /v1/settings" => settings::show,
    "PUT /v1/settings" => settings::change,
    "POST /v1/keys" => keys::create,
    "GET /v1/keys" => keys::list,
    "DELETE /v1/keys/{id}" => keys::revoke,
    "GET /v1/activity" => activity::list,
    "GET /v1/activity/seals" => roots::list,
    "POST /v1/tenants" => tenants::create,
    "POST /v1/tenants/{tenant}/keys" => tenants::add_key,
    "GET /v1/tenants" => tenants::list,
    "DELETE /v1/tenants/{tenant}" => tenants::erase,
};

/// Answers one HTTP request.
///
/// # Errors
/// When the event is of another kind.
pub async fn handle(app: &App, event: Value) -> Result<Value, Failure> {
    http_only(app, event, HANDLERS).await
}
