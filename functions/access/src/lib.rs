//! Shows what is known: who is found by a value, one person, their records, their files.
//! Changes nothing.

mod attachments;
mod people;
mod person;
mod records;

use lambda_http::Request;
use lambda_runtime::Error as Failure;
use serde_json::Value;
use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::http::{Answer, Call};
use shared::lambda::Trigger;

/// Answers one HTTP request.
///
/// # Errors
/// When the event is of another kind.
pub async fn handle(app: &App, event: Value) -> Result<Value, Failure> {
    match Trigger::parse(event)? {
        Trigger::Http(request) => Ok(answer(app, *request).await),
        _ => Err("access is only called over HTTP".into()),
    }
}

async fn answer(app: &App, request: Request) -> Value {
    let call = match Call::open(app, request).await {
        Ok(call) => call,
        Err(refused) => return refused,
    };
    let outcome = match show(app, &call).await {
        // Re-keyed between the keyring and the rows: now the keyring has their key.
        Err(Error::Unreadable) => show(app, &call).await,
        outcome => outcome,
    };
    call.close(app, outcome).await
}

async fn show(app: &App, call: &Call) -> Result<Answer> {
    match call.route() {
        "POST /v1/lookup" => people::lookup(app, call).await,
        "GET /v1/subjects" => people::list(app, call).await,
        "GET /v1/subjects/{subject}" => person::show(app, call).await,
        "GET /v1/subjects/{subject}/records" => records::list(app, call).await,
        "GET /v1/subjects/{subject}/attachments/{attachment}" => attachments::show(app, call).await,
        _ => Err(Error::NotFound),
    }
}

/// The moment in a query parameter.
fn moment(call: &Call, name: &str) -> Result<Option<jiff::Timestamp>> {
    let parse = |text: &str| {
        let expected = "must be an RFC 3339 timestamp";
        // In a query a plus stands for a blank: the one before an offset was sent unescaped.
        let text = match text.rsplit_once(' ') {
            Some((time, offset)) => format!("{time}+{offset}"),
            None => text.to_owned(),
        };
        text.parse()
            .map_err(|_| Error::field(name, "format", expected))
    };
    call.query(name).map(parse).transpose()
}
