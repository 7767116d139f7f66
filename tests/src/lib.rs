//! What every feature's tests stand on: a whole service of their own, on a random port,
//! with its own engines and a clock that stands still until it is moved. Or, for those that
//! need neither, two fresh tenants of a deployment (see [`site`]).

use std::ops::Deref;

use emulators::Storage;
use http::request::Builder;
use http::{HeaderMap, Request, Response};
use jiff::{SignedDuration, Timestamp};
use local::client::Client;
use local::routes::Route;
use local::template::Template;
use local::{Cloud, Options};
use serde_json::{Value, json};
use shared::base::clock::Clock;

pub mod logs;
pub mod meter;
pub mod operations;
pub mod site;

use site::{Patience, Site};

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
    pub cloud: Own,
    edge: Edge,
    pub ours: Tenant,
    pub theirs: Tenant,
}

/// The local run that a test has for itself: its clock, its engines, its events. There is
/// none when it runs against a deployment, and whoever reaches for it there fails.
pub struct Own(Option<Cloud>);

impl Deref for Own {
    type Target = Cloud;

    fn deref(&self) -> &Cloud {
        let none = "this test needs the clock or the engines of a local run, and LETHE_SITE names a deployment";
        self.0.as_ref().expect(none)
    }
}

/// Where a service answers, and how it knows its operator.
struct Edge {
    http: Client,
    url: String,
    operator: Operator,
}

enum Operator {
    /// By a key, as in the local run.
    Key(String),
    /// By an IAM signature.
    Signs(Box<Site>),
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
    /// Starts with TTL and schedules, as in production; or makes two tenants of the
    /// deployment that `LETHE_SITE` names.
    pub async fn start() -> Service {
        let Some(site) = Site::named().await else {
            return Service::with(Options::default()).await;
        };
        let edge = Edge {
            http: Client::default(),
            url: site.names.url.clone(),
            operator: Operator::Signs(Box::new(site)),
        };
        Service::of(Own(None), edge).await
    }

    /// Starts with other options, in memory; the clock is always this service's own.
    pub async fn with(options: Options) -> Service {
        let clock = Clock::frozen(NOON.parse().expect("noon is a time"));
        let storage = Storage::Memory;
        Service::like(Options {
            clock,
            storage,
            ..options
        })
        .await
    }

    /// Starts with these options, clock and storage included, on any port.
    pub async fn like(options: Options) -> Service {
        assert!(
            !Site::is_named(),
            "this test starts a local run in a way of its own, and LETHE_SITE names a deployment"
        );
        logs::collect();
        let options = Options { port: 0, ..options };
        let cloud = Cloud::start(options).await.expect("the service starts");
        let edge = Edge {
            http: Client::default(),
            url: cloud.url().to_owned(),
            operator: Operator::Key(cloud.operator_key().to_owned()),
        };
        Service::of(Own(Some(cloud)), edge).await
    }

    async fn of(cloud: Own, edge: Edge) -> Service {
        let ours = edge.tenant().await;
        let theirs = edge.tenant().await;
        Service {
            cloud,
            edge,
            ours,
            theirs,
        }
    }

    /// The deployment that this is, where it is no local run.
    pub fn site(&self) -> Option<&Site> {
        match &self.edge.operator {
            Operator::Signs(site) => Some(site),
            Operator::Key(_) => None,
        }
    }

    /// Every route of the template, but for `HEAD`, which is answered as `GET`.
    pub fn routes(&self) -> Vec<Route> {
        let mut routes = if self.site().is_none() {
            self.cloud.routes().to_vec()
        } else {
            let template = Template::read(&Options::default().template, &[]);
            let routes = template.expect("the template is readable").routes;
            routes.all().to_vec()
        };
        routes.retain(|route| route.method != "HEAD");
        routes
    }

    pub fn now(&self) -> Timestamp {
        match &self.cloud {
            Own(Some(cloud)) => cloud.clock().now(),
            Own(None) => Clock::system().now(),
        }
    }

    /// Returns once every event so far has been handled, and what that caused. Of a
    /// deployment only the effects can be seen: no upload waits for scan, no job for its turn.
    pub async fn settle(&self) {
        let Some(site) = self.site() else {
            return self.cloud.settle().await;
        };
        site.scanned([&self.ours.id, &self.theirs.id]).await;
        let mut patience = Patience::new();
        for tenant in [&self.ours, &self.theirs] {
            while let Some(job) = self.at_work(tenant).await {
                patience.wait(&format!("{job} is at work")).await;
            }
        }
    }

    /// A job of this tenant that has a turn to take.
    async fn at_work(&self, tenant: &Tenant) -> Option<Value> {
        for kind in ["erasures", "exports", "redactions"] {
            for state in ["queued", "running"] {
                // A page may be empty though the next is not, so it is the longest there is.
                let path = format!("/v1/{kind}?state={state}&limit=100");
                let listed = self.get(&path, &tenant.owner).await.expect(200);
                if let Some(job) = listed["data"].get(0) {
                    return Some(job.clone());
                }
            }
        }
        None
    }

    /// Moves time ahead; what that makes due has happened on return.
    pub async fn advance(&self, by: SignedDuration) {
        self.cloud.advance(by).await;
    }

    /// Lets cleanup sweep. What it did, of which nothing has failed: a sweep tells of what
    /// fails in it, and ends well all the same.
    pub async fn sweep(&self) -> Value {
        let swept = self.cloud.run_schedule("cleanup").await;
        let swept = swept.expect("a sweep ends well");
        assert_eq!(swept["failures"], 0, "{swept}");
        swept
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
        self.edge.send(method, path, key, body, headers).await
    }

    /// Sends a request as the operator.
    pub async fn operator(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.edge.operator(method, path, body).await
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
        let mut request = match path.starts_with("http") {
            true => Request::builder().method(method).uri(path),
            false => self.edge.request(method, path),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.edge.read(request.body(body)).await
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
        self.settle().await;
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
        self.settle().await;
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

impl Edge {
    fn request(&self, method: &str, path: &str) -> Builder {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        match &self.operator {
            Operator::Signs(site) => match &site.names.host {
                Some(host) => request.header("host", host),
                None => request,
            },
            Operator::Key(_) => request,
        }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        key: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut request = self.request(method, path);
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
        self.read(request.body(body.into_bytes())).await
    }

    async fn operator(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        match &self.operator {
            Operator::Key(key) => self.send(method, path, key, body, &[]).await,
            Operator::Signs(site) => {
                let mut request = self.request(method, path);
                if body.is_some() {
                    request = request.header("content-type", "application/json");
                }
                let body = body.map(Value::to_string).unwrap_or_default();
                let mut request = request.body(body.into_bytes()).expect("a request");
                site.sign(&mut request);
                self.read(Ok(request)).await
            }
        }
    }

    async fn tenant(&self) -> Tenant {
        let created = self.operator("POST", "/v1/tenants", Some(&json!({}))).await;
        let created = created.expect(201);
        let text = |value: &Value| value.as_str().expect("a key").to_owned();
        let owner = text(&created["keys"]["owner"]);
        let mut keys = Vec::new();
        for scope in ["collect", "ingest", "read"] {
            let body = json!({"scopes": [scope]});
            let made = self
                .send("POST", "/v1/keys", &owner, Some(&body), &[])
                .await;
            keys.push(text(&made.expect(201)["secret"]));
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

    async fn read(&self, request: http::Result<Request<Vec<u8>>>) -> Reply {
        let request = request.expect("the request can be sent");
        let answer = self.http.send(request).await.expect("the service answers");
        let (head, body) = answer.into_parts();
        Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            text: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}
