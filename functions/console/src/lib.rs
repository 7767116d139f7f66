//! What anybody may ask without a key: the console's page, the service's own description,
//! whether it answers, and the keys that check its signatures; and what no route takes.
//! Touches no store.

mod openapi;
mod page;

use lambda_http::Request;
use lambda_runtime::Error as Failure;
use serde_json::{Value, json};
use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::http::{Answer, Call, routes};
use shared::lambda::Trigger;

/// Answers one HTTP request.
///
/// # Errors
/// When the event is no HTTP request.
pub async fn handle(app: &App, event: Value) -> Result<Value, Failure> {
    match Trigger::parse(event)? {
        Trigger::Http(request) => Ok(answer(app, *request).await),
        _ => Err("console is only called over HTTP".into()),
    }
}

async fn answer(app: &App, request: Request) -> Value {
    let call = match Call::open(app, request).await {
        Ok(call) => call,
        Err(refused) => return refused,
    };
    let outcome = match call.route() {
        "GET /console" => Ok(page::answer()),
        "GET /v1/openapi.json" => Ok(Answer::text("application/json", openapi::text())),
        "GET /v1/health" => Ok(health(app)),
        "GET /.well-known/jwks.json" => keys(app).await,
        "$default" => elsewhere(&call),
        _ => Err(Error::NotFound),
    };
    call.close(app, outcome).await
}

/// What no route takes: another method of a path, or no path at all. Preflights come here
/// too; API Gateway adds what they ask for.
fn elsewhere(call: &Call) -> Result<Answer> {
    let (method, path) = call.asked();
    let methods = routes::methods(path);
    match method {
        _ if methods.is_empty() => Err(Error::NotFound),
        "OPTIONS" => Ok(Answer::nothing().header("allow", methods.join(", "))),
        _ => Err(Error::MethodNotAllowed(methods)),
    }
}

async fn keys(app: &App) -> Result<Answer> {
    let keys = app.vault.jwks().await?;
    Ok(Answer::text("application/jwk-set+json", keys.to_string()))
}

/// The service's version and its time: what a countdown must go by.
fn health(app: &App) -> Answer {
    Answer::ok(json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "time": app.clock.now(),
    }))
}
