//! The functions, invoked in this process as Lambda would invoke them.
//!
//! Owns the roster and Lambda's side of an invocation: JSON in, JSON out; a panic or a timeout
//! fails only that invocation. A process can be killed with everything that runs in it; the
//! next invocation gets a new one. Knows nothing of what invokes a function, or why.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use lambda_runtime::Error;
use serde_json::Value;
use shared::domain::app::App;
use tokio::sync::watch;

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
        entry!(restore),
        entry!(scan),
    ])
}

tokio::task_local! {
    static CALLED: String;
}

/// The function whose invocation this runs in, if any. Tasks that a handler spawns are not
/// included.
pub fn called() -> Option<String> {
    CALLED.try_with(Clone::clone).ok()
}

/// Why an invocation has no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The function returned an error.
    #[error("{0}")]
    Returned(String),
    #[error("panicked: {0}")]
    Panicked(String),
    /// It was dropped at its current point.
    #[error("took longer than {} s", .0.as_secs())]
    TimedOut(Duration),
    /// Its process was killed during the invocation.
    #[error("the process was killed")]
    Killed,
    /// The template has no function of this name.
    #[error("there is no function {0}")]
    Unknown(String),
}

/// A function with everything that an invocation needs.
pub struct Deployed {
    pub handler: Handler,
    pub process: Arc<Process>,
    pub timeout: Duration,
    pub environment: BTreeMap<String, String>,
}

impl Deployed {
    fn app(&self) -> Arc<App> {
        self.process.enter().0
    }
}

/// The state that invocations share: a function's memory. Lambda keeps one or more for each
/// function; here, functions with the same environment share one.
pub struct Process {
    begin: Box<dyn Fn() -> App + Send + Sync>,
    /// Dropping the sender ends everything that runs.
    now: Mutex<(Arc<App>, watch::Sender<()>)>,
}

impl Process {
    /// `begin` runs at every start.
    pub fn new(begin: impl Fn() -> App + Send + Sync + 'static) -> Process {
        let now = (Arc::new(begin()), watch::Sender::new(()));
        Process {
            begin: Box::new(begin),
            now: Mutex::new(now),
        }
    }

    /// The app for an invocation, and a receiver that fires when the process ends.
    fn enter(&self) -> (Arc<App>, watch::Receiver<()>) {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        (now.0.clone(), now.1.subscribe())
    }

    /// Drops every running invocation at its current point. The next one starts without
    /// memory.
    fn kill(&self) {
        let next = (Arc::new((self.begin)()), watch::Sender::new(()));
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

/// Every process of one cloud, in the order of their start.
#[derive(Default)]
pub struct Processes(Mutex<Vec<Arc<Process>>>);

impl Processes {
    pub fn start(&self, begin: impl Fn() -> App + Send + Sync + 'static) -> Arc<Process> {
        let process = Arc::new(Process::new(begin));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(process.clone());
        process
    }

    /// Kills all processes: running invocations end at their current point, and the next ones
    /// start without memory.
    pub fn kill(&self) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().for_each(|process| process.kill());
    }
}

/// The functions of one cloud.
pub struct Functions(pub BTreeMap<String, Deployed>);

impl Functions {
    /// The app of some function.
    pub fn any_app(&self) -> Option<Arc<App>> {
        self.0.values().next().map(Deployed::app)
    }

    /// The app of the function of this name.
    pub fn app(&self, name: &str) -> Option<Arc<App>> {
        self.0.get(name).map(Deployed::app)
    }

    /// Invokes the function. A started invocation continues even if the caller stops waiting.
    pub async fn invoke(&self, name: &str, event: Value) -> Result<Value, Failure> {
        let function = self
            .0
            .get(name)
            .ok_or_else(|| Failure::Unknown(name.to_owned()))?;
        let (handler, limit) = (function.handler.clone(), function.timeout);
        let (app, mut end) = function.process.enter();
        let called = tokio::spawn(CALLED.scope(name.to_owned(), async move {
            tokio::select! {
                // A killed process takes no further step.
                biased;
                _ = end.changed() => Err(Failure::Killed),
                called = tokio::time::timeout(limit, handler(app, event)) => match called {
                    Ok(Ok(value)) => Ok(value),
                    Ok(Err(error)) => Err(Failure::Returned(causes(&*error))),
                    Err(_) => Err(Failure::TimedOut(limit)),
                },
            }
        }))
        .await;
        let result = match called {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(failure)) => failure,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shared::http::routes::ROUTES;
    use shared::http::serve::Handlers;

    #[test]
    fn every_route_has_one_handler_in_its_function() {
        let functions: [(&str, Handlers); 7] = [
            ("access", access::HANDLERS),
            ("admin", admin::HANDLERS),
            ("console", console::HANDLERS),
            ("delete", delete::HANDLERS),
            ("export", export::HANDLERS),
            ("ingest", ingest::HANDLERS),
            ("redact", redact::HANDLERS),
        ];
        let mut handled = BTreeSet::new();
        for (function, handlers) in functions {
            for (route, _) in handlers {
                assert!(handled.insert((function, *route)), "twice: {route}");
            }
        }
        let declared = ROUTES.iter().map(|route| (route.function, route.key));
        // Requests without a route go to the console.
        let declared = declared.chain([("console", "$default")]);
        assert_eq!(handled, declared.collect());
    }
}
