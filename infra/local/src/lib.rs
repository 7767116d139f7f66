//! The local run: `infra/template.yaml` on one machine.
//!
//! ```text
//! main                     the command line
//! cloud                    start, stop, and what a test may ask
//! gateway  control         HTTP in: the API, and /local/*
//! time  triggers           what happens by itself: schedules, TTL, streams, objects
//! machine  functions       what runs: engines (crate `emulators`) and functions
//! wire                     what is asked between the two, and may go wrong, for tests
//! template  routes  pattern  state      what is declared, and what is remembered
//! client                   asks the above as anybody would, for tests and tools
//! verify                   checks a day of the activity log from the outside
//! replay                   makes the tables agree after a restore, from the command line
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
