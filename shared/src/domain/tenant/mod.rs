//! A tenant: settings and API keys.

pub mod cache;
pub mod rows;
pub mod settings;
