//! Every feature through the router, each test with a service of its own.

mod access;
mod admin;
mod attachments;
mod canaries;
mod door;
mod erasure;
mod expiry;
mod export;
mod ingest;
mod isolation;
mod late;
mod redact;
mod replay;
mod rows;
