//! An erasure: whose lives it ends, how a tenant leaves, and the receipt that proves it.

pub mod offboarding;
pub mod outcome;
pub mod progress;
pub mod receipt;
pub mod spec;
