//! Every feature through the router, each test with a service of its own.

mod access;
mod admin;
mod attachments;
mod canaries;
mod door;
mod drift;
mod erasure;
mod expiry;
mod export;
mod ingest;
mod isolation;
mod late;
mod logs;
mod redact;
mod rekey;
mod replay;
mod requests;
mod rows;
mod seals;
