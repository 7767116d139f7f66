//! What anybody may ask without a key: the console's page, the service's own description,
//! whether it answers, and the keys that check its signatures; and what no route takes.
//! Touches no store.

mod openapi;
mod page;

use lambda_runtime::Error as Failure;
use serde_json::Value;
use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::handlers;
use shared::http::answers::Health;
use shared::http::serve::Handlers;
use shared::http::{Answer, Call, routes};
use shared::lambda::http_only;

/// The routes that this function answers.
pub const HANDLERS: Handlers = handlers! {
    "GET /console" => console,
    "GET /v1/openapi.json" => openapi,
    "GET /v1/health" => health,
    "GET /.well-known/jwks.json" => keys,
    "$default" => elsewhere,
};

/// Answers one HTTP request.
///
/// # Errors
/// When the event is of another kind.
pub async fn handle(app: &App, event: Value) -> Result<Value, Failure> {
    http_only(app, event, HANDLERS).await
}

async fn console(_: &App, _: &Call) -> Result<Answer> {
    Ok(page::answer())
}

async fn openapi(_: &App, _: &Call) -> Result<Answer> {
    Ok(Answer::text("application/json", openapi::text()))
}

/// What no route takes: another method of a path, or no path at all. Preflights come here
/// too; API Gateway adds what they ask for.
async fn elsewhere(_: &App, call: &Call) -> Result<Answer> {
    let (method, path) = call.asked();
    let methods = routes::methods(path);
    match method {
        _ if methods.is_empty() => Err(Error::NotFound),
        "OPTIONS" => Ok(Answer::nothing().header("allow", methods.join(", "))),
        _ => Err(Error::MethodNotAllowed(methods)),
    }
}

async fn keys(app: &App, _: &Call) -> Result<Answer> {
    let keys = app.vault.jwks().await?;
    Ok(Answer::text("application/jwk-set+json", keys.to_string()))
}

/// The service's version and its time: what a countdown must go by.
async fn health(app: &App, _: &Call) -> Result<Answer> {
    Ok(Answer::ok(&Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        time: app.clock.now(),
    }))
}
