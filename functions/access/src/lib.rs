//! Shows what is known: who is found by a value, one person, their records, their files.
//! Changes nothing.

mod attachments;
mod people;
mod person;
mod records;

use lambda_runtime::Error as Failure;
use serde_json::Value;
use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::handlers;
use shared::http::Call;
use shared::http::serve::Handlers;
use shared::lambda::http_only;

/// The routes that this function answers.
pub const HANDLERS: Handlers = handlers! {
    "POST /v1/lookup" => people::lookup,
    "GET /v1/subjects" => people::list,
    "GET /v1/subjects/{subject}" => person::show,
    "GET /v1/subjects/{subject}/records" => records::list,
    "GET /v1/subjects/{subject}/attachments/{attachment}" => attachments::show,
};

/// Answers one HTTP request.
///
/// # Errors
/// When the event is of another kind.
pub async fn handle(app: &App, event: Value) -> Result<Value, Failure> {
    http_only(app, event, HANDLERS).await
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
