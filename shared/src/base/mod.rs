//! Foundations: ids, errors, time, configuration. Pure, except for the clock.

pub mod clock;
pub mod config;
pub mod error;
pub mod id;
pub mod named;
pub mod rate_limit;
pub mod recovery;
pub mod retry;
pub mod ttl_cache;
