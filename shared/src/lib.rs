//! The common crate of Lethe's functions: everything that two of them need.
//!
//! | rooms, from the edge inwards | what they hold |
//! |---|---|
//! | `http`, `runtime`, `routes`, `metric` | the edge: callers, problems, idempotency, what wakes a function, the route table, numbers for alarms |
//! | `app`, `person`, `profile`, `rights`, `tenants`, `leaving`, `receipt`, `budget`, `redaction` | what a handler is given; who is there; what may be done with them; redaction in turns |
//! | `store`, `objects`, `keyring` | rows, files, keys and who is alive |
//! | `vault` | every cryptographic decision |
//! | `record`, `normal`, `redact`, `detect`, `activity`, `settings`, `faults`, `jws`, `merkle` | pure rules |
//! | `catalog` | the one table of fields |
//! | `error`, `aws`, `trust`, `id`, `clock`, `held`, `config`, `recovery` | what all others stand on |
//!
//! AWS SDK types stay inside `store`, `objects`, `keyring`, `vault`, `app` and
//! `trust`.

pub mod activity;
pub mod app;
pub mod aws;
pub mod budget;
pub mod catalog;
pub mod clock;
pub mod config;
pub mod detect;
pub mod error;
pub mod faults;
pub mod held;
pub mod http;
pub mod id;
pub mod jws;
pub mod keyring;
pub mod leaving;
pub mod merkle;
pub mod metric;
pub mod normal;
pub mod objects;
pub mod person;
pub mod profile;
pub mod receipt;
pub mod record;
pub mod recovery;
pub mod redact;
pub mod redaction;
pub mod rights;
pub mod routes;
pub mod runtime;
pub mod settings;
pub mod store;
pub mod tenants;
pub mod trust;
pub mod vault;
