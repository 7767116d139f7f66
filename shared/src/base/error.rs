//! What can go wrong, as callers may learn of it. One enum, matched in one place
//! (`http::problem`) to become a status.
//!
//! The public text never repeats a submitted value. The cause of an [`Error::Unavailable`]
//! is for the log alone, and names an AWS operation and its error code, nothing else.

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
#[error("{self:?}")]
pub enum Error {
    /// 400: the body is not JSON.
    NotJson,
    /// 401: no key, or none that we know.
    Unauthorized,
    /// 403: the key is good, and not for this.
    Forbidden(Lacks),
    /// 404: not there, or another tenant's: the two are the same.
    NotFound,
    /// 405: the path has only these methods.
    MethodNotAllowed(Vec<&'static str>),
    /// 409: the thing is in a state that does not allow it.
    Conflict {
        code: &'static str,
        detail: &'static str,
    },
    /// 409: several people are meant, and only one may be.
    Ambiguous(Vec<crate::base::id::SubjectId>),
    /// 412: `If-Match` names a revision that is no longer current.
    Stale,
    /// 413: larger than this many bytes.
    TooLarge(usize),
    /// 415: not `application/json`.
    UnsupportedMediaType,
    /// 422: these fields break a rule.
    #[error("invalid: {} fields", .0.len())]
    Invalid(Vec<FieldError>),
    /// 429: over a budget; try again after this many seconds.
    TooMany { retry_after: u32 },
    /// 500: what is stored is not as it was written. The request cannot succeed until somebody
    /// has looked into it; nothing that a caller sends leads here.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// 503: a store did not answer; the same request may succeed later.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// 503: a row does not open under the keys that its life had when they were read. The
    /// life may have been re-keyed since: who reads again, keys first, can open it.
    Unreadable,
}

/// What a good key lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacks {
    Scope(&'static str),
    /// Every scope, as the tenant's owner has.
    Ownership,
    /// The page that sent the request is not among the key's origins.
    Origin,
}

/// One violation. It never repeats a submitted value.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct FieldError {
    /// A JSON Pointer (RFC 6901) to a field of the body, or the name of a parameter.
    pub pointer: String,
    /// A stable error code for programs to branch on.
    pub code: &'static str,
    /// What would be accepted.
    pub message: String,
}

impl FieldError {
    pub fn new(
        pointer: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> FieldError {
        FieldError {
            pointer: pointer.into(),
            code,
            message: message.into(),
        }
    }
}

impl Error {
    /// A single field at fault.
    pub fn field(
        pointer: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Error {
        Error::Invalid(vec![FieldError::new(pointer, code, message)])
    }
}

/// What is there; `None` where the error says that it is not.
///
/// # Errors
/// All but [`Error::NotFound`].
pub fn found<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
