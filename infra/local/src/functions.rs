//! The functions, called in this process as Lambda would call them.
//!
//! Owns the roster and what Lambda puts around a call: an event comes in as JSON,
//! a result goes out as JSON, a panic or a call that takes too long is a failure
//! of that call alone. Must not know what calls a function, nor why.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use lambda_runtime::Error;
use serde_json::Value;
use shared::app::App;

/// One function's entry point.
pub type Handler =
    Arc<dyn Fn(Arc<App>, Value) -> BoxFuture<'static, Result<Value, Error>> + Send + Sync>;

/// The entry points, by the function's name.
pub type Roster = BTreeMap<&'static str, Handler>;

/// Every function of the service.
pub fn roster() -> Roster {
    macro_rules! entry {
        ($name:ident) => {{
            let handler: Handler =
                Arc::new(|app, event| Box::pin(async move { $name::handle(&app, event).await }));
            (stringify!($name), handler)
        }};
    }
    Roster::from([
        entry!(access),
        entry!(admin),
        entry!(cleanup),
        entry!(console),
        entry!(delete),
        entry!(export),
        entry!(ingest),
        entry!(redact),
        entry!(scan),
    ])
}

/// Why a call gave no result.
#[derive(Debug)]
pub enum Failure {
    /// The function returned an error.
    Returned(String),
    Panicked(String),
    TimedOut(Duration),
    /// The template has no function of this name.
    Unknown(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Returned(cause) => write!(f, "{cause}"),
            Failure::Panicked(message) => write!(f, "panicked: {message}"),
            Failure::TimedOut(limit) => write!(f, "took longer than {} s", limit.as_secs()),
            Failure::Unknown(name) => write!(f, "there is no function {name}"),
        }
    }
}

impl std::error::Error for Failure {}

/// A function with everything that a call of it needs.
pub struct Deployed {
    pub handler: Handler,
    pub app: Arc<App>,
    pub timeout: Duration,
}

/// The functions of one cloud.
pub struct Functions(pub BTreeMap<String, Deployed>);

impl Functions {
    /// What some function is given.
    pub fn any_app(&self) -> Option<Arc<App>> {
        self.0.values().next().map(|function| function.app.clone())
    }

    /// Calls the function. Once begun, a call goes on even if nobody waits for it.
    pub async fn invoke(&self, name: &str, event: Value) -> Result<Value, Failure> {
        let function = self
            .0
            .get(name)
            .ok_or_else(|| Failure::Unknown(name.to_owned()))?;
        let (handler, app, limit) = (
            function.handler.clone(),
            function.app.clone(),
            function.timeout,
        );
        let called =
            tokio::spawn(async move { tokio::time::timeout(limit, handler(app, event)).await })
                .await;
        let result = match called {
            Ok(Ok(Ok(value))) => return Ok(value),
            Ok(Ok(Err(error))) => Failure::Returned(causes(&*error)),
            Ok(Err(_)) => Failure::TimedOut(limit),
            Err(stopped) if stopped.is_panic() => {
                Failure::Panicked(message(&*stopped.into_panic()))
            }
            Err(_) => Failure::Returned("was stopped".to_owned()),
        };
        tracing::error!(function = name, "invocation failed: {result}");
        Err(result)
    }
}

fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
