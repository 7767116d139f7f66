//! Errors, as callers may see them. One enum, matched in one place (`http::problem`) to become
//! a status.
//!
//! The public text never repeats a submitted value. The cause of an [`Error::Unavailable`]
//! appears in the log only, and names an AWS operation and its error code, nothing else.

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
#[error("{self:?}")]
pub enum Error {
    /// 400: the body is not JSON.
    NotJson,
    /// 401: no key, or an unknown one.
    Unauthorized,
    /// 403: the key is valid but does not allow this.
    Forbidden(Lacks),
    /// 404: does not exist, or belongs to another tenant; both look the same.
    NotFound,
    /// 405: the path supports only these methods.
    MethodNotAllowed(Vec<&'static str>),
    /// 409: the current state does not allow it.
    Conflict {
        code: &'static str,
        detail: &'static str,
    },
    /// 409: several people match, and only one may.
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
    /// 429: over the rate limit; retry after this many seconds.
    TooMany { retry_after: u32 },
    /// 500: stored data is not as it was written. The request cannot succeed until an operator
    /// has investigated; nothing that a caller sends causes this.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// 503: a store did not answer; the same request may succeed later.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// 503: a row does not open under the keys that its life had when they were read. The life
    /// may have been re-keyed since; reading again, keys first, can open it.
    Unreadable,
}

/// What a valid key lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacks {
    Scope(&'static str),
    /// Every scope: only the tenant's owner has them.
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
    /// An error for a single field.
    pub fn field(
        pointer: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Error {
        Error::Invalid(vec![FieldError::new(pointer, code, message)])
    }
}

/// The value; `None` where the error says that it does not exist.
///
/// # Errors
/// All except [`Error::NotFound`].
pub fn found<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
