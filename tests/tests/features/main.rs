//! Every feature through the router, each test with a service of its own.

mod canaries;
mod door;
mod erasure;
mod expiry;
mod ingest;
mod isolation;
mod replay;
mod rows;
