//! What a tenant decides, who may call for it, and what has been done: people's rights,
//! settings, API keys, activity. For the operator: tenants.

mod activity;
mod consent;
mod keys;
mod rights;
mod roots;
mod settings;
mod tenants;

use lambda_http::Request;
use lambda_runtime::Error as Failure;
use serde_json::Value;
use shared::base::error::Error;
use shared::domain::app::App;
use shared::http::Call;
use shared::lambda::Trigger;

/// Answers one HTTP request.
///
/// # Errors
/// When the event is of another kind.
pub async fn handle(app: &App, event: Value) -> Result<Value, Failure> {
    match Trigger::parse(event)? {
        Trigger::Http(request) => Ok(answer(app, *request).await),
        _ => Err("admin is only called over HTTP".into()),
    }
}

async fn answer(app: &App, request: Request) -> Value {
    let call = match Call::open(app, request).await {
        Ok(call) => call,
        Err(refused) => return refused,
    };
    let outcome = match call.route() {
        "PUT /v1/subjects/{subject}/restriction"
        | "PUT /v1/subjects/{subject}/objection"
        | "PUT /v1/subjects/{subject}/hold"
        | "PUT /v1/subjects/{subject}/suppression" => rights::put(app, &call).await,
        "DELETE /v1/subjects/{subject}/restriction"
        | "DELETE /v1/subjects/{subject}/objection"
        | "DELETE /v1/subjects/{subject}/hold"
        | "DELETE /v1/subjects/{subject}/suppression" => rights::lift(app, &call).await,
        "DELETE /v1/subjects/{subject}/consent" => consent::withdraw(app, &call).await,
        "GET /v1/settings" => settings::show(app, &call).await,
        "PUT /v1/settings" => settings::change(app, &call).await,
        "POST /v1/keys" => keys::create(app, &call).await,
        "GET /v1/keys" => keys::list(app, &call).await,
        "DELETE /v1/keys/{id}" => keys::revoke(app, &call).await,
        "GET /v1/activity" => activity::list(app, &call).await,
        "GET /v1/activity/seals" => roots::list(app, &call).await,
        "POST /v1/tenants" => tenants::create(app, &call).await,
        "POST /v1/tenants/{tenant}/keys" => tenants::add_key(app, &call).await,
        "GET /v1/tenants" => tenants::list(app, &call).await,
        "DELETE /v1/tenants/{tenant}" => tenants::erase(app, &call).await,
        _ => Err(Error::NotFound),
    };
    call.close(app, outcome).await
}
