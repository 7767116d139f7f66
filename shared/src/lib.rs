//! The common crate of Lethe's functions: everything that two of them need.
//!
//! Floors, from the ground up. A floor uses those below it and none above; a test reads every
//! `use crate::` and fails on an arrow that runs up.
//!
//! | floor | what it holds |
//! |---|---|
//! | `base` | ids, errors, time, configuration, caches and rate limits |
//! | `detect` | personal data in text |
//! | `schema` | what may be kept: the catalog of fields, normal forms, violations, spans |
//! | `proof` | Merkle trees, signed statements |
//! | `crypto` | sealing, pseudonyms, envelope encryption |
//! | `aws` | DynamoDB, S3, KMS, AWS Backup, CloudWatch: the only folder with SDK types |
//! | `domain` | a folder for each noun: its rows, its rules, how it is read |
//! | `http` | the edge: routes, callers, idempotency, problems |
//! | `lambda` | what invokes a function, and how one starts |

pub mod aws;
pub mod base;
pub mod crypto;
pub mod detect;
pub mod domain;
pub mod http;
pub mod lambda;
pub mod proof;
pub mod schema;
