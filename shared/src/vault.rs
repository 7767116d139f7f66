//! KMS and AEAD: wraps keys, seals, opens and signs. Owns every cryptographic decision;
//! knows nothing of tables or of what the sealed or signed bytes mean.
//!
//! Hierarchy: KMS key → a tenant's keys, one blob: the hash key (makes `sub_…` and lookups)
//! and the versions of its wrapping key → a key for each purpose and place (HKDF, RFC 5869)
//! → data key of a life → sealed categories. Sealing is AES-256-GCM with a random 96-bit
//! nonce (NIST SP 800-38D); names are HMAC-SHA-256 (RFC 2104), cut to 128 bits.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::id::{KeyedHash, Life, Subject, Tenant};
use crate::jws::{PublicKey, Unsigned};

/// Bytes that only their key can read. Cannot be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub(crate) Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// Where sealed bytes belong. Bound to them as associated data, so that bytes moved to
/// another tenant, person, record or category do not open.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The partition: tenant, subject and life.
    pub partition: &'a str,
    /// The row within it.
    pub row: &'a str,
    /// The attribute of the row.
    pub part: &'a str,
}

impl Place<'_> {
    /// Each part with its length ahead, so that no two places share a form.
    fn associated_data(&self) -> Vec<u8> {
        let mut data = Vec::new();
        for part in [self.partition, self.row, self.part] {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part.as_bytes());
        }
        data
    }
}

/// The sealed bytes do not open: another key, another place, or changed.
#[derive(Debug)]
pub struct Unreadable;

impl From<Unreadable> for Error {
    fn from(_: Unreadable) -> Error {
        Error::Unavailable("a sealed value does not open under its key".into())
    }
}

/// The bytes of a key.
const KEY: usize = 32;

/// A 256-bit AES key. Wiped from memory when dropped; never shown.
pub struct SealingKey(Zeroizing<[u8; KEY]>);

/// The first byte of everything sealed, so that the form can change.
const FORM: u8 = 1;

impl SealingKey {
    /// A new random key.
    pub fn random() -> SealingKey {
        SealingKey(random_key())
    }

    fn from_bytes(bytes: &[u8]) -> Result<SealingKey, Unreadable> {
        Ok(SealingKey(Zeroizing::new(
            bytes.try_into().map_err(|_| Unreadable)?,
        )))
    }

    fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, &*self.0).expect("the key has the cipher's length");
        LessSafeKey::new(key)
    }

    /// Seals `plain` to a place: form, nonce, ciphertext, tag.
    pub fn seal(&self, place: Place<'_>, plain: &[u8]) -> Sealed {
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
                Aad::from(place.associated_data()),
                body,
            )
            .expect("a row is far below the cipher's limit of 64 GiB");
        bytes.extend_from_slice(tag.as_ref());
        Sealed(bytes)
    }

    /// Opens what was sealed to this place under this key.
    ///
    /// # Errors
    /// [`Unreadable`] when the key or the place is another, or a bit has changed.
    pub fn open(
        &self,
        place: Place<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        let (form, rest) = sealed.0.split_first().ok_or(Unreadable)?;
        if *form != FORM || rest.len() < NONCE_LEN {
            return Err(Unreadable);
        }
        let (nonce, body) = rest.split_at(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unreadable)?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = self
            .cipher()
            .open_in_place(nonce, Aad::from(place.associated_data()), &mut body)
            .map_err(|_| Unreadable)?
            .len();
        body.truncate(length);
        Ok(body)
    }
}

/// The key that turns a tenant's names into pseudonyms. Never rotates: a name must always
/// give the same hash.
pub struct HashKey {
    /// Whose names these are.
    owner: String,
    key: Zeroizing<[u8; KEY]>,
}

impl HashKey {
    /// The operator belongs to no tenant, so its names are hashed without a secret.
    pub fn of_operator() -> HashKey {
        HashKey {
            owner: "operator".to_owned(),
            key: Zeroizing::default(),
        }
    }

    /// Whose names it hashes: a tenant's id, or the operator.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The keyed hash of some parts, within one purpose.
    pub fn hash(&self, purpose: &str, parts: &[&[u8]]) -> KeyedHash {
        let mut short = [0; 16];
        short.copy_from_slice(&self.mac(purpose, parts)[..16]);
        KeyedHash(short)
    }

    /// A hash key that only the same parts make again.
    pub fn within(&self, purpose: &str, parts: &[&[u8]]) -> HashKey {
        HashKey {
            owner: self.owner.clone(),
            key: self.mac(purpose, parts),
        }
    }

    /// The key that seals what belongs to this hash key.
    pub fn sealing(&self) -> SealingKey {
        SealingKey(self.mac("sealing", &[]))
    }

    fn mac(&self, purpose: &str, parts: &[&[u8]]) -> Zeroizing<[u8; KEY]> {
        // The key lives as long as this value: aws-lc's copy is made for each use, so that
        // only the zeroised one outlasts a call.
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.key);
        let mut context = hmac::Context::with_key(&key);
        for part in [purpose.as_bytes(), self.owner.as_bytes()]
            .iter()
            .chain(parts)
        {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut mac = Zeroizing::new([0; KEY]);
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// The subject behind a visitor id: the only way to one.
    pub fn subject(&self, visitor_id: &str) -> Subject {
        Subject::from(self.hash("subject", &[visitor_id.as_bytes()]))
    }

    /// The life of a subject that nobody lives: no random one is ever the same.
    pub fn nobody(&self, subject: Subject) -> Life {
        Life::from(self.hash("nobody", &[subject.to_string().as_bytes()]))
    }

    /// What stands in keys for a conversation's id.
    pub fn conversation(&self, subject: Subject, conversation_id: &str) -> KeyedHash {
        self.hash(
            "conversation",
            &[subject.to_string().as_bytes(), conversation_id.as_bytes()],
        )
    }

    /// What stands in keys for the UUID that its sender gave a message: the same for the
    /// same, so that a message sent twice is stored once.
    pub fn message(&self, conversation: KeyedHash, id: Uuid) -> Uuid {
        Uuid::from_bytes(self.hash("message", &[&conversation.0, id.as_bytes()]).0)
    }

    /// What stands in keys for a help item within a scope.
    pub fn interaction(&self, item_id: &str, scope: &str) -> KeyedHash {
        self.hash("interaction", &[item_id.as_bytes(), scope.as_bytes()])
    }

    /// What people are found by: one form of a value of a kind (`user_id`, `email`,
    /// `phone`). `None` when the value has no such form.
    pub fn lookup(&self, kind: &str, value: &str) -> Option<KeyedHash> {
        let value = Zeroizing::new(crate::normal::found_by(kind, value)?);
        Some(self.hash("lookup", &[kind.as_bytes(), value.as_bytes()]))
    }

    /// A fingerprint of a text that does not give the text away.
    pub fn content(&self, text: &str) -> KeyedHash {
        self.hash("content", &[text.as_bytes()])
    }
}

/// What something is sealed for under a tenant's key. Each purpose has keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The data key of a life.
    DataKey,
    /// The text of an API key, which visitor tokens are verified with.
    ApiKey,
    /// A place in a list, in the caller's hands.
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

/// The keys of a tenant, in the clear, for as long as a cache may hold them.
///
/// The wrapping key seals nothing itself. What it is asked to seal is sealed under a key
/// derived for that purpose and place, behind the number of the version that it was derived
/// from: so no key comes near the number of random nonces that AES-GCM allows, and whatever
/// was sealed opens as long as its version is kept.
pub struct TenantKeys {
    pub hash: HashKey,
    /// Every version so far, oldest first; the first has number 1.
    wrapping: Vec<Zeroizing<[u8; KEY]>>,
    /// The number of the version that seals.
    current: u32,
}

impl TenantKeys {
    /// New random keys.
    pub(crate) fn random(tenant: Tenant) -> TenantKeys {
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

    /// The hash key, then every version of the wrapping key.
    fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let keys = [&self.hash.key].into_iter().chain(&self.wrapping);
        Zeroizing::new(keys.flat_map(|key| key.iter().copied()).collect())
    }

    /// `newest`: whether the newest version seals already, or still the one before.
    fn from_bytes(tenant: Tenant, bytes: &[u8], newest: bool) -> Option<TenantKeys> {
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

    /// The key for a purpose and place, derived from a version of the wrapping key.
    fn key(&self, version: u32, purpose: Purpose, place: Place<'_>) -> Option<SealingKey> {
        let at = usize::try_from(version).ok()?.checked_sub(1)?;
        let root = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &**self.wrapping.get(at)?);
        let place = place.associated_data();
        let info = [purpose.name().as_bytes(), &place];
        let mut key = Zeroizing::new([0; KEY]);
        root.expand(&info, hkdf::HKDF_SHA256)
            .and_then(|derived| derived.fill(&mut *key))
            .expect("HKDF gives one block of its hash");
        Some(SealingKey(key))
    }

    /// Seals `plain` for a purpose, to a place.
    pub fn seal(&self, purpose: Purpose, place: Place<'_>, plain: &[u8]) -> Sealed {
        let key = self.key(self.current, purpose, place);
        let sealed = key.expect("it has this version").seal(place, plain);
        Sealed([&self.current.to_be_bytes()[..], &sealed.0].concat())
    }

    /// Opens what was sealed for this purpose, to this place, under any version.
    ///
    /// # Errors
    /// As [`SealingKey::open`].
    pub fn open(
        &self,
        purpose: Purpose,
        place: Place<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        let (version, sealed) = sealed.0.split_first_chunk().ok_or(Unreadable)?;
        let version = u32::from_be_bytes(*version);
        let key = self.key(version, purpose, place).ok_or(Unreadable)?;
        key.open(place, &Sealed(sealed.to_vec()))
    }

    /// Wraps a data key to a place.
    pub fn wrap(&self, place: Place<'_>, key: &SealingKey) -> Sealed {
        self.seal(Purpose::DataKey, place, &*key.0)
    }

    /// Unwraps a data key.
    ///
    /// # Errors
    /// As [`SealingKey::open`].
    pub fn unwrap(&self, place: Place<'_>, wrapped: &Sealed) -> Result<SealingKey, Unreadable> {
        SealingKey::from_bytes(&self.open(Purpose::DataKey, place, wrapped)?)
    }
}

fn random_key() -> Zeroizing<[u8; KEY]> {
    let mut bytes = Zeroizing::new([0; KEY]);
    fill_random(&mut *bytes);
    bytes
}

/// The purpose of a tenant's keys, in the encryption context.
const TENANT_KEYS: &str = "tenant_keys";

/// KMS. Every call that wraps names the tenant and the purpose in the encryption context,
/// so that a wrapped key put in another's place does not open.
#[derive(Clone)]
pub struct Vault {
    kms: aws_sdk_kms::Client,
    key: String,
    signing_key: String,
    /// Its public half, once it was asked for: it never changes.
    public_key: Arc<OnceCell<PublicKey>>,
}

impl Vault {
    pub fn new(kms: aws_sdk_kms::Client, key: String, signing_key: String) -> Vault {
        Vault {
            kms,
            key,
            signing_key,
            public_key: Arc::default(),
        }
    }

    /// Wraps a tenant's keys: all of them are one blob, which one call opens.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when KMS does not answer.
    pub(crate) async fn wrap_tenant_keys(
        &self,
        tenant: Tenant,
        keys: &TenantKeys,
    ) -> Result<Vec<u8>> {
        let answer = self
            .kms
            .encrypt()
            .key_id(&self.key)
            .plaintext(Blob::new(keys.bytes().to_vec()))
            .encryption_context("tenant", tenant.to_string())
            .encryption_context("purpose", TENANT_KEYS)
            .send()
            .await
            .map_err(|cause| crate::aws::unavailable("Encrypt", &cause))?;
        let wrapped = answer.ciphertext_blob.map(Blob::into_inner);
        wrapped.ok_or_else(|| Error::Unavailable("Encrypt gave no ciphertext".into()))
    }

    /// Unwraps a tenant's keys. `newest`: whether the newest version of the wrapping key
    /// seals already.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when KMS does not answer, or refuses: a foreign context.
    pub(crate) async fn unwrap_tenant_keys(
        &self,
        tenant: Tenant,
        wrapped: &[u8],
        newest: bool,
    ) -> Result<TenantKeys> {
        let answer = self
            .kms
            .decrypt()
            .key_id(&self.key)
            .ciphertext_blob(Blob::new(wrapped))
            .encryption_context("tenant", tenant.to_string())
            .encryption_context("purpose", TENANT_KEYS)
            .send()
            .await
            .map_err(|cause| crate::aws::unavailable("Decrypt", &cause))?;
        let plain = Zeroizing::new(answer.plaintext.map(Blob::into_inner).unwrap_or_default());
        TenantKeys::from_bytes(tenant, &plain, newest)
            .ok_or_else(|| Error::Corrupt("a tenant's keys are not as they were made".into()))
    }

    /// Signs claims as a compact JWS (RFC 7515) under ES256. `typ` says what kind of
    /// statement it is.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when KMS does not answer.
    pub async fn sign(&self, typ: &str, claims: &Value) -> Result<String> {
        let unsigned = Unsigned::new(self.public_key().await?, typ, claims);
        let answer = self
            .kms
            .sign()
            .key_id(&self.signing_key)
            // KMS takes no message above 4 KiB: it is given the digest.
            .message_type(MessageType::Digest)
            .message(Blob::new(unsigned.digest()))
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
            .send()
            .await
            .map_err(|cause| crate::aws::unavailable("Sign", &cause))?;
        let signature = answer.signature.map(Blob::into_inner).unwrap_or_default();
        unsigned
            .signed(&signature)
            .ok_or_else(|| Error::Unavailable("Sign gave no signature of P-256".into()))
    }

    /// The keys that check what [`Vault::sign`] signs, as a JWK set (RFC 7517, 5).
    ///
    /// # Errors
    /// As [`Vault::sign`].
    pub async fn jwks(&self) -> Result<Value> {
        Ok(json!({"keys": [self.public_key().await?.jwk()]}))
    }

    async fn public_key(&self) -> Result<&PublicKey> {
        let fetch = async || {
            let answer = self
                .kms
                .get_public_key()
                .key_id(&self.signing_key)
                .send()
                .await
                .map_err(|cause| crate::aws::unavailable("GetPublicKey", &cause))?;
            let der = answer.public_key.map(Blob::into_inner).unwrap_or_default();
            PublicKey::from_der(&der)
                .ok_or_else(|| Error::Unavailable("GetPublicKey gave no key of P-256".into()))
        };
        self.public_key.get_or_try_init(fetch).await
    }
}

/// Fills a buffer from the operating system's random source.
pub fn fill_random(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("the operating system's random source answers");
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'_> = Place {
        partition: "ten#sub#life",
        row: "person",
        part: "identity",
    };

    #[test]
    fn sealed_bytes_open_only_in_their_own_place() {
        let key = SealingKey::random();
        let sealed = key.seal(HERE, b"canary");
        assert_eq!(key.open(HERE, &sealed).unwrap().as_slice(), b"canary");
        for elsewhere in [
            Place {
                partition: "ten#sub#other",
                ..HERE
            },
            Place {
                row: "door",
                ..HERE
            },
            Place {
                part: "contact",
                ..HERE
            },
            Place {
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

    fn keys() -> TenantKeys {
        TenantKeys::random(Tenant::new())
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
        let elsewhere = Place {
            row: "door",
            ..HERE
        };
        assert!(keys.open(Purpose::Cursor, elsewhere, &sealed).is_err());
        assert!(
            keys.open(Purpose::Cursor, HERE, &Sealed(vec![0; 3]))
                .is_err()
        );
        // Another purpose and another place are other keys, not only other associated data.
        let key = |purpose, place| *keys.key(1, purpose, place).unwrap().0;
        assert_ne!(key(Purpose::Cursor, HERE), key(Purpose::ApiKey, HERE));
        assert_ne!(key(Purpose::Cursor, HERE), key(Purpose::Cursor, elsewhere));
    }

    #[test]
    fn what_an_earlier_version_sealed_opens_after_a_rotation() {
        let mut keys = keys();
        let before = keys.seal(Purpose::DataKey, HERE, b"canary");
        keys.rotate();
        let tenant = Tenant::parse(&keys.hash.owner).unwrap();
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
