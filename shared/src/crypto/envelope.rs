//! Envelope encryption: a tenant's keys and the keys that they wrap.

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use super::{Aad, HashKey, KEY, Sealed, SealingKey, Unreadable, random_key};
use crate::base::id::TenantId;

/// The purpose of sealing under a tenant's key. Each purpose has its own derived keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The data key of a life.
    DataKey,
    /// The text of an API key, which visitor tokens are verified with.
    ApiKey,
    /// A list cursor that the caller holds.
    Cursor,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Purpose::DataKey => "data_key",
            Purpose::ApiKey => "api_key",
            Purpose::Cursor => "cursor",
        }
    }
}

/// A tenant's keys in plaintext, for as long as a cache may hold them.
///
/// The wrapping key encrypts nothing itself. Data is sealed under a key that is derived for
/// its purpose and `aad`, and is prefixed with the version of the wrapping key. No derived key
/// comes near the number of random nonces that AES-GCM allows, and sealed data opens as long
/// as its version is kept.
pub struct TenantKeys {
    pub hash: HashKey,
    /// Every version, oldest first; the first has number 1.
    wrapping: Vec<Zeroizing<[u8; KEY]>>,
    /// The number of the version that seals.
    current: u32,
}

impl TenantKeys {
    /// New random keys.
    pub(crate) fn random(tenant: TenantId) -> TenantKeys {
        TenantKeys {
            hash: HashKey {
                owner: tenant.to_string(),
                key: random_key(),
            },
            wrapping: vec![random_key()],
            current: 1,
        }
    }

    /// Adds a version of the wrapping key.
    pub(crate) fn rotate(&mut self) {
        self.wrapping.push(random_key());
    }

    /// The hash key, followed by every version of the wrapping key.
    pub(crate) fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let keys = [&self.hash.key].into_iter().chain(&self.wrapping);
        Zeroizing::new(keys.flat_map(|key| key.iter().copied()).collect())
    }

    /// `newest`: whether the newest version already seals, or still the one before it.
    pub(crate) fn from_bytes(tenant: TenantId, bytes: &[u8], newest: bool) -> Option<TenantKeys> {
        let (keys, []) = bytes.as_chunks::<KEY>() else {
            return None;
        };
        let (hash, wrapping) = keys.split_first()?;
        let versions = u32::try_from(wrapping.len()).ok().filter(|it| *it > 0)?;
        Some(TenantKeys {
            hash: HashKey {
                owner: tenant.to_string(),
                key: Zeroizing::new(*hash),
            },
            wrapping: wrapping.iter().copied().map(Zeroizing::new).collect(),
            current: if newest {
                versions
            } else {
                versions.max(2) - 1
            },
        })
    }

    /// The key for a purpose and `aad`, derived from a version of the wrapping key.
    fn key(&self, version: u32, purpose: Purpose, aad: Aad<'_>) -> Option<SealingKey> {
        let at = usize::try_from(version).ok()?.checked_sub(1)?;
        let root = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &**self.wrapping.get(at)?);
        let aad = aad.associated_data();
        let info = [purpose.name().as_bytes(), &aad];
        let mut key = Zeroizing::new([0; KEY]);
        root.expand(&info, hkdf::HKDF_SHA256)
            .and_then(|derived| derived.fill(&mut *key))
            .expect("HKDF gives one block of its hash");
        Some(SealingKey(key))
    }

    /// Seals `plain` for a purpose, bound to `aad`.
    pub fn seal(&self, purpose: Purpose, aad: Aad<'_>, plain: &[u8]) -> Sealed {
        let key = self.key(self.current, purpose, aad);
        let sealed = key.expect("it has this version").seal(aad, plain);
        Sealed([&self.current.to_be_bytes()[..], &sealed.0].concat())
    }

    /// Opens data that was sealed for this purpose and `aad`, under any version.
    ///
    /// # Errors
    /// As [`SealingKey::open`].
    pub fn open(
        &self,
        purpose: Purpose,
        aad: Aad<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        let (version, sealed) = sealed.0.split_first_chunk().ok_or(Unreadable)?;
        let version = u32::from_be_bytes(*version);
        let key = self.key(version, purpose, aad).ok_or(Unreadable)?;
        key.open(aad, &Sealed(sealed.to_vec()))
    }

    /// Wraps a data key, bound to `aad`.
    pub fn wrap(&self, aad: Aad<'_>, key: &SealingKey) -> Sealed {
        self.seal(Purpose::DataKey, aad, &*key.0)
    }

    /// Unwraps a data key.
    ///
    /// # Errors
    /// As [`SealingKey::open`].
    pub fn unwrap(&self, aad: Aad<'_>, wrapped: &Sealed) -> Result<SealingKey, Unreadable> {
        SealingKey::from_bytes(&self.open(Purpose::DataKey, aad, wrapped)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::HERE;
    use super::*;

    fn keys() -> TenantKeys {
        TenantKeys::random(TenantId::new())
    }

    #[test]
    fn what_one_purpose_sealed_opens_for_no_other() {
        let keys = keys();
        let sealed = keys.seal(Purpose::Cursor, HERE, b"canary");
        let opened = keys.open(Purpose::Cursor, HERE, &sealed).unwrap();
        assert_eq!(opened.as_slice(), b"canary");
        for other in [Purpose::DataKey, Purpose::ApiKey] {
            assert!(keys.open(other, HERE, &sealed).is_err());
        }
        let elsewhere = Aad {
            row: "door",
            ..HERE
        };
        assert!(keys.open(Purpose::Cursor, elsewhere, &sealed).is_err());
        assert!(
            keys.open(Purpose::Cursor, HERE, &Sealed(vec![0; 3]))
                .is_err()
        );
        // A different purpose or `aad` gives a different key, not only different associated
        // data.
        let key = |purpose, aad| *keys.key(1, purpose, aad).unwrap().0;
        assert_ne!(key(Purpose::Cursor, HERE), key(Purpose::ApiKey, HERE));
        assert_ne!(key(Purpose::Cursor, HERE), key(Purpose::Cursor, elsewhere));
    }

    #[test]
    fn what_an_earlier_version_sealed_opens_after_a_rotation() {
        let mut keys = keys();
        let before = keys.seal(Purpose::DataKey, HERE, b"canary");
        keys.rotate();
        let tenant = TenantId::parse(&keys.hash.owner).unwrap();
        let name = keys.hash.hash("subject", &[b"ada"]);
        for (newest, version) in [(false, 1), (true, 2)] {
            let read = TenantKeys::from_bytes(tenant, &keys.bytes(), newest).unwrap();
            let after = read.seal(Purpose::DataKey, HERE, b"canary");
            assert_eq!(after.0[..4], [0, 0, 0, version]);
            for sealed in [&before, &after] {
                assert!(read.open(Purpose::DataKey, HERE, sealed).is_ok());
            }
            assert_eq!(read.hash.hash("subject", &[b"ada"]), name);
        }
        let first = TenantKeys::from_bytes(tenant, &keys.bytes()[..2 * KEY], true).unwrap();
        keys.current = 2;
        let later = keys.seal(Purpose::DataKey, HERE, b"canary");
        assert!(first.open(Purpose::DataKey, HERE, &later).is_err());
        let broken = [0, KEY, 2 * KEY - 1, 2 * KEY + 1];
        for length in broken {
            assert!(TenantKeys::from_bytes(tenant, &vec![7; length], true).is_none());
        }
    }

    #[test]
    fn a_key_made_of_a_request_opens_nothing_of_another() {
        let keys = keys();
        let made = |body: &[u8]| keys.hash.within("once", &[b"key_1", body]);
        let sealed = made(b"{}").sealing().seal(HERE, b"canary");
        assert!(made(b"{}").sealing().open(HERE, &sealed).is_ok());
        assert!(made(b"[]").sealing().open(HERE, &sealed).is_err());
        assert!(keys.hash.sealing().open(HERE, &sealed).is_err());
    }
}
