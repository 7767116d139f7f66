//! What may be kept, and in which form. Pure.

pub mod catalog;
pub mod normalize;
pub mod spans;
pub mod violations;
