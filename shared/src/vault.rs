//! KMS and AEAD: wraps keys, seals, opens and signs. Owns every cryptographic decision;
//! knows nothing of tables or of what the sealed or signed bytes mean.
//!
//! Hierarchy: KMS key → tenant key (wraps data keys) and hash key (makes `sub_…` and
//! lookups) → data key of a life → sealed categories. Sealing is AES-256-GCM with a random
//! 96-bit nonce (NIST SP 800-38D); names are HMAC-SHA-256 (RFC 2104), cut to 128 bits.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, MessageType, SigningAlgorithmSpec};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::id::{KeyedHash, Subject, Tenant};
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

/// A 256-bit AES key. Wiped from memory when dropped; never shown.
pub struct SealingKey(Zeroizing<[u8; 32]>);

/// The first byte of everything sealed, so that the form can change.
const FORM: u8 = 1;

impl SealingKey {
    /// A new random key.
    pub fn random() -> SealingKey {
        let mut bytes = Zeroizing::new([0; 32]);
        fill_random(&mut *bytes);
        SealingKey(bytes)
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

    /// Wraps another key to a place.
    pub fn wrap(&self, place: Place<'_>, key: &SealingKey) -> Sealed {
        self.seal(place, &*key.0)
    }

    /// Unwraps a key.
    ///
    /// # Errors
    /// As [`SealingKey::open`].
    pub fn unwrap(&self, place: Place<'_>, wrapped: &Sealed) -> Result<SealingKey, Unreadable> {
        SealingKey::from_bytes(&self.open(place, wrapped)?)
    }
}

/// The key that turns a tenant's names into pseudonyms. Never rotates: a name must always
/// give the same hash.
pub struct HashKey {
    tenant: Tenant,
    key: Zeroizing<[u8; 32]>,
}

impl HashKey {
    /// The keyed hash of some parts, within one purpose.
    pub fn hash(&self, purpose: &str, parts: &[&[u8]]) -> KeyedHash {
        // The key lives as long as this value: aws-lc's copy is made for each use, so that
        // only the zeroised one outlasts a call.
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.key);
        let mut context = hmac::Context::with_key(&key);
        for part in [purpose.as_bytes(), self.tenant.to_string().as_bytes()]
            .iter()
            .chain(parts)
        {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut short = [0; 16];
        short.copy_from_slice(&context.sign().as_ref()[..16]);
        KeyedHash(short)
    }

    /// The subject behind a visitor id: the only way to one.
    pub fn subject(&self, visitor_id: &str) -> Subject {
        Subject::from(self.hash("subject", &[visitor_id.as_bytes()]))
    }

    /// What stands in keys for a conversation's id.
    pub fn conversation(&self, subject: Subject, conversation_id: &str) -> KeyedHash {
        self.hash(
            "conversation",
            &[subject.to_string().as_bytes(), conversation_id.as_bytes()],
        )
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

/// Both keys of a tenant, in the clear, for as long as a cache may hold them.
pub struct TenantKeys {
    pub wrapping: SealingKey,
    pub hash: HashKey,
}

/// The same, wrapped by KMS: the form that is stored.
#[derive(Clone, Debug)]
pub struct WrappedTenantKeys {
    pub wrapping: Vec<u8>,
    pub hash: Vec<u8>,
}

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

    /// Makes a tenant's keys, wrapped.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when KMS does not answer.
    pub async fn new_tenant_keys(&self, tenant: Tenant) -> Result<WrappedTenantKeys> {
        let (wrapping, hash) = tokio::try_join!(
            self.generate(tenant, "wrapping"),
            self.generate(tenant, "hash")
        )?;
        Ok(WrappedTenantKeys { wrapping, hash })
    }

    /// Unwraps a tenant's keys.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when KMS does not answer, or refuses: a foreign context.
    pub async fn open_tenant_keys(
        &self,
        tenant: Tenant,
        wrapped: &WrappedTenantKeys,
    ) -> Result<TenantKeys> {
        let (wrapping, hash) = tokio::try_join!(
            self.decrypt(tenant, "wrapping", &wrapped.wrapping),
            self.decrypt(tenant, "hash", &wrapped.hash)
        )?;
        Ok(TenantKeys {
            wrapping: SealingKey(wrapping),
            hash: HashKey { tenant, key: hash },
        })
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

    async fn generate(&self, tenant: Tenant, purpose: &str) -> Result<Vec<u8>> {
        let answer = self
            .kms
            .generate_data_key()
            .key_id(&self.key)
            .key_spec(DataKeySpec::Aes256)
            .encryption_context("tenant", tenant.to_string())
            .encryption_context("purpose", purpose)
            .send()
            .await
            .map_err(|cause| crate::aws::unavailable("GenerateDataKey", &cause))?;
        let wrapped = answer.ciphertext_blob.map(Blob::into_inner);
        wrapped.ok_or_else(|| Error::Unavailable("GenerateDataKey gave no key".into()))
    }

    async fn decrypt(
        &self,
        tenant: Tenant,
        purpose: &str,
        wrapped: &[u8],
    ) -> Result<Zeroizing<[u8; 32]>> {
        let answer = self
            .kms
            .decrypt()
            .key_id(&self.key)
            .ciphertext_blob(Blob::new(wrapped))
            .encryption_context("tenant", tenant.to_string())
            .encryption_context("purpose", purpose)
            .send()
            .await
            .map_err(|cause| crate::aws::unavailable("Decrypt", &cause))?;
        let plain = Zeroizing::new(answer.plaintext.map(Blob::into_inner).unwrap_or_default());
        let bytes: [u8; 32] = plain
            .as_slice()
            .try_into()
            .map_err(|_| Error::Unavailable("Decrypt gave a key of another length".into()))?;
        Ok(Zeroizing::new(bytes))
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
}
