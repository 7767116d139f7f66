//! Every feature through the router, each test with a service of its own.

mod access;
mod admin;
mod canaries;
mod door;
mod drift;
mod erasure;
mod expiry;
mod ingest;
mod isolation;
mod logs;
mod redact;
mod replay;
mod requests;
mod rows;
