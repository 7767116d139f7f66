//! Emulators of DynamoDB, S3 and KMS on loopback, for tests and local development.
//!
//! Each runs in this process and serves the AWS SDKs over HTTP; only their endpoint
//! differs. Time comes from the caller, so that a test can let thirty days pass.
//! README.md lists what is served, what is checked, and where AWS differs.

use std::fmt;
use std::io;
use std::path::PathBuf;

mod clock;
pub mod dynamodb;
pub mod kms;
pub mod s3;
mod server;
mod storage;

pub use clock::Clock;
pub use server::{ResponseBody, Server};
pub use storage::Storage;

/// The account in every ARN.
pub const ACCOUNT: &str = "000000000000";
/// The region in ARNs and events, unless the caller chooses one.
pub const REGION: &str = "us-east-1";

/// Why an engine did not start. Each reads as one line.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Another engine uses this folder.
    #[error("{} is in use by another process", .0.display())]
    Busy(PathBuf),
    /// This file or folder cannot be read, written or understood.
    #[error("cannot use {}: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: String },
    /// No port on loopback is available.
    #[error("cannot listen on 127.0.0.1: {0}")]
    Listen(io::Error),
    /// A table or key cannot be created.
    #[error("{0}")]
    Refused(String),
}

impl EngineError {
    pub(crate) fn unreadable(path: impl Into<PathBuf>, cause: impl fmt::Display) -> EngineError {
        let cause = cause.to_string().replace('\n', " ");
        EngineError::Unreadable {
            path: path.into(),
            cause,
        }
    }
}

/// Runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
