//! Which data may be stored, and in which form. Pure.

pub mod catalog;
pub mod normalize;
pub mod spans;
pub mod violations;
