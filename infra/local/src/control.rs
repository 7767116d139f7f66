//! `/local/*`: routes that only the local run has, for its clock and its dead letters.
//!
//! Owns these few routes. No deployment has them, so no function may depend on them.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue, ORIGIN};
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::time::Time;
use crate::triggers::Pump;

/// The furthest that one request may move the clock.
const FURTHEST: SignedDuration = SignedDuration::from_hours(24 * 400);

pub struct Control {
    pub time: Arc<Time>,
    pub pump: Arc<Pump>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    advance: String,
}

impl Control {
    /// Answers a request for a path under `/local/`.
    pub async fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
        id: &str,
    ) -> Response<Full<Bytes>> {
        // An open web page must not be able to move the clock.
        if headers.contains_key(ORIGIN) {
            return problem(
                StatusCode::FORBIDDEN,
                "forbidden",
                "Web pages cannot use this path.",
                id,
            );
        }
        match (path, method) {
            ("/local/clock", &Method::GET) => self.clock(),
            ("/local/clock", &Method::POST) => match parse(body) {
                Ok(by) => {
                    self.time.advance(by).await;
                    self.clock()
                }
                Err((status, code, detail)) => problem(status, code, detail, id),
            },
            ("/local/dead-letters", &Method::GET) => respond(
                StatusCode::OK,
                "application/json",
                &json!({"data": self.pump.dead_letters()}),
            ),
            ("/local/clock" | "/local/dead-letters", _) => problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This path does not support the request method.",
                id,
            ),
            _ => problem(
                StatusCode::NOT_FOUND,
                "not_found",
                "The requested resource was not found.",
                id,
            ),
        }
    }

    fn clock(&self) -> Response<Full<Bytes>> {
        let clock = self.time.clock();
        let body = json!({"now": clock.now(), "ahead_seconds": clock.ahead().as_secs()});
        respond(StatusCode::OK, "application/json", &body)
    }
}

fn parse(body: &[u8]) -> Result<SignedDuration, (StatusCode, &'static str, &'static str)> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|_| (StatusCode::BAD_REQUEST, "not_json", "The body is not JSON."))?;
    let invalid = |detail| (StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
    let Move { advance } = serde_json::from_value(body).map_err(|_| {
        invalid("The body must be an object with one field, such as {\"advance\": \"30d\"}.")
    })?;
    duration(&advance)
        .filter(|by| *by <= FURTHEST)
        .ok_or_else(|| invalid("advance must be a number and a unit, at most 400 days, such as 30d, 12h, 90m or 45s."))
}

/// `30d`, `12h`, `90m`, `45s`.
fn duration(text: &str) -> Option<SignedDuration> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[number.len()..] {
        "d" => 24 * 60 * 60,
        "h" => 60 * 60,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = number
        .parse::<i64>()
        .ok()
        .filter(|_| digits)?
        .checked_mul(unit)?;
    Some(SignedDuration::from_secs(seconds))
}

fn respond(status: StatusCode, content_type: &'static str, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static(content_type));
    response
}

/// An error in the format of the service's own errors (RFC 9457).
fn problem(status: StatusCode, code: &str, detail: &str, id: &str) -> Response<Full<Bytes>> {
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
        "code": code,
        "request_id": id,
    });
    respond(status, "application/problem+json", &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        let seconds = |text| duration(text).map(|by| by.as_secs());
        assert_eq!(seconds("30d"), Some(2_592_000));
        assert_eq!(seconds("12h"), Some(43_200));
        assert_eq!(seconds("90m"), Some(5_400));
        assert_eq!(seconds("0s"), Some(0));
        for bad in [
            "",
            "d",
            "30",
            "-1d",
            "+1d",
            "1.5h",
            "1 d",
            "1w",
            "1dd",
            "٣d",
            "99999999999999999999d",
            "9223372036854775807d",
        ] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_bad_request_is_told_what_would_be_right() {
        let code = |body: &str| parse(body.as_bytes()).map_err(|(status, ..)| status.as_u16());
        assert!(code(r#"{"advance": "1d"}"#).is_ok());
        assert_eq!(code("{").unwrap_err(), 400);
        for bad in [
            "[]",
            "{}",
            r#"{"advance": 5}"#,
            r#"{"advance": "soon"}"#,
            r#"{"advance": "401d"}"#,
            r#"{"advance": "1d", "x": 1}"#,
        ] {
            assert_eq!(code(bad).unwrap_err(), 422, "{bad}");
        }
    }
}
