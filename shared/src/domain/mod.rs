//! The domain: a folder for each noun, with its rows, its rules and how it is read.

pub mod app;
pub mod audit;
pub mod checks;
pub mod erasure;
pub mod expiry_index;
pub mod export;
pub mod idempotency;
pub mod jobs;
pub mod keyring;
pub mod keys;
pub mod life;
pub mod people;
pub mod records;
pub mod redaction;
pub mod rules;
pub mod tenant;
pub mod turn;
