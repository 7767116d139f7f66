//! People as they are known: whether somebody lives, what they are found by, their profile,
//! and how it changes.

pub mod change;
pub mod lookups;
pub mod person;
pub mod profile;
