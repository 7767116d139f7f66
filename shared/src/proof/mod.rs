//! Proofs: Merkle trees (RFC 6962) and signed statements (RFC 7515). Pure.

pub mod jws;
pub mod leaf;
pub mod merkle;
