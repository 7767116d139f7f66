//! Cryptography that needs no network call: sealing, pseudonyms, envelope encryption.
//!
//! Key hierarchy: KMS key → a tenant's keys, in one blob: the hash key (for `sub_…` and
//! lookups) and the versions of its wrapping key → a key for each purpose and [`Aad`] (HKDF,
//! RFC 5869) → data key of a life → sealed categories. Sealing is AES-256-GCM with a random
//! 96-bit nonce (NIST SP 800-38D). Names are hashed with HMAC-SHA-256 (RFC 2104), truncated to
//! 128 bits.

mod aead;
mod envelope;
mod pseudonym;

use zeroize::Zeroizing;

pub use aead::{Aad, Sealed, SealingKey, Unreadable};
pub use envelope::{Purpose, TenantKeys};
pub use pseudonym::HashKey;

/// The bytes of a key.
const KEY: usize = 32;

fn random_key() -> Zeroizing<[u8; KEY]> {
    let mut bytes = Zeroizing::new([0; KEY]);
    fill_random(&mut *bytes);
    bytes
}

/// Fills a buffer from the operating system's random source.
pub fn fill_random(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("the operating system's random source answers");
}

/// A place for tests.
#[cfg(test)]
const HERE: Aad<'_> = Aad {
    partition: "ten#sub#life",
    row: "person",
    part: "identity",
};
