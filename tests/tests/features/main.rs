//! Every feature through the router, each test with a service of its own.

mod access;
mod admin;
mod attachments;
mod backups;
mod canaries;
mod door;
mod drift;
mod erasure;
mod expiry;
mod export;
mod faults;
mod giant;
mod held;
mod ingest;
mod isolation;
mod late;
mod logs;
mod receipts;
mod redact;
mod rekey;
mod replay;
mod requests;
mod rights;
mod rows;
mod seals;
mod verify;
