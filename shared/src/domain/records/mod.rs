//! The records of a life: what is sealed inside each, and their rows.

pub mod content;
pub mod rows;
pub mod view;
