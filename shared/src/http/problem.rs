//! Errors as callers see them: RFC 9457 problem documents. The one place where an
//! [`Error`] becomes a status.

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::base::error::{Error, Lacks};
use crate::base::id::SubjectId;
use crate::schema::violations::{self, Listed};

/// People named where a lookup finds several.
const CANDIDATES: usize = 100;

/// Status, code, title and detail of an error.
fn describe(error: &Error) -> (u16, &'static str, &'static str, String) {
    match error {
        Error::NotJson => (
            400,
            "not_json",
            "Bad request",
            "The request body is not valid JSON.".into(),
        ),
        Error::Unauthorized => (
            401,
            "unauthorized",
            "Unauthorized",
            "The API key is missing or invalid.".into(),
        ),
        Error::Forbidden(lacks) => {
            let detail = match lacks {
                Lacks::Scope(scope) => format!("The API key does not have the {scope} scope."),
                Lacks::Ownership => "This operation requires an API key with every scope.".into(),
                Lacks::Origin => "The API key does not allow requests from this origin.".into(),
            };
            (403, "forbidden", "Forbidden", detail)
        }
        Error::NotFound => (
            404,
            "not_found",
            "Not found",
            "The requested resource was not found.".into(),
        ),
        Error::MethodNotAllowed(_) => (
            405,
            "method_not_allowed",
            "Method not allowed",
            "This path does not support the request method. See the `Allow` header.".into(),
        ),
        Error::Conflict { code, detail } => (409, code, "Conflict", (*detail).into()),
        Error::Ambiguous(_) => (
            409,
            "ambiguous",
            "Conflict",
            "The lookup matches several people. Specify subject IDs, or set `all` to true.".into(),
        ),
        Error::Stale => (
            412,
            "stale",
            "Precondition failed",
            "The resource has changed since it was read.".into(),
        ),
        Error::TooLarge(limit) => (
            413,
            "too_large",
            "Content too large",
            format!("The request body must be at most {limit} bytes."),
        ),
        Error::UnsupportedMediaType => (
            415,
            "unsupported_media_type",
            "Unsupported media type",
            "The request body must be application/json, without a content encoding.".into(),
        ),
        Error::Invalid(_) => (
            422,
            "invalid",
            "Unprocessable content",
            "Validation failed.".into(),
        ),
        Error::TooMany { retry_after } => (
            429,
            "too_many",
            "Too many requests",
            format!("Retry after {retry_after} s."),
        ),
        Error::Corrupt(_) => (
            500,
            "internal",
            "Internal server error",
            "Stored data is corrupt. The operator must investigate.".into(),
        ),
        Error::Unavailable(_) | Error::Unreadable => (
            503,
            "unavailable",
            "Service unavailable",
            "No data was lost. Retry the request.".into(),
        ),
    }
}

/// A problem document (RFC 9457). It never repeats a submitted value.
#[derive(Serialize, JsonSchema)]
pub struct Problem<'a> {
    #[schemars(extend("format" = "uri-reference"))]
    r#type: &'static str,
    title: &'static str,
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    detail: String,
    /// A stable error code for programs to branch on.
    code: &'static str,
    request_id: &'a str,
    #[serde(flatten)]
    violations: Option<Listed>,
    #[serde(flatten)]
    ambiguous: Option<Candidates>,
}

/// The people that a lookup matches.
#[derive(Serialize, JsonSchema)]
struct Candidates {
    /// At most 100.
    candidates: Vec<SubjectId>,
    /// The number of entries that were omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<usize>,
}

impl Candidates {
    fn new(all: &[SubjectId]) -> Candidates {
        let more = all.len().saturating_sub(CANDIDATES);
        Candidates {
            candidates: all.iter().take(CANDIDATES).copied().collect(),
            more: (more > 0).then_some(more),
        }
    }
}

/// The problem document of an error.
pub(super) fn answer(error: &Error, request_id: &str) -> Answer {
    let (status, code, title, detail) = describe(error);
    let body = Problem {
        r#type: "about:blank",
        title,
        status,
        detail,
        code,
        request_id,
        violations: match error {
            Error::Invalid(errors) => Some(Listed::new(errors.clone(), &mut { violations::ROOM })),
            _ => None,
        },
        ambiguous: match error {
            Error::Ambiguous(candidates) => Some(Candidates::new(candidates)),
            _ => None,
        },
    };
    let answer = Answer::json(status, &body).header("content-type", "application/problem+json");
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
