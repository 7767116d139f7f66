//! From a request to its route's handler, and back: what every function does that answers
//! over HTTP.

use std::pin::Pin;

use lambda_http::Request;
use serde_json::Value;

use crate::base::error::{Error, Result};
use crate::domain::app::App;
use crate::http::{Answer, Call};

/// What a handler returns.
pub type Outcome<'a> = Pin<Box<dyn Future<Output = Result<Answer>> + Send + 'a>>;

/// A function's routes, as `ROUTES` in [`super::routes`] spells them, each with its handler.
/// Made by [`handlers!`](crate::handlers).
pub type Handlers = &'static [(&'static str, for<'a> fn(&'a App, &'a Call) -> Outcome<'a>)];

/// A table of routes and the `async fn(&App, &Call) -> Result<Answer>` that answers each.
#[macro_export]
macro_rules! handlers {
    ($($route:literal => $handler:path),+ $(,)?) => {
        &[$(($route, |app, call| ::std::boxed::Box::pin($handler(app, call)))),+]
    };
}

/// Answers one request.
pub async fn serve(app: &App, request: Request, handlers: Handlers) -> Value {
    let call = match Call::open(app, request).await {
        Ok(call) => call,
        Err(refused) => return refused,
    };
    let handler = handlers.iter().find(|(route, _)| *route == call.route());
    let outcome = match handler {
        None => Err(Error::NotFound),
        Some((_, handler)) => match handler(app, &call).await {
            // The life was re-keyed between the keyring and the rows: now the keyring has
            // the key.
            Err(Error::Unreadable) => handler(app, &call).await,
            outcome => outcome,
        },
    };
    call.close(app, outcome).await
}
