//! The HTTP API on loopback, emulating API Gateway.
//!
//! Owns connections, routing, limits, CORS and the operator's key (IAM in AWS). Knows nothing
//! of what a function does with a request.
//!
//! A request without a route gets 404, unless the template has a `$default` route: it takes
//! every other path and method, preflights included.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::control::Control;
use crate::machine::Machine;
use crate::routes::{Route, Routes};
use crate::template::Cors;
use crate::triggers::Pump;

mod event;

/// The largest request body of an HTTP API, in bytes.
const MAX_BODY: usize = 10 * 1024 * 1024;
/// How much of an oversized body is read, so that the client receives the response.
const MAX_DISCARDED: usize = 4 * MAX_BODY;
/// The integration timeout of an HTTP API.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// How long open requests may take to complete when the gateway stops.
const GRACE: Duration = Duration::from_secs(5);

type Answer = Response<Full<Bytes>>;

/// Everything needed to answer a request.
pub struct Gateway {
    pub routes: Routes,
    pub cors: Cors,
    pub operator_key: String,
    pub machine: Arc<Machine>,
    pub pump: Arc<Pump>,
    pub control: Control,
}

impl Gateway {
    /// Serves until `stop` is sent or dropped, then completes open requests.
    pub async fn serve(self: Arc<Gateway>, listener: TcpListener, mut stop: oneshot::Receiver<()>) {
        let open = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let (stream, peer) = tokio::select! {
                _ = &mut stop => break,
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    // For example out of file descriptors: wait until others are closed.
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        continue;
                    }
                },
            };
            let _ = stream.set_nodelay(true);
            let gateway = self.clone();
            let service = service_fn(move |request| {
                let gateway = gateway.clone();
                async move { Ok::<_, Infallible>(gateway.answer(request, peer.ip()).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            // A client that disconnects is not an error.
            connections.spawn(open.watch(connection));
        }
        drop(listener);
        let _ = tokio::time::timeout(GRACE, open.shutdown()).await;
    }

    async fn answer<B: Body<Data = Bytes>>(&self, request: Request<B>, peer: IpAddr) -> Answer {
        let id = Uuid::new_v4().to_string();
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let local = path.starts_with("/local/");
        let preflight = parts.method == Method::OPTIONS && !local;
        let mut answer = match (local, self.routes.find(parts.method.as_str(), path)) {
            (false, None) if preflight => nothing(),
            (false, None) => message(StatusCode::NOT_FOUND, "Not Found"),
            (false, Some((route, _))) if route.operator && !self.is_operator(&parts.headers) => {
                message(StatusCode::FORBIDDEN, "Forbidden")
            }
            (_, found) => match read(body).await {
                Err(refused) => refused,
                Ok(body) if local => {
                    self.control
                        .answer(&parts.method, path, &parts.headers, &body, &id)
                        .await
                }
                Ok(body) => {
                    let request = event::Incoming {
                        method: &parts.method,
                        path,
                        query: parts.uri.query().unwrap_or_default(),
                        headers: &parts.headers,
                        body,
                        peer,
                        id: &id,
                        at: self.machine.clock.now(),
                    };
                    self.call(&request, found).await
                }
            },
        };
        if preflight {
            self.allow_requests(&parts.headers, answer.headers_mut());
        }
        if !local {
            self.allow_origin(&parts.headers, answer.headers_mut());
        }
        if let Ok(id) = HeaderValue::from_str(&id) {
            answer
                .headers_mut()
                .insert(HeaderName::from_static("apigw-requestid"), id);
        }
        answer
    }

    async fn call(
        &self,
        request: &event::Incoming<'_>,
        found: Option<(&Route, BTreeMap<String, String>)>,
    ) -> Answer {
        let Some((route, parameters)) = found else {
            return message(StatusCode::NOT_FOUND, "Not Found");
        };
        let event = event::event(request, route, &parameters);
        let called = tokio::time::timeout(
            MAX_WAIT,
            self.machine.functions.invoke(&route.function, event),
        )
        .await;
        self.pump.nudge();
        let response = match called {
            Err(_) => return message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
            Ok(result) => result
                .map_err(|failure| failure.to_string())
                .and_then(|r| event::response(&r)),
        };
        response.unwrap_or_else(|problem| {
            tracing::error!(
                route = route.key(),
                request_id = request.id,
                "no response: {problem}"
            );
            message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        })
    }

    fn is_operator(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        given.is_some_and(|key| {
            aws_lc_rs::constant_time::verify_slices_are_equal(key, self.operator_key.as_bytes())
                .is_ok()
        })
    }

    /// The response to a preflight request.
    fn allow_requests(&self, asked: &HeaderMap, answer: &mut HeaderMap) {
        if asked.contains_key(ORIGIN) {
            let lists = [
                (
                    header::ACCESS_CONTROL_ALLOW_METHODS,
                    self.cors.methods.join(","),
                ),
                (
                    header::ACCESS_CONTROL_ALLOW_HEADERS,
                    self.cors.headers.join(","),
                ),
                (
                    header::ACCESS_CONTROL_MAX_AGE,
                    self.cors.max_age.to_string(),
                ),
            ];
            for (name, value) in lists {
                answer.extend(
                    HeaderValue::from_str(&value)
                        .ok()
                        .map(|value| (name, value)),
                );
            }
        }
    }

    /// Only the gateway decides about CORS: a function's CORS headers are dropped.
    fn allow_origin(&self, asked: &HeaderMap, answer: &mut HeaderMap) {
        answer.remove(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        let Some(origin) = asked.get(ORIGIN) else {
            return;
        };
        let allowed = match self
            .cors
            .origins
            .iter()
            .find(|allowed| *allowed == "*" || *origin == allowed.as_str())
        {
            Some(any) if any == "*" => HeaderValue::from_static("*"),
            Some(_) => origin.clone(),
            None => return,
        };
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if let Ok(exposed) = HeaderValue::from_str(&self.cors.exposed.join(",")) {
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}

/// The whole body, or the response that refuses it.
async fn read<B: Body<Data = Bytes>>(body: B) -> Result<Bytes, Answer> {
    let mut body = std::pin::pin!(body);
    let mut whole = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(message(StatusCode::BAD_REQUEST, "Bad Request"));
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length <= MAX_BODY {
            whole.extend_from_slice(&data);
        } else if length > MAX_DISCARDED {
            break;
        }
    }
    if length > MAX_BODY {
        return Err(message(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Request Entity Too Large",
        ));
    }
    Ok(whole.into())
}

/// A response without a body.
fn nothing() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// A message of API Gateway itself.
fn message(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(json!({"message": text}).to_string())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    answer
}
