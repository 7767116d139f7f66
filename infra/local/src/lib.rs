//! The local run: `infra/template.yaml` on one machine.
//!
//! ```text
//! main                     the command line
//! cloud                    starts and stops a deployment; the interface for tests
//! gateway  control         HTTP in: the API, and /local/*
//! time  triggers           schedules, TTL, streams, objects
//! machine  functions       the engines (crate `emulators`) and the functions
//! wire                     a proxy between the two that can fail, for tests
//! template  routes  pattern  state      the declared resources, and the stored state
//! client                   a minimal HTTP client for tests and tools
//! verify                   verifies a day of the activity log from the outside
//! replay                   makes the tables consistent after a restore, from the command line
//! ```
//!
//! Lower modules never import higher ones. Nothing here knows what a record, a life or a
//! tenant is, except `seed`, which creates the demo, and `verify`, which knows the API and its
//! log.

pub mod client;
pub mod cloud;
mod control;
pub mod functions;
mod gateway;
mod machine;
pub mod pattern;
pub mod replay;
pub mod routes;
pub mod seed;
pub mod state;
pub mod template;
mod time;
mod triggers;
pub mod verify;
pub mod wire;

pub use cloud::{Cloud, Options, StartError};
