//! Point-in-time recovery, backups and exports, of DynamoDB and of AWS Backup.
//!
//! `dynoxide` has none of these. A proxy in front of it answers their operations and forwards
//! every other request unchanged. Only their records are kept, in memory: nothing is copied,
//! exported or restored.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{ACCOUNT, Clock, REGION, ResponseBody};

/// The recovery windows that DynamoDB accepts, in days. The longest is the default.
pub const RECOVERY_DAYS: RangeInclusive<u8> = 1..=35;

/// No request for these operations is larger.
const MAX_BODY: usize = 64 * 1024;

/// What is recorded of each table.
#[derive(Clone)]
pub(super) struct Recovery {
    tables: Arc<Mutex<BTreeMap<String, Table>>>,
    clock: Clock,
}

#[derive(Default)]
struct Table {
    /// The recovery window in days; `None` when recovery is disabled.
    window: Option<u8>,
    /// The times of its on-demand backups.
    backups: Vec<Timestamp>,
    /// The times of AWS Backup's recovery points, which DynamoDB does not list.
    points: Vec<Timestamp>,
    exports: Vec<Timestamp>,
}

impl Recovery {
    pub(super) fn new(clock: &Clock) -> Recovery {
        Recovery {
            tables: Arc::default(),
            clock: clock.clone(),
        }
    }

    pub(super) fn add(&self, table: &str, window: Option<u8>) {
        self.tables().entry(table.to_owned()).or_default().window = window;
    }

    fn tables(&self) -> MutexGuard<'_, BTreeMap<String, Table>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The proxy in front of the engine.
#[derive(Clone)]
pub(super) struct Front {
    recovery: Recovery,
    client: Client<HttpConnector, Incoming>,
    /// Its endpoint.
    engine: String,
}

impl Front {
    pub(super) fn new(recovery: Recovery, engine: String) -> Front {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Front {
            recovery,
            client: Client::builder(TokioExecutor::new()).build(connector),
            engine,
        }
    }

    pub(super) async fn answer(self, request: Request<Incoming>) -> Response<ResponseBody> {
        let target = request.headers().get("x-amz-target");
        let run: Operation = match target.and_then(|target| target.to_str().ok()) {
            Some("DynamoDB_20120810.DescribeContinuousBackups") => describe,
            Some("DynamoDB_20120810.UpdateContinuousBackups") => update,
            Some("DynamoDB_20120810.CreateBackup") => back_up,
            Some("DynamoDB_20120810.ListBackups") => list,
            Some("DynamoDB_20120810.ExportTableToPointInTime") => export,
            Some("DynamoDB_20120810.ListExports") => list_exports,
            None if is_of_aws_backup(request.uri().path()) => {
                return self.answer_for_aws_backup(request).await;
            }
            _ => return self.pass_on(request).await,
        };
        let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        match serde_json::from_slice(&body) {
            Ok(asked) => match self.run(run, &asked) {
                Ok(said) => reply(StatusCode::OK, &said),
                Err(refusal) => reply(StatusCode::BAD_REQUEST, &refusal),
            },
            Err(_) => reply(StatusCode::BAD_REQUEST, &refusal("SerializationException")),
        }
    }

    fn run(&self, run: Operation, asked: &Asked) -> Result<Value, Value> {
        let mut tables = self.recovery.tables();
        let table = tables.get_mut(name_of(&asked.table));
        let table = table.ok_or_else(|| refusal("TableNotFoundException"))?;
        run(table, asked, self.recovery.clock.now())
    }

    /// AWS Backup: starts a backup job, or lists the recovery points of a table.
    async fn answer_for_aws_backup(self, request: Request<Incoming>) -> Response<ResponseBody> {
        let path = request.uri().path().to_owned();
        let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let of = path.strip_prefix("/resources/");
        let of = of.and_then(|rest| rest.strip_suffix("/recovery-points"));
        let job = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        let arn = of.map_or_else(
            || job["ResourceArn"].as_str().unwrap_or_default().to_owned(),
            |of| of.replace("%3A", ":").replace("%2F", "/"),
        );
        let mut tables = self.recovery.tables();
        let Some(table) = tables.get_mut(name_of(&arn)) else {
            let unknown = json!({"Code": "ResourceNotFoundException"});
            return reply(StatusCode::BAD_REQUEST, &unknown);
        };
        if of.is_none() {
            table.points.push(self.recovery.clock.now());
            return reply(StatusCode::OK, &json!({"BackupJobId": arn}));
        }
        let point = |at: &Timestamp| {
            json!({
                "RecoveryPointArn": format!("{arn}/backup/{}", at.as_millisecond()),
                "CreationDate": at.as_second(),
                "Status": "COMPLETED",
            })
        };
        let points: Vec<_> = table.points.iter().map(point).collect();
        reply(StatusCode::OK, &json!({"RecoveryPoints": points}))
    }

    async fn pass_on(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |it| it.as_str());
        parts.uri = format!("{}{path}", self.engine).parse().unwrap_or_default();
        match self.client.request(Request::from_parts(parts, body)).await {
            Ok(answer) => answer.map(|body| body.map_err(Into::into).boxed_unsync()),
            // The engine is stopping, or the caller has disconnected.
            Err(_) => reply(
                StatusCode::INTERNAL_SERVER_ERROR,
                &refusal("InternalServerError"),
            ),
        }
    }
}

/// An operation on one table, at the given time.
type Operation = fn(&mut Table, &Asked, Timestamp) -> Result<Value, Value>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    /// Its name or ARN.
    #[serde(alias = "TableName", alias = "TableArn")]
    table: String,
    /// Lists backups made before this second.
    time_range_upper_bound: Option<f64>,
    point_in_time_recovery_specification: Option<Specification>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Specification {
    point_in_time_recovery_enabled: bool,
    recovery_period_in_days: Option<u8>,
}

fn describe(table: &mut Table, _: &Asked, _: Timestamp) -> Result<Value, Value> {
    let recovery = match table.window {
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

fn update(table: &mut Table, asked: &Asked, now: Timestamp) -> Result<Value, Value> {
    let invalid = || refusal("ValidationException");
    let wanted = asked.point_in_time_recovery_specification.as_ref();
    let wanted = wanted.ok_or_else(invalid)?;
    let days = wanted.recovery_period_in_days;
    let days = days.unwrap_or(*RECOVERY_DAYS.end());
    if !RECOVERY_DAYS.contains(&days) {
        return Err(invalid());
    }
    table.window = wanted.point_in_time_recovery_enabled.then_some(days);
    describe(table, asked, now)
}

fn back_up(table: &mut Table, asked: &Asked, now: Timestamp) -> Result<Value, Value> {
    table.backups.push(now);
    Ok(json!({"BackupDetails": backup(&asked.table, now)}))
}

fn list(table: &mut Table, asked: &Asked, _: Timestamp) -> Result<Value, Value> {
    let before = asked.time_range_upper_bound.unwrap_or(f64::INFINITY);
    let made = table.backups.iter();
    let made = made.filter(|at| (at.as_second() as f64) < before);
    let backups: Vec<_> = made.map(|at| backup(&asked.table, *at)).collect();
    Ok(json!({"BackupSummaries": backups}))
}

fn export(table: &mut Table, asked: &Asked, now: Timestamp) -> Result<Value, Value> {
    table.exports.push(now);
    Ok(json!({"ExportDescription": exported(&asked.table, now)}))
}

fn list_exports(table: &mut Table, asked: &Asked, _: Timestamp) -> Result<Value, Value> {
    let exports = table.exports.iter().map(|at| exported(&asked.table, *at));
    Ok(json!({"ExportSummaries": exports.collect::<Vec<_>>()}))
}

fn exported(table: &str, at: Timestamp) -> Value {
    json!({
        "ExportArn": format!("{table}/export/{}", at.as_millisecond()),
        "ExportStatus": "COMPLETED",
        "ExportType": "FULL_EXPORT",
    })
}

fn is_of_aws_backup(path: &str) -> bool {
    path == "/backup-jobs" || path.starts_with("/resources/")
}

/// The table's name, from a name or an ARN.
fn name_of(table: &str) -> &str {
    table.rsplit('/').next().unwrap_or(table)
}

fn backup(table: &str, at: Timestamp) -> Value {
    json!({
        "TableName": table,
        "BackupArn": format!(
            "arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}/backup/{}",
            at.as_millisecond()
        ),
        "BackupName": "backup",
        "BackupStatus": "AVAILABLE",
        "BackupType": "USER",
        "BackupCreationDateTime": at.as_second(),
    })
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
