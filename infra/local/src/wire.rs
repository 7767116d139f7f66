//! A proxy between the SDKs and the engines, for tests with failing calls.
//!
//! Owns how a call fails from the SDK's view: each service's error responses, a missing
//! response, a process that is killed during a call. The test decides which call fails, and
//! may observe which function calls what. Without either there is no proxy: the SDKs call the
//! engines directly.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use emulators::{EngineError, ResponseBody, Server};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use serde_json::{Value, json};

use crate::client::Client;
use crate::functions::Processes;

/// Decides the fate of a call. Called once for each request of an SDK.
pub type Decide = Arc<dyn Fn(&Call) -> Fate + Send + Sync>;

/// Observes each request that reaches an engine, after its response. DynamoDB is then asked
/// for consumed capacity.
pub type Watch = Arc<dyn Fn(&Sent<'_>) + Send + Sync>;

/// A request to an engine, and its response.
pub struct Sent<'r> {
    /// The function whose credentials signed it, if any.
    pub function: Option<String>,
    pub engine: Engine,
    /// As in [`Call`].
    pub operation: &'r str,
    /// Whether it is a presigned link that an outside client follows.
    pub link: bool,
    pub request: &'r Request<Bytes>,
    pub answer: &'r Bytes,
}

impl Sent<'_> {
    /// The DynamoDB capacity units that it consumed, for tables and indexes.
    pub fn units(&self) -> f64 {
        let answer: Value = serde_json::from_slice(self.answer).unwrap_or_default();
        let units = |consumed: &Value| consumed["CapacityUnits"].as_f64().unwrap_or_default();
        match &answer["ConsumedCapacity"] {
            Value::Array(of_tables) => of_tables.iter().map(units).sum(),
            of_table => units(of_table),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    DynamoDb,
    S3,
    Kms,
}

impl Engine {
    /// The environment variable for the engine's endpoint.
    pub(crate) const fn variable(self) -> &'static str {
        match self {
            Engine::DynamoDb => "AWS_ENDPOINT_URL_DYNAMODB",
            Engine::S3 => "AWS_ENDPOINT_URL_S3",
            Engine::Kms => "AWS_ENDPOINT_URL_KMS",
        }
    }
}

/// One request of an SDK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub engine: Engine,
    /// The operation's name in the API reference: `PutItem`, `ListObjectVersions`.
    pub operation: String,
    /// The number of earlier calls, of all functions to all engines.
    pub number: usize,
    /// 1, or more when the SDK retries the call. Retries keep the number.
    pub attempt: u32,
    /// The function whose credentials signed it, if any.
    pub function: Option<String>,
    /// The request's path, which for S3 names the object.
    pub path: String,
    pub body: Bytes,
}

impl Call {
    /// Whether it mentions this name.
    pub fn mentions(&self, name: &str) -> bool {
        let mut words = self.body.windows(name.len());
        self.path.contains(name) || words.any(|word| word == name.as_bytes())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Pass,
    /// Passes after a delay.
    Delay(Duration),
    /// The service fails before it does anything.
    Refuse,
    /// The service throttles the call and does nothing.
    Throttle,
    /// A write to DynamoDB conflicts with another transaction; nothing is written. Other calls
    /// pass.
    Conflict,
    /// The service executes the call, but its response is lost: the connection closes.
    LoseAnswer,
    /// The service executes the call, but never responds: the connection stays open.
    Swallow,
    /// DynamoDB still runs the same transaction, from an earlier attempt.
    InProgress,
    /// Every process is killed before the service receives the call.
    KillBefore,
    /// Every process is killed after the service has executed the call, before the response
    /// arrives.
    KillAfter,
}

/// A connection that closes without a response.
#[derive(Debug, thiserror::Error)]
#[error("the wire broke, as it was told to")]
struct Broken;

/// A proxy in front of each engine.
pub struct Wire {
    ends: Vec<(Engine, Server)>,
}

impl Wire {
    pub async fn start(
        decide: Option<Decide>,
        watch: Option<Watch>,
        engines: [(Engine, &str); 3],
        processes: Arc<Processes>,
    ) -> Result<Wire, EngineError> {
        let counted = Arc::new(Counted::default());
        let mut ends = Vec::new();
        for (engine, endpoint) in engines {
            let way = Arc::new(Way {
                engine,
                to: authority(endpoint)?,
                decide: decide.clone(),
                watch: watch.clone(),
                counted: counted.clone(),
                processes: processes.clone(),
                client: Client::default(),
            });
            let server = Server::start(move |request| {
                let way = way.clone();
                async move { way.answer(request).await }
            })
            .await?;
            ends.push((engine, server));
        }
        Ok(Wire { ends })
    }

    /// The engine's endpoint through the proxy.
    pub fn endpoint(&self, engine: Engine) -> &str {
        let of = |(of, _): &&(Engine, Server)| *of == engine;
        let end = self.ends.iter().find(of);
        end.expect("each engine has its way").1.endpoint()
    }
}

fn authority(endpoint: &str) -> Result<Authority, EngineError> {
    let authority = endpoint.trim_start_matches("http://").parse();
    authority.map_err(|_| EngineError::Refused(format!("{endpoint} is no endpoint")))
}

/// The proxy of one engine.
struct Way {
    engine: Engine,
    to: Authority,
    decide: Option<Decide>,
    watch: Option<Watch>,
    counted: Arc<Counted>,
    processes: Arc<Processes>,
    client: Client,
}

impl Way {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<ResponseBody>, Broken> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
        let request = Request::from_parts(head, body);
        // A presigned link: its client is outside the deployment.
        let link = query(request.uri(), "X-Amz-Signature").is_some();
        let Some(decide) = self.decide.as_ref().filter(|_| !link) else {
            return self.pass_on(request).await;
        };
        let call = self.call(&request);
        match decide(&call) {
            Fate::Refuse => Ok(refusal(self.engine)),
            Fate::Throttle => Ok(throttling(self.engine)),
            Fate::Conflict => match conflict(&call, request.body()) {
                Some(answer) => Ok(answer),
                None => self.pass_on(request).await,
            },
            Fate::Pass => self.pass_on(request).await,
            Fate::Delay(by) => {
                tokio::time::sleep(by).await;
                self.pass_on(request).await
            }
            Fate::LoseAnswer => {
                self.pass_on(request).await?;
                Err(Broken)
            }
            Fate::Swallow => {
                self.pass_on(request).await?;
                std::future::pending().await
            }
            Fate::InProgress => {
                let kind = "com.amazonaws.dynamodb.v20120810#TransactionInProgressException";
                Ok(json_error(StatusCode::BAD_REQUEST, kind, json!({})))
            }
            Fate::KillBefore => {
                self.processes.kill();
                Err(Broken)
            }
            Fate::KillAfter => {
                self.pass_on(request).await?;
                self.processes.kill();
                Err(Broken)
            }
        }
    }

    fn call(&self, request: &Request<Bytes>) -> Call {
        let header = |name| request.headers().get(name)?.to_str().ok();
        // `ttl=20260301T120003Z; attempt=2; max=3`, where `ttl` is optional.
        let attempt = header("amz-sdk-request")
            .and_then(|told| {
                let mut parts = told.split(';');
                parts.find_map(|part| part.trim().strip_prefix("attempt="))
            })
            .and_then(|attempt| attempt.parse().ok());
        Call {
            engine: self.engine,
            operation: self.operation(request),
            number: self
                .counted
                .number(header("amz-sdk-invocation-id").unwrap_or_default()),
            attempt: attempt.unwrap_or(1),
            function: session(request),
            path: request.uri().path().to_owned(),
            body: request.body().clone(),
        }
    }

    fn operation(&self, request: &Request<Bytes>) -> String {
        match self.engine {
            Engine::S3 => object_operation(request).to_owned(),
            // AWS Backup, which is served at the same endpoint.
            Engine::DynamoDb if request.uri().path().starts_with("/resources/") => {
                "ListRecoveryPointsByResource".to_owned()
            }
            // `DynamoDB_20120810.PutItem`
            Engine::DynamoDb | Engine::Kms => request
                .headers()
                .get("x-amz-target")
                .and_then(|target| target.to_str().ok()?.rsplit('.').next())
                .unwrap_or_default()
                .to_owned(),
        }
    }

    /// Forwards the request and calls the observer.
    async fn pass_on(&self, request: Request<Bytes>) -> Result<Response<ResponseBody>, Broken> {
        let Some(watch) = &self.watch else {
            return Ok(self.send(request).await?.map(whole));
        };
        let passed = match self.engine {
            Engine::DynamoDb => metered(request.clone()),
            Engine::S3 | Engine::Kms => request.clone(),
        };
        let answer = self.send(passed).await?;
        watch(&Sent {
            function: session(&request),
            engine: self.engine,
            operation: &self.operation(&request),
            link: query(request.uri(), "X-Amz-Signature").is_some(),
            request: &request,
            answer: answer.body(),
        });
        Ok(answer.map(whole))
    }

    /// The engine's response, fully read. The `Host` header is unchanged, as the SDK signed
    /// it.
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Broken> {
        let (mut head, body) = request.into_parts();
        let mut to = head.uri.into_parts();
        to.scheme = Some(http::uri::Scheme::HTTP);
        to.authority = Some(self.to.clone());
        head.uri = Uri::from_parts(to).map_err(|_| Broken)?;
        let answer = self.client.send(Request::from_parts(head, body)).await;
        answer.map_err(|_| Broken)
    }
}

/// The same DynamoDB request, with the consumed capacity requested.
fn metered(request: Request<Bytes>) -> Request<Bytes> {
    let (mut head, body) = request.into_parts();
    let Ok(mut asked) = serde_json::from_slice::<Value>(&body) else {
        return Request::from_parts(head, body);
    };
    asked["ReturnConsumedCapacity"] = json!("TOTAL");
    let body = Bytes::from(asked.to_string());
    head.headers
        .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    Request::from_parts(head, body)
}

/// The numbers of calls, by the id that the SDK assigns.
#[derive(Default)]
struct Counted(Mutex<HashMap<String, usize>>);

impl Counted {
    fn number(&self, id: &str) -> usize {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = known.len();
        *known.entry(id.to_owned()).or_insert(next)
    }
}

/// The session of the credentials that signed the request.
fn session(request: &Request<Bytes>) -> Option<String> {
    let header = request.headers().get("x-amz-security-token");
    let header = header.and_then(|token| token.to_str().ok());
    let token = header.or_else(|| query(request.uri(), "X-Amz-Security-Token"));
    token.map(str::to_owned)
}

/// The S3 operation of a request, among those used here.
fn object_operation(request: &Request<Bytes>) -> &'static str {
    let path = request.uri().path().trim_matches('/');
    let object = path.contains('/');
    let asks = |name| query(request.uri(), name).is_some();
    match (request.method().clone(), object) {
        (Method::GET, false) if asks("versions") => "ListObjectVersions",
        (Method::GET, false) if asks("uploads") => "ListMultipartUploads",
        (Method::GET, false) if asks("versioning") => "GetBucketVersioning",
        (Method::GET, false) if asks("lifecycle") => "GetBucketLifecycleConfiguration",
        (Method::GET, false) => "ListObjectsV2",
        (Method::HEAD, false) => "HeadBucket",
        (Method::POST, false) if asks("delete") => "DeleteObjects",
        (Method::GET, true) if asks("tagging") => "GetObjectTagging",
        (Method::GET, true) if asks("uploadId") => "ListParts",
        (Method::GET, true) => "GetObject",
        (Method::HEAD, true) => "HeadObject",
        (Method::PUT, true) if asks("tagging") => "PutObjectTagging",
        (Method::PUT, true) if asks("partNumber") => "UploadPart",
        (Method::PUT, true) => "PutObject",
        (Method::POST, true) if asks("uploads") => "CreateMultipartUpload",
        (Method::POST, true) if asks("uploadId") => "CompleteMultipartUpload",
        (Method::DELETE, true) if asks("uploadId") => "AbortMultipartUpload",
        (Method::DELETE, true) if asks("tagging") => "DeleteObjectTagging",
        (Method::DELETE, true) => "DeleteObject",
        _ => "",
    }
}

/// The raw value of a query parameter.
pub fn query<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    let pairs = uri.query().unwrap_or_default().split('&');
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find_map(|(known, value)| (known == name).then_some(value))
}

fn refusal(engine: Engine) -> Response<ResponseBody> {
    let kind = match engine {
        Engine::DynamoDb => "com.amazonaws.dynamodb.v20120810#InternalServerError",
        Engine::Kms => "KMSInternalException",
        Engine::S3 => return object_error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
    };
    json_error(StatusCode::INTERNAL_SERVER_ERROR, kind, json!({}))
}

fn throttling(engine: Engine) -> Response<ResponseBody> {
    let kind = match engine {
        Engine::DynamoDb => "com.amazonaws.dynamodb.v20120810#ThrottlingException",
        Engine::Kms => "ThrottlingException",
        Engine::S3 => return object_error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
    };
    json_error(StatusCode::BAD_REQUEST, kind, json!({}))
}

/// The response to a write that conflicts with another transaction. In a transaction, its
/// first item conflicts.
fn conflict(call: &Call, body: &Bytes) -> Option<Response<ResponseBody>> {
    let kind = match call.operation.as_str() {
        "PutItem" | "UpdateItem" | "DeleteItem" => {
            let kind = "com.amazonaws.dynamodb.v20120810#TransactionConflictException";
            return Some(json_error(StatusCode::BAD_REQUEST, kind, json!({})));
        }
        "TransactWriteItems" => "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        _ => return None,
    };
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let items = asked["TransactItems"].as_array().map_or(0, Vec::len);
    let reason = |place| match place {
        0 => {
            json!({"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"})
        }
        _ => json!({"Code": "None"}),
    };
    let reasons: Vec<_> = (0..items).map(reason).collect();
    let more = json!({"CancellationReasons": reasons});
    Some(json_error(StatusCode::BAD_REQUEST, kind, more))
}

/// An error of the AWS JSON protocols.
fn json_error(status: StatusCode, kind: &str, more: Value) -> Response<ResponseBody> {
    let mut body = more;
    body["__type"] = json!(kind);
    body["message"] = json!("The wire was told to say so.");
    error(status, "application/x-amz-json-1.0", body.to_string())
}

/// An error of the S3 protocol.
fn object_error(status: StatusCode, code: &str) -> Response<ResponseBody> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>The wire was told to say so.</Message></Error>"
    );
    error(status, "application/xml", body)
}

fn error(status: StatusCode, content_type: &'static str, body: String) -> Response<ResponseBody> {
    let mut answer = Response::new(whole(Bytes::from(body)));
    *answer.status_mut() = status;
    *answer.headers_mut() =
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
    answer
}

fn whole(body: Bytes) -> ResponseBody {
    Full::new(body)
        .map_err(|never| match never {})
        .boxed_unsync()
}
