//! The edge to AWS Lambda: what triggers a function, and how one is started. Every
//! function is JSON in, JSON out; the local run calls the same entry with the same JSON.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lambda_events::s3::S3Event;
use lambda_http::Request;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::aws::emf::Lines;
use crate::base::error::Error as Failure;
use crate::domain::app::App;
use crate::http::serve::{Handlers, serve};

/// What a function's entry returns.
pub type Outcome<'a> = Pin<Box<dyn Future<Output = Result<Value, Error>> + Send + 'a>>;

/// What woke a function.
pub enum Trigger {
    /// API Gateway HTTP API, payload format 2.0.
    Http(Box<Request>),
    /// DynamoDB Streams.
    Stream(Vec<StreamRecord>),
    /// An S3 event notification.
    Objects(S3Event),
    /// EventBridge, on a schedule.
    Schedule,
}

/// One record of the table's stream, which carries keys only.
pub struct StreamRecord {
    /// Its place in the stream: what a failure is reported by.
    pub sequence: String,
    pub partition: String,
    pub sort: String,
}

impl StreamRecord {
    fn read(record: &Value) -> Option<StreamRecord> {
        let text = |pointer| Some(record.pointer(pointer)?.as_str()?.to_owned());
        Some(StreamRecord {
            sequence: text("/dynamodb/SequenceNumber")?,
            partition: text("/dynamodb/Keys/PK/S")?,
            sort: text("/dynamodb/Keys/SK/S")?,
        })
    }
}

impl Trigger {
    /// Reads an event as AWS sends it.
    ///
    /// # Errors
    /// When it is of no kind that Lethe is woken by; the invocation fails and is alarmed.
    pub fn parse(event: Value) -> Result<Trigger, Error> {
        let source = event
            .pointer("/Records/0/eventSource")
            .and_then(Value::as_str);
        match source {
            Some("aws:dynamodb") => {
                let records = event["Records"].as_array().into_iter().flatten();
                let records: Option<_> = records.map(StreamRecord::read).collect();
                return records
                    .map(Trigger::Stream)
                    .ok_or("a stream record without its keys".into());
            }
            Some("aws:s3") => return Ok(Trigger::Objects(serde_json::from_value(event)?)),
            _ => {}
        }
        if event.get("requestContext").is_some() {
            let request: ApiGatewayV2httpRequest = serde_json::from_value(event)?;
            let request = lambda_http::request::LambdaRequest::ApiGatewayV2(request);
            return Ok(Trigger::Http(Box::new(request.into())));
        }
        match event.get("detail-type").and_then(Value::as_str) {
            Some("Scheduled Event") => Ok(Trigger::Schedule),
            _ => Err("an event of an unknown kind".into()),
        }
    }
}

/// The work that a record of the stream calls for, until its deadline.
pub type Work = for<'a> fn(
    &'a App,
    &'a StreamRecord,
    Instant,
) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// Works on a batch of the table's stream for at most `limit`, in order, and names the first
/// record that failed: the stream delivers it again, and what follows.
pub async fn batch(
    app: &App,
    function: &str,
    records: &[StreamRecord],
    limit: Duration,
    work: Work,
) -> Value {
    let deadline = Instant::now() + limit;
    for record in records {
        if let Err(error) = work(app, record, deadline).await {
            tracing::error!(function, cause = %error, "a turn failed");
            return json!({"batchItemFailures": [{"itemIdentifier": record.sequence}]});
        }
    }
    json!({"batchItemFailures": []})
}

/// Answers an HTTP request: all that a function does which nothing else wakes.
///
/// # Errors
/// When the event is of another kind.
pub async fn http_only(app: &App, event: Value, handlers: Handlers) -> Result<Value, Error> {
    match Trigger::parse(event)? {
        Trigger::Http(request) => Ok(serve(app, *request, handlers).await),
        _ => Err("this function is called over HTTP only".into()),
    }
}

/// How everything is logged, wherever it goes: one JSON object a line.
pub fn logs<W>(writer: W) -> impl SubscriberInitExt
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_target(false)
        .map_event_format(Lines)
        .with_max_level(tracing::Level::INFO)
        .with_writer(writer)
}

/// Runs a function as a Lambda `bootstrap`, until the platform ends it.
///
/// # Errors
/// When the configuration is incomplete, or the Runtime API does not answer.
pub fn run(handle: for<'a> fn(&'a App, Value) -> Outcome<'a>) -> Result<(), Error> {
    logs(std::io::stdout).init();
    // One request at a time is all that Lambda sends: one thread serves it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let app = Arc::new(App::from_environment()?);
        lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
            let app = Arc::clone(&app);
            async move { handle(&app, event.payload).await }
        }))
        .await
    })
}
