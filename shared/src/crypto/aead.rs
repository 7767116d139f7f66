//! Sealing: AES-256-GCM, bound to the row and attribute that the bytes belong to.

use aws_lc_rs::aead::{self, AES_256_GCM, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::{KEY, fill_random, random_key};
use crate::base::error::Error;

/// Encrypted bytes. Only their key reads them; `Debug` never prints them.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub(crate) Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// The row and attribute that sealed bytes belong to, bound to them as associated data. Bytes
/// moved to another tenant, person, record or category do not open.
#[derive(Clone, Copy, Debug)]
pub struct Aad<'a> {
    /// The partition: tenant, subject and life.
    pub partition: &'a str,
    /// The row within it.
    pub row: &'a str,
    /// The attribute of the row.
    pub part: &'a str,
}

impl Aad<'_> {
    /// Each part is prefixed with its length, so no two values share an encoding.
    pub(super) fn associated_data(&self) -> Vec<u8> {
        let mut data = Vec::new();
        for part in [self.partition, self.row, self.part] {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part.as_bytes());
        }
        data
    }
}

/// The sealed bytes do not open: wrong key, wrong [`Aad`], or changed bytes.
#[derive(Debug)]
pub struct Unreadable;

impl From<Unreadable> for Error {
    fn from(_: Unreadable) -> Error {
        Error::Unavailable("a sealed value does not open under its key".into())
    }
}

/// A 256-bit AES key. It is wiped from memory when dropped and never printed.
pub struct SealingKey(pub(super) Zeroizing<[u8; KEY]>);

/// The first byte of all sealed data: a version, so that the format can change.
const FORM: u8 = 1;

impl SealingKey {
    /// A new random key.
    pub fn random() -> SealingKey {
        SealingKey(random_key())
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<SealingKey, Unreadable> {
        Ok(SealingKey(Zeroizing::new(
            bytes.try_into().map_err(|_| Unreadable)?,
        )))
    }

    fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, &*self.0).expect("the key has the cipher's length");
        LessSafeKey::new(key)
    }

    /// Seals `plain`, bound to `aad`. The result holds version, nonce, ciphertext and tag.
    pub fn seal(&self, aad: Aad<'_>, plain: &[u8]) -> Sealed {
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce);
        let mut bytes = Vec::with_capacity(1 + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        bytes.push(FORM);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(plain);
        let body = &mut bytes[1 + NONCE_LEN..];
        let tag = self
            .cipher()
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                aead::Aad::from(aad.associated_data()),
                body,
            )
            .expect("a row is far below the cipher's limit of 64 GiB");
        bytes.extend_from_slice(tag.as_ref());
        Sealed(bytes)
    }

    /// Opens bytes that were sealed for `aad` under this key.
    ///
    /// # Errors
    /// [`Unreadable`] when the key or `aad` differs, or a bit has changed.
    pub fn open(&self, aad: Aad<'_>, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        let (form, rest) = sealed.0.split_first().ok_or(Unreadable)?;
        if *form != FORM || rest.len() < NONCE_LEN {
            return Err(Unreadable);
        }
        let (nonce, body) = rest.split_at(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unreadable)?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = self
            .cipher()
            .open_in_place(nonce, aead::Aad::from(aad.associated_data()), &mut body)
            .map_err(|_| Unreadable)?
            .len();
        body.truncate(length);
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::super::HERE;
    use super::*;

    #[test]
    fn sealed_bytes_open_only_in_their_own_place() {
        let key = SealingKey::random();
        let sealed = key.seal(HERE, b"canary");
        assert_eq!(key.open(HERE, &sealed).unwrap().as_slice(), b"canary");
        for elsewhere in [
            Aad {
                partition: "ten#sub#other",
                ..HERE
            },
            Aad {
                row: "door",
                ..HERE
            },
            Aad {
                part: "contact",
                ..HERE
            },
            Aad {
                row: "personi",
                part: "dentity",
                ..HERE
            },
        ] {
            assert!(key.open(elsewhere, &sealed).is_err());
        }
        assert!(SealingKey::random().open(HERE, &sealed).is_err());
    }

    #[test]
    fn a_changed_bit_is_noticed_and_nothing_is_shown() {
        let key = SealingKey::random();
        let sealed = key.seal(HERE, b"canary");
        for at in 0..sealed.0.len() {
            let mut changed = sealed.clone();
            changed.0[at] ^= 1;
            assert!(key.open(HERE, &changed).is_err());
        }
        assert_eq!(format!("{sealed:?}"), "Sealed(…)");
        assert!(!sealed.0.windows(6).any(|part| part == b"canary"));
    }
}
