//! The common crate of Lethe's functions: everything that two of them need.
//!
//! Lower never imports higher: `http` and `runtime` are the edge; `app` is what a handler
//! is given; `store`, `objects` and `keyring` hold rows, files and keys; `vault` holds the
//! cryptography; `record`, `detect`, `activity`, `retention` and `settings` are pure; the `catalog` is the
//! one table of fields. AWS SDK types stay inside `store`, `objects`, `keyring`, `vault` and `app`.

pub mod activity;
pub mod app;
pub mod catalog;
pub mod clock;
pub mod config;
pub mod detect;
pub mod error;
pub mod faults;
pub mod http;
pub mod id;
pub mod keyring;
pub mod objects;
pub mod person;
pub mod record;
pub mod redact;
pub mod redaction;
pub mod routes;
pub mod runtime;
pub mod settings;
pub mod store;
pub mod vault;
