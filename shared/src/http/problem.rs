//! Errors as callers see them: RFC 9457 problem documents. The one place where an
//! [`Error`] becomes a status.

use serde_json::json;

use super::Answer;
use crate::base::error::{Error, Lacks};
use crate::schema::violations;

/// People named where a lookup finds several.
const CANDIDATES: usize = 100;

/// Status, code, title and detail of an error.
fn describe(error: &Error) -> (u16, &'static str, &'static str, String) {
    match error {
        Error::NotJson => (
            400,
            "not_json",
            "Bad request",
            "The body is not JSON.".into(),
        ),
        Error::Unauthorized => (
            401,
            "unauthorized",
            "Unauthorized",
            "The key is missing or not valid.".into(),
        ),
        Error::Forbidden(lacks) => {
            let detail = match lacks {
                Lacks::Scope(scope) => format!("The key lacks the scope {scope}."),
                Lacks::Ownership => "Only a key with every scope may do this.".into(),
                Lacks::Origin => "The key is not for pages of this origin.".into(),
            };
            (403, "forbidden", "Forbidden", detail)
        }
        Error::NotFound => (
            404,
            "not_found",
            "Not found",
            "There is no such thing.".into(),
        ),
        Error::MethodNotAllowed(_) => (
            405,
            "method_not_allowed",
            "Method not allowed",
            "This path has other methods: see `Allow`.".into(),
        ),
        Error::Conflict { code, detail } => (409, code, "Conflict", (*detail).into()),
        Error::Ambiguous(_) => (
            409,
            "ambiguous",
            "Conflict",
            "Several people are found: name them as subjects, or say all.".into(),
        ),
        Error::Stale => (
            412,
            "stale",
            "Precondition failed",
            "It has changed since it was read.".into(),
        ),
        Error::TooLarge(limit) => (
            413,
            "too_large",
            "Too large",
            format!("At most {limit} bytes are taken."),
        ),
        Error::UnsupportedMediaType => (
            415,
            "unsupported_media_type",
            "Unsupported media type",
            "The body must be application/json, without a content encoding.".into(),
        ),
        Error::Invalid(_) => (
            422,
            "invalid",
            "Unprocessable content",
            "Some fields break a rule.".into(),
        ),
        Error::TooMany { retry_after } => (
            429,
            "too_many",
            "Too many requests",
            format!("Try again in {retry_after} s."),
        ),
        Error::Corrupt(_) => (
            500,
            "internal",
            "Internal error",
            "Stored data is damaged; the operator has to look into it.".into(),
        ),
        Error::Unavailable(_) | Error::Unreadable => (
            503,
            "unavailable",
            "Service unavailable",
            "Nothing was lost: try again.".into(),
        ),
    }
}

/// The problem document of an error.
pub(super) fn answer(error: &Error, request_id: &str) -> Answer {
    let (status, code, title, detail) = describe(error);
    let mut body = json!({
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    });
    if let Error::Invalid(errors) = error {
        violations::tell(&mut body, errors, &mut { violations::ROOM });
    }
    if let Error::Ambiguous(candidates) = error {
        let named = candidates.iter().take(CANDIDATES).map(ToString::to_string);
        body["candidates"] = named.collect();
        if candidates.len() > CANDIDATES {
            body["more"] = json!(candidates.len() - CANDIDATES);
        }
    }
    let answer = Answer::json(status, body).header("content-type", "application/problem+json");
    match error {
        Error::TooMany { retry_after } => answer.header("retry-after", retry_after.to_string()),
        Error::Unavailable(_) | Error::Unreadable => answer.header("retry-after", "2"),
        Error::Unauthorized => answer.header("www-authenticate", "Bearer"),
        Error::MethodNotAllowed(methods) => answer.header("allow", methods.join(", ")),
        _ => answer,
    }
}

/// The stable code of an error, for the log.
pub(super) fn code(error: &Error) -> &'static str {
    describe(error).1
}
