//! What stands before the engine: the recovery windows, which it has no notion of. It
//! answers what is asked or said of them, and passes everything else on as it came.
//!
//! A window is only said here, nothing is recovered. One that is changed lasts as long as
//! the engine: it starts with the template's.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::ResponseBody;

/// The days that DynamoDB takes for a window; the most when none is given.
pub const RECOVERY_DAYS: RangeInclusive<u8> = 1..=35;

/// Requests about windows are far smaller than this.
const MAX_BODY: usize = 64 * 1024;

/// How many days back each table can be recovered to; `None` when it cannot be.
#[derive(Clone, Default)]
pub(super) struct Windows(Arc<Mutex<BTreeMap<String, Option<u8>>>>);

impl Windows {
    pub(super) fn set(&self, table: &str, days: Option<u8>) {
        self.all().insert(table.to_owned(), days);
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Option<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way to the engine, and what is known beside it.
#[derive(Clone)]
pub(super) struct Front {
    windows: Windows,
    client: Client<HttpConnector, Incoming>,
    /// Its endpoint.
    engine: String,
}

impl Front {
    pub(super) fn new(windows: Windows, engine: String) -> Front {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Front {
            windows,
            client: Client::builder(TokioExecutor::new()).build(connector),
            engine,
        }
    }

    pub(super) async fn answer(self, request: Request<Incoming>) -> Response<ResponseBody> {
        let target = request.headers().get("x-amz-target");
        let run = match target.and_then(|target| target.to_str().ok()) {
            Some("DynamoDB_20120810.DescribeContinuousBackups") => describe,
            Some("DynamoDB_20120810.UpdateContinuousBackups") => update,
            _ => return self.pass_on(request).await,
        };
        let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        match serde_json::from_slice(&body) {
            Ok(asked) => match run(&self.windows, asked) {
                Ok(said) => reply(StatusCode::OK, &said),
                Err(refusal) => reply(StatusCode::BAD_REQUEST, &refusal),
            },
            Err(_) => reply(StatusCode::BAD_REQUEST, &refusal("SerializationException")),
        }
    }

    async fn pass_on(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |it| it.as_str());
        parts.uri = format!("{}{path}", self.engine).parse().unwrap_or_default();
        match self.client.request(Request::from_parts(parts, body)).await {
            Ok(answer) => answer.map(|body| body.map_err(Into::into).boxed_unsync()),
            // It is stopping; or the caller broke off, and hears nothing of this.
            Err(_) => reply(
                StatusCode::INTERNAL_SERVER_ERROR,
                &refusal("InternalServerError"),
            ),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    table_name: String,
    point_in_time_recovery_specification: Option<Specification>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Specification {
    point_in_time_recovery_enabled: bool,
    recovery_period_in_days: Option<u8>,
}

fn describe(windows: &Windows, asked: Asked) -> Result<Value, Value> {
    let windows = windows.all();
    let days = windows.get(&asked.table_name);
    let recovery = match days.ok_or_else(|| refusal("TableNotFoundException"))? {
        Some(days) => {
            json!({"PointInTimeRecoveryStatus": "ENABLED", "RecoveryPeriodInDays": days})
        }
        None => json!({"PointInTimeRecoveryStatus": "DISABLED"}),
    };
    Ok(json!({"ContinuousBackupsDescription": {
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": recovery,
    }}))
}

fn update(windows: &Windows, asked: Asked) -> Result<Value, Value> {
    let invalid = || refusal("ValidationException");
    let wanted = asked.point_in_time_recovery_specification.as_ref();
    let wanted = wanted.ok_or_else(invalid)?;
    let days = wanted.recovery_period_in_days;
    let days = days.unwrap_or(*RECOVERY_DAYS.end());
    if !RECOVERY_DAYS.contains(&days) {
        return Err(invalid());
    }
    if !windows.all().contains_key(&asked.table_name) {
        return Err(refusal("TableNotFoundException"));
    }
    let enabled = wanted.point_in_time_recovery_enabled;
    windows.set(&asked.table_name, enabled.then_some(days));
    describe(windows, asked)
}

fn refusal(kind: &str) -> Value {
    json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{kind}")})
}

fn reply(status: StatusCode, body: &Value) -> Response<ResponseBody> {
    let body = Full::new(Bytes::from(body.to_string()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    let content_type = header::HeaderValue::from_static("application/x-amz-json-1.0");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}
