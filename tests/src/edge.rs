//! Where a service answers, over HTTP, and what it answers.

use http::request::Builder;
use http::{HeaderMap, Request};
use local::client::Client;
use serde_json::{Value, json};

use crate::Tenant;
use crate::site::Site;

/// Where a service answers, and how it knows its operator.
pub(crate) struct Edge {
    pub http: Client,
    pub url: String,
    pub operator: Operator,
}

pub(crate) enum Operator {
    /// By a key, as in the local run.
    Key(String),
    /// By an IAM signature.
    Signs(Box<Site>),
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Reply {
    /// What was asked, for messages.
    pub request: String,
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
        assert_eq!(self.status, status, "{}: {}", self.request, self.text);
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

impl Edge {
    pub fn request(&self, method: &str, path: &str) -> Builder {
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

    pub async fn send(
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

    pub async fn operator(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
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

    pub async fn tenant(&self) -> Tenant {
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

    pub async fn read(&self, request: http::Result<Request<Vec<u8>>>) -> Reply {
        let request = request.expect("the request can be sent");
        let asked = format!("{} {}", request.method(), request.uri());
        let answer = self.http.send(request).await.expect("the service answers");
        let (head, body) = answer.into_parts();
        Reply {
            request: asked,
            status: head.status.as_u16(),
            headers: head.headers,
            text: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}
