//! People as they are known: whether somebody lives, and their profile.

pub mod person;
pub mod profile;
