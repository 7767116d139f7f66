//! The HTTP edge: from an API Gateway event to a checked call, from an outcome to an
//! answer. Owns authentication, scopes, body limits, idempotency, problems and the
//! request's log line; knows nothing of what a route does.

pub mod answers;
mod body;
pub mod caller;
mod idempotency;
pub mod jobs;
pub mod page;
pub mod problem;
mod revision;
pub mod routes;
pub mod serve;

use std::net::IpAddr;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use lambda_http::http::Method;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::base::error::{Error, FieldError, Lacks, Result};
use crate::base::id::{SubjectId, TenantId};
use crate::base::rate_limit::Spending;
use crate::domain::app::App;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::keyring::Rules;
use crate::http::routes::{Access, Route, Scope};
use caller::Caller;

/// A request that may be carried out: the route is known, the key is good, the body is
/// JSON within its limit.
pub struct Call {
    route: &'static Route,
    caller: Option<Caller>,
    request: Request,
    request_id: String,
    body: Value,
    once: Option<IdempotencyKey>,
    /// What the same request was answered before, where that has run out since.
    earlier: Option<Value>,
    started: Instant,
}

/// What a route answers.
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// What to keep for a repetition, where that differs from the body: a secret is
    /// shown once.
    kept: Option<Vec<u8>>,
    /// Until when a repetition is given it.
    until: Option<Timestamp>,
    /// It is kept already, by the transaction that it is about.
    stands: bool,
}

impl Answer {
    pub fn json(status: u16, body: &impl Serialize) -> Answer {
        let headers = vec![("content-type", "application/json".to_owned())];
        Answer {
            status,
            headers,
            body: bytes(body),
            kept: None,
            until: None,
            stands: false,
        }
    }

    pub fn ok(body: &impl Serialize) -> Answer {
        Answer::json(200, body)
    }

    /// 204.
    pub fn nothing() -> Answer {
        Answer {
            status: 204,
            headers: Vec::new(),
            body: Vec::new(),
            kept: None,
            until: None,
            stands: false,
        }
    }

    /// 200 with a body of another type.
    pub fn text(content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
        let headers = vec![("content-type", content_type.to_owned())];
        Answer {
            status: 200,
            headers,
            body: body.into(),
            kept: None,
            until: None,
            stands: false,
        }
    }

    /// Sets the status.
    #[must_use]
    fn status(mut self, status: u16) -> Answer {
        self.status = status;
        self
    }

    /// Sets a header, in place of one of the same name.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }

    /// Until when a repetition is given this answer: what it holds runs out. The route
    /// carries out a later one, and finds the answer in [`Call::earlier`].
    #[must_use]
    pub fn good_until(mut self, until: Timestamp) -> Answer {
        self.until = Some(until);
        self
    }

    /// What a repetition with the same idempotency key is answered.
    #[must_use]
    pub fn keeping(mut self, body: &impl Serialize) -> Answer {
        self.kept = Some(bytes(body));
        self
    }

    /// As API Gateway takes it (payload format 2.0).
    fn into_event(self) -> Value {
        let mut headers = Map::new();
        for (name, value) in self.headers {
            headers.insert(name.to_owned(), value.into());
        }
        let body = String::from_utf8(self.body).expect("every answer is text");
        json!({
            "statusCode": self.status,
            "headers": headers,
            "body": body,
            "isBase64Encoded": false,
        })
    }
}

impl Call {
    /// Checks a request: route, key, scope, budget, query, body, idempotency key. Where it
    /// is refused, or was answered before, the inner value is the answer.
    pub async fn open(app: &App, request: Request) -> Result<Call, Value> {
        let started = Instant::now();
        let request_id = request_id(&request);
        let mut call = Call {
            route: &routes::DEFAULT,
            caller: None,
            request,
            request_id,
            body: Value::Null,
            once: None,
            earlier: None,
            started,
        };
        match call.check(app).await {
            Ok(None) => Ok(call),
            Ok(Some(kept)) => Err(call.finish(kept, "repeated")),
            Err(error) => Err(call.refuse(&error)),
        }
    }

    /// Turns the outcome into the answer, keeps it for a repetition, and logs the request.
    pub async fn close(self, app: &App, outcome: Result<Answer>) -> Value {
        let outcome = match (outcome, &self.once) {
            (Ok(answer), Some(once)) if !answer.stands => Call::keep(app, once, answer).await,
            (Err(error), Some(once)) => {
                Call::release(app, once).await;
                Err(error)
            }
            (outcome, _) => outcome,
        };
        match outcome {
            Ok(answer) => self.finish(answer, "ok"),
            Err(error) => self.refuse(&error),
        }
    }

    async fn check(&mut self, app: &App) -> Result<Option<Answer>> {
        let key = match self.request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => context.route_key.clone(),
            _ => None,
        };
        let key = key.as_deref().ok_or(Error::NotFound)?;
        if key == self.route.key {
            return Ok(None);
        }
        self.route = routes::find(key).ok_or(Error::NotFound)?;
        self.authorise(app).await?;
        self.check_query()?;
        self.read_body()?;
        self.check_once(app).await
    }

    async fn authorise(&mut self, app: &App) -> Result<()> {
        match self.route.access {
            Access::Public => Ok(()),
            Access::Operator => {
                let signed = self.operator().is_some();
                signed.then_some(()).ok_or(Error::Unauthorized)
            }
            Access::Key(scopes) => {
                let (key, origin) = (self.header("authorization"), self.header("origin"));
                let caller = Caller::check(app, key, origin).await?;
                if !scopes.iter().any(|scope| caller.may(*scope)) {
                    return Err(Error::Forbidden(Lacks::Scope(scopes[0].name())));
                }
                if caller.may(Scope::Collect) {
                    let (key, now) = (caller.key, app.clock.now());
                    app.rate_limit
                        .spend(Spending::Request, key, self.address(), now)?;
                }
                self.caller = Some(caller);
                Ok(())
            }
        }
    }

    fn check_query(&self) -> Result<()> {
        let mut errors = Vec::new();
        let mut seen = Vec::new();
        for (name, _) in self
            .request
            .query_string_parameters_ref()
            .iter()
            .flat_map(|query| query.iter())
        {
            if !self.route.query.contains(&name) {
                errors.push(FieldError::new(name, "unknown", "is not a known parameter"));
            } else if seen.contains(&name) {
                errors.push(FieldError::new(name, "repeated", "must not be repeated"));
            }
            seen.push(name);
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(errors))
        }
    }

    fn read_body(&mut self) -> Result<()> {
        let bytes: &[u8] = match self.request.body() {
            Body::Text(text) => text.as_bytes(),
            Body::Binary(bytes) => bytes,
            _ => &[],
        };
        // Some clients begin a text with a byte order mark; a reader may skip it (RFC 8259, 8.1).
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        if self.route.body == 0 {
            return Ok(());
        }
        if bytes.len() > self.route.body {
            return Err(Error::TooLarge(self.route.body));
        }
        let json = self.header("content-type").is_some_and(|value| {
            let essence = value.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/json")
                || essence.eq_ignore_ascii_case("application/merge-patch+json")
        });
        let encoded = self.header("content-encoding").is_some_and(|codings| {
            let mut codings = codings.split(',').map(str::trim);
            codings.any(|coding| !coding.eq_ignore_ascii_case("identity"))
        });
        if !json || encoded {
            return Err(Error::UnsupportedMediaType);
        }
        self.body = body::read(bytes, self.route.each)?;
        simplify(&mut self.body);
        Ok(())
    }

    fn refuse(&self, error: &Error) -> Value {
        let request_id = &self.request_id;
        match error {
            Error::Unavailable(cause) => {
                tracing::error!(request_id, cause, "a store did not answer");
            }
            Error::Corrupt(cause) => tracing::error!(request_id, cause, "stored data is damaged"),
            _ => {}
        }
        self.finish(
            problem::answer(error, &self.request_id),
            problem::code(error),
        )
    }

    fn finish(&self, mut answer: Answer, outcome: &str) -> Value {
        // `HEAD` is answered as `GET`, but for the body (RFC 9110, 9.3.2).
        if self.request.method() == Method::HEAD {
            answer.body.clear();
        }
        tracing::info!(
            request_id = self.request_id,
            tenant = self.caller.as_ref().map(|caller| caller.tenant.to_string()),
            function = self.route.function,
            route = self.route.key,
            status = answer.status,
            outcome,
            duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "request"
        );
        answer
            .header("x-request-id", &self.request_id)
            .header("cache-control", "no-store")
            .header("x-content-type-options", "nosniff")
            .into_event()
    }

    /// The method and the path that were asked for.
    pub fn asked(&self) -> (&str, &str) {
        (self.request.method().as_str(), self.request.raw_http_path())
    }

    /// Method and path, as in the route table.
    pub fn route(&self) -> &'static str {
        self.route.key
    }

    /// The caller. Only on routes that need a key.
    pub fn caller(&self) -> &Caller {
        self.caller
            .as_ref()
            .expect("the route table asks for a key")
    }

    /// The caller's tenant: the only tenant that a request is ever about.
    pub fn tenant(&self) -> TenantId {
        self.caller().tenant
    }

    /// The caller's name in the activity log. An operator is named by a hash of the ARN that
    /// IAM knows them by: who runs the service can tell whose it is, and a tenant can tell
    /// one from another.
    pub fn by(&self) -> String {
        match &self.caller {
            Some(caller) => caller.key.to_string(),
            None => {
                let arn = self.operator().unwrap_or_default();
                let hash = digest(&SHA256, arn.as_bytes());
                let hash = hash.as_ref().iter().take(8);
                let hash: String = hash.map(|byte| format!("{byte:02x}")).collect();
                format!("operator:{hash}")
            }
        }
    }

    /// The ARN of whoever has signed the request with AWS credentials, if somebody has.
    fn operator(&self) -> Option<&str> {
        let iam = match self.request.request_context_ref()? {
            RequestContext::ApiGatewayV2(context) => context.authorizer.as_ref()?.iam.as_ref()?,
            _ => return None,
        };
        Some(iam.user_arn.as_deref().unwrap_or_default())
    }

    /// Whether this caller may use what is kept of a person: under a restriction (GDPR
    /// Art. 18(2)) only those who govern.
    ///
    /// # Errors
    /// [`Error::Conflict`] under a restriction.
    pub fn may_use(&self, rules: Rules) -> Result<()> {
        if rules.restricted && !self.caller().may(Scope::Govern) {
            return Err(Error::Conflict {
                code: "restricted",
                detail: "The processing of this person's data is restricted.",
            });
        }
        Ok(())
    }

    /// The body, parsed; `null` where the route takes none.
    pub fn body(&self) -> &Value {
        &self.body
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name)?.to_str().ok()
    }

    /// A query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.request.query_string_parameters_ref()?.first(name)
    }

    /// A query parameter that is true or false; false when it is not sent.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming it.
    pub fn flag(&self, name: &str) -> Result<bool> {
        match self.query(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Error::field(name, "choice", "must be true or false")),
        }
    }

    /// A parameter of the path.
    pub fn path(&self, name: &str) -> Option<&str> {
        self.request.path_parameters_ref()?.first(name)
    }

    /// The subject in the path.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it has no subject's shape: there can be none.
    pub fn subject(&self) -> Result<SubjectId> {
        self.path("subject")
            .and_then(SubjectId::parse)
            .ok_or(Error::NotFound)
    }

    /// The address that the connection came from, as API Gateway saw it.
    pub fn address(&self) -> Option<IpAddr> {
        match self.request.request_context_ref()? {
            RequestContext::ApiGatewayV2(context) => {
                context.http.source_ip.as_deref()?.parse().ok()
            }
            _ => None,
        }
    }
}

fn bytes(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("a response is plain data")
}

fn request_id(request: &Request) -> String {
    let given = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.request_id.clone(),
        _ => None,
    };
    given.unwrap_or_else(|| uuid::Uuid::new_v4().to_string())
}

/// Writes whole numbers as such: `30.0` is an integer to JSON Schema, and some languages
/// know no other way to write one.
fn simplify(value: &mut Value) {
    match value {
        Value::Number(number) => {
            // No field of the API is larger. A tenant's own value may be, and stays as it is: a
            // measured number must not turn into what looks like a card.
            let whole = |float: &f64| float.fract() == 0.0 && float.abs() < 1e12;
            if let Some(float) = number.as_f64().filter(|it| number.is_f64() && whole(it)) {
                *value = json!(float as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(simplify),
        Value::Object(fields) => fields.values_mut().for_each(simplify),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
