//! The audit log of a tenant: its events, how names are masked in it, its signed roots.

pub mod entry;
pub mod mask;
pub mod roots;
