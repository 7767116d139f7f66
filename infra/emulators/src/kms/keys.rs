//! Keys: created once, stored in one file, found by id, ARN or alias.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Refusal, internal};
use crate::storage::write_private;
use crate::{ACCOUNT, EngineError, Storage};

/// The file in the folder.
const FILE: &str = "kms.json";
/// A ciphertext begins with the format's version and the key's id.
const VERSION: u8 = 1;
const HEADER: usize = 1 + 16;

/// A key.
#[derive(Clone, Debug)]
pub struct KeySpec {
    /// Its name in [`Kms::arn`](super::Kms::arn) and in the file.
    pub name: String,
    /// `alias/…`
    pub alias: Option<String>,
    pub usage: KeyUsage,
}

/// What a key does: encrypt with AES-256-GCM, or sign with ECDSA over P-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyUsage {
    EncryptDecrypt,
    SignVerify,
}

pub(super) struct Keys {
    keys: Vec<Key>,
}

pub(super) struct Key {
    pub(super) id: String,
    pub(super) arn: String,
    pub(super) usage: KeyUsage,
    name: String,
    alias: Option<String>,
    uuid: Uuid,
    secret: Secret,
}

enum Secret {
    Sealing(RandomizedNonceKey),
    Signing(EcdsaKeyPair),
}

/// A stored key; the file maps names to these.
#[derive(Serialize, Deserialize)]
struct Kept {
    id: String,
    usage: KeyUsage,
    /// 32 random bytes, or a PKCS #8 document; base64.
    material: String,
}

impl Keys {
    pub(super) fn open(
        storage: &Storage,
        region: &str,
        specs: Vec<KeySpec>,
    ) -> Result<Keys, EngineError> {
        let Storage::Folder(folder) = storage else {
            return Ok(Keys {
                keys: load(&mut BTreeMap::new(), region, specs)?,
            });
        };
        let path = folder.join(FILE);
        let mut kept = read(&path)?;
        let before = kept.len();
        let keys = load(&mut kept, region, specs).map_err(|e| EngineError::unreadable(&path, e))?;
        if kept.len() > before {
            let text =
                serde_json::to_vec_pretty(&kept).map_err(|e| EngineError::unreadable(&path, e))?;
            write_private(&path, &text).map_err(|e| EngineError::unreadable(&path, e))?;
        }
        Ok(Keys { keys })
    }

    pub(super) fn named(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// By id, ARN, alias or alias ARN.
    pub(super) fn find(&self, named: &str) -> Result<&Key, Refusal> {
        let resource = match named.strip_prefix("arn:") {
            Some(_) => named.splitn(6, ':').nth(5).ok_or_else(|| {
                Refusal::new("InvalidArnException", format!("{named} is not a valid ARN"))
            })?,
            None => named,
        };
        let id = resource.strip_prefix("key/").unwrap_or(resource);
        let found = self.keys.iter().find(|key| {
            let known = key.id == id || key.alias.as_deref() == Some(resource);
            // An ARN must match in region and account, too.
            known && (resource == named || named.split(':').take(5).eq(key.arn.split(':').take(5)))
        });
        found.ok_or_else(|| {
            let message = match resource.starts_with("alias/") {
                true => format!("Alias {named} is not found."),
                false => format!("Key '{named}' does not exist"),
            };
            Refusal::new("NotFoundException", message)
        })
    }

    /// The key that a ciphertext names.
    pub(super) fn of_ciphertext(&self, sealed: &[u8]) -> Option<&Key> {
        let id = Uuid::from_slice(sealed.get(1..HEADER)?).ok()?;
        self.keys
            .iter()
            .find(|key| sealed[0] == VERSION && key.uuid == id)
    }
}

impl Key {
    fn load(name: String, alias: Option<String>, region: &str, kept: &Kept) -> Option<Key> {
        let material = BASE64.decode(&kept.material).ok()?;
        let secret = match kept.usage {
            KeyUsage::EncryptDecrypt => {
                Secret::Sealing(RandomizedNonceKey::new(&AES_256_GCM, &material).ok()?)
            }
            KeyUsage::SignVerify => Secret::Signing(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &material).ok()?,
            ),
        };
        let uuid = Uuid::parse_str(&kept.id).ok()?;
        let id = uuid.to_string();
        let arn = format!("arn:aws:kms:{region}:{ACCOUNT}:key/{id}");
        Some(Key {
            id,
            arn,
            usage: kept.usage,
            name,
            alias,
            uuid,
            secret,
        })
    }

    fn misused(&self) -> Refusal {
        let message = format!(
            "{} key usage is {:?} which is not valid for this operation.",
            self.arn, self.usage
        );
        Refusal::new("InvalidKeyUsageException", message)
    }

    /// Version, key id, nonce, ciphertext and tag.
    pub(super) fn seal(&self, plaintext: &[u8], associated: &[u8]) -> Result<Vec<u8>, Refusal> {
        let Secret::Sealing(secret) = &self.secret else {
            return Err(self.misused());
        };
        let mut body = plaintext.to_vec();
        let nonce = secret
            .seal_in_place_append_tag(Aad::from(associated), &mut body)
            .map_err(|_| internal())?;
        Ok([&[VERSION][..], self.uuid.as_bytes(), nonce.as_ref(), &body].concat())
    }

    /// `None` when key, ciphertext or context do not match.
    pub(super) fn open(&self, sealed: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
        let Secret::Sealing(secret) = &self.secret else {
            return None;
        };
        let (nonce, body) = sealed.get(HEADER..)?.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = body.to_vec();
        secret
            .open_in_place(nonce, Aad::from(associated), &mut body)
            .ok()
            .map(|plaintext| plaintext.to_vec())
    }

    pub(super) fn signing(&self) -> Result<&EcdsaKeyPair, Refusal> {
        match &self.secret {
            Secret::Signing(pair) => Ok(pair),
            Secret::Sealing(_) => Err(self.misused()),
        }
    }

    /// A DER-encoded X.509 SubjectPublicKeyInfo (RFC 5280).
    pub(super) fn public_key(&self) -> Result<Vec<u8>, Refusal> {
        let public: PublicKeyX509Der = self
            .signing()?
            .public_key()
            .as_der()
            .map_err(|_| internal())?;
        Ok(public.as_ref().to_vec())
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, Kept>, EngineError> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|e| EngineError::unreadable(path, e)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(e) => Err(EngineError::unreadable(path, e)),
    }
}

/// The keys of `specs`. Missing ones are created and added to `kept`.
fn load(
    kept: &mut BTreeMap<String, Kept>,
    region: &str,
    specs: Vec<KeySpec>,
) -> Result<Vec<Key>, EngineError> {
    let mut keys = Vec::new();
    for KeySpec { name, alias, usage } in specs {
        if !kept.contains_key(&name) {
            kept.insert(name.clone(), make(usage)?);
        }
        let damaged =
            || EngineError::Refused(format!("key {name} is damaged, or of another usage"));
        let found = kept
            .get(&name)
            .filter(|kept| kept.usage == usage)
            .ok_or_else(damaged)?;
        keys.push(Key::load(name.clone(), alias, region, found).ok_or_else(damaged)?);
    }
    Ok(keys)
}

fn make(usage: KeyUsage) -> Result<Kept, EngineError> {
    let failed = |_| EngineError::Refused("no randomness for a new key".to_owned());
    let material = match usage {
        KeyUsage::EncryptDecrypt => {
            let mut bytes = [0; 32];
            aws_lc_rs::rand::fill(&mut bytes).map_err(failed)?;
            BASE64.encode(bytes)
        }
        KeyUsage::SignVerify => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
            BASE64.encode(pair.to_pkcs8v1().map_err(failed)?)
        }
    };
    Ok(Kept {
        id: Uuid::new_v4().to_string(),
        usage,
        material,
    })
}
