//! KMS: data keys, encryption and signatures over the AWS JSON 1.1 protocol.
//!
//! Ciphertexts are AES-256-GCM with the encryption context as associated data, signatures
//! are ECDSA over P-256, both by aws-lc-rs. A request must carry a Signature Version 4
//! header, but the signature is not verified.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::storage::FolderLock;
use crate::{EngineError, ResponseBody, Server, Storage};

mod keys;

use keys::{Key, Keys};
pub use keys::{KeySpec, KeyUsage};

/// No valid request is larger.
const MAX_BODY: usize = 64 * 1024;
/// The largest plaintext or message that KMS accepts, in bytes.
const MAX_MESSAGE: usize = 4096;

/// A running KMS.
pub struct Kms {
    server: Server,
    keys: Arc<Keys>,
    _lock: Option<FolderLock>,
}

impl Kms {
    /// Starts the engine with these keys. Keys that are not stored yet are created.
    pub async fn start(
        storage: &Storage,
        region: &str,
        keys: Vec<KeySpec>,
    ) -> Result<Kms, EngineError> {
        let lock = storage.lock("kms")?;
        let keys = Arc::new(Keys::open(storage, region, keys)?);
        let served = keys.clone();
        let server = Server::start(move |request| answer(served.clone(), request)).await?;
        Ok(Kms {
            server,
            keys,
            _lock: lock,
        })
    }

    pub fn endpoint(&self) -> &str {
        self.server.endpoint()
    }

    /// The ARN of the key with this name.
    ///
    /// # Panics
    /// When no [`KeySpec`] has this name.
    pub fn arn(&self, name: &str) -> String {
        match self.keys.named(name) {
            Some(key) => key.arn.clone(),
            None => panic!("no key has the name {name}"),
        }
    }
}

/// An error response: the error type and a message.
struct Refusal(&'static str, String);

impl Refusal {
    fn new(kind: &'static str, message: impl Into<String>) -> Refusal {
        Refusal(kind, message.into())
    }

    fn invalid(message: impl Into<String>) -> Refusal {
        Refusal::new("ValidationException", message)
    }
}

async fn answer(
    keys: Arc<Keys>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let (status, body) = match read_and_run(&keys, request).await {
        Ok(body) => (StatusCode::OK, body),
        Err(Refusal(kind, message)) => (
            StatusCode::BAD_REQUEST,
            json!({"__type": kind, "message": message}),
        ),
    };
    let body = Full::new(Bytes::from(body.to_string()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    let content_type = header::HeaderValue::from_static("application/x-amz-json-1.1");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    let id = header::HeaderValue::from_str(&Uuid::new_v4().to_string());
    response.headers_mut().extend(
        id.ok()
            .map(|id| (header::HeaderName::from_static("x-amzn-requestid"), id)),
    );
    Ok(response)
}

async fn read_and_run(keys: &Keys, request: Request<Incoming>) -> Result<Value, Refusal> {
    let text = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    };
    if !text("authorization").starts_with("AWS4-HMAC-SHA256 ") {
        return Err(Refusal::new(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ));
    }
    let operation = text("x-amz-target")
        .strip_prefix("TrentService.")
        .unwrap_or("")
        .to_owned();
    if request.method() != Method::POST || operation.is_empty() {
        return Err(Refusal::new("UnknownOperationException", ""));
    }
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let body = body.map_err(|_| Refusal::invalid("the request is too large or broke off"))?;
    run(keys, &operation, &body.to_bytes())
}

fn run(keys: &Keys, operation: &str, body: &[u8]) -> Result<Value, Refusal> {
    match operation {
        "GenerateDataKey" => generate_data_key(keys, parse(body)?),
        "Encrypt" => encrypt(keys, parse(body)?),
        "Decrypt" => decrypt(keys, parse(body)?),
        "Sign" => sign(keys, parse(body)?),
        "GetPublicKey" => get_public_key(keys, parse(body)?),
        "DescribeKey" => describe_key(keys, parse(body)?),
        _ => Err(Refusal::new(
            "UnknownOperationException",
            format!("{operation} is not offered here"),
        )),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => Refusal::invalid(e.to_string()),
        _ => Refusal::new("SerializationException", "the request is not JSON"),
    })
}

/// An encryption context.
type Context = BTreeMap<String, String>;

/// A blob, base64 in JSON.
struct Blob(Vec<u8>);

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Blob, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64
            .decode(text)
            .map(Blob)
            .map_err(serde::de::Error::custom)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GenerateDataKey {
    key_id: String,
    key_spec: Option<String>,
    number_of_bytes: Option<usize>,
    #[serde(default)]
    encryption_context: Context,
}

fn generate_data_key(keys: &Keys, request: GenerateDataKey) -> Result<Value, Refusal> {
    let length = match (request.key_spec.as_deref(), request.number_of_bytes) {
        (Some("AES_256"), None) => 32,
        (Some("AES_128"), None) => 16,
        (None, Some(length @ 1..=1024)) => length,
        _ => {
            return Err(Refusal::invalid(
                "exactly one of KeySpec and NumberOfBytes, within its limits, is required",
            ));
        }
    };
    let key = keys.find(&request.key_id)?;
    let mut plaintext = vec![0; length];
    aws_lc_rs::rand::fill(&mut plaintext).map_err(|_| internal())?;
    let sealed = key.seal(
        &plaintext,
        &associated_data(key, &request.encryption_context),
    )?;
    Ok(json!({
        "KeyId": key.arn,
        "Plaintext": BASE64.encode(plaintext),
        "CiphertextBlob": BASE64.encode(sealed),
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypt {
    key_id: String,
    plaintext: Blob,
    #[serde(default)]
    encryption_context: Context,
}

fn encrypt(keys: &Keys, request: Encrypt) -> Result<Value, Refusal> {
    let Blob(plaintext) = request.plaintext;
    if !(1..=MAX_MESSAGE).contains(&plaintext.len()) {
        return Err(Refusal::invalid("Plaintext must have 1 to 4096 bytes"));
    }
    let key = keys.find(&request.key_id)?;
    let sealed = key.seal(
        &plaintext,
        &associated_data(key, &request.encryption_context),
    )?;
    Ok(json!({
        "KeyId": key.arn,
        "CiphertextBlob": BASE64.encode(sealed),
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypt {
    key_id: Option<String>,
    ciphertext_blob: Blob,
    #[serde(default)]
    encryption_context: Context,
}

fn decrypt(keys: &Keys, request: Decrypt) -> Result<Value, Refusal> {
    let Blob(sealed) = request.ciphertext_blob;
    let unreadable = || Refusal::new("InvalidCiphertextException", "");
    let key = keys.of_ciphertext(&sealed).ok_or_else(unreadable)?;
    if let Some(expected) = &request.key_id
        && keys.find(expected)?.id != key.id
    {
        let message =
            "The key ID in the request does not identify a CMK that can perform this operation.";
        return Err(Refusal::new("IncorrectKeyException", message));
    }
    let plaintext = key
        .open(&sealed, &associated_data(key, &request.encryption_context))
        .ok_or_else(unreadable)?;
    Ok(json!({
        "KeyId": key.arn,
        "Plaintext": BASE64.encode(plaintext),
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sign {
    key_id: String,
    message: Blob,
    message_type: Option<String>,
    signing_algorithm: String,
}

fn sign(keys: &Keys, request: Sign) -> Result<Value, Refusal> {
    let Blob(message) = request.message;
    let key = keys.find(&request.key_id)?;
    let pair = key.signing()?;
    if request.signing_algorithm != "ECDSA_SHA_256" {
        let message = format!(
            "Algorithm {} and key spec ECC_NIST_P256 are not compatible.",
            request.signing_algorithm
        );
        return Err(Refusal::new("InvalidKeyUsageException", message));
    }
    let sha256 = &aws_lc_rs::digest::SHA256;
    let digest = match request.message_type.as_deref() {
        None | Some("RAW") if (1..=MAX_MESSAGE).contains(&message.len()) => {
            aws_lc_rs::digest::digest(sha256, &message)
        }
        Some("DIGEST") => {
            aws_lc_rs::digest::Digest::import_less_safe(&message, sha256).map_err(|_| {
                Refusal::invalid("Digest is invalid length for algorithm ECDSA_SHA_256.")
            })?
        }
        None | Some("RAW") => return Err(Refusal::invalid("Message must have 1 to 4096 bytes")),
        Some(_) => return Err(Refusal::invalid("MessageType must be RAW or DIGEST")),
    };
    let signature = pair.sign_digest(&digest).map_err(|_| internal())?;
    Ok(json!({
        "KeyId": key.arn,
        "Signature": BASE64.encode(signature),
        "SigningAlgorithm": "ECDSA_SHA_256",
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneKey {
    key_id: String,
}

fn get_public_key(keys: &Keys, request: OneKey) -> Result<Value, Refusal> {
    let key = keys.find(&request.key_id)?;
    Ok(json!({
        "KeyId": key.arn,
        "PublicKey": BASE64.encode(key.public_key()?),
        "KeySpec": "ECC_NIST_P256",
        "CustomerMasterKeySpec": "ECC_NIST_P256",
        "KeyUsage": "SIGN_VERIFY",
        "SigningAlgorithms": ["ECDSA_SHA_256"],
    }))
}

fn describe_key(keys: &Keys, request: OneKey) -> Result<Value, Refusal> {
    let key = keys.find(&request.key_id)?;
    let mut metadata = json!({
        "AWSAccountId": crate::ACCOUNT,
        "KeyId": key.id,
        "Arn": key.arn,
        "Enabled": true,
        "KeyState": "Enabled",
        "KeyManager": "CUSTOMER",
        "Origin": "AWS_KMS",
        "MultiRegion": false,
    });
    match key.usage {
        KeyUsage::EncryptDecrypt => {
            metadata["KeyUsage"] = json!("ENCRYPT_DECRYPT");
            metadata["KeySpec"] = json!("SYMMETRIC_DEFAULT");
            metadata["EncryptionAlgorithms"] = json!(["SYMMETRIC_DEFAULT"]);
        }
        KeyUsage::SignVerify => {
            metadata["KeyUsage"] = json!("SIGN_VERIFY");
            metadata["KeySpec"] = json!("ECC_NIST_P256");
            metadata["SigningAlgorithms"] = json!(["ECDSA_SHA_256"]);
        }
    }
    Ok(json!({"KeyMetadata": metadata}))
}

fn internal() -> Refusal {
    Refusal::new("KMSInternalException", "")
}

/// The key's id and every pair of the context. Each text is preceded by its length, so that
/// different contexts never yield the same bytes.
fn associated_data(key: &Key, context: &Context) -> Vec<u8> {
    let mut data = key.id.clone().into_bytes();
    for text in context.iter().flat_map(|(name, value)| [name, value]) {
        data.extend((text.len() as u64).to_be_bytes());
        data.extend(text.as_bytes());
    }
    data
}
