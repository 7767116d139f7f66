//! Authentication and CORS.
//!
//! `s3s` verifies signatures in headers by the machine's time. Signatures in the query are
//! verified here by the given clock, and removed. All other requests are refused, including
//! Signature Version 2 and anonymous ones.

use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    AUTHORIZATION, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use s3s::auth::{S3Auth, SecretKey};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Error, S3ErrorCode, S3Result, s3_error};

use super::Credentials;
use super::conditions::Presigned;
use super::presigned;
use super::service::Service;
use super::store::Store;
use crate::{Clock, ResponseBody};

/// How much of a refused body is read, so that the client reads the response.
const DRAINED: usize = 64 * 1024 * 1024;

pub(super) struct Front {
    /// Verifies signatures in headers.
    signed: S3Service,
    /// Serves requests whose presigned URL has been verified.
    verified: S3Service,
    store: Arc<Store>,
    clock: Clock,
    credentials: Credentials,
}

impl Front {
    pub(super) fn new(
        service: Service,
        store: Arc<Store>,
        clock: &Clock,
        credentials: &Credentials,
    ) -> Front {
        let mut signed = S3ServiceBuilder::new(service.clone());
        signed.set_auth(credentials.clone());
        Front {
            signed: signed.build(),
            verified: S3ServiceBuilder::new(service).build(),
            store,
            clock: clock.clone(),
            credentials: credentials.clone(),
        }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let cors = self.cors_headers(&request);
        let mut response = match (request.method(), &cors) {
            (&Method::OPTIONS, Some(_)) => preflight(&request),
            (&Method::OPTIONS, None) => refuse(cross_origin()),
            _ => self.pass_on(request).await,
        };
        response.headers_mut().extend(cors.unwrap_or_default());
        response.map(|body| body.boxed_unsync())
    }

    async fn pass_on(&self, request: Request<Incoming>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let by_query = presigned::claimed(&parts.uri);
        let checked = match by_query {
            true => presigned::verify(&parts, &self.credentials, self.clock.now()),
            false => check_header(&parts.headers).map(|()| parts.uri.clone()),
        };
        match checked {
            Ok(uri) => parts.uri = uri,
            Err(error) => {
                let _ = Limited::new(body, DRAINED).collect().await;
                return refuse(error);
            }
        }
        let service = if by_query {
            &self.verified
        } else {
            &self.signed
        };
        if by_query {
            parts.extensions.insert(Presigned);
        }
        let answered = service
            .call(Request::from_parts(parts, Body::from(body)))
            .await;
        answered.unwrap_or_else(|_| refuse(s3_error!(InternalError)))
    }

    /// The CORS headers, when the bucket allows the request's origin.
    fn cors_headers<T>(&self, request: &Request<T>) -> Option<HeaderMap> {
        let origin = request.headers().get(ORIGIN)?;
        let bucket = request
            .uri()
            .path()
            .trim_start_matches('/')
            .split('/')
            .next()?;
        let allowed = self.store.read(bucket, |bucket| {
            bucket
                .spec
                .allowed_origins
                .iter()
                .any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
        });
        allowed.filter(|allowed| *allowed)?;
        Some(HeaderMap::from_iter([
            (ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
            (
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("ETag, x-amz-version-id"),
            ),
            (VARY, HeaderValue::from_static("Origin")),
        ]))
    }
}

#[async_trait::async_trait]
impl S3Auth for Credentials {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match access_key == self.access_key {
            true => Ok(self.secret_key.as_str().into()),
            false => Err(s3_error!(InvalidAccessKeyId)),
        }
    }
}

fn check_header(headers: &HeaderMap) -> S3Result<()> {
    let authorization = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    match authorization.is_some_and(|value| value.starts_with("AWS4-HMAC-SHA256 ")) {
        true => Ok(()),
        false => Err(s3_error!(AccessDenied, "Access Denied")),
    }
}

fn preflight<T>(request: &Request<T>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, HEAD, PUT"),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    if let Some(asked) = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}

fn cross_origin() -> S3Error {
    let mut error = S3Error::with_message(
        S3ErrorCode::Custom("AccessForbidden".into()),
        "CORSResponse: This CORS request is not allowed.",
    );
    error.set_status_code(StatusCode::FORBIDDEN);
    error
}

fn refuse(error: S3Error) -> Response<Body> {
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}
