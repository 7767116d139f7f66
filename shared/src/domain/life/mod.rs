//! A life: one retention period of one data subject, with its own data key.

pub mod door;
pub mod rekey;
pub mod repair;
pub mod update;
