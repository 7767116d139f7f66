//! How an AWS call fails, as far as anybody is told.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;

use crate::error::Error;

/// An AWS call that failed, by operation and error code: messages may repeat what was
/// sent, so they go nowhere.
pub fn unavailable(operation: &str, cause: &impl ProvideErrorMetadata) -> Error {
    Error::Unavailable(format!(
        "{operation}: {}",
        cause.code().unwrap_or("no answer")
    ))
}
