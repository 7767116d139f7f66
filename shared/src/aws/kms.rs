//! KMS: wraps tenants' keys and signs statements. Knows nothing about what is signed.

use std::sync::Arc;

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::base::error::{Error, Result};
use crate::base::id::TenantId;
use crate::crypto::TenantKeys;
use crate::proof::jws::{PublicKey, Unsigned};

/// The purpose of a tenant's keys in the encryption context.
const TENANT_KEYS: &str = "tenant_keys";

/// A KMS client. Every call that wraps a key names the tenant and the purpose in the
/// encryption context, so a wrapped key that is moved elsewhere does not open.
#[derive(Clone)]
pub struct Vault {
    kms: aws_sdk_kms::Client,
    key: String,
    signing_key: String,
    /// Its public half, cached after the first request: it never changes.
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

    /// Wraps a tenant's keys. They form one blob, so that one call unwraps all of them.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when KMS does not answer.
    pub(crate) async fn wrap_tenant_keys(
        &self,
        tenant: TenantId,
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
            .map_err(|cause| crate::aws::clients::unavailable("Encrypt", &cause))?;
        let wrapped = answer.ciphertext_blob.map(Blob::into_inner);
        wrapped.ok_or_else(|| Error::Unavailable("Encrypt gave no ciphertext".into()))
    }

    /// Unwraps a tenant's keys. `newest`: whether the newest version of the wrapping key
    /// already seals.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when KMS does not answer, or refuses because the context
    /// differs.
    pub(crate) async fn unwrap_tenant_keys(
        &self,
        tenant: TenantId,
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
            .map_err(|cause| crate::aws::clients::unavailable("Decrypt", &cause))?;
        let plain = Zeroizing::new(answer.plaintext.map(Blob::into_inner).unwrap_or_default());
        TenantKeys::from_bytes(tenant, &plain, newest)
            .ok_or_else(|| Error::Corrupt("a tenant's keys are not as they were made".into()))
    }

    /// Signs claims as a compact JWS (RFC 7515) under ES256. `typ` names the kind of
    /// statement.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when KMS does not answer.
    pub async fn sign(&self, typ: &str, claims: &Value) -> Result<String> {
        let unsigned = Unsigned::new(self.public_key().await?, typ, claims);
        let answer = self
            .kms
            .sign()
            .key_id(&self.signing_key)
            // KMS accepts messages up to 4 KiB, so it receives the digest.
            .message_type(MessageType::Digest)
            .message(Blob::new(unsigned.digest()))
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
            .send()
            .await
            .map_err(|cause| crate::aws::clients::unavailable("Sign", &cause))?;
        let signature = answer.signature.map(Blob::into_inner).unwrap_or_default();
        unsigned
            .signed(&signature)
            .ok_or_else(|| Error::Unavailable("Sign gave no signature of P-256".into()))
    }

    /// The keys that verify signatures of [`Vault::sign`], as a JWK set (RFC 7517, 5).
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
                .map_err(|cause| crate::aws::clients::unavailable("GetPublicKey", &cause))?;
            let der = answer.public_key.map(Blob::into_inner).unwrap_or_default();
            PublicKey::from_der(&der)
                .ok_or_else(|| Error::Unavailable("GetPublicKey gave no key of P-256".into()))
        };
        self.public_key.get_or_try_init(fetch).await
    }
}
