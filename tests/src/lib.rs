//! What every feature's tests stand on: a whole service of their own, on a random port,
//! with its own engines and a clock that stands still until it is moved.

use http::{HeaderMap, Request, Response};
use jiff::{SignedDuration, Timestamp};
use local::client::Client;
use local::engines::Place;
use local::{Cloud, Options};
use serde_json::{Value, json};
use shared::clock::Clock;

pub mod logs;
pub mod meter;
pub mod operations;

/// When every test begins.
pub const NOON: &str = "2026-03-01T12:00:00Z";

pub fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

pub fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// A running service with two tenants.
pub struct Service {
    pub cloud: Cloud,
    http: Client,
    pub ours: Tenant,
    pub theirs: Tenant,
}

/// A tenant and a key for each part that somebody plays.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub id: String,
    /// Every scope but `collect`.
    pub owner: String,
    pub collect: String,
    pub ingest: String,
    pub read: String,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    /// The body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The places at fault, of a 422.
    #[track_caller]
    pub fn faults(&self) -> Vec<String> {
        let body = self.expect(422);
        let errors = body["errors"].as_array().expect("a 422 names its fields");
        errors
            .iter()
            .map(|error| error["pointer"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

impl Service {
    /// Starts with TTL and schedules, as in production.
    pub async fn start() -> Service {
        Service::with(Options::default()).await
    }

    /// Starts with other options, in memory; the clock is always this service's own.
    pub async fn with(options: Options) -> Service {
        let clock = Clock::frozen(NOON.parse().expect("noon is a time"));
        let place = Place::Memory;
        Service::like(Options {
            clock,
            place,
            ..options
        })
        .await
    }

    /// Starts with these options, clock and place included, on any port.
    pub async fn like(options: Options) -> Service {
        logs::collect();
        let options = Options { port: 0, ..options };
        let cloud = Cloud::start(options).await.expect("the service starts");
        let http = Client::default();
        let ours = tenant(&http, &cloud).await;
        let theirs = tenant(&http, &cloud).await;
        Service {
            cloud,
            http,
            ours,
            theirs,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.cloud.clock().now()
    }

    /// Moves time ahead; what that makes due has happened on return.
    pub async fn advance(&self, by: SignedDuration) {
        self.cloud.advance(by).await;
    }

    /// Sends a request with a key, and a JSON body if there is one.
    pub async fn call(&self, method: &str, path: &str, key: &str, body: Option<&Value>) -> Reply {
        self.call_with(method, path, key, body, &[]).await
    }

    /// The same with more headers.
    pub async fn call_with(
        &self,
        method: &str,
        path: &str,
        key: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Reply {
        send(&self.http, &self.cloud, method, path, key, body, headers).await
    }

    pub async fn get(&self, path: &str, key: &str) -> Reply {
        self.call("GET", path, key, None).await
    }

    pub async fn post(&self, path: &str, key: &str, body: Value) -> Reply {
        self.call("POST", path, key, Some(&body)).await
    }

    /// Sends a request that need not be JSON.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Reply {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.cloud.url())
        };
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(&self.http, request.body(body)).await
    }

    /// Sends events with the tenant's ingest key; all must be stored. Their results.
    pub async fn store(&self, events: Value) -> Vec<Value> {
        let reply = self
            .post("/v1/events", &self.ours.ingest, json!({"events": events}))
            .await;
        let results = reply.expect(200)["results"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for result in &results {
            assert_eq!(result["status"], "stored", "{result}");
        }
        results
    }

    /// A visitor visits. Their subject.
    pub async fn visit(&self, visitor: &str) -> String {
        let event =
            json!([{"type": "visit", "visitor_id": visitor, "url": "https://shop.example/cart"}]);
        subject(&self.store(event).await[0])
    }

    /// Somebody of whom everything is known: a visit, identity, a conversation with two
    /// messages, an interaction. Their subject.
    pub async fn acquaint(&self, visitor: &str) -> String {
        let results = self
            .store(json!([
                {"type": "visit", "visitor_id": visitor, "url": "https://shop.example/cart", "ip": "203.0.113.9",
                 "device": {"browser": "Firefox", "os": "Linux"}},
                {"type": "identify", "visitor_id": visitor, "user_id": format!("u-{visitor}"), "name": "Ada Lovelace",
                 "email": format!("{visitor}@example.com"), "custom": {"plan": "gold"}},
                {"type": "message", "visitor_id": visitor, "conversation_id": "c-1", "title": "Invoice",
                 "author": "end_user", "body": "Where is my invoice?"},
                {"type": "message", "visitor_id": visitor, "conversation_id": "c-1", "author": "agent",
                 "member": "mem_1", "body": "On its way."},
                {"type": "interaction", "visitor_id": visitor, "item_id": "help-7", "action": "viewed"},
            ]))
            .await;
        subject(&results[0])
    }

    /// Uploads a file for a visitor through its link and lets it be scanned. Its id.
    pub async fn upload(
        &self,
        visitor: &str,
        filename: &str,
        content_type: &str,
        body: &[u8],
    ) -> String {
        let announced = self
            .post(
                "/v1/attachments",
                &self.ours.ingest,
                json!({"visitor_id": visitor, "conversation_id": "c-1", "filename": filename,
                       "content_type": content_type, "size": body.len(), "sha256": sha256(body)}),
            )
            .await
            .expect(201);
        let reply = self.put(&announced["upload"], body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        self.cloud.settle().await;
        announced["attachment"].as_str().expect("an id").to_owned()
    }

    /// Sends a body by an upload link.
    pub async fn put(&self, upload: &Value, body: &[u8]) -> Reply {
        let headers = upload["headers"].as_object().expect("headers");
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()))
            .collect();
        let url = upload["url"].as_str().expect("a link");
        self.raw("PUT", url, &headers, body.to_vec()).await
    }

    /// Waits for a job, turn by turn: its body once all that can happen now has happened.
    pub async fn job(&self, path: &str) -> Value {
        self.cloud.settle().await;
        self.get(path, &self.ours.owner).await.expect(200)
    }
}

/// The subject in an event's result.
pub fn subject(result: &Value) -> String {
    result["subject"]
        .as_str()
        .expect("a server's key learns the subject")
        .to_owned()
}

/// Follows a link with no key, as a browser does: the bytes are as they came.
pub async fn fetch(link: &Value) -> Response<Vec<u8>> {
    let url = link["url"].as_str().expect("a link");
    let request = Request::get(url).body("").expect("a URL");
    let answer = Client::default().send(request).await;
    answer.expect("the bucket answers").map(Vec::from)
}

/// SHA-256 in hexadecimal.
pub fn sha256(body: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

async fn tenant(http: &Client, cloud: &Cloud) -> Tenant {
    let operator = cloud.operator_key();
    let created = send(
        http,
        cloud,
        "POST",
        "/v1/tenants",
        operator,
        Some(&json!({})),
        &[],
    )
    .await
    .expect(201);
    let text = |value: &Value| value.as_str().expect("a key").to_owned();
    let owner = text(&created["keys"]["owner"]);
    let mut keys = Vec::new();
    for scope in ["collect", "ingest", "read"] {
        let body = json!({"scopes": [scope]});
        let made = send(http, cloud, "POST", "/v1/keys", &owner, Some(&body), &[])
            .await
            .expect(201);
        keys.push(text(&made["secret"]));
    }
    let [collect, ingest, read] = keys.try_into().expect("three keys");
    Tenant {
        id: text(&created["tenant"]),
        owner,
        collect,
        ingest,
        read,
    }
}

async fn send(
    http: &Client,
    cloud: &Cloud,
    method: &str,
    path: &str,
    key: &str,
    body: Option<&Value>,
    headers: &[(&str, &str)],
) -> Reply {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", cloud.url()));
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    read(http, request.body(body.into_bytes())).await
}

async fn read(http: &Client, request: http::Result<Request<Vec<u8>>>) -> Reply {
    let request = request.expect("the request can be sent");
    let answer = http.send(request).await.expect("the service answers");
    let (head, body) = answer.into_parts();
    Reply {
        status: head.status.as_u16(),
        headers: head.headers,
        text: String::from_utf8_lossy(&body).into_owned(),
    }
}
