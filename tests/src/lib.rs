//! What every feature's tests stand on: a whole service of their own, on a random port,
//! with its own engines and a clock that stands still until it is moved. Or, for those that
//! need neither, two fresh tenants of a deployment (see [`site`]).

use std::ops::Deref;

use emulators::Storage;
use http::Request;
use jiff::{SignedDuration, Timestamp};
use local::client::Client;
use local::routes::Route;
use local::template::Template;
use local::{Cloud, Options};
use serde_json::Value;
use shared::base::clock::Clock;

mod edge;
pub mod engines;
pub mod files;
pub mod jobs;
pub mod logs;
pub mod meter;
pub mod operations;
pub mod people;
pub mod site;

use edge::{Edge, Operator};
use site::{Patience, Site};

pub use edge::Reply;
pub use engines::by_hand;
pub use files::{fetch, file_of, sha256};
pub use jobs::{id_of, path_of};
pub use people::subject;

/// When every test begins.
pub const NOON: &str = "2026-03-01T12:00:00Z";

pub const fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

pub const fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

pub const fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

pub const fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// Asserts that a body has these fields, among others; `null` stands for none.
#[track_caller]
pub fn assert_has(body: &Value, fields: Value) {
    for (name, value) in fields.as_object().expect("fields") {
        assert_eq!(body[name], *value, "{name} of {body}");
    }
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

    pub async fn patch(&self, path: &str, key: &str, body: Value) -> Reply {
        self.call("PATCH", path, key, Some(&body)).await
    }

    pub async fn delete(&self, path: &str, key: &str) -> Reply {
        self.call("DELETE", path, key, None).await
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
}
